"""Superposition along training: the columns of W as small drawings above the loss they belong to."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from jaxtyping import Int

from devexplore.views.axes import log_step, padded, step_label
from devexplore.views.panels import Curve, Label, Panel, curve_panel, draw_panel
from devexplore.views.sheet import WIDTH, Box, foot, place, reference, sheet, write
from devexplore.views.stages import StageMark
from devexplore.views.style import SIZES, Theme
from devexplore.views.visuals import Visuals, layered

_DRAWINGS = 9
_SIDE = 104.0
_LONG = 0.5
"""Columns longer than this are drawn as corners of the k-gon."""


def k_gon_sheet(
    metrics: xr.Dataset,
    levels: dict[str, float],
    stages: Sequence[StageMark],
    theme: Theme,
    title: str = "",
    said: str = "",
    visuals: Visuals | None = None,
) -> go.Figure:
    """Above, W's columns at evenly spaced log-steps, each over its step; below, the loss with closed-form
    ``levels`` (name → loss).

    A corner that is joined is a feature whose column is longer than ½; a line leads to it from the origin.
    """
    step = metrics["step"].values
    figure = sheet(540, theme, title, said)
    box = Box(70, 262, WIDTH - 186, 214)
    chosen = drawn_steps(step)
    loss = layered(_loss_panel(metrics, levels, chosen, theme), "loss")
    draw_panel(figure, loss, box, 1, stages, float(step.max()), theme)
    end = float(log_step(np.array(step.max()))) or 1.0
    reach = 1.15 * max(float(metrics["feature_norm"].max()), 1.0)
    for number, at in enumerate(chosen.tolist(), start=2):
        share = (float(log_step(step[at])) / end + 0.015) / 1.03
        corner = Box(box.left + share * box.width - _SIDE / 2, 70, _SIDE, _SIDE)
        _drawing(figure, metrics.isel(step=at), corner, number, reach, theme)
    look = visuals or Visuals("k_gons")
    dots = " (open dots on the loss)" if look.draws("drawn") else ""
    words = look.said(
        f"Small drawings: the columns of W at the step below each{dots}."
        if look.draws_any("columns", "spokes", "gon")
        else "",
        ("level", "Dashed: closed-form losses of k-gons."),
    )
    foot(figure, words, theme)
    return figure


def drawn_steps(step: Int[np.ndarray, " step"]) -> Int[np.ndarray, " drawing"]:
    """Places of at most nine checkpoints as evenly spaced in log-steps as there are."""
    x = log_step(step)
    wanted = np.linspace(x[0], x[-1], min(_DRAWINGS, len(x)))
    return np.unique(np.abs(x[:, None] - wanted).argmin(axis=0))


def _loss_panel(
    metrics: xr.Dataset, levels: dict[str, float], chosen: Int[np.ndarray, " drawing"], theme: Theme
) -> Panel:
    step, loss = metrics["step"].values, metrics["population_loss"].values.astype(float)
    unit = metrics["population_loss"].attrs.get("units", "")
    panel = curve_panel("Exact loss", unit, [Curve(step, loss, "", theme.ink, hover="loss")], theme)
    low, high = padded(np.array([0.0, *loss, *levels.values()]), 0.05)
    ends = log_step(step[[0, -1]])
    lines = [
        go.Scatter(
            x=ends,
            y=[level, level],
            mode="lines",
            name=name,
            meta={"layer": "level"},
            line={"color": theme.muted, "width": 1, "dash": "dash"},
            hovertemplate=f"{name}: {level:.4g}<extra></extra>",
        )
        for name, level in levels.items()
    ]
    dots = go.Scatter(
        x=log_step(step[chosen]),
        y=loss[chosen],
        mode="markers",
        marker={
            "symbol": "circle",
            "size": 8,
            "color": theme.surface,
            "line": {"width": 1.6, "color": theme.ink},
        },
        hoverinfo="skip",
        meta={"layer": "drawn"},
    )
    labels = [Label(level, f"{name} {level:.3g}", theme.muted) for name, level in levels.items()]
    return panel._replace(traces=[*lines, *panel.traces, dots], range=(low, high), labels=labels)


def _drawing(figure: go.Figure, one: xr.Dataset, box: Box, number: int, reach: float, theme: Theme) -> None:
    """The columns of W at one step, in a square of equal scales, with its step and k above."""
    quiet = {"visible": False, "range": [-reach, reach], "fixedrange": True}
    place(figure, box, number, quiet, {**quiet, "scaleanchor": reference("x", number)})
    length, angle = one["feature_norm"].values.astype(float), one["feature_angle"].values.astype(float)
    points = length[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    around = np.argsort(angle)
    corners = points[around[length[around] > _LONG]]
    axes = {"xaxis": f"x{number}", "yaxis": f"y{number}", "hoverinfo": "skip"}
    closed = np.concatenate([corners, corners[:1]])
    outline = {"color": theme.cool[0], "width": 1.6}
    figure.add_trace(
        go.Scatter(
            x=closed[:, 0],
            y=closed[:, 1],
            mode="lines",
            line=outline,
            fill="toself",
            fillcolor=theme.cool_band,
            meta={"layer": "gon"},
            **axes,
        )
    )
    spokes = np.stack([np.zeros_like(points), points, np.full_like(points, np.nan)], axis=1).reshape(-1, 2)
    figure.add_trace(
        go.Scatter(
            x=spokes[:, 0], y=spokes[:, 1], mode="lines", line={"color": theme.faint, "width": 1},
            meta={"layer": "spokes"}, **axes,
        )
    )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=points[:, 0],
            y=points[:, 1],
            mode="markers",
            marker={"size": 7, "color": theme.ink},
            meta={"layer": "columns"},
            **axes,
        )
    )
    words = f"<b>{len(corners)} corners</b><br>step {step_label(float(one['step']))}"
    write(
        figure, words, box.left + box.width / 2, box.top + box.height + 2, theme.muted, SIZES["small"],
        xanchor="center", align="center", name="headings",
    )  # fmt: skip
