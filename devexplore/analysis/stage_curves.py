"""The curves that stages are read from: the LLC with its verdicts, and the loss."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float

from devexplore.analysis.trust import trust
from devexplore.arguments import require_run
from devexplore.errors import InvalidSpec, NotMeasured
from devexplore.schema import CHECKPOINTS, LLC, LOSSES, STEP
from devexplore.stats.points import numbers

if TYPE_CHECKING:
    from devexplore.run import Run

_NOTHING = np.empty(0), np.empty(0)


def training_steps(values: Any) -> Float[np.ndarray, " step"]:
    """Steps as float64. Raises InvalidSpec for what is no finite number of at least 0."""
    step = numbers(values, "steps")
    wrong = step[~(np.isfinite(step) & (step >= 0))]
    if len(wrong):
        raise InvalidSpec(f"steps count training from 0, got {wrong[0]:g}")
    return step


Arrays = np.ndarray | xr.DataArray | list | tuple
"""What values (or steps) may come as, where they do not come from a run."""


class Estimates(NamedTuple):
    """λ̂ at the steps where it was measured (may be none), with zero for an unknown standard error."""

    step: Float[np.ndarray, " llc"]
    value: Float[np.ndarray, " llc"]
    se: Float[np.ndarray, " llc"]
    verdict: Float[np.ndarray, " llc"]


class Losses(NamedTuple):
    """The loss at the steps where it was measured (may be none)."""

    step: Float[np.ndarray, " loss"]
    value: Float[np.ndarray, " loss"]
    name: str
    unit: str = ""


def stage_curves(source, llc, llc_se, loss, verdict) -> tuple[Estimates, Losses]:
    if isinstance(source, Arrays):
        step = training_steps(source)
        estimates = judged(None) if llc is None else _given(step, llc, llc_se, verdict)
        losses = Losses(*_NOTHING, "loss") if loss is None else _valued(step, _column(step, loss), "loss")
    else:
        require_run(source, " or the steps of arrays")
        estimates = judged(source.dataset(LLC) if source.has(LLC) else None)
        losses = run_losses(source)
        if len(estimates.step) == 0 and len(losses.step) == 0:
            raise NotMeasured(f"{source.name} has neither LLC nor losses; {source.remedy('losses,llc')}")
    if len(estimates.step) == 0 and len(losses.step) == 0:
        raise InvalidSpec("expected values of the LLC or of the loss at the given steps, got none")
    return estimates, losses


def _given(step: np.ndarray, llc, llc_se, verdict) -> Estimates:
    columns = {"llc": llc, "llc_se": np.zeros(step.shape) if llc_se is None else llc_se}
    columns |= {} if verdict is None else {"verdict": verdict}
    table = xr.Dataset(
        {name: (STEP, _column(step, values)) for name, values in columns.items()}, coords={STEP: step}
    )
    measured = np.isfinite(table["llc" if verdict is None else "verdict"].values)
    return judged(table.isel({STEP: np.flatnonzero(measured)}).sortby(STEP))


def judged(llc: xr.Dataset | None) -> Estimates:
    """The estimates with their verdicts: those given, or else from the checks."""
    if llc is None:
        return Estimates(*_NOTHING, *_NOTHING)
    value = llc["llc"].values.astype(np.float64)
    se = np.nan_to_num(llc["llc_se"].values.astype(np.float64)) if "llc_se" in llc else np.zeros_like(value)
    verdict = (llc if "verdict" in llc else trust(llc))["verdict"].values
    return Estimates(llc[STEP].values.astype(np.float64), value, se, verdict.astype(np.float64))


def run_losses(run: "Run") -> Losses:
    """The test loss, or without it the training loss."""
    for group, variable in ((LOSSES, "test_loss"), (CHECKPOINTS, "train_loss")):
        if run.has(group) and variable in run.dataset(group):
            data = run.dataset(group)
            losses = _valued(data[STEP].values, data[variable].values, variable)
            if len(losses.step) > 0:
                return losses._replace(unit=str(data[variable].attrs.get("units", "")))
    return Losses(*_NOTHING, "loss")


def _column(step: np.ndarray, value: np.ndarray | xr.DataArray) -> Float[np.ndarray, " step"]:
    column = numbers(value, "values")
    if column.shape != step.shape or step.ndim != 1:
        raise InvalidSpec(f"expected one value per step, got {column.shape} for steps {step.shape}")
    return column


def _valued(step: np.ndarray, value: np.ndarray, name: str) -> Losses:
    """The steps that have a value, in order, and the values."""
    step, value = step.astype(np.float64), value.astype(np.float64)
    keep = np.isfinite(value)
    order = np.argsort(step[keep], kind="stable")
    return Losses(step[keep][order], value[keep][order], name)


def value_at(
    step: Float[np.ndarray, " n"], value: Float[np.ndarray, " n"], wanted: np.ndarray
) -> Float[np.ndarray, " edge"]:
    """Values between checkpoints, linear in ln(1 + step); NaN outside the measured range."""
    if len(step) == 0:
        return np.full(len(wanted), np.nan)
    return np.interp(np.log1p(wanted), np.log1p(step), value, left=np.nan, right=np.nan)
