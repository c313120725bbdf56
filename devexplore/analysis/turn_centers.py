"""The centre of the osculating circle at one time, as a point of function space that can be lifted."""

import numpy as np
import xarray as xr

from devexplore.analysis.requirements import hashes, require_dynamics
from devexplore.errors import InvalidSpec
from devexplore.stats.gram import affine_weights


def circle_center(dynamics: xr.Dataset, step: float) -> xr.Dataset:
    """Where the trajectory heads while it turns: the centre of its circle at one checkpoint, ready to lift.

    A form (``find_forms``) is a centre on which all planes agree; this is the centre in all components at
    once, whether planes agree or not. It exists wherever the trajectory bends: that it exists says nothing.

    Args:
        dynamics: from ``essential_dynamics``.
        step: the checkpoint nearest to it in the trajectory's own time is taken.

    Returns:
        step; coordinates, path_coordinates (component), the centre and the smooth path's point; radius;
        weights, path_weights (checkpoint), the two as affine combinations of checkpoints, Σ = 1, as
        ``dx.lift`` takes them. Coordinates and radius are in the units of the scores. The attribute ``name``
        keeps views from calling it a form.

    Raises:
        InvalidSpec: for a step outside the run, or where the trajectory is straight and has no centre.
    """
    require_dynamics(dynamics)
    steps = dynamics["step"].values
    if not steps[0] <= step <= steps[-1]:
        raise InvalidSpec(f"expected a step of this run, {steps[0]:,} … {steps[-1]:,}, got {step:,.6g}")
    time = dynamics["time"].values
    row = int(np.argmin(np.abs(time - np.interp(step, steps, time))))
    here = dynamics.isel(step=row)
    center, path = here["space_center"].values, here["smooth_score"].values
    if not np.isfinite(center).all():
        raise InvalidSpec(
            f"the trajectory is straight at step {steps[row]:,}: no circle, no centre; "
            "take the step of a turn, such as turn_step of find_forms"
        )
    loadings = dynamics["weights"].transpose("step", "component").values
    return xr.Dataset(
        {
            "coordinates": ("component", center),
            "path_coordinates": ("component", path),
            "radius": here["space_radius"].drop_vars("step"),
            "weights": ("checkpoint", affine_weights(loadings, center)),
            "path_weights": ("checkpoint", affine_weights(loadings, path)),
        },
        coords={
            "component": dynamics["component"].values,
            "checkpoint": steps,
            "step": steps[row],
            **hashes(dynamics),
        },
        attrs={"output_kind": dynamics.attrs["output_kind"], "name": "Circle’s centre"},
    )
