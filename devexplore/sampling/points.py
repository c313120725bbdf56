"""Estimates to make, and how they share blocks of rows."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch

from devexplore.sampling.network import Placed
from devexplore.sampling.spec import LLCSpec


class Point(NamedTuple):
    """One estimate to make: which checkpoint, with which settings, of which component."""

    checkpoint: int
    spec: LLCSpec
    component: int


def blocks(
    points: Sequence[Point], placed: Sequence[Placed], rows_per_block: int, chains: int
) -> Iterator[list[Point]]:
    """Points that walk together: about a block of rows (whole estimates), and of the same fixed weights."""
    at_once = even(len(points), max(1, rows_per_block // chains))
    block: list[Point] = []
    for point in points:
        if block and (len(block) == at_once or not _same_fixed(placed, block[0], point)):
            yield block
            block = []
        block.append(point)
    if block:
        yield block


def _same_fixed(placed: Sequence[Placed], one: Point, other: Point) -> bool:
    mine, theirs = placed[one.checkpoint].fixed, placed[other.checkpoint].fixed
    return all(torch.equal(tensor, theirs[name]) for name, tensor in mine.items())


def even(total: int, most: int) -> int:
    """The size of equal parts of at most ``most``: an odd last one would have to be recorded again."""
    return -(-total // -(-total // most)) if total else 1
