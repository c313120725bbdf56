"""How much a curve turns, seen at a given spatial scale: wiggles smaller than the scale do not count."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


class Turning(NamedTuple):
    """Turning of a curve whose points are seen through a ball of radius ``scale``.

    ``angle`` at a point (radians, 0 … π) lies between the chord from where the curve last entered the ball
    around it and the chord to where it first leaves; 0 is straight on, π straight back. NaN where the curve
    starts or ends inside the ball. ``before`` and ``after`` are those rows (-1 for none), ``incoming`` and
    ``outgoing`` the two chords (of no meaning where there is no such row). ``total`` is the turning of the
    whole curve when it is walked with dividers of that opening (radians).
    """

    angle: Float[np.ndarray, " point"]
    before: Int[np.ndarray, " point"]
    after: Int[np.ndarray, " point"]
    total: float
    incoming: Float[np.ndarray, "point v"]
    outgoing: Float[np.ndarray, "point v"]


def squared_distances(points: Float[np.ndarray, "point v"]) -> Float[np.ndarray, "point point"]:
    """|p_i − p_j|² of all pairs."""
    points = points - points.mean(axis=0)  # a common offset would cost digits
    length = np.sum(points**2, axis=1)
    return np.maximum(length[:, None] + length - 2 * points @ points.T, 0.0)


def extent(points: Float[np.ndarray, "point v"]) -> float:
    """The largest distance between two points of a curve."""
    return float(np.sqrt(squared_distances(points).max()))


def turning(
    points: Float[np.ndarray, "point v"],
    scale: float,
    squared: Float[np.ndarray, "point point"] | None = None,
) -> Turning:
    """See ``Turning``. Cost grows with the square of the number of points; ``squared``: their
    ``squared_distances``, where known already.
    """
    count = len(points)
    apart = squared_distances(points) if squared is None else squared
    outside = (apart >= scale**2) & (apart > 0)
    np.fill_diagonal(outside, False)  # rounding must not take a point out of its own ball
    later, earlier = np.triu(outside), np.tril(outside)[:, ::-1]
    after = np.where(later.any(axis=1), later.argmax(axis=1), -1)
    before = np.where(earlier.any(axis=1), count - 1 - earlier.argmax(axis=1), -1)
    incoming, outgoing = points - points[before], points[after] - points
    angle = np.where((before >= 0) & (after >= 0), angle_between(incoming, outgoing), np.nan)
    stops = [0]
    while after[stops[-1]] >= 0:
        stops.append(int(after[stops[-1]]))
    pieces = np.diff(points[stops], axis=0)
    total = float(np.sum(angle_between(pieces[:-1], pieces[1:])))
    return Turning(angle, before, after, total, incoming, outgoing)


def angle_between(a: Float[np.ndarray, "... v"], b: Float[np.ndarray, "... v"]) -> Float[np.ndarray, "..."]:
    """Angle of two directions in radians, 0 … π; π/2 if one of them is zero."""
    length = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    cosine = np.divide(np.sum(a * b, axis=-1), length, out=np.zeros_like(length), where=length > 0)
    return np.arccos(np.clip(cosine, -1.0, 1.0))
