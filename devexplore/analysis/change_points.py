"""Changes between levels of a run's curve: the other view of stages, for staircases rather than turns."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float

from devexplore.analysis.trust import trust
from devexplore.errors import InvalidSpec, NotMeasured
from devexplore.sampling.trust import NOT_AN_LLC
from devexplore.schema import CHECKPOINTS, LLC, LOSSES, METRICS, STEP
from devexplore.stats.change_points import change_points as changes_of_levels

if TYPE_CHECKING:
    from devexplore.run import Run


class _Curve(NamedTuple):
    name: str
    step: Float[np.ndarray, " step"]
    value: Float[np.ndarray, " step"]
    error: Float[np.ndarray, " step"] | None
    units: str


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
        curve: of a run: "llc" (without the checkpoints that are not an LLC), "test_loss", "train_loss", or a
            metric of one number a step.
        penalty, min_length, resolution: see ``stats.change_points``.

    Returns:
        Over ``change``, in the order of training: step, the first checkpoint of the new level; lower and
        upper (steps), between which the change lies with 90 %; before and after, the levels; jump and
        jump_se. Attributes: curve, units, noise, penalty, min_length, resolution, n_values.
        ``find_stages(run, boundaries=changes["step"].values)`` makes stages of them.

    Raises:
        NotMeasured: the run has no such curve. InvalidSpec: see ``stats.change_points``.
    """
    if isinstance(source, np.ndarray | xr.DataArray | list):
        found = _given(source, value, error)
    else:
        if value is not None or error is not None:
            raise InvalidSpec("values come with their steps, or from a run: curve=… names one of the run's")
        found = _of_run(source, curve)
    changes = changes_of_levels(
        found.step, found.value, found.error, penalty=penalty, min_length=min_length, resolution=resolution
    )
    columns = {"step": changes.at, "lower": changes.lower, "upper": changes.upper}
    whole = np.int64 if (found.step == np.floor(found.step)).all() else np.float64
    variables = {name: ("change", values.astype(whole)) for name, values in columns.items()}
    levels = {"before": changes.before, "after": changes.after}
    levels |= {"jump": changes.after - changes.before, "jump_se": changes.jump_se}
    units = {"units": found.units}
    return xr.Dataset(
        variables | {name: ("change", values, units) for name, values in levels.items()},
        coords={"change": np.arange(1, len(changes.at) + 1)},
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


def _given(step, value, error) -> _Curve:
    if value is None:
        raise InvalidSpec("expected values at the given steps, got none")
    errors = None if error is None else np.asarray(error, dtype=np.float64)
    steps, values = (np.asarray(column, dtype=np.float64) for column in (step, value))
    return _Curve("given", steps, values, errors, str(getattr(value, "attrs", {}).get("units", "")))


def _of_run(run: "Run", curve: str) -> _Curve:
    """The curve of this name, wherever the run holds it."""
    for group in (LLC, LOSSES, CHECKPOINTS, METRICS):
        data = run.dataset(group) if run.has(group) else xr.Dataset()
        if curve not in data or data[curve].dims != (STEP,):
            continue
        if curve != LLC:
            return _with_errors(data, curve, None)
        believed = trust(data)["verdict"].values != NOT_AN_LLC
        return _with_errors(data.isel({STEP: np.flatnonzero(believed)}), curve, "llc_se")
    only = curve if curve == LLC else "losses,metrics"
    raise NotMeasured(f"{run.name} has no curve {curve!r} of one number a step; {run.remedy(only)}")


def _with_errors(data: xr.Dataset, curve: str, errors: str | None) -> _Curve:
    """Zero where a standard error is not known: the noise is learned."""
    error = None if errors is None else np.nan_to_num(data[errors].values.astype(np.float64))
    value = data[curve]
    step = data[STEP].values.astype(np.float64)
    return _Curve(curve, step, value.values.astype(np.float64), error, str(value.attrs.get("units", "")))
