"""Changes between levels of a run's curve: the other view of stages, for staircases rather than turns."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from devexplore.analysis.run_curves import Curve, run_curve
from devexplore.analysis.stage_curves import Arrays, training_steps
from devexplore.errors import InvalidSpec
from devexplore.stats.change_points import change_points as changes_of_levels
from devexplore.stats.points import numbers

if TYPE_CHECKING:
    from devexplore.run import Run


def change_points(
    source: "Run | np.ndarray | xr.DataArray",
    value: np.ndarray | xr.DataArray | None = None,
    error: np.ndarray | xr.DataArray | None = None,
    *,
    curve: str = "llc",
    penalty: float | None = None,
    min_length: int = 3,
    resolution: float = 0.01,
) -> xr.Dataset:
    """Steps at which a curve goes from one level to another: of a staircase, such as a loss that falls from
    plateau to plateau. Where a curve turns or climbs in bursts, ``find_stages`` says more.

    >>> dx.change_points(dx.open("deep_linear"), curve="test_loss")["step"]

    Levels are fitted by penalised least squares over the checkpoints in their order, with the standard errors
    and a learned noise (``stats.change_points``: PELT; formula, penalty and intervals there).

    Args:
        source: a run, or the steps of ``value`` (with its standard ``error``, if known).
        curve: of a run: ``llc``, ``loss``, ``test_loss``, ``train_loss``, ``curvature`` or a metric of one
            number a checkpoint (``analysis.run_curves``).
        penalty, min_length, resolution: see ``stats.change_points``.

    Returns:
        Over ``change``, in the order of training: step, the first checkpoint of the new level; lower and
        upper (steps), between which the change lies with 90 %; before and after, the levels; jump and
        jump_se. Over ``curve_step``, as read: value and value_se. Attributes: curve, units, noise, penalty,
        min_length, resolution, n_values. ``find_stages(run, boundaries=changes["step"].values)`` makes
        stages of them, and ``views.change_points`` a figure.

    Raises:
        NotMeasured: a curve that the run lacks. InvalidSpec: a name that is no curve; see
        ``stats.change_points``.
    """
    if isinstance(source, Arrays):
        found = _given(source, value, error)
    else:
        if value is not None or error is not None:
            raise InvalidSpec("values come with their steps, or from a run: curve=… names one of the run's")
        found = run_curve(source, curve)
    changes = changes_of_levels(
        found.step, found.value, found.error, penalty=penalty, min_length=min_length, resolution=resolution
    )
    whole = np.int64 if (found.step == np.floor(found.step)).all() else np.float64
    units = {"units": found.units}
    return xr.Dataset(
        {
            "step": ("change", changes.at.astype(whole)),
            "lower": ("change", changes.lower.astype(whole)),
            "upper": ("change", changes.upper.astype(whole)),
            "before": ("change", changes.before, units),
            "after": ("change", changes.after, units),
            "jump": ("change", changes.after - changes.before, units),
            "jump_se": ("change", changes.jump_se, units),
            "value": ("curve_step", found.value, units),
            "value_se": ("curve_step", found.error, units),
        },
        coords={"change": np.arange(1, len(changes.at) + 1), "curve_step": found.step},
        attrs={
            "curve": found.name,
            "units": found.units,
            "noise": changes.noise,
            "penalty": changes.penalty,
            "min_length": min_length,
            "resolution": resolution,
            "n_values": int(np.isfinite(found.value).sum()),
        },
    )


def _given(step, value, error) -> Curve:
    if value is None:
        raise InvalidSpec("expected values at the given steps, got none")
    steps, values = training_steps(step), numbers(value, "values")
    errors = np.zeros(values.shape) if error is None else numbers(error, "standard errors")
    return Curve(
        str(getattr(value, "name", None) or "values"),
        steps,
        values,
        errors,
        str(getattr(value, "attrs", {}).get("units", "")),
    )
