"""Checks of numbers given as arguments: each says in one line what was expected and what came."""

import math
from numbers import Integral, Real
from typing import Any

from devexplore.errors import InvalidSpec


def whole_number(name: str, value: Any, least: int | None = None) -> int:
    """``value`` as an int. Raises InvalidSpec unless it is one (no bool, no float) and at least ``least``."""
    value = _single(value)
    if not isinstance(value, Integral) or isinstance(value, bool) or (least is not None and value < least):
        at_least = "" if least is None else f" of at least {least}"
        raise InvalidSpec(f"{name} must be a whole number{at_least}, got {value!r}")
    return int(value)


def finite_number(name: str, value: Any, least: float | None = None, *, above: float | None = None) -> float:
    """``value`` as a float. Raises InvalidSpec unless it is a finite number (no bool), at least ``least`` or
    greater than ``above``.
    """
    value = _single(value)
    real = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not real or (least is not None and value < least) or (above is not None and value <= above):
        bound = "" if least is None else f" of at least {least:g}"
        bound = bound if above is None else f" above {above:g}"
        raise InvalidSpec(f"{name} must be a finite number{bound}, got {value!r}")
    return float(value)


def _single(value: Any) -> Any:
    """An array of one number without dimensions, such as ``stages["start"][2]``, as that number."""
    return value.item() if getattr(value, "ndim", None) == 0 else value
