"""The developmental trajectory in three components, with circles of the full score space and forms."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from jaxtyping import Float

from devexplore.views import form_marks
from devexplore.views.axes import base_layout, log_step, padded, space_axis
from devexplore.views.stages import StageMark, stage_index
from devexplore.views.style import Theme
from devexplore.views.trajectory import COMPONENTS, component_title
from devexplore.views.trajectory_layers import ROUND, apart, columns, deep, parts, shown, spread, time_scale

CIRCLES = 24
"""How many osculating circles are drawn in space: more would hide the curve."""

_LARGEST = 0.5
"""Circles with a radius beyond this share of the box's diagonal would fill it."""


def space(
    dynamics: xr.Dataset,
    stages: Sequence[StageMark],
    theme: Theme,
    show: Sequence[str],
    forms: xr.Dataset | None = None,
    components: Sequence[int] = COMPONENTS,
) -> go.Figure:
    """The smooth curve in three components; the last two traces are the markers of the pinned step, which
    the page places, and of the current one.

    Layers as in a plane, without vertices, which belong to planes. The osculating circles are those of all
    components at once, seen in three, so that a circle may appear as an ellipse; it still bends as the curve
    does. Scales differ between axes.
    """
    smooth, raw = (columns(dynamics[name], components) for name in ("smooth_score", "score"))
    places = form_marks.form_places(forms, components)
    walls = [padded(np.concatenate([smooth, raw, places])[:, i]) for i in range(3)]
    traces = [
        *_curve(dynamics, components, stages, theme),
        deep(raw, "raw", mode="markers", marker={"size": 2, "color": theme.raw}),
        *_checkpoints(smooth, dynamics["step"].values, components, stages, theme),
        _circles(dynamics, components, walls, theme),
        _evolute(dynamics, components, walls, theme),
    ]
    if forms is not None:
        traces += form_marks.marks_in_space(forms, dynamics, theme, components)
    ring = {"color": theme.ink, "width": 3}
    pinned = {"size": 8, "symbol": "circle-open", "color": theme.ink, "line": ring}
    traces.append(deep(np.full((1, 3), np.nan), "pinned", mode="markers", marker=pinned))
    now = {"size": 7, "color": theme.ink, "line": {"color": theme.surface, "width": 2}}
    traces.append(deep(smooth[-1:], "now", mode="markers", marker=now))
    axes = {
        f"{letter}axis": space_axis(theme, component_title(dynamics, component), range=wall)
        for letter, component, wall in zip("xyz", components, walls, strict=True)
    }
    camera = {"eye": {"x": 1.55, "y": 1.55, "z": 0.95}, "center": {"x": 0, "y": 0, "z": -0.08}}
    scene = {"uirevision": "devexplore", "aspectmode": "cube", "camera": camera, **axes}
    layout = base_layout(theme, margin={"l": 0, "r": 0, "t": 0, "b": 0}, scene=scene)
    return go.Figure([shown(trace, show) for trace in traces], layout=layout)


def _curve(
    dynamics: xr.Dataset, components: Sequence[int], stages: Sequence[StageMark], theme: Theme
) -> list[go.Scatter3d]:
    curve, step = columns(dynamics["curve_score"], components), dynamics["curve_step"].values
    lines: list[tuple[str, np.ndarray, dict[str, Any]]] = [
        ("stage", curve[part], {"color": mark.colour if mark else theme.muted})
        for mark, part in parts(step, stages)
    ]
    lines.append(("step", curve, {"color": log_step(step), "colorscale": time_scale(theme)}))
    return [deep(points, layer, mode="lines", line={"width": 5, **look}) for layer, points, look in lines]


def _checkpoints(
    smooth: Float[np.ndarray, "step 3"],
    steps: np.ndarray,
    components: Sequence[int],
    stages: Sequence[StageMark],
    theme: Theme,
) -> list[go.Scatter3d]:
    by_stage = [stages[i].colour if i >= 0 else theme.muted for i in stage_index(steps, list(stages))]
    colours: dict[str, dict[str, Any]] = {
        "stage": {"color": by_stage},
        "step": {"color": log_step(steps), "colorscale": time_scale(theme)},
    }
    at = " · ".join(f"PC{c} %{{{axis}:.3g}}" for c, axis in zip(components, "xyz", strict=True))
    words = f"step %{{customdata:,}}<br>{at}<extra></extra>"
    hover = {"customdata": steps, "hovertemplate": words, "hoverinfo": None}
    return [
        deep(smooth, layer, mode="markers", marker={"size": 3, **look}, **hover)
        for layer, look in colours.items()
    ]


def _circles(
    dynamics: xr.Dataset, components: Sequence[int], walls: list[tuple[float, float]], theme: Theme
) -> go.Scatter3d:
    """Circles about ``space_center`` through the curve, in the plane of the spoke and the tangent."""
    center, curve, tangent = (
        columns(dynamics[name], components) for name in ("space_center", "smooth_score", "tangent")
    )
    radius = dynamics["space_radius"].values
    diagonal = float(np.linalg.norm([high - low for low, high in walls]))
    round_enough = np.isfinite(radius) & (radius > 0) & (radius < _LARGEST * diagonal)
    cosine, sine = np.cos(ROUND)[:, None], np.sin(ROUND)[:, None]
    circles = [
        center[i] + cosine * (curve[i] - center[i]) + sine * radius[i] * tangent[i]
        for i in spread(np.flatnonzero(round_enough), CIRCLES)
    ]
    return deep(apart(circles, 3), "circles", mode="lines", line={"color": theme.circle_in_space, "width": 1})


def _evolute(
    dynamics: xr.Dataset, components: Sequence[int], walls: list[tuple[float, float]], theme: Theme
) -> go.Scatter3d:
    """The circles' centres; those outside the box break the line."""
    center = columns(dynamics["space_center"], components)
    low, high = np.array(walls).T
    inside = ((center >= low) & (center <= high)).all(axis=1)
    return deep(
        np.where(inside[:, None], center, np.nan),
        "evolute",
        mode="lines+markers",
        line={"color": theme.evolute_line, "width": 1},
        marker={"size": 2, "color": theme.evolute},
        customdata=dynamics["step"].values,
        hovertemplate="centre of the circle at step %{customdata:,}<extra></extra>",
        hoverinfo=None,
    )
