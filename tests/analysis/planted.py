"""Trajectories in 1,000 dimensions whose forms are known, and some that have none."""

from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy.interpolate import CubicSpline

DIMENSIONS = 1000
FINE = np.linspace(0, 1, 1001)


class Planted(NamedTuple):
    """``outputs`` (step, feature); the planted ``step`` and ``place`` of each form; the path's ``extent``."""

    outputs: xr.DataArray
    step: np.ndarray
    place: np.ndarray
    extent: float


def log_spaced_steps(count: int = 200) -> np.ndarray:
    return np.unique(np.round(np.geomspace(100, 100_000, count)).astype(int))


def cusp_singularities(rng: np.random.Generator, forms: int, noise: float, count: int = 200) -> Planted:
    """The velocity passes through zero at the planted times: like (τ², τ³), and on smoothly."""
    times = _apart(rng, forms)
    speed = np.prod([np.tanh((FINE - t) / 0.1) for t in times], axis=0)
    return _planted(rng, speed[:, None] * _wandering(rng), times, noise, count)


def sharp_turns(rng: np.random.Generator, forms: int, noise: float, count: int = 200) -> Planted:
    """Bent arms that meet at an angle: the direction changes by 140–175° at once."""
    times = _apart(rng, forms)
    direction = _unit(rng.normal(size=DIMENSIONS))
    directions = [direction]
    for _ in range(forms):
        across = rng.normal(size=DIMENSIONS)
        across = _unit(across - across @ direction * direction)
        turn = np.deg2rad(rng.uniform(140, 175))
        direction = np.cos(turn) * direction + np.sin(turn) * across
        directions.append(direction)
    arms = np.array(directions)[np.searchsorted(times, FINE)]
    return _planted(rng, arms + 0.5 * _unit(_wandering(rng)), times, noise, count)


def random_walk(
    rng: np.random.Generator, directions: int, count: int = 120, noise: float = 0.0
) -> xr.DataArray:
    """Steps of uneven expected length in so many directions; noise in units of the first steps' length."""
    profile = np.exp(rng.uniform(0, 1) * np.sin(np.linspace(0, rng.uniform(2, 8), count)))
    walk = np.cumsum(profile[:, None] * rng.normal(size=(count, directions)), axis=0)
    return _outputs(walk + noise * rng.normal(size=walk.shape))


def lissajous(rng: np.random.Generator, terms: int, count: int = 120, noise: float = 0.0) -> xr.DataArray:
    """Cosines of random frequencies and phases, as principal components of random walks are; noise in shares
    of the largest amplitude.
    """
    time = np.linspace(0, 1, count)[:, None]
    wave = np.cos(np.pi * rng.uniform(0.5, 3, terms) * time + rng.uniform(0, 2 * np.pi, terms))
    basis = np.linalg.qr(rng.normal(size=(DIMENSIONS, terms)))[0]
    smooth = (wave / np.arange(1, terms + 1)) @ basis.T
    return _outputs(smooth + noise / np.sqrt(DIMENSIONS) * rng.normal(size=smooth.shape))


def _planted(
    rng: np.random.Generator, velocity: np.ndarray, times: np.ndarray, noise: float, count: int
) -> Planted:
    """``noise``: length of each checkpoint's random displacement, as a share of the extent."""
    pieces = (velocity[1:] + velocity[:-1]) / 2 * np.diff(FINE)[:, None]
    path = np.concatenate([np.zeros((1, DIMENSIONS)), np.cumsum(pieces, axis=0)])
    steps = log_spaced_steps(count)
    log_step = np.log1p(steps)
    share = (log_step - log_step[0]) / (log_step[-1] - log_step[0])
    points, places = (CubicSpline(FINE, path)(at) for at in (share, times))
    length = np.sum(points**2, axis=1)
    extent = float(np.sqrt((length[:, None] + length - 2 * points @ points.T).max()))
    points = points + noise * extent / np.sqrt(DIMENSIONS) * rng.normal(size=points.shape)
    at = np.expm1(log_step[0] + times * (log_step[-1] - log_step[0]))
    return Planted(_outputs(points, steps), at, places, extent)


def _outputs(points: np.ndarray, steps: np.ndarray | None = None) -> xr.DataArray:
    steps = log_spaced_steps(len(points)) if steps is None else steps
    return xr.DataArray(points[: len(steps)], dims=("step", "feature"), coords={"step": steps})


def _apart(rng: np.random.Generator, count: int) -> np.ndarray:
    while True:
        times = np.sort(rng.uniform(0.15, 0.85, count))
        if count == 1 or np.diff(times).min() > 0.15:
            return times


def _wandering(rng: np.random.Generator) -> np.ndarray:
    """A smooth random curve of directions."""
    knots = np.linspace(-0.5, 1.5, 5)
    return CubicSpline(knots, rng.normal(size=(5, DIMENSIONS)))(FINE) / np.sqrt(DIMENSIONS)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
