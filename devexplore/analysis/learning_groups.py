"""Predictions grouped by when they are learned, and what each group is made of."""

from typing import TYPE_CHECKING, Final

import numpy as np
import xarray as xr
from jaxtyping import Bool, Int

from devexplore.analysis.labelled_losses import (
    CONTEXT_TOKENS,
    PLACE,
    classes_of,
    context_before,
    labelled_losses,
)
from devexplore.analysis.learning_steps import BANDWIDTH, LEARNED, NEVER, UNLEARNED, learning_steps
from devexplore.analysis.stages import find_stages, require_stages
from devexplore.checks import whole_number
from devexplore.schema import STEP
from devexplore.stats.clustered_mean import clustered_mean

if TYPE_CHECKING:
    from devexplore.run import Run

_QUARTERS: Final = ("first quarter", "second quarter", "third quarter", "last quarter")
_FEWEST: Final = 2
"""A token that is typical of a group occurs in it at least so often."""


def when_learned(
    source: "Run | xr.Dataset",
    stages: xr.Dataset | None = None,
    *,
    probe: "Run | xr.Dataset | None" = None,
    min_fall: float | None = None,
    bandwidth: float = BANDWIDTH,
    n_typical: int = 8,
    n_examples: int = 5,
    context: int = CONTEXT_TOKENS,
) -> xr.Dataset:
    """Group predictions by the stage in which their loss fell half-way.

    Those never learned, and those unlearned, are groups of their own. Groups are stages, not clusters of
    curves: they have names and dates that the rest of the analysis shares, and there is no number of clusters
    and no random start to choose. Given stages and ``min_fall``, the group of a prediction depends on its own
    losses alone; the default ``min_fall`` depends on all of them. (On the bundled language run every second
    checkpoint and the others give 90 % of the predictions the same group.) Steps before the first stage
    count to it, steps after the last to that.

    Groups are chosen by the very losses that are then averaged, so where single losses are mostly noise
    (squared errors of one regression example) the learned start high and the never learned low by selection;
    there ``mean_change`` by position says more.

    Args:
        source: a run, a Dataset like its group ``losses``, or your own text (``dx.token_losses``).
        stages: of ``find_stages``; default those of the run. For a Dataset without any, the quarters of its
            learned predictions by their step take their place.
        probe: the texts, where the source does not hold them itself.
        min_fall, bandwidth: see ``learning_steps``.
        n_typical, n_examples: how many typical tokens and examples of each group are given.

    Returns:
        learned_step, early, late, lowest, fate (sequence, position) as ``learning_steps`` has them;
        group_index (sequence, position), −1 where a loss is missing, and group_name, "" there. Over ``group``
        (stages in order, then "never learned", "unlearned"): group_start, group_end (steps; NaN for the last
        two), count, share; mean_loss and mean_loss_se (group, step), of the raw losses; the error takes
        sequences as its units (``stats.clustered_mean``). Examples, those whose smoothed history lies nearest
        to the group's mean: example_sequence, example_position (−1 where a group has fewer) and, for text,
        example_context, example_target (group, example).
        For text also class_share (group, token_class), the share of the group that is in each class, with
        class_share_all (token_class) to compare with; and typical_token, typical_count, typical_excess
        (group, typical): tokens that occur most beyond their share of all predictions, k − n·p over
        √(n·p·(1 − p)), at least twice.

    A table with a row a prediction, token, step and stage, is::

        groups = dx.when_learned(run)
        table = groups[["target_text", "learned_step", "group_name"]].to_dataframe()

    indexed by sequence and position, both from 0 (``.query("group_name == 'S3'")`` chooses). Of your own text
    give the stages too: ``dx.when_learned(losses, dx.find_stages(run))``. ``attrs["grouping"]`` says what the
    groups are.

    Everything is held in memory: 600 checkpoints of 32 × 1,024 predictions (a run of the paper's size) take
    1.2 GB and some 5 s on one core.

    Raises:
        NotMeasured: for a run without token losses.
        InvalidSpec: as ``learning_steps``, where ``stages`` are none, or for numbers below 0.
    """
    for name, number in (("n_typical", n_typical), ("n_examples", n_examples), ("context", context)):
        whole_number(name, number, 0)
    losses = labelled_losses(source, probe).transpose(STEP, *PLACE).load()
    found = learning_steps(losses, min_fall=min_fall, bandwidth=bandwidth)
    if stages is None and not isinstance(source, xr.Dataset):
        stages = find_stages(source)
    names, edges = _edges(stages, found["learned_step"].values)
    index = _group_index(found, edges)
    grouped = found.drop_vars("smooth_loss").assign(group_index=(PLACE, index))
    every = np.array([*names, NEVER, UNLEARNED], dtype=object)
    grouped = grouped.assign(group_name=(PLACE, np.append(every, "")[index])).assign_coords(group=every)
    grouped.attrs["grouping"] = _grouping(stages, source)
    member = index.ravel() == np.arange(len(names) + 2)[:, None]
    ends = np.full((2, 2), np.nan)
    grouped["group_start"] = ("group", np.concatenate([edges[:-1], ends[0]]))
    grouped["group_end"] = ("group", np.concatenate([edges[1:], ends[1]]))
    grouped["count"] = ("group", member.sum(axis=1))
    grouped["share"] = grouped["count"] / max(int(member.sum()), 1)
    grouped = grouped.assign(_mean_histories(losses, index, len(member)))
    smooth = found["smooth_loss"].values.reshape(losses.sizes[STEP], -1)
    grouped = grouped.assign(_examples(losses, smooth, member, n_examples, context))
    if "target_text" in losses.coords:
        grouped = grouped.assign(_class_shares(losses, member) | _typical_tokens(losses, member, n_typical))
    return grouped


def _grouping(stages: xr.Dataset | None, source: "Run | xr.Dataset") -> str:
    if stages is not None:
        return "stages"
    whose = source.attrs.get("run") if isinstance(source, xr.Dataset) else None
    of = f"of the run {whose}" if whose else "of the run"
    return (
        "quarters of the learned predictions by their step, as no stages were given: "
        f"give those {of}, stages=dx.find_stages(run)"
    )


def _edges(stages: xr.Dataset | None, learned: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Names of the groups that learn, and the steps between them."""
    if stages is not None:
        require_stages(stages)
        edges = np.concatenate([stages["start"].values, stages["end"].values[-1:]]).astype(np.float64)
        return [str(name) for name in stages["name"].values], edges
    steps = learned[np.isfinite(learned)]
    if len(steps) == 0:
        return list(_QUARTERS), np.full(len(_QUARTERS) + 1, np.nan)
    return list(_QUARTERS), np.quantile(steps, np.linspace(0, 1, len(_QUARTERS) + 1))


def _group_index(found: xr.Dataset, edges: np.ndarray) -> Int[np.ndarray, "sequence position"]:
    fate, groups = found["fate"].values, len(edges) - 1
    index = np.full(fate.shape, -1)
    learned = fate == LEARNED
    within = np.searchsorted(edges[1:-1], found["learned_step"].values[learned], side="right")
    index[learned] = within
    index[fate == NEVER] = groups
    index[fate == UNLEARNED] = groups + 1
    return index


def _mean_histories(
    losses: xr.DataArray, index: Int[np.ndarray, "sequence position"], n_groups: int
) -> dict[str, tuple]:
    """Mean raw loss of each group at each step, with the scatter of sequences as its error."""
    place = np.flatnonzero(index.ravel() >= 0)
    values = losses.values.reshape(losses.sizes[STEP], -1).T[place].astype(np.float64)
    means = clustered_mean(values, index.ravel()[place], place // losses.sizes["position"], n_groups)
    dims, attrs = ("group", STEP), {"units": losses.attrs.get("units", "")}
    return {"mean_loss": (dims, means.mean, attrs), "mean_loss_se": (dims, means.se, attrs)}


def _examples(
    losses: xr.DataArray,
    smooth: np.ndarray,
    member: Bool[np.ndarray, "group place"],
    n: int,
    context: int,
) -> dict[str, tuple]:
    """Of each group the predictions whose smoothed history is nearest to the mean, each token once."""
    has_text = "target_text" in losses.coords
    target = losses["target_text"].values.ravel() if has_text else None
    place = np.full((len(member), n), -1)
    for group, here in enumerate(member):
        inside = np.flatnonzero(here)
        if len(inside) == 0:
            continue
        distance = ((smooth[:, inside] - smooth[:, inside].mean(axis=1, keepdims=True)) ** 2).sum(axis=0)
        nearest = inside[np.argsort(distance, kind="stable")]
        if target is not None:
            _, first = np.unique(target[nearest].astype(str), return_index=True)
            nearest = nearest[np.sort(first)]
        place[group, : len(nearest[:n])] = nearest[:n]
    row, column = np.divmod(place, losses.sizes["position"])
    dims = ("group", "example")
    there = place >= 0
    examples: dict[str, tuple] = {
        "example_sequence": (dims, np.where(there, losses["sequence"].values[row], -1)),
        "example_position": (dims, np.where(there, losses["position"].values[column], -1)),
    }
    if target is not None:
        before = [
            context_before(losses, *at, context) if known else ""
            for at, known in zip(zip(row.ravel(), column.ravel(), strict=True), there.ravel(), strict=True)
        ]
        examples["example_context"] = (dims, np.array(before, dtype=object).reshape(place.shape))
        examples["example_target"] = (dims, np.where(there, target[place], ""))
    return examples


def _class_shares(losses: xr.DataArray, member: Bool[np.ndarray, "group place"]) -> dict[str, tuple]:
    classes = classes_of(losses)
    held = classes.values.reshape(member.shape[1], -1).astype(np.float64)
    counts = member.sum(axis=1)
    shares = (member @ held) / np.where(counts > 0, counts, np.nan)[:, None]
    everywhere = held[member.any(axis=0)]
    overall = everywhere.mean(axis=0) if len(everywhere) else np.full(held.shape[1], np.nan)
    return {
        "token_class": ("token_class", classes["token_class"].values),
        "class_share": (("group", "token_class"), shares),
        "class_share_all": ("token_class", overall),
    }


def _typical_tokens(
    losses: xr.DataArray, member: Bool[np.ndarray, "group place"], n: int
) -> dict[str, tuple]:
    tokens, label = np.unique(losses["target_text"].values.astype(str).ravel(), return_inverse=True)
    label = label.ravel()
    grouped = member.any(axis=0)
    p = np.bincount(label[grouped], minlength=len(tokens)) / max(int(grouped.sum()), 1)
    text = np.full((len(member), n), "", dtype=object)
    count, excess = np.zeros((len(member), n), dtype=int), np.full((len(member), n), np.nan)
    for group, here in enumerate(member):
        seen = np.bincount(label[here], minlength=len(tokens))
        spread = np.sqrt(here.sum() * p * (1 - p))
        beyond = np.where(spread > 0, (seen - here.sum() * p) / np.where(spread > 0, spread, 1), 0.0)
        order = np.argsort(-beyond, kind="stable")
        order = order[(seen[order] >= _FEWEST) & (beyond[order] > 0)][:n]
        kept = slice(len(order))
        text[group, kept], count[group, kept], excess[group, kept] = tokens[order], seen[order], beyond[order]
    dims = ("group", "typical")
    return {
        "typical_token": (dims, text),
        "typical_count": (dims, count),
        "typical_excess": (dims, excess, {"long_name": "standard deviations beyond its share"}),
    }
