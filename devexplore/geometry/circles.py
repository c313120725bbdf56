"""Osculating circles of a curve: from its points at any spacing, or from its derivatives.

In the plane the curvature is signed: positive where the curve turns left (counter-clockwise) as time goes on.
In three or more dimensions there is no left, so it is the length of the curvature vector, never negative.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from devexplore.errors import InvalidSpec
from devexplore.geometry.polyline import arc_length, distinct_rows, is_closed

_ROUNDING = 16 * np.finfo(np.float64).eps


class OsculatingCircles(NamedTuple):
    """One circle per point of a curve, in the units of the points (curvature: their inverse).

    On a straight stretch ``curvature`` is 0 and ``radius`` infinite; such a circle has no centre, so
    ``center`` is NaN there. Where the curve has no direction (it never moves), all three are NaN.
    """

    center: Float[np.ndarray, "step v"]
    radius: Float[np.ndarray, " step"]
    curvature: Float[np.ndarray, " step"]


class ThreePointCurvature(NamedTuple):
    """Tangent and curvature vector of the circle through each point and its two neighbours."""

    tangent: Float[np.ndarray, "step v"]
    vector: Float[np.ndarray, "step v"]
    curvature: Float[np.ndarray, " step"]
    arc_length: Float[np.ndarray, " step"]
    """Where along the curve the curvature belongs: the mean arc length of the three points."""


def osculating_circles(points: Float[np.ndarray, "step v"]) -> OsculatingCircles:
    """Circles that touch a sampled curve to second order, one at each point, at any spacing of the points.

    Through three neighbours goes one circle. Its curvature is that of the curve at the *mean* arc length of
    the three, up to second order in the spacing, so it is carried from there to the middle point by linear
    interpolation along the arc; its tangent at the middle point is second order already. Hence exact on
    circles at any spacing, and second order in the plane elsewhere (centres in space: first order at uneven
    spacing, where torsion turns the plane).

    Ends: a closed curve (last point = first point) has none. Otherwise the first and last curvature are those
    of the nearest three points (first order). Repeated points count once. Fewer than three distinct points: a
    line.

    Raises:
        InvalidSpec: if the points are not of shape (step, v) with v >= 2, or not finite.
    """
    points = _checked(points)
    kept, label = distinct_rows(points)
    curve = points[kept]
    if len(curve) < 3:
        value = np.nan if len(curve) < 2 else 0.0
        return _circles(points, np.full_like(points, np.nan), np.full(len(points), value))
    local = three_point_curvature(curve)
    own = arc_length(curve)
    if is_closed(curve):
        length = own[-1]
        curvature = np.interp(own, local.arc_length[:-1], local.curvature[:-1], period=length)
    else:
        curvature = np.interp(own, local.arc_length, local.curvature)
    normal = _left(local.tangent) if points.shape[1] == 2 else _unit(local.vector)
    return _circles(points, normal[label], curvature[label])


def evolute(points: Float[np.ndarray, "step v"]) -> Float[np.ndarray, "step v"]:
    """The locus of the centres of the osculating circles; NaN where the curve is straight."""
    return osculating_circles(points).center


def circles_from_derivatives(
    position: Float[np.ndarray, "step v"],
    velocity: Float[np.ndarray, "step v"],
    acceleration: Float[np.ndarray, "step v"],
) -> OsculatingCircles:
    """Circles from the derivatives of a smooth curve in any parameter: κn = (a − (a·t)t)/|v|² with t = v/|v|.

    Exact for exact derivatives. NaN where the velocity is zero: the curve has no direction there.
    """
    position = _checked(position)
    speed = np.linalg.norm(velocity, axis=1)
    tangent = _unit(velocity)
    across = acceleration - np.sum(acceleration * tangent, axis=1, keepdims=True) * tangent
    straight = np.linalg.norm(across, axis=1) <= _ROUNDING * np.linalg.norm(acceleration, axis=1)
    across[straight] = 0.0
    squared = speed[:, None] ** 2
    vector = np.divide(across, squared, out=np.zeros_like(across), where=squared > 0)
    curvature = _signed(tangent, vector)
    curvature[speed == 0] = np.nan
    return _circles(position, _left(tangent) if position.shape[1] == 2 else _unit(vector), curvature)


def curvature_slope(
    velocity: Float[np.ndarray, "step 2"],
    acceleration: Float[np.ndarray, "step 2"],
    jerk: Float[np.ndarray, "step 2"],
) -> Float[np.ndarray, " step"]:
    """dκ/ds of a plane curve from three derivatives in any parameter; its zeros are the vertices.

    dκ/ds = [ (v×j)|v|² − 3(v×a)(v·a) ] / |v|⁶. NaN where the velocity is zero.
    """
    squared = np.sum(velocity**2, axis=1)
    turning = _cross(velocity, acceleration)
    top = _cross(velocity, jerk) * squared - 3 * turning * np.sum(velocity * acceleration, axis=1)
    return np.divide(top, squared**3, out=np.full_like(top, np.nan), where=squared > 0)


def curvature_se(
    velocity: Float[np.ndarray, "step 2"],
    acceleration: Float[np.ndarray, "step 2"],
    noise: Float[np.ndarray, " 2"],
    gain: Float[np.ndarray, "step 4"],
) -> Float[np.ndarray, " step"]:
    """Standard error of κ = v×a/|v|³ of a smoothed plane curve, to first order in the coordinates' noise.

    ``noise`` and ``gain`` as from ``noise_size`` and ``smooth``. Errors of v and a are taken as independent,
    which holds away from the ends. NaN where the velocity is zero.
    """
    squared = np.sum(velocity**2, axis=1)
    variance = noise**2
    by_acceleration = (velocity**2 @ variance[::-1]) * gain[:, 2] ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        along = 3 * (_cross(velocity, acceleration) / squared)[:, None] * velocity
        by_velocity = ((-_left(acceleration) - along) ** 2 @ variance) * gain[:, 1] ** 2
        return np.sqrt(by_acceleration + by_velocity) / squared**1.5


def three_point_curvature(curve: Float[np.ndarray, "step v"]) -> ThreePointCurvature:
    """Curvature of the circle through each point and its neighbours, in any dimension, by inversion.

    Inverting space at the middle point turns the circle into a straight line parallel to its tangent; the
    foot of the perpendicular on that line is half the curvature vector. No division by the distance from a
    line, so straight stretches give plain zeros. Points must be distinct from their neighbours; open ends
    borrow the nearest circle.
    """
    closed = is_closed(curve)
    length = arc_length(curve)
    middle = np.arange(len(curve)) if closed else np.clip(np.arange(len(curve)), 1, len(curve) - 2)
    before, after = middle - 1, middle + 1
    offset_before = np.zeros(len(curve))
    offset_after = np.zeros(len(curve))
    if closed:  # the first and the last row are the same point
        before[0], after[-1] = len(curve) - 2, 1
        offset_before[0], offset_after[-1] = -length[-1], length[-1]
    to_before, to_after = curve[before] - curve[middle], curve[after] - curve[middle]
    inverse_before = to_before / np.sum(to_before**2, axis=1, keepdims=True)
    inverse_after = to_after / np.sum(to_after**2, axis=1, keepdims=True)
    tangent = _unit(inverse_after - inverse_before)
    foot = inverse_before - np.sum(inverse_before * tangent, axis=1, keepdims=True) * tangent
    # Coordinates are known to one part in 2^52; a bend below what that can place is no bend.
    known = _ROUNDING * np.max(np.abs(curve[[before, middle, after]]), axis=(0, 2))
    shortest = np.minimum(np.linalg.norm(to_before, axis=1), np.linalg.norm(to_after, axis=1))
    foot[np.linalg.norm(foot, axis=1) * shortest**2 <= known] = 0.0
    vector = 2 * foot
    curvature = _signed(tangent, vector)
    where = (length[before] + offset_before + length[middle] + length[after] + offset_after) / 3
    if not closed:
        tangent, vector = _mirrored_ends(curve, tangent, vector)
    return ThreePointCurvature(tangent, vector, curvature, where)


def _mirrored_ends(
    curve: Float[np.ndarray, "step v"],
    tangent: Float[np.ndarray, "step v"],
    vector: Float[np.ndarray, "step v"],
) -> tuple[Float[np.ndarray, "step v"], Float[np.ndarray, "step v"]]:
    """Tangent and curvature vector at open ends: the bisector of a circle's chord mirrors its ends."""
    tangent, vector = tangent.copy(), vector.copy()
    for end, inner in ((0, 1), (-1, -2)):
        chord = _unit((curve[inner] - curve[end])[None])[0]
        tangent[end] = 2 * np.dot(tangent[inner], chord) * chord - tangent[inner]
        vector[end] = vector[inner] - 2 * np.dot(vector[inner], chord) * chord
    return tangent, vector


def _circles(
    points: Float[np.ndarray, "step v"],
    normal: Float[np.ndarray, "step v"],
    curvature: Float[np.ndarray, " step"],
) -> OsculatingCircles:
    bent: Bool[np.ndarray, " step"] = np.abs(curvature) > 0
    signed_radius = np.divide(1.0, curvature, out=np.full_like(curvature, np.nan), where=bent)
    radius = np.where(curvature == 0, np.inf, np.abs(signed_radius))
    return OsculatingCircles(points + signed_radius[:, None] * normal, radius, curvature)


def _signed(
    tangent: Float[np.ndarray, "step v"], vector: Float[np.ndarray, "step v"]
) -> Float[np.ndarray, " step"]:
    return _cross(tangent, vector) if tangent.shape[1] == 2 else np.linalg.norm(vector, axis=1)


def _cross(a: Float[np.ndarray, "step 2"], b: Float[np.ndarray, "step 2"]) -> Float[np.ndarray, " step"]:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def _left(tangent: Float[np.ndarray, "step 2"]) -> Float[np.ndarray, "step 2"]:
    return np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)


def _unit(vectors: Float[np.ndarray, "step v"]) -> Float[np.ndarray, "step v"]:
    """Vectors of length one; a zero vector stays zero."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)


def _checked(points: Float[np.ndarray, "step v"]) -> Float[np.ndarray, "step v"]:
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] < 2:
        raise InvalidSpec(f"expected points of shape (step, v) with v >= 2, got shape {points.shape}")
    if not np.isfinite(points).all():
        rows = np.flatnonzero(~np.isfinite(points).all(axis=1))
        raise InvalidSpec(
            f"expected finite points, got NaN or infinity in rows {rows[:5].tolist()}; drop them first"
        )
    return points
