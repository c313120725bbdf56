"""A run's curves over training by name: LLC, losses, curvature of the trajectory, metrics."""

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float

from devexplore.analysis.dynamics import essential_dynamics
from devexplore.analysis.stage_curves import judged, run_losses, training_steps
from devexplore.arguments import require_run
from devexplore.errors import InvalidSpec, NotMeasured
from devexplore.geometry import osculating_circles
from devexplore.sampling.trust import NOT_AN_LLC
from devexplore.schema import CHECKPOINTS, LLC, LOSSES, METRICS, STEP
from devexplore.stats.points import numbers

if TYPE_CHECKING:
    from devexplore.run import Run

LLC_CURVE: Final = "llc"
LOSS: Final = "loss"
CURVATURE: Final = "curvature"

_DRAWN: Final = 3
"""Components of the trajectory whose curvature is a curve: those that are drawn."""


class Curve(NamedTuple):
    """Values at steps in order; ``error`` is zero where no standard error is known."""

    name: str
    step: Float[np.ndarray, " step"]
    value: Float[np.ndarray, " step"]
    error: Float[np.ndarray, " step"]
    units: str


def run_curve(run: "Run", name: str) -> Curve:
    """One curve of a run.

    ``llc``: without estimates that are not an LLC, with their standard errors · ``loss``: the test loss, or
    without it the training loss · ``test_loss``, ``train_loss`` · ``curvature``: ``log_curvature`` of the
    essential dynamics · any metric of one number a checkpoint. Metrics come without errors: all checkpoints
    are measured on the same samples, so that the error of one is nearly that of its neighbours, and says
    little of the curve's shape.

    Raises NotMeasured for a curve that the run lacks, InvalidSpec for a name that is no curve (both say which
    there are) and for what is no run.
    """
    require_run(run)
    if name == LLC_CURVE:
        estimates = judged(run.dataset(LLC))
        keep = estimates.verdict != NOT_AN_LLC
        return Curve(name, estimates.step[keep], estimates.value[keep], estimates.se[keep], "")
    if name == CURVATURE:
        return as_curve(log_curvature(essential_dynamics(run)))
    if name == LOSS:
        losses = run_losses(run)
        if len(losses.step) == 0:
            raise NotMeasured(f"{run.name} has no losses; {run.remedy('losses')}")
        name = losses.name
    held = _one_number(run)
    if name not in held:
        raise InvalidSpec(
            f"{run.name} has no curve {name!r}; it has {', '.join(curve_names(run))}; or hand over any "
            "values as an array with the dimension step"
        )
    return as_curve(run.dataset(held[name])[name].load())


def curve_names(run: "Run") -> list[str]:
    """Names that ``run_curve`` takes: those measured, and the curvature (from outputs, made on first use)."""
    return [*([LLC_CURVE] if run.has(LLC) else []), LOSS, CURVATURE, *_one_number(run)]


def as_curve(values: xr.DataArray, error: xr.DataArray | None = None) -> Curve:
    """Any values over ``step``. Raises InvalidSpec for other dimensions, or errors at other steps."""
    for what, given in (("values", values), ("standard errors", error)):
        if given is not None and (not isinstance(given, xr.DataArray) or given.dims != (STEP,)):
            had = ", ".join(map(str, given.dims)) if isinstance(given, xr.DataArray) else type(given).__name__
            raise InvalidSpec(
                f"{what} must be an xarray.DataArray with the one dimension step, got {had}; choose along "
                "other dimensions with .sel or .isel, or average over them"
            )
    step = training_steps(values[STEP].values)
    if error is not None and not np.array_equal(training_steps(error[STEP].values), step):
        raise InvalidSpec(
            f"standard errors belong to the steps of the values: {error.sizes[STEP]} of them for "
            f"{len(step)} values, or at other steps"
        )
    value = numbers(values.values, "values")
    known = np.zeros(len(value)) if error is None else numbers(error.values, "standard errors")
    known = np.where(np.isnan(known), 0.0, known)
    name = "values" if values.name is None else str(values.name)
    return Curve(name, step, value, known, str(values.attrs.get("units", "")))


def log_curvature(ed: xr.Dataset) -> xr.DataArray:
    """ln κ of the smoothed trajectory in its first three components (fewer if it has fewer), over ``step``.

    Maxima are where it turns most sharply for its size. Where the path is straight ln κ is −∞: not a value.
    """
    points = ed["smooth_score"].transpose(STEP, "component").values[:, :_DRAWN]
    curvature = np.abs(osculating_circles(points).curvature)
    with np.errstate(divide="ignore"):
        values = np.log(curvature)
    finite = np.where(np.isfinite(values), values, np.nan)
    return xr.DataArray(finite, dims=STEP, coords={STEP: ed[STEP].values}, name=CURVATURE)


def _one_number(run: "Run") -> dict[str, str]:
    """Variables of one number a checkpoint, with the group that holds each."""
    found: dict[str, str] = {}
    for group, wanted in ((LOSSES, "test_loss"), (CHECKPOINTS, "train_loss"), (METRICS, None)):
        data = run.dataset(group) if run.has(group) else xr.Dataset()
        names = [str(name) for name in data.data_vars if data[name].dims == (STEP,)]
        found |= {name: group for name in names if wanted in (None, name) and name not in found}
    return found
