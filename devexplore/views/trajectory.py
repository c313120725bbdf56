"""The developmental trajectory in each plane of two components, with circles, evolute, cusps and forms.

Every figure carries all its layers as traces tagged ``meta.layer``; which are visible is the viewer's choice
(``visible`` at the start, restyled on the page), so switching a layer never rebuilds a figure.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from jaxtyping import Float

from devexplore.views import form_marks
from devexplore.views.axes import axis, base_layout, log_step, padded, step_label
from devexplore.views.markup import plain
from devexplore.views.stages import StageMark, stage_index
from devexplore.views.style import SIZES, Theme
from devexplore.views.trajectory_layers import (
    ROUND,
    apart,
    columns,
    flat,
    parts,
    shown,
    spread,
    time_scale,
    xyz,
)

COMPONENTS = (1, 2, 3)
"""Components that are drawn unless others are chosen."""

CIRCLES = 56
"""How many osculating circles are drawn in a plane: evenly spread over the checkpoints."""


def component_title(dynamics: xr.Dataset, component: int) -> str:
    """``PC1 (64 %)``: a component and the share of variance it explains."""
    share = float(dynamics["explained_variance_ratio"].sel(component=component))
    return f"PC{component} ({share:.1%})"


def caption(dynamics: xr.Dataset, forms: str = "", components: Sequence[int] = COMPONENTS) -> str:
    """What a reader must know beside the picture: output kind, variance, smoothing, and about ``forms``."""
    share = float(dynamics["explained_variance_ratio"].sel(component=list(components)).sum())
    steps = dynamics["step"].values
    kind = str(dynamics.attrs.get("output_kind", "outputs")).replace("_", " ")
    smoothing = str(dynamics.attrs.get("smoothing", ""))
    if "sketched" in dynamics.attrs:
        features = int(dynamics.attrs["n_features"])
        kind += f" ({features:,} of them, reduced at random to {int(dynamics.attrs['sketched']):,} numbers)"
    return (
        f"PCA of {kind} over {steps.size} checkpoints, steps {steps[0]:,}–{steps[-1]:,}; "
        f"{_which(components)} hold {share:.0%} of the variance. Smoothing: {smoothing}."
        + (f" Forms: {forms}." if forms else "")
    )


def brief(dynamics: xr.Dataset, components: Sequence[int] = COMPONENTS) -> str:
    """The same in one line, where there is room for no more: without the way of smoothing, nor forms."""
    share = float(dynamics["explained_variance_ratio"].sel(component=list(components)).sum())
    kind = str(dynamics.attrs.get("output_kind", "outputs")).replace("_", " ")
    return (
        f"PCA of {kind} over {dynamics.sizes['step']} checkpoints; {_which(components)} hold {share:.0%} "
        f"of the variance. Bandwidth {float(dynamics.attrs['bandwidth']):.3g} in ln(1 + step)."
    )


def layer_keys(
    dynamics: xr.Dataset, forms: xr.Dataset | None, components: Sequence[int] = COMPONENTS
) -> dict[str, str]:
    """What the marks of each layer are, to be said where it is shown."""
    return {
        "circles": "Grey circles: osculating.",
        "evolute": "Small dots: their centres, the evolute.",
        "vertices": vertex_key(dynamics, components),
        "forms": "" if forms is None else form_marks.key(forms, float(dynamics.attrs["bandwidth"])),
        "raw": "Pale dots: scores before smoothing.",
    }


def _which(components: Sequence[int]) -> str:
    chosen = ", ".join(f"PC{component}" for component in components)
    return "three components" if tuple(components) == COMPONENTS else chosen


def plane_names(dynamics: xr.Dataset, components: Sequence[int] = COMPONENTS) -> list[str]:
    """The planes of these components, in the order of the page."""
    return [
        str(name)
        for name, pair in zip(dynamics["plane"].values, dynamics["plane_component"].values, strict=True)
        if set(pair.tolist()) <= set(components)
    ]


def plane(
    dynamics: xr.Dataset,
    name: str,
    stages: Sequence[StageMark],
    theme: Theme,
    show: Sequence[str],
    forms: xr.Dataset | None = None,
) -> go.Figure:
    """One plane, drawn with equal scales so that circles are round.

    Layers: raw scores, osculating circles (those that the plane can show), evolute (the circles' centres),
    vertices on the curve with their cusps on the evolute, the smooth curve coloured by stage or by step, and,
    where ``forms`` (of ``find_forms``) are given, these and the turns that no random walk makes.
    """
    first, second = (int(c) for c in dynamics["plane_component"].sel(plane=name).values)
    smooth = columns(dynamics["smooth_score"], (first, second))
    raw = columns(dynamics["score"], (first, second))
    curve = columns(dynamics["curve_score"], (first, second))
    steps = dynamics["step"].values
    window = _window(np.concatenate([smooth, raw, form_marks.form_places(forms, (first, second))]))
    center = dynamics["center"].sel(plane=name).transpose("step", "axis").values
    radius = dynamics["radius"].sel(plane=name).values

    traces = [
        _raw(raw, theme),
        _circles(center, radius, window, theme),
        _evolute(center, steps, window, theme),
    ]
    if forms is not None:
        traces += form_marks.ground(forms, dynamics, (first, second), theme)
    traces += _curve(curve, dynamics["curve_step"].values, stages, theme)
    traces += [
        _checkpoints(smooth, steps, stages, theme, (first, second)),
        *_vertices(dynamics, name, theme),
    ]
    if forms is not None:
        traces += form_marks.marks(forms, dynamics, (first, second), theme)
    figure = go.Figure(
        [shown(trace, show) for trace in traces],
        layout=base_layout(
            theme, margin={"l": 50, "r": 16, "t": 8, "b": 38}, hovermode="closest", dragmode="pan"
        ),
    )
    title = {"font": {"size": SIZES["small"], "color": theme.ink}, "standoff": 4}
    (left, right), (low, high) = window
    figure.update_layout(
        xaxis=axis(
            theme,
            range=[left, right],
            nticks=5,
            tickangle=0,  # labels that turn would touch the title of a narrow plane
            title={"text": component_title(dynamics, first), **title},
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


def follow(dynamics: xr.Dataset, components: Sequence[int] = COMPONENTS) -> dict[str, Any]:
    """What the marker and the current osculating circle need at each checkpoint."""
    planes = []
    for name in plane_names(dynamics, components):
        first, second = (int(c) for c in dynamics["plane_component"].sel(plane=name).values)
        smooth = columns(dynamics["smooth_score"], (first, second))
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
    space = columns(dynamics["smooth_score"], components)
    return {"step": dynamics["step"].values.astype(float), "planes": planes, **xyz(space)}


def cusp_steps(
    dynamics: xr.Dataset, forms: xr.Dataset | None = None, components: Sequence[int] = COMPONENTS
) -> list[float]:
    """Where a vertex lies in any of the planes, or a form, for jumping there."""
    inside = np.isin(dynamics["vertex_plane"].values.astype(str), plane_names(dynamics, components))
    steps = dynamics["vertex_step"].values[inside].tolist()
    if forms is not None:
        steps += forms["step"].values.tolist()
    return sorted({float(round(step)) for step in steps})


def vertex_key(dynamics: xr.Dataset, components: Sequence[int] = COMPONENTS) -> str:
    """What rings and diamonds are; "" where no plane that is shown has a vertex."""
    there = np.isin(dynamics["vertex_plane"].values.astype(str), plane_names(dynamics, components)).any()
    return "Rings: vertices; diamonds: their cusps within the frame." if there else ""


def _window(points: Float[np.ndarray, "point 2"]) -> tuple[tuple[float, float], tuple[float, float]]:
    return padded(points[:, 0], 0.09), padded(points[:, 1], 0.09)


def _curve(
    curve: Float[np.ndarray, "curve 2"], curve_step: np.ndarray, stages: Sequence[StageMark], theme: Theme
) -> list[go.Scatter]:
    traces = []
    for mark, part in parts(curve_step, stages):
        line = {"color": mark.colour if mark else theme.muted, "width": 2.6}
        traces.append(flat(curve[part], "stage", mode="lines", line=line))
    marker = {"size": 4.6, "color": log_step(curve_step), "colorscale": time_scale(theme)}
    thread = {"color": theme.raw, "width": 1}
    traces.append(flat(curve, "step", mode="lines+markers", marker=marker, line=thread))
    return traces


def _raw(raw: Float[np.ndarray, "step 2"], theme: Theme) -> go.Scatter:
    return flat(raw, "raw", mode="markers", marker={"size": 3.5, "color": theme.raw})


def _checkpoints(
    smooth: Float[np.ndarray, "step 2"],
    steps: np.ndarray,
    stages: Sequence[StageMark],
    theme: Theme,
    pair: tuple[int, int],
) -> go.Scatter:
    index = stage_index(steps, list(stages))
    names = [f" · {plain(stages[i].name)}" if i >= 0 else "" for i in index]
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
    chosen = spread(np.flatnonzero(visible), CIRCLES)
    around = np.stack([np.cos(ROUND), np.sin(ROUND)], axis=1)
    circles = apart([center[i] + radius[i] * around for i in chosen], 2)
    return flat(circles, "circles", mode="lines", line={"color": theme.circle, "width": 1})


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
    low, high = (dynamics[f"vertex_step_{end}"].values[here] for end in ("low", "high"))
    support = dynamics["vertex_support"].values[here]
    certainty = [
        f"90 %: {step_label(a)}–{step_label(b)}<br>there in {share:.0%} of redrawn noise"
        for a, b, share in zip(low, high, support, strict=True)
    ]
    marks = []
    for what, symbol, size in (("vertex_point", "circle-open", 9), ("cusp", "diamond", 8)):
        points = dynamics[what].transpose("vertex", "axis").values[here]
        word = "vertex on the curve" if what == "vertex_point" else "cusp of the evolute"
        marks.append(
            go.Scatter(
                x=points[:, 0],
                y=points[:, 1],
                mode="markers",
                cliponaxis=False,  # whole inside the frame, or not at all
                marker={
                    "symbol": symbol,
                    "size": size,
                    "color": theme.ink,
                    "line": {"width": 1.4, "color": theme.ink},
                },
                customdata=np.round(steps),
                text=[
                    f"{word}, step {step_label(at)}<br>{said}"
                    for at, said in zip(steps, certainty, strict=True)
                ],
                hovertemplate="%{text}<extra></extra>",
                meta={"layer": "vertices"},
            )
        )
    return marks
