"""Several runs in one function space, with idealised predictors projected beside their curves.

A run is a line that begins hollow and ends full. A predictor is a star (in space a diamond), the fuller the
more of it lies in what is drawn: an empty one is the shadow of something far outside.
"""

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from jaxtyping import Float

from devexplore.views.axes import axis, base_layout, padded, space_axis, step_label
from devexplore.views.joint_marks import (
    Curve,
    caption,
    curves,
    end_labels,
    nearest_points,
    outside,
    predictor_marker,
    predictor_points,
    predictor_words,
)
from devexplore.views.labels import along, place_labels, ring
from devexplore.views.markup import plain
from devexplore.views.style import LIGHT, SIZES, Theme
from devexplore.views.trajectory import component_title

__all__ = ["caption", "current_in_space", "joint_plane", "joint_space"]

WIDTH = 760
HEIGHTS = (360, 600)
"""A plane is as high as equal scales ask for, within these pixels."""

_MARGIN = {"l": 68, "r": 18, "t": 14, "b": 44}
_CROWDED = 24.0
"""Steps are not named where another name is within so many pixels."""


def joint_plane(
    joint: xr.Dataset,
    components: tuple[int, int] = (1, 2),
    theme: Theme = LIGHT,
    size: tuple[float, float] | None = None,
) -> go.Figure:
    """Runs and predictors of ``joint_dynamics`` in two components, with equal scales.

    Hollow marks are first checkpoints, full ones last, dots steps 1, 10, 100 … A predictor's label says how
    much of its squared distance from the mean lies outside this plane; a dotted line leads to the checkpoint
    that is nearest to it in the whole function space. ``size``: width and height for which names find their
    places, in pixels; by default as wide as a page, and as high as equal scales ask for.

    Raises InvalidSpec for components that the dataset does not hold.
    """
    drawn, predictors = curves(joint, components, theme), predictor_points(joint, components)
    star = {"symbol": "star", "size": 17, **predictor_marker(joint, components, theme)}
    traces = [
        _leads(predictors, nearest_points(joint, drawn), theme),
        *(_line(curve) for curve in drawn),
        _flat(predictors, "predictors", marker=star, hover=predictor_words(joint, components)),
        *(_decades(curve, theme) for curve in drawn),
        *(_ends(curve, theme) for curve in drawn),
    ]
    shown = np.concatenate([*(curve.points for curve in drawn), predictors])
    ranges = (padded(shown[:, 0], 0.09), padded(shown[:, 1], 0.12))
    sides = (ranges[0][1] - ranges[0][0], ranges[1][1] - ranges[1][0])
    width = WIDTH if size is None else size[0]
    across, frame = width - _MARGIN["l"] - _MARGIN["r"], _MARGIN["t"] + _MARGIN["b"]
    wanted = float(np.clip(across * sides[1] / sides[0] + frame, *HEIGHTS))
    height = wanted if size is None else size[1]
    figure = go.Figure(
        traces,
        layout=base_layout(
            theme, margin=_MARGIN, width=width, height=height, hovermode="closest", dragmode="pan"
        ),
    )
    title = {"font": {"size": SIZES["small"], "color": theme.ink}, "standoff": 6}
    x_title, y_title = ({"text": component_title(joint, c), **title} for c in components)
    names = _names(joint, components, drawn, predictors, theme)
    figure.update_layout(
        xaxis=axis(theme, range=ranges[0], nticks=8, title=x_title),
        yaxis=axis(theme, range=ranges[1], nticks=7, scaleanchor="x", scaleratio=1, title=y_title),
        annotations=_annotations(names, drawn, predictors, ranges, (across, height - frame)),
    )
    return figure


def joint_space(
    joint: xr.Dataset, components: tuple[int, int, int] = (1, 2, 3), theme: Theme = LIGHT
) -> go.Figure:
    """The same in three components. Raises InvalidSpec for components that the dataset does not hold."""
    drawn, predictors = curves(joint, components, theme), predictor_points(joint, components)
    traces: list[go.Scatter3d] = []
    for curve in drawn:
        start, end = end_labels(curve, len(drawn))
        hover = {"customdata": curve.step, "hovertemplate": _hover(curve)}
        line = {"color": curve.colour, "width": 4}
        traces += [
            _deep(curve.points, "run", mode="lines", line=line, name=curve.name, **hover),
            _deep(curve.points[:1], "ends", **_named("circle-open", start, curve.colour)),
            _deep(curve.points[-1:], "ends", **_named(curve.symbol, end, curve.colour)),
        ]
    names = joint["predictor"].values.astype(str)
    look = _named("diamond", names, theme.ink, "bottom center")
    look["marker"] = {**look["marker"], **predictor_marker(joint, components, theme)}
    words = {
        "customdata": predictor_words(joint, components),
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    traces.append(_deep(predictors, "predictors", name="predictors", **look, **words))
    axes = {
        f"{letter}axis": space_axis(theme, component_title(joint, component))
        for letter, component in zip("xyz", components, strict=True)
    }
    camera = {"eye": {"x": 1.5, "y": 1.5, "z": 0.9}, "center": {"x": 0, "y": 0, "z": -0.08}}
    scene = {"uirevision": "devexplore", "aspectmode": "cube", "camera": camera, **axes}
    margin = {"l": 0, "r": 0, "t": 0, "b": 0}
    layout = base_layout(theme, margin=margin, width=WIDTH, height=HEIGHTS[1], scene=scene)
    return go.Figure(traces, layout=layout)


def current_in_space(
    joint: xr.Dataset, components: tuple[int, int, int] = (1, 2, 3), theme: Theme = LIGHT
) -> go.Scatter3d:
    """One mark a run, for a page that moves them with the current step; at first on the last checkpoints."""
    drawn = curves(joint, components, theme)
    outline = [curve.colour for curve in drawn]
    marker = {"size": 8, "color": theme.surface, "line": {"color": outline, "width": 3}, "opacity": 1}
    ends = np.stack([curve.points[-1] for curve in drawn])
    return _deep(ends, "now", mode="markers", marker=marker, hoverinfo="skip")


def _hover(curve: Curve) -> str:
    return f"{plain(curve.name)}, step %{{customdata:,}}<extra></extra>"


def _line(curve: Curve) -> go.Scatter:
    return go.Scatter(
        x=curve.points[:, 0],
        y=curve.points[:, 1],
        mode="lines+markers",
        line={"color": curve.colour, "width": 2},
        marker={"size": 3, "color": curve.colour},
        customdata=curve.step,
        hovertemplate=_hover(curve),
        name=plain(curve.name),
        meta={"layer": "run"},
    )


def _flat(
    points: Float[np.ndarray, "point 2"], layer: str, marker: dict[str, Any], hover: list[str] | None = None
) -> go.Scatter:
    said = (
        {"hoverinfo": "skip"} if hover is None else {"text": hover, "hovertemplate": "%{text}<extra></extra>"}
    )
    return go.Scatter(
        x=points[:, 0], y=points[:, 1], mode="markers", marker=marker, meta={"layer": layer}, **said
    )


def _leads(predictors: np.ndarray, nearest: np.ndarray, theme: Theme) -> go.Scatter:
    gap = np.full((len(predictors), 1), np.nan)
    return go.Scatter(
        x=np.hstack([predictors[:, :1], nearest[:, :1], gap]).ravel(),
        y=np.hstack([predictors[:, 1:], nearest[:, 1:], gap]).ravel(),
        mode="lines",
        line={"color": theme.faint, "width": 1, "dash": "dot"},
        hoverinfo="skip",
        meta={"layer": "leads"},
    )


def _decades(curve: Curve, theme: Theme) -> go.Scatter:
    marker = {"size": 6.5, "color": curve.colour, "line": {"color": theme.surface, "width": 1}}
    return _flat(curve.decades()[1], "decades", marker)


def _ends(curve: Curve, theme: Theme) -> go.Scatter:
    marker = {
        "symbol": curve.symbol,
        "size": 9,
        "color": [theme.surface, curve.colour],
        "line": {"color": curve.colour, "width": 2},
        "opacity": 1,
    }
    return _flat(curve.points[[0, -1]], "ends", marker)


def _deep(points: Float[np.ndarray, "point 3"], layer: str, **style: Any) -> go.Scatter3d:
    return go.Scatter3d(x=points[:, 0], y=points[:, 1], z=points[:, 2], meta={"layer": layer}, **style)


def _named(symbol: str, text: Any, colour: str, side: str = "top center") -> dict[str, Any]:
    """Style of a mark in space with words beside it."""
    return {
        "mode": "markers+text",
        "marker": {"size": 6, "symbol": symbol, "color": colour},
        "text": text,
        "textposition": side,
        "textfont": {"size": SIZES["small"], "color": colour},
        "hoverinfo": "skip",
    }


def _names(
    joint: xr.Dataset, components: tuple[int, ...], drawn: list[Curve], predictors: np.ndarray, theme: Theme
) -> list[tuple[np.ndarray, str, str, bool]]:
    """(place, words, colour, whether it may be left out) of everything that has a name."""
    shares, labels = outside(joint, components), joint["predictor"].values.astype(str)
    names = [
        (point, f"{label}<br>{share:.0%} outside", theme.ink, False)
        for point, label, share in zip(predictors, labels, shares, strict=True)
    ]
    for curve in drawn:
        for point, word in zip(curve.points[[0, -1]], end_labels(curve, len(drawn)), strict=True):
            names += [(point, word, curve.colour, False)] if word else []
    if len(drawn) == 1:
        steps, points = drawn[0].decades()
        names += [(p, step_label(s), theme.muted, True) for s, p in zip(steps, points, strict=True)]
    return names


def _annotations(
    names: list[tuple[np.ndarray, str, str, bool]],
    drawn: list[Curve],
    predictors: Float[np.ndarray, "predictor 2"],
    ranges: tuple[tuple[float, float], tuple[float, float]],
    size: tuple[float, float],
) -> list[dict[str, Any]]:
    """The names, each on the side of its point where it covers least in a plot of this size in pixels."""
    (left, right), (low, high) = ranges
    scale = min(size[0] / (right - left), size[1] / (high - low))  # equal scales: the tighter side decides

    def pixels(points: np.ndarray) -> np.ndarray:
        return (points - np.array([left + right, low + high]) / 2) * scale + np.array(size) / 2

    kept: list[tuple[np.ndarray, str, str, bool]] = []
    for name in names:
        gaps = [np.hypot(*(pixels(name[0]) - pixels(other[0]))) for other in kept]
        if not (name[3] and gaps and min(gaps) < _CROWDED):
            kept.append(name)
    lines = [along(pixels(curve.points)) for curve in drawn]
    ends = np.concatenate([curve.points[[0, -1]] for curve in drawn])
    placed = place_labels(
        pixels(np.array([point for point, *_ in kept])),
        [text for _, text, *_ in kept],
        np.concatenate([*lines, ring(pixels(predictors), 10.0), ring(pixels(ends), 6.0)]),
        size,
    )
    return [
        {
            "x": point[0],
            "y": point[1],
            "text": text,
            "showarrow": False,
            "font": {"size": SIZES["small"], "color": colour},
            "align": {"left": "left", "right": "right"}.get(at.xanchor, "center"),
            **at._asdict(),
        }
        for (point, text, colour, _), at in zip(kept, placed, strict=True)
    ]
