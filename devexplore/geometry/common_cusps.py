"""Cusps that every plane shares: where a curve turns back on itself in all its projections at once.

In a plane, the evolute has a cusp at each vertex of the curve. Most of these belong to the projection: other
planes have theirs at other times and other places. A cusp is common if each pair of coordinates has one at
the same time with the same coordinates. Then the osculating circles are small beside the curve in every
plane, and the curve comes to that place, turns sharply, and leaves it.
"""

import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from devexplore.geometry.circles import OsculatingCircles, circles_from_derivatives
from devexplore.geometry.smoothing import Smoothed
from devexplore.geometry.turning import Turning, angle_between, squared_distances, turning

TIME_TOLERANCE = 2.0
"""Cusps of two planes are simultaneous if both lie within so many bandwidths of the turn."""

_WEIGHT_FLOOR = 0.01
"""Radius, as a share of the extent, below which a smaller circle says no more about the place."""

_WINDOW = 4.0
"""Bandwidths on each side over which turning is averaged."""

_ROUNDS = 5


class Agreement(NamedTuple):
    """How far planes may differ. ``place``: share of the curve's extent, and the scale at which the curve is
    seen to turn; ``turn``: radians that it must turn at least, in the full space at that scale.
    """

    place: float = 0.05
    turn: float = np.pi / 6


class CommonCusps(NamedTuple):
    """Cusps shared by all planes, strongest first, and every turn that was looked at, in order of time.

    ``center`` is the place that the planes agree on, ``residual`` the root mean square distance of the
    planes' own centres from it, as a share of the extent. ``strength`` is the share of the curve's whole
    turning (at the scale of the tolerance) that happens there, 0 … 1. ``enter`` and ``leave`` are the times
    between which the curve is within the tolerance of its point at ``time``. ``plane_time``, ``plane_center``
    and ``plane_radius`` are each plane's own cusp.
    """

    time: Float[np.ndarray, " cusp"]
    enter: Float[np.ndarray, " cusp"]
    leave: Float[np.ndarray, " cusp"]
    center: Float[np.ndarray, "cusp v"]
    residual: Float[np.ndarray, " cusp"]
    strength: Float[np.ndarray, " cusp"]
    angle: Float[np.ndarray, " cusp"]
    plane_time: Float[np.ndarray, "cusp plane"]
    plane_center: Float[np.ndarray, "cusp plane 2"]
    plane_radius: Float[np.ndarray, "cusp plane"]
    turns: "Turns"


class Turns(NamedTuple):
    """Times about which the tangent turns most. ``angle`` in the full space and ``least_angle`` over planes
    (radians) at the scale of the tolerance, NaN where the curve starts or ends there; ``strength`` as for
    cusps, 0 there; ``residual`` NaN where some plane has no vertex at that time. Turns nearer to each other
    than that scale are one turn seen twice: their strengths do not add.
    """

    time: Float[np.ndarray, " turn"]
    angle: Float[np.ndarray, " turn"]
    least_angle: Float[np.ndarray, " turn"]
    residual: Float[np.ndarray, " turn"]
    strength: Float[np.ndarray, " turn"]


def plane_pairs(v: int) -> Int[np.ndarray, "plane 2"]:
    """All pairs of v coordinates, in order."""
    return np.array(list(itertools.combinations(range(v), 2)), dtype=int).reshape(-1, 2)


def common_cusps(
    curve: Smoothed, time: Float[np.ndarray, " point"], bandwidth: float, agreement: Agreement
) -> CommonCusps:
    """Common cusps of a smooth curve in v >= 3 coordinates, given densely at even times.

    Candidates are the times about which the tangent turns most (averaged with a Gaussian of the bandwidth).
    A candidate counts if every plane has a vertex with extremal curvature within ``TIME_TOLERANCE``
    bandwidths, the planes' centres agree within ``agreement.place``, and the curve, seen at that scale, turns
    by at least ``agreement.turn``. Of candidates at one place and time the strongest is kept.
    A curve that starts or ends within the tolerance of a place does not turn there.
    """
    pairs = plane_pairs(curve.position.shape[1])
    squared = squared_distances(curve.position)
    across = float(np.sqrt(squared.max()))
    seen = turning(curve.position, agreement.place * across, squared)
    widths = np.maximum(curve.bandwidth, bandwidth)
    circles = [_circles(curve, pair) for pair in pairs]
    times = np.array(_turning_times(curve, time, bandwidth))
    rows = np.minimum(np.searchsorted(time, times), len(time) - 1)
    angle = seen.angle[rows]
    least_angle = angle_between(seen.incoming[rows][:, pairs], seen.outgoing[rows][:, pairs]).min(axis=1)
    least_angle = np.where(np.isnan(angle), np.nan, least_angle)
    strength = np.divide(angle, np.fmax(seen.total, angle), out=np.zeros(len(rows)), where=angle > 0)
    residual = np.full(len(rows), np.nan)
    found: list[_Candidate] = []
    for i, (place, row) in enumerate(zip(times, rows, strict=True)):
        plane_rows = _sharpest(circles, time, float(place), TIME_TOLERANCE * float(widths[row]))
        if plane_rows is None:
            continue
        candidate = _agreed(circles, plane_rows, pairs, across)
        residual[i] = candidate.residual
        if angle[i] >= agreement.turn and residual[i] <= agreement.place:
            found.append(candidate._replace(time=float(place), row=int(row), strength=float(strength[i])))
    found.sort(key=lambda one: (-one.strength, one.residual))
    kept: list[_Candidate] = []
    for one in found:
        if not any(_same(one, other, seen, 2 * agreement.place * across) for other in kept):
            kept.append(one)
    turns = Turns(times, angle, least_angle, residual, strength)
    return _table(kept, time, seen, turns, len(pairs), curve.position.shape[1])


class _Candidate(NamedTuple):
    center: Float[np.ndarray, " v"]
    residual: float
    plane_row: list[int]
    plane_center: Float[np.ndarray, "plane 2"]
    plane_radius: Float[np.ndarray, " plane"]
    time: float = np.nan
    row: int = -1
    strength: float = 0.0


def _circles(curve: Smoothed, pair: Int[np.ndarray, " 2"]) -> OsculatingCircles:
    """Osculating circles in a plane; where the curve stops, the circle has shrunk to the point itself."""
    position = curve.position[:, pair]
    circles = circles_from_derivatives(position, curve.velocity[:, pair], curve.acceleration[:, pair])
    stopped = np.isnan(circles.curvature)
    return OsculatingCircles(
        center=np.where(stopped[:, None], position, circles.center),
        radius=np.where(stopped, 0.0, circles.radius),
        curvature=np.where(stopped, np.inf, circles.curvature),
    )


def _turning_times(curve: Smoothed, time: Float[np.ndarray, " point"], bandwidth: float) -> list[float]:
    """Times about which the tangent turns most, each the mean of the turning around it."""
    angle = angle_between(curve.velocity[:-1], curve.velocity[1:])
    between = (time[1:] + time[:-1]) / 2
    spacing = time[1] - time[0]
    reach = int(_WINDOW * bandwidth / spacing) + 1
    window = np.exp(-((np.arange(-reach, reach + 1) * spacing / bandwidth) ** 2) / 2)
    density = np.convolve(angle, window)[reach : reach + len(angle)]
    tops = 1 + np.flatnonzero((density[1:-1] >= density[:-2]) & (density[1:-1] > density[2:]))
    return [mean_turning_time(angle, between, between[top], bandwidth) for top in tops]


def mean_turning_time(
    angle: Float[np.ndarray, " n"], between: Float[np.ndarray, " n"], start: float, bandwidth: float
) -> float:
    """The time about which turning is balanced, by mean shift from a starting time."""
    place = start
    for _ in range(_ROUNDS):
        weight = angle * np.exp(-(((between - place) / bandwidth) ** 2) / 2)
        total = weight.sum()
        if not total > 0:
            return start
        place = float(weight @ between / total)
    return place


def _sharpest(
    circles: list[OsculatingCircles], time: Float[np.ndarray, " point"], place: float, reach: float
) -> list[int] | None:
    """In each plane the vertex of strongest curvature within reach of a time; None if a plane has none."""
    first, last = np.searchsorted(time, [place - reach, place + reach])
    rows = []
    for one in circles:
        size = np.abs(one.curvature[max(first - 1, 0) : last + 1])
        tops = 1 + np.flatnonzero((size[1:-1] >= size[:-2]) & (size[1:-1] > size[2:]))
        if len(tops) == 0:
            return None
        rows.append(int(max(first - 1, 0) + tops[np.argmax(size[tops])]))
    return rows


def _agreed(
    circles: list[OsculatingCircles], rows: list[int], pairs: Int[np.ndarray, "plane 2"], across: float
) -> _Candidate:
    """The place that the planes agree on; small circles, which fix it better, count more."""
    center = np.array([one.center[row] for one, row in zip(circles, rows, strict=True)])
    radius = np.array([one.radius[row] for one, row in zip(circles, rows, strict=True)])
    weight = 1 / (radius**2 + (_WEIGHT_FLOOR * across) ** 2)
    total, mass = np.zeros(pairs.max() + 1), np.zeros(pairs.max() + 1)
    np.add.at(total, pairs, weight[:, None] * center)
    np.add.at(mass, pairs, weight[:, None])
    place = total / mass
    residual = np.sqrt(np.mean(np.sum((center - place[pairs]) ** 2, axis=1))) / across
    return _Candidate(place, float(residual), rows, center, radius)


def _same(one: _Candidate, other: _Candidate, seen: Turning, near: float) -> bool:
    overlap = seen.after[one.row] > seen.before[other.row] and seen.before[one.row] < seen.after[other.row]
    return bool(overlap and np.linalg.norm(one.center - other.center) < near)


def _table(
    kept: list[_Candidate],
    time: Float[np.ndarray, " point"],
    seen: Turning,
    turns: Turns,
    planes: int,
    v: int,
) -> CommonCusps:
    rows = np.array([one.row for one in kept], dtype=int)
    return CommonCusps(
        time=np.array([one.time for one in kept]),
        enter=time[seen.before[rows]],
        leave=time[seen.after[rows]],
        center=np.array([one.center for one in kept]).reshape(-1, v),
        residual=np.array([one.residual for one in kept]),
        strength=np.array([one.strength for one in kept]),
        angle=seen.angle[rows],
        plane_time=time[np.array([one.plane_row for one in kept], dtype=int).reshape(-1, planes)],
        plane_center=np.array([one.plane_center for one in kept]).reshape(-1, planes, 2),
        plane_radius=np.array([one.plane_radius for one in kept]).reshape(-1, planes),
        turns=turns,
    )
