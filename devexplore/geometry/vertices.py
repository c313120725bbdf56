"""Vertices of a plane curve: where its curvature has a local extremum (dκ/ds = 0) and is not zero."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from devexplore.errors import InvalidSpec
from devexplore.geometry.circles import three_point_curvature
from devexplore.geometry.polyline import arc_length, distinct_rows, is_closed

DEFAULT_PERSISTENCE = 0.02
"""Extrema that stand out less than this are taken for rounding, sampling or noise."""


class Vertices(NamedTuple):
    """Vertices in order of time. ``index`` is fractional: 3.5 lies half-way (in arc) between rows 3 and 4.

    ``persistence`` in [0, 1) says how much the extremum stands out, whatever the scale: p / (|κ| + |κ_b| +
    2π/ℓ) with p the prominence of κ, κ_b the curvature at its base and ℓ the length of the curve.
    """

    # The name is what it is to a geometer; hiding tuple.index costs nothing here.
    index: Float[np.ndarray, " vertex"]  # pyright: ignore[reportIncompatibleMethodOverride]
    curvature: Float[np.ndarray, " vertex"]
    persistence: Float[np.ndarray, " vertex"]


class Extrema(NamedTuple):
    """Interior local extrema of a sampled function, in order, with the samples each is measured against."""

    at: Int[np.ndarray, " n"]
    is_maximum: np.ndarray
    prominence: Float[np.ndarray, " n"]
    left_base: Int[np.ndarray, " n"]
    right_base: Int[np.ndarray, " n"]


def vertices(points: Float[np.ndarray, "step 2"], min_persistence: float = DEFAULT_PERSISTENCE) -> Vertices:
    """Vertices of a sampled plane curve, at any spacing.

    The curvature of three neighbouring points is placed at their mean arc length, where it is second order;
    its extrema are refined by the parabola through three samples, so locations err by the square of the
    spacing. The ends of an open curve are no vertices; a curve whose last point repeats its first is closed.
    Straight lines, circles and curves of monotone curvature (spirals) have none. The curvature of *noisy*
    points is all extrema: smooth first (``devexplore.geometry.smooth``).

    Raises:
        InvalidSpec: if the points do not have shape (step, 2).
    """
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise InvalidSpec(
            f"vertices need points in a plane, shape (step, 2), got {points.shape}; pick two components"
        )
    kept, _ = distinct_rows(points)
    curve = points[kept]
    if len(curve) < 5:
        return Vertices(np.empty(0), np.empty(0), np.empty(0))
    local = three_point_curvature(curve)
    own = arc_length(curve)
    inner = slice(0, -1) if is_closed(curve) else slice(1, -1)
    found, place = curvature_vertices(
        local.arc_length[inner], local.curvature[inner], own[-1], min_persistence, closed=is_closed(curve)
    )
    if is_closed(curve):
        place = np.mod(place, own[-1])
    index = np.interp(place, own, kept.astype(np.float64))
    order = np.argsort(index)
    return Vertices(index[order], found.curvature[order], found.persistence[order])


def curvature_vertices(
    place: Float[np.ndarray, " n"],
    curvature: Float[np.ndarray, " n"],
    length: float,
    min_persistence: float = DEFAULT_PERSISTENCE,
    closed: bool = False,
    curvature_se: Float[np.ndarray, " n"] | None = None,
    min_significance: float = 2.0,
) -> tuple[Vertices, Float[np.ndarray, " vertex"]]:
    """Vertices from curvature sampled at increasing places along a curve of given length, and their places.

    ``index`` counts the samples given here. NaN curvature (a resting point) ends an extremum's surroundings.
    With ``curvature_se``, extrema whose prominence is below ``min_significance`` of its standard errors are
    left out.
    """
    count = len(curvature)
    if closed:  # three turns; the middle one sees its surroundings on both sides
        place = np.concatenate([place - length, place, place + length])
        curvature = np.tile(curvature, 3)
        curvature_se = None if curvature_se is None else np.tile(curvature_se, 3)
    extrema = local_extrema(curvature)
    index, value, where = _refined(place, curvature, extrema.at)
    base = np.where(extrema.is_maximum, value - extrema.prominence, value + extrema.prominence)
    floor = 2 * np.pi / length if length > 0 else np.inf
    persistence = extrema.prominence / (np.abs(value) + np.abs(base) + floor)
    keep = (persistence >= min_persistence) & (value != 0)
    if curvature_se is not None:
        bases = np.maximum(curvature_se[extrema.left_base], curvature_se[extrema.right_base])
        keep &= extrema.prominence >= min_significance * np.hypot(curvature_se[extrema.at], bases)
    if closed:
        keep &= (extrema.at >= count) & (extrema.at < 2 * count)
        index = index - count
    return Vertices(index[keep], value[keep], persistence[keep]), where[keep]


def local_extrema(values: Float[np.ndarray, " n"]) -> Extrema:
    """Interior maxima and minima with their prominence; a flat top counts once, at its middle; ends never.

    Prominence of a maximum: its height over the higher of the two lowest points that separate it from higher
    ground (or from the ends). That of a minimum is the same upside down.
    """
    found = []
    for is_maximum in (True, False):
        signed = values if is_maximum else -values
        for peak in _peaks(signed):
            higher = np.flatnonzero(~(signed <= signed[peak]))  # NaN stops the walk as higher ground does
            left = higher[higher < peak].max(initial=-1) + 1
            right = higher[higher > peak].min(initial=len(signed))
            left_base = left + int(np.argmin(signed[left : peak + 1]))
            right_base = peak + int(np.argmin(signed[peak:right]))
            prominence = signed[peak] - max(signed[left_base], signed[right_base])
            found.append((peak, is_maximum, prominence, left_base, right_base))
    found.sort(key=lambda extremum: extremum[0])
    index, is_maximum, prominence, left_base, right_base = zip(*found, strict=True) if found else ((),) * 5
    return Extrema(
        np.array(index, dtype=int),
        np.array(is_maximum, dtype=bool),
        np.array(prominence, dtype=np.float64),
        np.array(left_base, dtype=int),
        np.array(right_base, dtype=int),
    )


def _peaks(values: Float[np.ndarray, " n"]) -> list[int]:
    if len(values) < 3:
        return []
    start = np.concatenate([[0], np.flatnonzero(np.diff(values) != 0) + 1])  # runs of equal values
    end = np.concatenate([start[1:], [len(values)]]) - 1
    level = values[start]
    top = np.flatnonzero((level[1:-1] > level[:-2]) & (level[1:-1] > level[2:])) + 1
    return [int(middle) for middle in (start[top] + end[top]) // 2]


def _refined(
    place: Float[np.ndarray, " n"], values: Float[np.ndarray, " n"], index: Int[np.ndarray, " m"]
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """Top of the parabola through each extremum and its neighbours: (fractional index, value, place)."""
    before, at, after = place[index - 1], place[index], place[index + 1]
    rise = (values[index] - values[index - 1]) / (at - before)
    fall = (values[index + 1] - values[index]) / (after - at)
    bend = (fall - rise) / (after - before)
    curved = bend != 0
    slope = rise + bend * (at - before)
    shift = np.divide(-slope, 2 * bend, out=np.zeros_like(bend), where=curved)
    shift = np.clip(shift, before - at, after - at)
    fraction = np.where(shift < 0, shift / (at - before), shift / (after - at))
    return index + fraction, values[index] + shift * (slope + bend * shift), at + shift
