"""Where to write beside points, so that words cover neither each other nor the curve."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import isotonic_regression

from devexplore.views.style import SIZES

_WIDTH = 0.58
"""Mean width of a letter, in font sizes."""

_GAP = 12.0
"""Pixels between a point and its label."""

_EDGE = 8.0
"""Pixels by which labels may reach into the margins."""

_SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
"""(right, up) of the point, the best-liked first."""

_ANCHOR_X = {1: "left", 0: "center", -1: "right"}
_ANCHOR_Y = {1: "bottom", 0: "middle", -1: "top"}


class Placed(NamedTuple):
    """A label's corner of anchorage for Plotly annotations, and its shift from the point in pixels."""

    xanchor: str
    yanchor: str
    xshift: float
    yshift: float


def place_labels(
    anchors: Float[np.ndarray, "label 2"],
    texts: Sequence[str],
    obstacles: Float[np.ndarray, "point 2"],
    size: tuple[float, float],
    font: float = SIZES["small"],
) -> list[Placed]:
    """Choose for each label the side of its point, near or a little off, that covers least: the first labels
    choose first.

    ``anchors`` and ``obstacles`` are pixels from the lower left corner of a plot of ``size``. Lines of a text
    are separated by ``<br>``.
    """
    boxes: list[tuple[float, float, float, float]] = []
    placed = []
    for (x, y), text in zip(anchors.tolist(), texts, strict=True):
        lines = text.split("<br>")
        width, height = _WIDTH * font * max(map(len, lines)), 1.25 * font * len(lines)
        options = []
        for rank, (far, (right, up)) in enumerate(itertools.product((1.0, 2.2), _SIDES)):
            gap = far * _GAP * (0.75 if right and up else 1.0)
            left = x + right * gap - (width if right < 0 else width / 2 if right == 0 else 0)
            low = y + up * gap - (height if up < 0 else height / 2 if up == 0 else 0)
            box = (left, low, left + width, low + height)
            cost = 60 * sum(_overlap(box, other) for other in boxes) + _inside(box, obstacles)
            cost += 100 * _outside(box, size) + 0.1 * rank
            options.append((cost, box, Placed(_ANCHOR_X[right], _ANCHOR_Y[up], right * gap, up * gap)))
        _, box, best = min(options, key=lambda option: option[0])
        boxes.append(box)
        placed.append(best)
    return placed


def spread_apart(
    values: Float[np.ndarray, " n"],
    size: float | Float[np.ndarray, " n"],
    within: tuple[float, float] = (-np.inf, np.inf),
) -> Float[np.ndarray, " n"]:
    """The nearest places (least squares) to these values, in the same order, where things of these sizes do
    not overlap, nor leave these ends where they fit between them."""
    if len(values) == 0:
        return np.empty(0)
    order = np.argsort(values, kind="stable")
    sizes = np.broadcast_to(np.asarray(size, dtype=float), len(values))[order]
    offset = np.concatenate([[0.0], np.cumsum((sizes[1:] + sizes[:-1]) / 2)])
    low, high = within[0] + sizes[0] / 2, within[1] - sizes[-1] / 2 - offset[-1]
    apart = np.empty(len(values))
    apart[order] = np.clip(isotonic_regression(values[order] - offset).x, low, max(low, high)) + offset
    return apart


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Share of the first box that the second covers."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    area = (one[2] - one[0]) * (one[3] - one[1])
    return max(wide, 0.0) * max(high, 0.0) / area


def _inside(box: tuple[float, ...], points: Float[np.ndarray, "point 2"]) -> int:
    x, y = points[:, 0], points[:, 1]
    return int(((x > box[0]) & (x < box[2]) & (y > box[1]) & (y < box[3])).sum())


def _outside(box: tuple[float, ...], size: tuple[float, float]) -> float:
    """Share of the box that lies beyond the plot and its edge."""
    return 1 - _overlap(box, (-_EDGE, -_EDGE, size[0] + _EDGE, size[1] + _EDGE))


def along(line: Float[np.ndarray, "point 2"], spacing: float = 5.0) -> Float[np.ndarray, "dense 2"]:
    """Points along a line in pixels, so that labels keep off all of it and not only off its corners."""
    place = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    dense = np.arange(0.0, place[-1] + spacing, spacing)
    return np.stack([np.interp(dense, place, column) for column in line.T], axis=1)


def ring(centres: Float[np.ndarray, "mark 2"], radius: float) -> Float[np.ndarray, "point 2"]:
    """Points on and in circles of this many pixels: marks that labels keep off."""
    angle = np.arange(12) * np.pi / 6
    around = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    offsets = np.concatenate([around, around / 2, np.zeros((1, 2))])
    return (centres[:, None] + offsets).reshape(-1, 2)
