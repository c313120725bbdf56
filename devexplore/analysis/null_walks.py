"""Random walks like a run, to be looked at beside it: would a random walk draw this too?"""

import numpy as np
import xarray as xr

from devexplore.analysis.clock import clock
from devexplore.analysis.requirements import require_dynamics
from devexplore.analysis.walk import walk_model
from devexplore.errors import InvalidSpec
from devexplore.geometry import choose_bandwidth, extent, smooth
from devexplore.stats.surrogates import WalkModel, draw_walk

_CURVE_POINTS = 400


def null_walks(dynamics: xr.Dataset, count: int = 3, seed: int = 0) -> xr.Dataset:
    """A few of the surrogates with which ``find_forms`` compares a run, smoothed as the run is.

    Walk k is surrogate k of ``find_forms`` with the same ``seed``: the run's step lengths, number of
    directions and noise, and nothing else of it. Each walk's bandwidth is chosen by cross-validation where
    the run's was, else it is the run's. A walk is scaled so that its extent (the largest distance between
    two points of its curve, in all components) is the run's; its shape is untouched.

    Args:
        dynamics: from ``essential_dynamics``.
        count: how many walks.

    Returns:
        score (walk, walk_step, component), curve_score (walk, curve, component), in the units of the run's
        scores; curve_step (walk, curve), training steps; explained_variance_ratio (walk, component);
        bandwidth (walk), in the run's own time.

    Raises:
        InvalidSpec: for a count below 1.
    """
    require_dynamics(dynamics)
    if count < 1:
        raise InvalidSpec(f"count must be at least 1 random walk, got {count}")
    model = walk_model(dynamics)
    across = extent(dynamics["curve_score"].transpose("curve", "component").values)
    drawn = [_walk(dynamics, model, across, np.random.default_rng([seed, k])) for k in range(count)]
    walks = xr.concat(drawn, "walk")
    walks.attrs = {"seed": seed, "extent": across, "time": dynamics.attrs["time"]}
    return walks


def _walk(dynamics: xr.Dataset, model: WalkModel, across: float, rng: np.random.Generator) -> xr.Dataset:
    component = dynamics["component"].values
    pca = draw_walk(model, len(component), rng)
    at = clock(dynamics["walk_step"].values.astype(np.float64), pca.scores, dynamics.attrs["time"])
    if dynamics.attrs["bandwidth_chosen_by"] == "user":
        bandwidth = float(dynamics.attrs["bandwidth"])
    else:
        tried = choose_bandwidth(at.time, pca.scores)
        bandwidth = float(tried.bandwidth[tried.best])
    dense = np.linspace(at.time[0], at.time[-1], _CURVE_POINTS)
    curve = smooth(at.time, pca.scores, bandwidth, at=dense).position
    size = extent(curve)
    scale = across / size if size > 0 else 1.0
    return xr.Dataset(
        {
            "score": (("walk_step", "component"), scale * pca.scores),
            "curve_score": (("curve", "component"), scale * curve),
            "curve_step": (("curve",), at.step_at(dense)),
            "explained_variance_ratio": (("component",), pca.explained_variance_ratio),
            "bandwidth": ((), bandwidth),
        },
        coords={"walk_step": dynamics["walk_step"].values, "component": component},
    )
