"""Which predictions a stretch of training improved or worsened most: single ones, and means over groups."""

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, get_args

import numpy as np
import xarray as xr
from jaxtyping import Int

from devexplore.analysis.labelled_losses import (
    CONTEXT_TOKENS,
    PLACE,
    classes_of,
    context_before,
    require_texts,
    with_texts,
)
from devexplore.checks import whole_number
from devexplore.errors import InvalidSpec
from devexplore.stats.clustered_mean import clustered_mean

if TYPE_CHECKING:
    from devexplore.run import Run

By = Literal["token", "class", "position", "sequence"]
Direction = Literal["improved", "worsened"]

_LABEL: Final = {
    "token": "target_text",
    "class": "token_class",
    "position": "position",
    "sequence": "sequence",
}
_FEWEST_OF_A_TOKEN: Final = 3


def most_changed(
    change: xr.DataArray,
    probe: "Run | xr.Dataset | None" = None,
    n: int = 20,
    direction: Direction = "improved",
    by: "Literal['place'] | By" = "place",
    *,
    min_count: int | None = None,
    context: int = CONTEXT_TOKENS,
) -> xr.Dataset:
    """The ``n`` predictions, or groups of them, whose loss fell (or rose) most, the strongest first.

    Only true changes in the direction are listed, so there may be fewer than ``n``.

    Args:
        change: of ``loss_change``.
        probe: the texts, where the change does not hold them itself.
        by: ``place``: single predictions; otherwise means over groups, as ``mean_change`` has them.
        min_count: groups of fewer predictions are left out; default 3 for tokens, 1 otherwise.
        context: how many tokens before each single prediction are given as its context.

    Returns:
        loss_change by rank (1 …). For single predictions sequence, position, and for text token_text (the
        token read), target_text (the token predicted) and context (the last tokens before it, as one string).
        For groups target_text, token_class, position or sequence, and loss_change_se, count, sequences. A
        group that ranks first of many is there also by luck: its error does not know that it was chosen.

    Raises:
        InvalidSpec: for what is no change, another direction or grouping, numbers that are none, or tokens
            and classes of a run without text.
    """
    sign, n, context = _sign(direction), whole_number("n", n, 1), whole_number("context", context, 0)
    labelled = _labelled(change, probe)
    if by == "place":
        table = _most_changed_places(labelled, sign, n, context)
    else:
        fewest = (_FEWEST_OF_A_TOKEN if by == "token" else 1) if min_count is None else min_count
        fewest = whole_number("min_count", fewest, 0)
        means = mean_change(labelled, by)
        strength = sign * means["loss_change"].values
        order = np.argsort(-strength, kind="stable")
        order = order[(means["count"].values[order] >= fewest) & (strength[order] > 0)][:n]
        ranked = means.isel({_LABEL[by]: order}).rename_dims({_LABEL[by]: "rank"})
        table = ranked.reset_index(_LABEL[by]).reset_coords()
    table = table.assign_coords(rank=np.arange(1, table.sizes["rank"] + 1))
    table.attrs = {**change.attrs, "direction": direction, "by": by}
    return table


def mean_change(change: xr.DataArray, by: By, probe: "Run | xr.Dataset | None" = None) -> xr.Dataset:
    """Mean change of the loss over the predictions of each token, class, position or sequence.

    The standard error takes sequences as its units (``stats.clustered_mean``), for predictions of one
    sequence are not independent. It is too small by chance where ``sequences`` is below about ten, and NaN
    for one; so for a sequence as a group it is always NaN. Windows of one long text (``dx.token_losses``)
    follow each other and are less independent than sequences of a probe.

    Args:
        by: ``token``: the predicted token; ``class``: its classes (``stats.token_classes``), of which it may
            have several; ``position``; ``sequence``.

    Returns:
        loss_change, loss_change_se, count, sequences (in how many it occurs) over the dimension target_text,
        token_class, position or sequence. Predictions without a value are left out; the mean of none is NaN.

    Raises:
        InvalidSpec: for what is no change, another grouping, or tokens and classes of a run without text.
    """
    labelled = _labelled(change, probe)
    groups = _groups(labelled, by)
    valued = np.isfinite(labelled.values.ravel()[groups.place])
    place, label = groups.place[valued], groups.label[valued]
    values, sequence = labelled.values.ravel()[place], place // labelled.sizes["position"]
    means = clustered_mean(values[:, None], label, sequence, len(groups.names))
    dim = _LABEL[by]
    table = xr.Dataset(
        {
            "loss_change": (dim, means.mean[:, 0], {"units": change.attrs.get("units", "")}),
            "loss_change_se": (dim, means.se[:, 0], {"units": change.attrs.get("units", "")}),
            "count": (dim, means.size),
            "sequences": (dim, means.clusters),
        },
        coords={dim: groups.names},
        attrs={**change.attrs, "by": by},
    )
    return table.isel({dim: means.size > 0}) if by == "token" else table


def _labelled(change: xr.DataArray, probe: "Run | xr.Dataset | None") -> xr.DataArray:
    """(sequence, position) with the texts, if there are any."""
    array = isinstance(change, xr.DataArray)
    if not array or set(change.dims) != set(PLACE) or change.dtype.kind not in "fiu":
        got = f"{change.dtype} of dimensions {change.dims}" if array else f"a {type(change).__name__}"
        raise InvalidSpec(
            "expected a change of loss (sequence, position), as dx.loss_change(run, 1000, 6000) gives it, "
            f"got {got}"
        )
    return (change if probe is None else with_texts(change, probe)).transpose(*PLACE)


class _Groups(NamedTuple):
    """Pairs of a place (row-major index) and its group; a place may be in several groups, or in none."""

    place: Int[np.ndarray, " pair"]
    label: Int[np.ndarray, " pair"]
    names: np.ndarray


def _groups(change: xr.DataArray, by: str) -> _Groups:
    every = np.arange(change.size)
    if by == "token":
        require_texts(change, "ranking by token")
        names, label = np.unique(change["target_text"].values.astype(str).ravel(), return_inverse=True)
        return _Groups(every, label.ravel(), names.astype(object))
    if by == "class":
        member = classes_of(change)
        place, label = np.nonzero(member.values.reshape(change.size, -1))
        return _Groups(place, label, member["token_class"].values)
    if by not in PLACE:
        raise InvalidSpec(f"by must be one of {', '.join(get_args(By))}, or 'place' in a ranking, got {by!r}")
    label = np.unravel_index(every, change.shape)[PLACE.index(by)]
    names = change[by].values if by in change.coords else np.arange(change.sizes[by])
    return _Groups(every, label, names)


def _most_changed_places(change: xr.DataArray, sign: int, n: int, context: int) -> xr.Dataset:
    values = sign * change.transpose(*PLACE).values.ravel()
    order = np.argsort(-np.where(np.isfinite(values), values, -np.inf), kind="stable")[:n]
    order = order[values[order] > 0]
    row, column = np.unravel_index(order, (change.sizes["sequence"], change.sizes["position"]))
    table = xr.Dataset({"loss_change": ("rank", sign * values[order])})
    for dim, index in zip(PLACE, (row, column), strict=True):
        labels = change[dim].values if dim in change.coords else np.arange(change.sizes[dim])
        table[dim] = ("rank", labels[index])
    for name in {"token_text", "target_text"} & set(change.coords):
        table[name] = ("rank", change[name].transpose(*PLACE).values[row, column])
    if "token_text" in table:
        before = [context_before(change, *at, context) for at in zip(row, column, strict=True)]
        table["context"] = ("rank", np.array(before, dtype=object))
    return table


def _sign(direction: str) -> int:
    if direction not in get_args(Direction):
        raise InvalidSpec(f"direction must be 'improved' or 'worsened', got {direction!r}")
    return -1 if direction == "improved" else 1
