"""Points in order: arc length, repeated points, closure, and values between two points."""

import numpy as np
from jaxtyping import Float, Int


def arc_length(points: Float[np.ndarray, "step v"]) -> Float[np.ndarray, " step"]:
    """Length travelled along straight pieces from the first point to each point, in the points' units."""
    pieces = np.linalg.norm(np.diff(points, axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(pieces)])


def distinct_rows(
    points: Float[np.ndarray, "step v"],
) -> tuple[Int[np.ndarray, " kept"], Int[np.ndarray, " step"]]:
    """Rows that differ from the row before, and for every row the place of its point among those."""
    moved = np.concatenate([[True], np.any(np.diff(points, axis=0) != 0, axis=1)])[: len(points)]
    return np.flatnonzero(moved), np.cumsum(moved) - 1


def is_closed(points: Float[np.ndarray, "step v"]) -> bool:
    """Whether the last point repeats the first, up to rounding, with at least three other places between."""
    if len(points) < 4:
        return False
    gap = np.max(np.abs(points[-1] - points[0]))
    return bool(gap <= 16 * np.finfo(np.float64).eps * np.max(np.abs(points)))


def at_index(
    values: Float[np.ndarray, "step ..."], index: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "n ..."]:
    """Values at fractional indices, linearly between the two rows around each."""
    index = np.asarray(index, dtype=np.float64)
    low = np.clip(np.floor(index).astype(int), 0, max(len(values) - 2, 0))
    high = np.minimum(low + 1, len(values) - 1)
    share = (index - low).reshape(-1, *[1] * (values.ndim - 1))
    below, above = values[low], values[high]
    with np.errstate(invalid="ignore"):  # 0 * inf, not used below
        between = (1 - share) * below + share * above
    # At a whole index take the row itself: 0 * NaN of a neighbour would spoil it.
    return np.where(share == 0, below, np.where(share == 1, above, between))
