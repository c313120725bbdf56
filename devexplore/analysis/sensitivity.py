"""What would have been found with another bandwidth: vertices and agreeing turns at each candidate."""

import numpy as np
import xarray as xr

from devexplore.analysis.clock import Clock
from devexplore.analysis.forms import find_forms
from devexplore.analysis.plane_vertices import vertex_table
from devexplore.analysis.requirements import require_dynamics
from devexplore.geometry import smooth

_KEPT = ("step", "step_low", "step_high", "residual", "strength", "angle", "p_value")


def bandwidth_sensitivity(dynamics: xr.Dataset, n_surrogates: int = 0, seed: int = 0) -> xr.Dataset:
    """Vertices of every plane, and turns whose cusps agree in all planes, at each candidate bandwidth.

    Each candidate of ``essential_dynamics``' cross-validation is taken as if the user had chosen it: the
    scores are smoothed again, and ``find_forms`` is asked for all turns that agree, whatever their p-value.
    What stays in place over a range of bandwidths is a property of the run; what comes and goes is one of
    the smoothing.

    Args:
        dynamics: from ``essential_dynamics``.
        n_surrogates: random walks against which each agreeing turn is compared, at its own bandwidth; with
            none (the default) ``agreeing_p_value`` is NaN. Each costs about 25 ms a candidate.

    Returns:
        cross_validation, n_vertices, n_agreeing (candidate); over ``vertex``: vertex_bandwidth, vertex_step,
        vertex_plane, vertex_persistence, vertex_support; over ``agreeing``: agreeing_bandwidth and, as for
        forms, agreeing_step, agreeing_step_low, agreeing_step_high, agreeing_residual, agreeing_strength,
        agreeing_angle, agreeing_p_value. Bandwidths are in units of the run's time. ``attrs`` repeat the
        chosen bandwidth, how it was chosen, and the smoothing in words.
    """
    require_dynamics(dynamics)
    step = dynamics["step"].values.astype(np.float64)
    score = dynamics["score"].transpose("step", "component").values
    at = Clock(dynamics["time"].values, step, dynamics.attrs["time"])
    candidates = dynamics["candidate"].values
    vertices = [_vertices(dynamics, at, score, float(one)) for one in candidates]
    agreeing = [_agreeing(dynamics, float(one), n_surrogates, seed) for one in candidates]
    table = xr.Dataset(
        {
            "cross_validation": dynamics["cross_validation"],
            "n_vertices": (("candidate",), [one.sizes["vertex"] for one in vertices]),
            "n_agreeing": (("candidate",), [one.sizes["agreeing"] for one in agreeing]),
        }
    )
    table = table.merge(xr.concat(vertices, "vertex")).merge(xr.concat(agreeing, "agreeing"))
    kept = ("time", "bandwidth", "bandwidth_chosen_by", "smoothing", "min_persistence")
    table.attrs = {name: dynamics.attrs[name] for name in kept} | {"n_surrogates": n_surrogates}
    return table


def _vertices(dynamics: xr.Dataset, at: Clock, score: np.ndarray, bandwidth: float) -> xr.Dataset:
    dense = dynamics["curve_time"].values
    found = vertex_table(
        at,
        smooth(at.time, score, bandwidth),
        smooth(at.time, score, bandwidth, at=dense),
        dense,
        bandwidth,
        dynamics["noise"].transpose("step", "component").values,
        dynamics["plane_component"].transpose("plane", "axis").values - 1,
        dynamics["plane"].values,
        dynamics.attrs["min_persistence"],
    )
    kept = found[["vertex_step", "vertex_plane", "vertex_persistence", "vertex_support"]]
    return kept.assign(vertex_bandwidth=("vertex", np.full(found.sizes["vertex"], bandwidth)))


def _agreeing(dynamics: xr.Dataset, bandwidth: float, n_surrogates: int, seed: int) -> xr.Dataset:
    chosen = dynamics.assign_attrs(bandwidth=bandwidth, bandwidth_chosen_by="user")
    found = find_forms(chosen, max_p=1.0, n_surrogates=n_surrogates, seed=seed)
    table = found[list(_KEPT)].rename({name: f"agreeing_{name}" for name in _KEPT} | {"form": "agreeing"})
    if n_surrogates == 0:
        table["agreeing_p_value"] = table["agreeing_p_value"] * np.nan
    return table.assign(agreeing_bandwidth=("agreeing", np.full(found.sizes["form"], bandwidth)))
