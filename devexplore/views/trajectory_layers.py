"""What the trajectory's pictures share: names of layers, traces that carry them, the curve cut by stage."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from jaxtyping import Float, Int

from devexplore.views.stages import StageMark, stage_index
from devexplore.views.style import Theme

LAYERS = ("stage", "step", "raw", "circles", "evolute", "vertices", "forms")
"""Layers that can be switched; traces of any other layer are always seen."""

ROUND = np.linspace(0.0, 2.0 * np.pi, 73)


def shown(trace: Any, show: Sequence[str]) -> Any:
    """The trace, visible if its layer is in ``show`` or cannot be switched."""
    layer = trace.meta["layer"]
    return trace.update(visible=layer in show or layer not in LAYERS)


def columns(scores: xr.DataArray, components: Sequence[int]) -> Float[np.ndarray, "point component"]:
    """These components of scores, points first."""
    return scores.sel(component=list(components)).transpose(..., "component").values.astype(float)


def xyz(points: Float[np.ndarray, "point v"]) -> dict[str, np.ndarray]:
    """Columns of two or three coordinates under Plotly's names."""
    return dict(zip("xyz", points.T, strict=False))


def flat(points: Float[np.ndarray, "point 2"], layer: str, **style: Any) -> go.Scatter:
    """A trace in a plane, of this layer, without hover."""
    return go.Scatter(**xyz(points), meta={"layer": layer}, **{"hoverinfo": "skip", **style})


def deep(points: Float[np.ndarray, "point 3"], layer: str, **style: Any) -> go.Scatter3d:
    """A trace in space, of this layer, without hover."""
    return go.Scatter3d(**xyz(points), meta={"layer": layer}, **{"hoverinfo": "skip", **style})


def apart(pieces: Sequence[Float[np.ndarray, "point v"]], v: int) -> Float[np.ndarray, "all v"]:
    """Lines in one array, separated by NaN, so that one trace draws them all."""
    gap = np.full((1, v), np.nan)
    return np.concatenate([np.empty((0, v)), *(part for piece in pieces for part in (piece, gap))])


def spread(chosen: Int[np.ndarray, " n"], most: int) -> Int[np.ndarray, " n"]:
    """At most so many of the chosen rows, evenly among them."""
    if chosen.size <= most:
        return chosen
    return chosen[np.unique(np.linspace(0, chosen.size - 1, most).round().astype(int))]


def parts(curve_step: np.ndarray, stages: Sequence[StageMark]) -> list[tuple[StageMark | None, np.ndarray]]:
    """Index ranges of the dense curve by stage; neighbouring parts share a point so that no gap shows."""
    index = stage_index(curve_step, list(stages))
    breaks = np.flatnonzero(np.diff(index)) + 1
    edges = [0, *breaks.tolist(), index.size]
    return [
        (stages[index[a]] if index[a] >= 0 else None, np.arange(a, min(b + 1, index.size)))
        for a, b in pairwise(edges)
    ]


def time_scale(theme: Theme) -> list[list[Any]]:
    """The colour scale of training steps, early to late."""
    return [[i / (len(theme.time) - 1), colour] for i, colour in enumerate(theme.time)]
