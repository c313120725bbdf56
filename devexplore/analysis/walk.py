"""The random walk like a run, kept with its essential dynamics."""

import numpy as np
import xarray as xr
from jaxtyping import Float

from devexplore.analysis.clock import Clock
from devexplore.analysis.thinning import spread_rows
from devexplore.geometry import smoother
from devexplore.stats.surrogates import WalkModel, fit_walk


def walk_table(gram: Float[np.ndarray, "step step"], at: Clock, bandwidth: float) -> xr.Dataset:
    """Fitted to at most as many checkpoints as surrogates are made of."""
    rows = spread_rows(at.time)
    one = smoother(at.time[rows], bandwidth)
    model = fit_walk(gram[np.ix_(rows, rows)], velocity=one.weights[1], hat=one.weights[0])
    return xr.Dataset(
        {
            "walk_step_variance": (("walk_step",), model.step_variance),
            "walk_noise_variance": (("walk_step",), model.noise_variance),
            "walk_directions": ((), model.directions),
            "walk_noise_directions": ((), model.noise_directions),
        },
        coords={"walk_step": at.step[rows].astype(np.int64)},
    )


def walk_model(dynamics: xr.Dataset) -> WalkModel:
    """The model that ``essential_dynamics`` fitted."""
    return WalkModel(
        dynamics["walk_step_variance"].values,
        dynamics["walk_noise_variance"].values,
        float(dynamics["walk_directions"]),
        float(dynamics["walk_noise_directions"]),
    )
