"""Vertices of the smooth trajectory in each plane, their cusps, and when they happened, within the noise."""

from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float

from devexplore.analysis.clock import Clock
from devexplore.geometry import (
    Smoothed,
    arc_length,
    at_index,
    circles_from_derivatives,
    curvature_se,
    curvature_vertices,
    smooth,
)

RESAMPLES = 64
_FEWEST_CHECKPOINTS = 5
_REACH = 3.0
"""Bandwidths within which a vertex is looked for again when the noise is drawn anew."""

_LEVELS = (0.05, 0.95)


class _PlaneVertices(NamedTuple):
    plane: str
    time: Float[np.ndarray, " vertex"]
    low: Float[np.ndarray, " vertex"]
    high: Float[np.ndarray, " vertex"]
    support: Float[np.ndarray, " vertex"]
    point: Float[np.ndarray, "vertex 2"]
    cusp: Float[np.ndarray, "vertex 2"]
    curvature: Float[np.ndarray, " vertex"]
    persistence: Float[np.ndarray, " vertex"]


def plane_names(pairs: np.ndarray) -> np.ndarray:
    """``PC1–PC2`` for each pair of components, counted from 0 in ``pairs``."""
    return np.array([f"PC{i + 1}–PC{j + 1}" for i, j in pairs], dtype=object)


def vertex_table(
    at: Clock,
    fit: Smoothed,
    curve: Smoothed,
    dense: Float[np.ndarray, " curve"],
    bandwidth: float,
    noise: Float[np.ndarray, "step component"],
    pairs: np.ndarray,
    names: np.ndarray,
    min_persistence: float,
) -> xr.Dataset:
    """Vertices of all planes in order of time.

    Intervals hold 90 % of the times at which the same vertex lies when noise of the measured size is added to
    the smooth path and the result smoothed again; ``vertex_support`` is how often it is there at all. They
    tell of noise alone: smoothing displaces vertices too. Source: the parametric bootstrap, Efron 1979.
    """
    found = []
    if len(at.time) >= _FEWEST_CHECKPOINTS and len(pairs) > 0:
        again = resampled(at.time, fit.position, noise, bandwidth, dense, RESAMPLES, np.random.default_rng(0))
        # A curve in the plane of its noise has no single size of it: the middle of training speaks for all.
        size = np.median(noise, axis=0)
        found = [
            _vertices(curve, again, pair, name, min_persistence, size[pair], dense, bandwidth)
            for pair, name in zip(pairs, names, strict=True)
        ]
    joined = {
        field: np.concatenate([*(getattr(plane, field) for plane in found), np.empty((0, 2) if two else 0)])
        for field, two in {
            **dict.fromkeys(_PlaneVertices._fields[1:], False),
            "point": True,
            "cusp": True,
        }.items()
    }
    order = np.argsort(joined["time"], kind="stable")
    planes = np.array([plane.plane for plane in found for _ in plane.time], dtype=object)
    return xr.Dataset(
        {
            "vertex_step": (("vertex",), at.step_at(joined["time"])[order]),
            "vertex_step_low": (("vertex",), at.step_at(joined["low"])[order]),
            "vertex_step_high": (("vertex",), at.step_at(joined["high"])[order]),
            "vertex_support": (("vertex",), joined["support"][order]),
            "vertex_plane": (("vertex",), planes[order]),
            "vertex_point": (("vertex", "axis"), joined["point"][order]),
            "cusp": (("vertex", "axis"), joined["cusp"][order]),
            "vertex_curvature": (("vertex",), joined["curvature"][order]),
            "vertex_persistence": (("vertex",), joined["persistence"][order]),
        }
    )


def resampled(
    time: Float[np.ndarray, " step"],
    path: Float[np.ndarray, "step component"],
    noise: Float[np.ndarray, "step component"],
    bandwidth: float,
    dense: Float[np.ndarray, " curve"],
    count: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "3 curve resample component"]:
    """Position, velocity and acceleration of the path smoothed again, with fresh noise, ``count`` times."""
    drawn = path[:, None, :] + noise[:, None, :] * rng.standard_normal((len(path), count, path.shape[1]))
    again = smooth(time, drawn.reshape(len(path), -1), bandwidth, at=dense)
    return np.stack(again[:3]).reshape(3, len(dense), count, path.shape[1])


def _vertices(
    curve: Smoothed,
    again: Float[np.ndarray, "3 curve resample component"],
    pair: np.ndarray,
    name: str,
    min_persistence: float,
    noise: Float[np.ndarray, " 2"],
    dense: Float[np.ndarray, " curve"],
    bandwidth: float,
) -> _PlaneVertices:
    position = curve.position[:, pair]
    circles = circles_from_derivatives(position, curve.velocity[:, pair], curve.acceleration[:, pair])
    place = arc_length(position)
    moving = np.concatenate([[True], np.diff(place) > 0])
    rows = np.flatnonzero(moving)
    se = curvature_se(curve.velocity[:, pair], curve.acceleration[:, pair], noise, curve.gain)
    found, _ = curvature_vertices(
        place[rows], circles.curvature[rows], place[-1], min_persistence, curvature_se=se[rows]
    )
    index = np.interp(found.index, np.arange(len(rows)), rows)
    time = np.interp(index, np.arange(len(dense)), dense)
    low, high, support = _intervals(
        circles.curvature, _curvatures(again[..., pair]), index, time, dense, _REACH * curve.bandwidth
    )
    return _PlaneVertices(
        name,
        time,
        np.minimum(low, time),
        np.maximum(high, time),
        support,
        at_index(position, index),
        at_index(circles.center, index),
        found.curvature,
        found.persistence,
    )


def _curvatures(
    again: Float[np.ndarray, "3 curve resample 2"],
) -> Float[np.ndarray, "curve resample"]:
    _, velocity, acceleration = again
    turn = velocity[..., 0] * acceleration[..., 1] - velocity[..., 1] * acceleration[..., 0]
    speed = np.hypot(velocity[..., 0], velocity[..., 1])
    return np.divide(turn, speed**3, out=np.zeros_like(turn), where=speed > 0)


def _intervals(
    curvature: Float[np.ndarray, " curve"],
    again: Float[np.ndarray, "curve resample"],
    index: Float[np.ndarray, " vertex"],
    time: Float[np.ndarray, " vertex"],
    dense: Float[np.ndarray, " curve"],
    reach: Float[np.ndarray, " curve"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the extremum of the same kind lies in each resample that still has one within reach."""
    low, high, support = time.copy(), time.copy(), np.zeros(len(time))
    for i, (row, here) in enumerate(zip(np.rint(index).astype(int), time, strict=True)):
        before, after = curvature[max(row - 1, 0)], curvature[min(row + 1, len(curvature) - 1)]
        sign = 1.0 if curvature[row] >= max(before, after) else -1.0
        first, last = np.searchsorted(dense, [here - reach[row], here + reach[row]])
        window = sign * again[first:last]
        if len(window) < 3:
            continue
        top = (window[1:-1] >= window[:-2]) & (window[1:-1] > window[2:])
        distance = np.where(top, np.abs(dense[first + 1 : last - 1] - here)[:, None], np.inf)
        nearest = distance.argmin(axis=0)
        there = np.isfinite(distance.min(axis=0))
        support[i] = there.mean()
        if there.any():
            low[i], high[i] = np.quantile(dense[first + 1 + nearest[there]], _LEVELS)
    return low, high, support
