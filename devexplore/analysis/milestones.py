"""Milestones of any curve over training: where it turns or pauses, with probability and interval."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from devexplore.analysis.dynamics import essential_dynamics
from devexplore.analysis.stage_curves import judged, run_losses
from devexplore.errors import InvalidSpec, NotMeasured
from devexplore.geometry import osculating_circles
from devexplore.sampling.trust import NOT_AN_LLC
from devexplore.schema import LLC, METRIC_BLOCKS, METRICS, STEP
from devexplore.stats.critical_points import critical_points

if TYPE_CHECKING:
    from devexplore.run import Run

CURVATURE = "curvature"
_PLAIN = 3
"""Components of the trajectory whose curvature is a curve: those that are drawn."""


def find_milestones(
    source: "Run | xr.DataArray",
    curve: str = "llc",
    se: xr.DataArray | None = None,
    *,
    plateau_slope: float | None = None,
    min_persistence: float | None = None,
    min_probability: float = 0.8,
) -> xr.Dataset:
    """Critical points (``stats.critical_points``) of one curve over x = ln(1 + step).

    Args:
        source: a run, or any curve with the dimension ``step`` (one head's score:
            ``metrics["previous_token_score"].sel(layer=1, head=2)``).
        curve: of a run: ``llc`` (without estimates that are not an LLC), ``loss``, ``curvature`` (ln κ of the
            first three essential components), or a metric with one number a checkpoint.
        se: standard errors of a curve given as an array. Those of a run's curves are taken from it: of the
            LLC its own, of metrics the scatter over blocks of samples.
        plateau_slope, min_persistence, min_probability: see ``stats.critical_points``. Of the curvature,
            which has no error bar, a factor e on both sides is asked for unless told otherwise.

    Returns:
        Over ``milestone``, in the order of training: step, lower, upper (90 %), kind (maximum, minimum,
        plateau), probability, persistence (units of the curve). ``attrs``: curve, noise.

    Raises:
        NotMeasured: for a curve that the run lacks.
        InvalidSpec: for an array with other dimensions, or fewer than five checkpoints with values.
    """
    values, errors = (
        (_array(source, se), se) if isinstance(source, xr.DataArray) else run_curve(source, curve)
    )
    step = values[STEP].values.astype(np.float64)
    known = None if errors is None else np.nan_to_num(errors.values.astype(np.float64))
    if min_persistence is None and values.name == CURVATURE:
        min_persistence = 1.0
    points = critical_points(
        np.log1p(step),
        values.values.astype(np.float64),
        known,
        plateau_slope,
        min_persistence,
        min_probability,
    )
    columns = {
        "step": np.expm1(points.location),
        "lower": np.expm1(points.lower),
        "upper": np.expm1(points.upper),
        "kind": points.kind.astype(object),
        "probability": points.probability,
        "persistence": points.persistence,
    }
    return xr.Dataset(
        {name: ("milestone", column) for name, column in columns.items()},
        attrs={"curve": str(values.name), "noise": points.curve.noise, "plateau_slope": points.plateau_slope},
    )


def run_curve(run: "Run", name: str) -> tuple[xr.DataArray, xr.DataArray | None]:
    """A run's curve by name, and its standard errors where they are known (see ``find_milestones``)."""
    if name == "llc":
        estimates = judged(run.dataset(LLC))
        keep = estimates.verdict != NOT_AN_LLC
        return (
            _over(estimates.step[keep], estimates.value[keep], name),
            _over(estimates.step[keep], estimates.se[keep], name),
        )
    if name == "loss":
        losses = run_losses(run)
        if len(losses.step) == 0:
            raise NotMeasured(f"{run.name} has no losses; {run.remedy('losses')}")
        return _over(losses.step, losses.value, losses.name), None
    if name == CURVATURE:
        return log_curvature(essential_dynamics(run)), None
    metrics = run.dataset(METRICS)
    one_number = sorted(str(held) for held in metrics.data_vars if metrics[held].dims == (STEP,))
    if name not in one_number:
        raise InvalidSpec(
            f"{name!r} is no curve of {run.name}; choose llc, loss, {CURVATURE} or one of "
            f"{', '.join(one_number)}, or hand over any curve as an array with the dimension step"
        )
    blocks = run.dataset(METRIC_BLOCKS) if run.has(METRIC_BLOCKS) else xr.Dataset()
    if name not in blocks:
        return metrics[name].load(), None
    scatter = blocks[name].load().std("block", ddof=1) / np.sqrt(blocks.sizes["block"])
    return metrics[name].load(), scatter


def log_curvature(ed: xr.Dataset) -> xr.DataArray:
    """ln κ of the smoothed trajectory in its first three components (fewer if it has fewer), over ``step``.

    Maxima are where it turns most sharply for its size. Where the path is straight ln κ is −∞: not a value.
    """
    points = ed["smooth_score"].transpose(STEP, "component").values[:, :_PLAIN]
    curvature = np.abs(osculating_circles(points).curvature)
    with np.errstate(divide="ignore"):
        values = np.log(curvature)
    return _over(ed[STEP].values, np.where(np.isfinite(values), values, np.nan), CURVATURE)


def _over(step: np.ndarray, value: np.ndarray, name: str) -> xr.DataArray:
    return xr.DataArray(value, dims=STEP, coords={STEP: step}, name=name)


def _array(curve: xr.DataArray, se: xr.DataArray | None) -> xr.DataArray:
    for what, given in (("a curve", curve), ("standard errors", se)):
        if given is not None and given.dims != (STEP,):
            raise InvalidSpec(
                f"{what} must have the one dimension step, got ({', '.join(map(str, given.dims))}); choose "
                "along the others with .sel or .isel, or average over them"
            )
    if se is not None and se.sizes != curve.sizes:
        raise InvalidSpec(f"{curve.sizes[STEP]} values have {se.sizes[STEP]} standard errors")
    return curve
