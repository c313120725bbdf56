"""Points of a noisy curve as they are given: numbers, in order, those without a value left out."""

from typing import Any

import numpy as np
from jaxtyping import Float

from devexplore.errors import InvalidSpec


def numbers(values: Any, what: str) -> Float[np.ndarray, "..."]:
    """Values as float64. Raises InvalidSpec, which calls them ``what``, for what is no number."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidSpec(f"{what} must be numbers, got {str(values)[:60]!r}") from error


def points_in_order(
    x: Any, y: Any, y_se: Any = None
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"], Float[np.ndarray, " n"], float]:
    """x, y and y_se (zeros by default) in the order of x, and the unit in which y and y_se are given back.

    The unit is the greatest |y|, so that squares neither overflow nor vanish. Points with a NaN or an
    infinity anywhere are left out: an infinite standard error says that nothing is known.

    Raises:
        InvalidSpec: for anything but numbers, for lengths that differ, or a negative standard error.
    """
    x, y = numbers(x, "x"), numbers(y, "y")
    y_se = np.zeros(y.shape) if y_se is None else numbers(y_se, "y_se")
    if not x.shape == y.shape == y_se.shape or x.ndim != 1:
        raise InvalidSpec(
            f"x, y and y_se must be as long as each other, got {x.shape}, {y.shape}, {y_se.shape}"
        )
    valued = np.isfinite(x) & np.isfinite(y) & np.isfinite(y_se)
    order = np.argsort(x[valued], kind="stable")
    x, y, y_se = (column[valued][order] for column in (x, y, y_se))
    if np.any(y_se < 0):
        raise InvalidSpec("standard errors must not be negative")
    unit = float(np.abs(y).max(initial=0.0)) or 1.0
    return x, y / unit, y_se / unit, unit
