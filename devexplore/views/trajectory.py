"""The developmental trajectory: the curve in PC1–3 and in each plane, with circles, evolute and cusps.

Every figure carries all its layers as traces tagged ``meta.layer``; which are visible is the viewer's choice
(``visible`` at the start, restyled on the page), so switching a layer never rebuilds a figure.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from jaxtyping import Float

from devexplore.views.axes import axis, base_layout, log_step, padded, step_label
from devexplore.views.stages import StageMark, stage_index
from devexplore.views.style import SIZES, Theme

CIRCLES = 56
"""How many osculating circles are drawn in a plane: evenly spread over the checkpoints."""

ROUND = np.linspace(0.0, 2.0 * np.pi, 73)

HOVER_3D = "step %{customdata:,}<br>PC1 %{x:.3g} · PC2 %{y:.3g} · PC3 %{z:.3g}<extra></extra>"

LAYERS = ("stage", "step", "raw", "circles", "evolute", "vertices")


def component_title(dynamics: xr.Dataset, component: int) -> str:
    """``PC1 (64 %)``: a component and the share of variance it explains."""
    share = float(dynamics["explained_variance_ratio"].sel(component=component))
    return f"PC{component} ({share:.1%})"


def caption(dynamics: xr.Dataset) -> str:
    """What a reader must know beside the picture: output kind, variance, smoothing."""
    share = float(dynamics["explained_variance_ratio"].sel(component=[1, 2, 3]).sum())
    steps = dynamics["step"].values
    kind = str(dynamics.attrs.get("output_kind", "outputs")).replace("_", " ")
    smoothing = str(dynamics.attrs.get("smoothing", ""))
    if "sketched" in dynamics.attrs:
        features = int(dynamics.attrs["n_features"])
        kind += f" ({features:,} of them, reduced at random to {int(dynamics.attrs['sketched']):,} numbers)"
    return (
        f"PCA of {kind} over {steps.size} checkpoints, steps {steps[0]:,}–{steps[-1]:,}; "
        f"three components hold {share:.0%} of the variance. Smoothing: {smoothing}."
    )


def plane_names(dynamics: xr.Dataset) -> list[str]:
    """The three planes of PC1–3, in the order of the page."""
    return [
        str(name)
        for name, pair in zip(dynamics["plane"].values, dynamics["plane_component"].values, strict=True)
        if max(pair) <= 3
    ]


def plane(
    dynamics: xr.Dataset, name: str, stages: Sequence[StageMark], theme: Theme, show: Sequence[str]
) -> go.Figure:
    """One plane, drawn with equal scales so that circles are round.

    Layers: raw scores, osculating circles (those that the plane can show), evolute (the circles' centres),
    vertices on the curve with their cusps on the evolute, and the smooth curve coloured by stage or by step.
    """
    first, second = (int(c) for c in dynamics["plane_component"].sel(plane=name).values)
    smooth = _pair(dynamics["smooth_score"], first, second)
    raw = _pair(dynamics["score"], first, second)
    curve = _pair(dynamics["curve_score"], first, second)
    steps = dynamics["step"].values
    window = _window(np.concatenate([smooth, raw]))
    center = dynamics["center"].sel(plane=name).transpose("step", "axis").values
    radius = dynamics["radius"].sel(plane=name).values

    traces = [
        _raw(raw, theme),
        _circles(center, radius, window, theme),
        _evolute(center, steps, window, theme),
    ]
    traces += _curve(curve, dynamics["curve_step"].values, stages, theme)
    traces += [
        _checkpoints(smooth, steps, stages, theme, (first, second)),
        *_vertices(dynamics, name, theme),
    ]
    figure = go.Figure(
        [_shown(trace, show) for trace in traces],
        layout=base_layout(
            theme, margin={"l": 50, "r": 16, "t": 8, "b": 38}, hovermode="closest", dragmode="pan"
        ),
    )
    title = {"font": {"size": SIZES["small"], "color": theme.ink}, "standoff": 4}
    (left, right), (low, high) = window
    figure.update_layout(
        xaxis=axis(
            theme, range=[left, right], nticks=6, title={"text": component_title(dynamics, first), **title}
        ),
        yaxis=axis(
            theme,
            range=[low, high],
            nticks=6,
            scaleanchor="x",
            scaleratio=1,
            title={"text": component_title(dynamics, second), **title},
        ),
    )
    return figure


def space(dynamics: xr.Dataset, stages: Sequence[StageMark], theme: Theme, show: Sequence[str]) -> go.Figure:
    """The smooth curve in PC1–3; the last trace is the marker of the current step."""
    smooth = dynamics["smooth_score"].sel(component=[1, 2, 3]).transpose("step", "component").values
    raw = dynamics["score"].sel(component=[1, 2, 3]).transpose("step", "component").values
    curve = dynamics["curve_score"].sel(component=[1, 2, 3]).transpose("curve", "component").values
    curve_step, steps = dynamics["curve_step"].values, dynamics["step"].values
    traces: list[go.Scatter3d] = []
    for mark, part in _parts(curve_step, stages):
        colour = mark.colour if mark else theme.muted
        traces.append(_path(curve[part], colour, "stage"))
    timed = {"color": log_step(curve_step), "colorscale": _time_scale(theme), "width": 5}
    traces.append(_path(curve, timed, "step"))
    traces.append(
        go.Scatter3d(
            **_xyz(raw),
            mode="markers",
            marker={"size": 2, "color": theme.raw},
            hoverinfo="skip",
            meta={"layer": "raw"},
        )
    )
    for layer, colours in (
        ("stage", {"color": _point_colours(steps, stages, theme)}),
        ("step", {"color": log_step(steps), "colorscale": _time_scale(theme)}),
    ):
        traces.append(
            go.Scatter3d(
                **_xyz(smooth),
                mode="markers",
                marker={"size": 3, **colours},
                customdata=steps,
                hovertemplate=HOVER_3D,
                meta={"layer": layer},
            )
        )
    traces.append(
        go.Scatter3d(
            **_xyz(smooth[-1:]),
            mode="markers",
            marker={"size": 7, "color": theme.ink, "line": {"color": theme.surface, "width": 2}},
            hoverinfo="skip",
            meta={"layer": "now"},
        )
    )
    figure = go.Figure([_shown(trace, show) for trace in traces])
    walls = [padded(np.concatenate([smooth[:, i], raw[:, i]])) for i in range(3)]
    figure.update_layout(
        base_layout(
            theme,
            margin={"l": 0, "r": 0, "t": 0, "b": 0},
            scene={
                "uirevision": "devexplore",
                "aspectmode": "cube",
                "camera": {"eye": {"x": 1.55, "y": 1.55, "z": 0.95}, "center": {"x": 0, "y": 0, "z": -0.08}},
                **{
                    f"{letter}axis": {
                        "range": walls[i],
                        "title": {
                            "text": component_title(dynamics, i + 1),
                            "font": {"size": SIZES["small"], "color": theme.ink},
                        },
                        "gridcolor": theme.line,
                        "zeroline": False,
                        "showbackground": False,
                        "showspikes": False,
                        "nticks": 4,
                        "tickfont": {"size": 10, "color": theme.faint},
                    }
                    for i, letter in enumerate("xyz")
                },
            },
        )
    )
    return figure


def follow(dynamics: xr.Dataset) -> dict[str, Any]:
    """What the marker and the current osculating circle need at each checkpoint."""
    planes = []
    for name in plane_names(dynamics):
        first, second = (int(c) for c in dynamics["plane_component"].sel(plane=name).values)
        smooth = _pair(dynamics["smooth_score"], first, second)
        center = dynamics["center"].sel(plane=name).transpose("step", "axis").values
        planes.append(
            {
                "name": name,
                "x": smooth[:, 0],
                "y": smooth[:, 1],
                "center_x": center[:, 0],
                "center_y": center[:, 1],
                "radius": dynamics["radius"].sel(plane=name).values,
            }
        )
    xyz = dynamics["smooth_score"].sel(component=[1, 2, 3]).transpose("step", "component").values
    return {"step": dynamics["step"].values.astype(float), "planes": planes, **_xyz(xyz)}


def cusp_steps(dynamics: xr.Dataset) -> list[float]:
    """Where a vertex lies in any of the three planes, for jumping there."""
    inside = np.isin(dynamics["vertex_plane"].values.astype(str), plane_names(dynamics))
    return sorted({round(float(step)) for step in dynamics["vertex_step"].values[inside]})


def _pair(scores: xr.DataArray, first: int, second: int) -> Float[np.ndarray, "point 2"]:
    return scores.sel(component=[first, second]).transpose(..., "component").values.astype(float)


def _xyz(points: Float[np.ndarray, "point 3"]) -> dict[str, np.ndarray]:
    return {"x": points[:, 0], "y": points[:, 1], "z": points[:, 2]}


def _window(points: Float[np.ndarray, "point 2"]) -> tuple[tuple[float, float], tuple[float, float]]:
    return padded(points[:, 0], 0.09), padded(points[:, 1], 0.09)


def _shown(trace: Any, show: Sequence[str]) -> Any:
    layer = trace.meta["layer"]
    return trace.update(visible=layer in show or layer not in LAYERS)


def _parts(curve_step: np.ndarray, stages: Sequence[StageMark]) -> list[tuple[StageMark | None, np.ndarray]]:
    """Index ranges of the dense curve by stage; neighbouring parts share a point so that no gap shows."""
    index = stage_index(curve_step, list(stages))
    breaks = np.flatnonzero(np.diff(index)) + 1
    edges = [0, *breaks.tolist(), index.size]
    return [
        (stages[index[a]] if index[a] >= 0 else None, np.arange(a, min(b + 1, index.size)))
        for a, b in pairwise(edges)
    ]


def _curve(
    curve: Float[np.ndarray, "curve 2"], curve_step: np.ndarray, stages: Sequence[StageMark], theme: Theme
) -> list[go.Scatter]:
    traces = []
    for mark, part in _parts(curve_step, stages):
        line = {"color": mark.colour if mark else theme.muted, "width": 2.6}
        traces.append(_flat(curve[part], "stage", mode="lines", line=line))
    marker = {"size": 4.6, "color": log_step(curve_step), "colorscale": _time_scale(theme)}
    traces.append(_flat(curve, "step", mode="markers", marker=marker))
    return traces


def _flat(points: Float[np.ndarray, "point 2"], layer: str, **style: Any) -> go.Scatter:
    return go.Scatter(x=points[:, 0], y=points[:, 1], hoverinfo="skip", meta={"layer": layer}, **style)


def _path(points: Float[np.ndarray, "point 3"], line: Any, layer: str) -> go.Scatter3d:
    style = line if isinstance(line, dict) else {"color": line, "width": 5}
    return go.Scatter3d(**_xyz(points), mode="lines", line=style, hoverinfo="skip", meta={"layer": layer})


def _raw(raw: Float[np.ndarray, "step 2"], theme: Theme) -> go.Scatter:
    return _flat(raw, "raw", mode="markers", marker={"size": 3.5, "color": theme.raw})


def _checkpoints(
    smooth: Float[np.ndarray, "step 2"],
    steps: np.ndarray,
    stages: Sequence[StageMark],
    theme: Theme,
    pair: tuple[int, int],
) -> go.Scatter:
    index = stage_index(steps, list(stages))
    names = [f" · {stages[i].name}" if i >= 0 else "" for i in index]
    words = [f"step {step:,}{name}" for step, name in zip(steps.tolist(), names, strict=True)]
    return go.Scatter(
        x=smooth[:, 0],
        y=smooth[:, 1],
        mode="markers",
        marker={"size": 9, "color": "rgba(0,0,0,0)"},
        customdata=steps,
        text=words,
        hovertemplate=f"%{{text}}<br>PC{pair[0]} %{{x:.3g}} · PC{pair[1]} %{{y:.3g}}<extra></extra>",
        meta={"layer": "points"},
    )


def _circles(center: np.ndarray, radius: np.ndarray, window: tuple, theme: Theme) -> go.Scatter:
    """Osculating circles in one trace, separated by NaN. Circles larger than twice the plane look like lines
    and are left out, as are those that the plane would not show."""
    (left, right), (low, high) = window
    reach = float(np.hypot(right - left, high - low))
    visible = np.isfinite(radius) & (radius > 0) & (radius < 2 * reach)
    chosen = np.flatnonzero(visible)
    if chosen.size > CIRCLES:
        chosen = chosen[np.unique(np.linspace(0, chosen.size - 1, CIRCLES).round().astype(int))]
    gap = np.full((chosen.size, 1), np.nan)
    x = np.hstack([center[chosen, :1] + radius[chosen, None] * np.cos(ROUND), gap]).ravel()
    y = np.hstack([center[chosen, 1:] + radius[chosen, None] * np.sin(ROUND), gap]).ravel()
    return _flat(np.stack([x, y], axis=1), "circles", mode="lines", line={"color": theme.circle, "width": 1})


def _evolute(center: np.ndarray, steps: np.ndarray, window: tuple, theme: Theme) -> go.Scatter:
    """The centres as dots with a hairline; those far outside break the line instead of crossing the plane."""
    (left, right), (low, high) = window
    width, height = right - left, high - low
    near = (np.abs(center[:, 0] - (left + right) / 2) < 1.5 * width) & (
        np.abs(center[:, 1] - (low + high) / 2) < 1.5 * height
    )
    shown = np.where(near[:, None], center, np.nan)
    return go.Scatter(
        x=shown[:, 0],
        y=shown[:, 1],
        mode="lines+markers",
        line={"color": theme.evolute_line, "width": 1},
        marker={"size": 3, "color": theme.evolute},
        customdata=steps,
        hovertemplate="centre of the circle at step %{customdata:,}<extra></extra>",
        meta={"layer": "evolute"},
    )


def _vertices(dynamics: xr.Dataset, name: str, theme: Theme) -> list[go.Scatter]:
    here = dynamics["vertex_plane"].values.astype(str) == name
    steps = dynamics["vertex_step"].values[here]
    marks = []
    for what, symbol, size in (("vertex_point", "circle-open", 9), ("cusp", "diamond", 8)):
        points = dynamics[what].transpose("vertex", "axis").values[here]
        word = "vertex on the curve" if what == "vertex_point" else "cusp of the evolute"
        marks.append(
            go.Scatter(
                x=points[:, 0],
                y=points[:, 1],
                mode="markers",
                marker={
                    "symbol": symbol,
                    "size": size,
                    "color": theme.ink,
                    "line": {"width": 1.4, "color": theme.ink},
                },
                customdata=np.round(steps),
                text=[f"{word}, step {step_label(step)}" for step in steps],
                hovertemplate="%{text}<extra></extra>",
                meta={"layer": "vertices"},
            )
        )
    return marks


def _point_colours(steps: np.ndarray, stages: Sequence[StageMark], theme: Theme) -> list[str]:
    return [stages[i].colour if i >= 0 else theme.muted for i in stage_index(steps, list(stages))]


def _time_scale(theme: Theme) -> list[list[Any]]:
    return [[i / (len(theme.time) - 1), colour] for i, colour in enumerate(theme.time)]
