"""Which weights of a network move: patterns over parameter names, or masks of single entries."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import torch
from jaxtyping import Bool
from torch import Tensor

from devexplore.errors import InvalidSpec

Free = str | Sequence[str] | Mapping[str, Tensor | None]
"""A pattern (``"layers.0.*"``), several, or {parameter name: mask of its shape, or None for all of it}."""


def free_mask(free: Free, shapes: Mapping[str, tuple[int, ...]]) -> Bool[Tensor, " parameter"]:
    """The flat mask of the weights that move; the others stay at w*.

    Raises InvalidSpec: a pattern or name that fits no sampled parameter, a mask of another shape, or nothing
    left to move.
    """
    chosen = free if isinstance(free, Mapping) else _matching(free, shapes)
    unknown = sorted(set(chosen) - set(shapes))
    if unknown:
        raise InvalidSpec(f"no sampled parameter is called {', '.join(unknown)}; there are {_names(shapes)}")
    pieces = []
    for name, shape in shapes.items():
        mask = chosen.get(name, torch.zeros(shape, dtype=torch.bool))
        mask = torch.ones(shape, dtype=torch.bool) if mask is None else mask
        if tuple(mask.shape) != shape or mask.dtype != torch.bool:
            raise InvalidSpec(
                f"the mask of {name!r} must be boolean of shape {shape}, "
                f"got {mask.dtype} of shape {tuple(mask.shape)}"
            )
        pieces.append(mask.reshape(-1).cpu())
    flat = torch.cat(pieces)
    if not bool(flat.any()):
        raise InvalidSpec("no weight is left to move: every mask is empty")
    return flat


def _matching(patterns: str | Sequence[str], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, None]:
    chosen: dict[str, None] = {}
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        found = [name for name in shapes if fnmatchcase(name, pattern)]
        if not found:
            raise InvalidSpec(f"no sampled parameter matches {pattern!r}; there are {_names(shapes)}")
        chosen |= dict.fromkeys(found)
    return chosen


def _names(shapes: Mapping[str, tuple[int, ...]]) -> str:
    shown = list(shapes)[:12]
    more = len(shapes) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
