"""How the loss of single predictions changed between two steps or over a stage, and its whole history."""

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from devexplore.analysis.labelled_losses import CONTEXT_TOKENS, NAMES, PLACE, context_before, labelled_losses
from devexplore.analysis.learning_steps import BANDWIDTH, learning_steps, least_fall
from devexplore.analysis.stages import find_stages
from devexplore.checks import finite_number, whole_number
from devexplore.errors import InvalidSpec
from devexplore.geometry import nearest_in_log_time
from devexplore.schema import STEP

if TYPE_CHECKING:
    from devexplore.run import Run


def loss_change(
    source: "Run | xr.Dataset",
    step_from: float | None = None,
    step_to: float | None = None,
    *,
    stage: "str | int | xr.Dataset | None" = None,
    probe: "Run | xr.Dataset | None" = None,
) -> xr.DataArray:
    """token_loss at the later step minus that at the earlier, (sequence, position); negative: the loss fell.

    In the units of the loss (nats, or squared error). Steps between checkpoints stand for the nearest
    measured one, in ln(1 + step) as on the timeline; ``attrs`` ``step_from`` and ``step_to`` say which,
    ``asked_from`` and ``asked_to`` what was asked for, and ``stage`` of which stage that is. NaN where either
    has no value; 0 from a step to itself. Coordinates are those of ``labelled_losses``:
    sequence, position, and for text the tokens, so that
    ``change.where(change.target_text == " the").mean()`` works.

    Args:
        source: a run, a Dataset like its group ``losses``, or the losses of your own text
            (``dx.token_losses``).
        step_from, step_to: two steps, in any order; or, instead of them,
        stage: a stage of ``find_stages``: its name ("S3") or number, for a run; or its row,
            ``stages.isel(stage=2)``, for any source. The change is from its start to its end.
        probe: the texts, where the source does not hold them itself.

    Raises:
        NotMeasured: for a run without token losses.
        InvalidSpec: for neither or both of steps and stage; steps that are no numbers of at least 0, or are
            two but have the same checkpoint nearest; a stage that is not there.
    """
    losses = labelled_losses(source, probe)
    *asked, name = _asked_steps(source, step_from, step_to, stage)
    steps = losses[STEP].values
    at = [int(nearest_in_log_time(steps, step)[0]) for step in asked]
    if at[0] == at[1] and asked[0] != asked[1]:
        beside = [str(steps[index]) for index in (at[0] - 1, at[0] + 1) if 0 <= index < len(steps)]
        raise InvalidSpec(
            f"steps {asked[0]:g} and {asked[1]:g} have the same checkpoint nearest, {steps[at[0]]}, so no "
            f"change between them is measured; beside it are {' and '.join(beside) or 'no others'}"
        )
    change = change_between(losses, *at)
    change.attrs |= dict(zip(("asked_from", "asked_to"), asked, strict=True))
    change.attrs |= {"stage": name} if name else {}
    return change


def change_between(losses: xr.DataArray, earlier: int, later: int) -> xr.DataArray:
    """``loss_change`` between the checkpoints at these indices, which may be one and the same."""
    used = [int(losses[STEP].values[index]) for index in (earlier, later)]
    before, after = (losses.isel({STEP: index}, drop=True).load() for index in (earlier, later))
    change = (after.astype(np.float64) - before.astype(np.float64)).rename("loss_change")
    change.attrs = {
        "units": losses.attrs.get("units", ""),
        "long_name": "change of loss (negative: fell)",
        "step_from": used[0],
        "step_to": used[1],
        **{name: losses.attrs[name] for name in NAMES if name in losses.attrs},
    }
    return change


def loss_history(
    source: "Run | xr.Dataset",
    sequence: int,
    position: int,
    *,
    probe: "Run | xr.Dataset | None" = None,
    bandwidth: float = BANDWIDTH,
    context: int = CONTEXT_TOKENS,
) -> xr.Dataset:
    """The loss of one prediction over training.

    Returns:
        token_loss and smooth_loss (step); early, late and lowest loss, learned_step and fate as
        ``learning_steps`` has them; for text token_text, target_text, and ``context``, the last tokens before
        the predicted one. ``attrs`` units, and sequences, how many there are.

    ``sequence`` and ``position`` count from 0, as everywhere in Datasets; figures show both from 1.

    Raises:
        InvalidSpec: for a place that the losses do not have, or that has no loss.
    """
    whole_number("context", context, 0)
    losses = labelled_losses(source, probe)
    row, column = (_index(losses, dim, at) for dim, at in zip(PLACE, (sequence, position), strict=True))
    one = losses.isel(sequence=[row], position=[column]).load()
    if not np.isfinite(one).any():
        raise InvalidSpec(
            f"no loss at sequence {sequence}, position {position}: of text in several windows, "
            "it is counted in the window before; of several texts, it is beyond the end of this one"
        )
    found = learning_steps(one, min_fall=least_fall(losses), bandwidth=bandwidth).squeeze(PLACE)
    if "token_text" in losses.coords:
        found["context"] = context_before(losses, row, column, context)
    found.attrs["sequences"] = losses.sizes["sequence"]
    return found.assign(token_loss=one.squeeze(PLACE).astype(np.float64))


def _asked_steps(
    source: "Run | xr.Dataset",
    step_from: float | None,
    step_to: float | None,
    stage: "str | int | xr.Dataset | None",
) -> tuple[float, float, str]:
    """Two steps, and the name of the stage that they are of ("": of none, or of one without a name)."""
    if stage is None:
        if step_from is None or step_to is None:
            raise InvalidSpec("expected two steps, or stage=: loss_change(run, 1000, 6000), or stage='S3'")
        return finite_number("step_from", step_from, 0), finite_number("step_to", step_to, 0), ""
    if step_from is not None or step_to is not None:
        raise InvalidSpec("expected two steps or a stage, got both")
    if isinstance(stage, xr.Dataset):
        if not {"start", "end"} <= set(stage) or stage["start"].ndim + stage["end"].ndim != 0:
            raise InvalidSpec("expected one stage with its start and end; give a row, stages.isel(stage=2)")
    elif isinstance(source, xr.Dataset):
        raise InvalidSpec(
            f"stage {stage!r} of which run? For a Dataset give the row: stages = dx.find_stages(run), "
            "stage=stages.isel(stage=2)"
        )
    else:
        stage = _named_stage(find_stages(source), stage)
    start, end = (finite_number(f"the stage's {end}", stage[end], 0) for end in ("start", "end"))
    return start, end, str(stage["name"].values) if "name" in stage else ""


def _named_stage(stages: xr.Dataset, wanted: Any) -> xr.Dataset:
    if not isinstance(wanted, str):
        wanted = whole_number("stage, unless it is a name or a row of find_stages,", wanted)
    labels = stages["name" if isinstance(wanted, str) else "stage"].values
    at = np.flatnonzero(labels == wanted)
    if len(at) != 1:
        raise InvalidSpec(f"no stage {wanted!r}; this run has {', '.join(map(str, labels))}")
    return stages.isel(stage=int(at[0]))


def _index(losses: xr.DataArray, dim: str, label: int) -> int:
    at = np.flatnonzero(losses[dim].values == whole_number(dim, label))
    if len(at) == 0:
        first, last = losses[dim].values[[0, -1]]
        raise InvalidSpec(f"no {dim} {label}; there are {first} … {last}")
    return int(at[0])
