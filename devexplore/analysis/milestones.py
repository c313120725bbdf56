"""Milestones of any curve over training: where it turns or pauses, with probability and interval."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from devexplore.analysis.run_curves import CURVATURE, Curve, as_curve, run_curve
from devexplore.analysis.stage_curves import Arrays
from devexplore.stats.critical_points import CriticalPoints, critical_points

if TYPE_CHECKING:
    from devexplore.run import Run


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
        curve: of a run: ``llc``, ``loss``, ``test_loss``, ``train_loss``, ``curvature`` or a metric of one
            number a checkpoint (``analysis.run_curves``).
        se: standard errors of a curve given as an array (NaN: unknown, and as 0), independent between
            checkpoints. Errors that all checkpoints share (the same samples) are none of these: leave them
            out, the scatter about the curve is learned.
        plateau_slope, min_persistence, min_probability: see ``stats.critical_points``. Of the curvature,
            which has no error bar, a factor e on both sides is asked for unless told otherwise.

    Returns:
        Over ``milestone``, in the order of training: step, lower, upper (90 %), kind (maximum, minimum,
        plateau), probability, persistence (units of the curve). ``attrs``: curve, noise.
        ``find_stages(run, curve=…)`` makes stages of them.

    Raises:
        NotMeasured: for a curve that the run lacks.
        InvalidSpec: for a name that is no curve, an array with other dimensions, or fewer than five
            checkpoints with values.
    """
    found = as_curve(source, se) if isinstance(source, Arrays) else run_curve(source, curve)
    points = curve_points(found, plateau_slope, min_persistence, min_probability)
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
        attrs={"curve": found.name, "noise": points.curve.noise, "plateau_slope": points.plateau_slope},
    )


def curve_points(
    curve: Curve, plateau_slope: float | None, min_persistence: float | None, min_probability: float
) -> CriticalPoints:
    """The critical points of a curve over ln(1 + step), with its own default of ``min_persistence``."""
    if min_persistence is None and curve.name == CURVATURE:
        min_persistence = 1.0
    x = np.log1p(curve.step)
    return critical_points(x, curve.value, curve.error, plateau_slope, min_persistence, min_probability)
