"""Small panels over log-steps with the stages behind them: curves with bands, named at their right end."""

from collections.abc import Sequence
from textwrap import wrap
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from devexplore.views.axes import axis, log_step, padded, step_ticks
from devexplore.views.labels import spread_apart
from devexplore.views.rows import Row
from devexplore.views.sheet import WIDTH, Box, foot_height, place, reference, sheet
from devexplore.views.sheet import foot as write_foot
from devexplore.views.stage_bands import band_names, band_trace, boundary_lines, boundary_traces
from devexplore.views.stages import StageMark
from devexplore.views.style import SIZES, Theme, faded

_LETTER = 0.6
"""Width of a letter, in font sizes."""

_PANEL_HEIGHT, _ROOM_ABOVE, _ROOM_BELOW = 150.0, 48.0, 40.0
_STACKED_HEIGHT = 210.0
_ROOM_LEFT, _ROOM_RIGHT = 50.0, 90.0
_HEAD = 62.0


class Curve(NamedTuple):
    """One curve of a panel. ``label`` stands at its right end; ``lower`` and ``upper`` bound its band."""

    step: np.ndarray
    value: np.ndarray
    label: str
    colour: str
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None
    width: float = 1.8
    dash: str = "solid"
    hover: str = ""
    """What the hover calls it; the label where empty."""


class Label(NamedTuple):
    """Words at the right end of a panel, at this value."""

    value: float
    text: str
    colour: str


class Panel(NamedTuple):
    """What one panel draws. ``message`` is said in the middle of it, where curves are missing."""

    title: str
    unit: str
    traces: Sequence[go.Scatter] = ()
    range: tuple[float, float] = (0.0, 1.0)
    labels: Sequence[Label] = ()
    message: str = ""
    zero: bool = False
    """Whether a line is drawn at zero."""


def curve_panel(title: str, unit: str, curves: Sequence[Curve], theme: Theme, *, zero: bool = False) -> Panel:
    """Curves with their bands. The axis holds all curves; bands may leave it, zero may not where drawn."""
    traces, labels = [], []
    for curve in curves:
        if curve.lower is not None and curve.upper is not None:
            traces.append(_band_around(curve, curve.lower, curve.upper))
    for curve in curves:
        traces.append(_line(curve))
        known = np.flatnonzero(np.isfinite(curve.value))
        if curve.label and len(known):
            labels.append(Label(float(curve.value[known[-1]]), curve.label, curve.colour))
    held = [np.asarray(curve.value, dtype=float) for curve in curves] + ([np.zeros(1)] if zero else [])
    shown = np.concatenate(held) if held else np.empty(0)
    if np.isfinite(shown).any():
        return Panel(title, unit, traces, padded(shown, 0.08), labels, zero=zero)
    return Panel(title, unit, message="no value at any checkpoint")


def row_panel(row: Row) -> Panel:
    """A row of the timeline as a panel."""
    return Panel(row.title, row.unit, row.traces, row.range)


def panel_grid(
    panels: Sequence[Panel],
    stages: Sequence[StageMark],
    last_step: float,
    theme: Theme,
    *,
    columns: int = 3,
    title: str = "",
    said: str = "",
    foot: str = "",
) -> go.Figure:
    """Panels row by row, all over the same log-steps."""
    rows = -(-len(panels) // columns)
    cell = (WIDTH - 12) / columns
    high = _PANEL_HEIGHT + _ROOM_ABOVE + _ROOM_BELOW
    figure = sheet(_HEAD + rows * high + foot_height(foot), theme, title, said)
    for i, panel in enumerate(panels):
        row, column = divmod(i, columns)
        box = Box(
            column * cell + _ROOM_LEFT,
            _HEAD + row * high + _ROOM_ABOVE,
            cell - _ROOM_LEFT - _ROOM_RIGHT,
            _PANEL_HEIGHT,
        )
        draw_panel(figure, panel, box, i + 1, stages, last_step, theme)
    write_foot(figure, foot, theme)
    return figure


def panel_stack(
    panels: Sequence[Panel],
    stages: Sequence[StageMark],
    last_step: float,
    theme: Theme,
    *,
    title: str = "",
    said: str = "",
    foot: str = "",
) -> go.Figure:
    """Panels one below the other over the whole width, all over the same log-steps."""
    high = _STACKED_HEIGHT + _ROOM_ABOVE + _ROOM_BELOW
    figure = sheet(_HEAD + len(panels) * high + foot_height(foot), theme, title, said)
    for i, panel in enumerate(panels):
        box = Box(70, _HEAD + i * high + _ROOM_ABOVE, WIDTH - 160, _STACKED_HEIGHT)
        draw_panel(figure, panel, box, i + 1, stages, last_step, theme)
    write_foot(figure, foot, theme)
    return figure


def draw_panel(
    figure: go.Figure,
    panel: Panel,
    box: Box,
    number: int,
    stages: Sequence[StageMark],
    last_step: float,
    theme: Theme,
    found: xr.Dataset | None = None,
) -> None:
    """One panel into a box of a sheet, on the axes x<number> and y<number>: bands, boundaries, curves, title,
    labels. Boundaries have their intervals where stages are given as ``find_stages`` found them."""
    end = float(log_step(np.array(last_step))) or 1.0
    ticks, words = step_ticks(last_step)
    low, high = panel.range
    place(
        figure,
        box,
        number,
        axis(
            theme,
            range=[-0.015 * end, 1.015 * end],
            tickvals=ticks,
            ticktext=words,
            showgrid=False,
            ticks="outside",
            ticklen=4,
            title={"text": "step", "standoff": 2, "font": {"size": SIZES["small"], "color": theme.muted}},
        ),
        axis(
            theme,
            range=[low, high],
            nticks=5,
            fixedrange=True,
            showticklabels=len(panel.traces) > 0,
            zeroline=panel.zero,
            zerolinecolor=theme.faint,
            zerolinewidth=1,
            exponentformat="power",
        ),
    )
    behind = [band_trace(stage, theme, low, high) for stage in stages]
    if found is not None:
        behind += boundary_traces(found, theme, low, high)
    elif not panel.message:  # lines would cross the words
        behind += boundary_lines(stages, theme, low, high)
    for trace in [*behind, *panel.traces]:
        figure.add_trace(trace.update(xaxis=f"x{number}", yaxis=f"y{number}"))
    letters = int(box.width / (_LETTER * SIZES["small"]))
    for name in band_names(stages, end, theme, letters):
        figure.add_annotation(
            {
                **name,
                "xref": reference("x", number),
                "yref": f"{reference('y', number)} domain",
                "name": "stage_names",
            }
        )
    unit = f" <span style='color:{theme.muted}'>({panel.unit})</span>" if panel.unit else ""
    _write_inside(figure, f"<b>{panel.title}</b>{unit}", number, (0, 1), theme.ink, 12, yanchor="bottom",
        xanchor="left", xshift=-2, yshift=18, name="panel_titles")  # fmt: skip
    _write_labels(figure, panel, box, number)
    if panel.message:
        lines = wrap(panel.message, max(12, letters))
        _write_inside(figure, "<br>".join(lines), number, (0.5, 0.5), theme.muted, align="center")


def _write_labels(figure: go.Figure, panel: Panel, box: Box, number: int) -> None:
    if not panel.labels:
        return
    low, high = panel.range
    pixels = np.array([(label.value - low) / (high - low) * box.height for label in panel.labels])
    apart = spread_apart(pixels, 1.15 * SIZES["small"])
    apart -= max(0.0, float(apart.max()) - box.height)
    for label, at in zip(panel.labels, apart, strict=True):
        _write_inside(
            figure, label.text, number, (1, 0), label.colour, xanchor="left", xshift=4, yshift=float(at),
            name="labels",
        )  # fmt: skip


def _write_inside(
    figure: go.Figure,
    words: str,
    number: int,
    at: tuple[float, float],
    colour: str,
    size: float = SIZES["small"],
    **more: Any,
) -> None:
    """Words at a place given in shares of a panel's axes: they stay with it wherever it is moved."""
    figure.add_annotation(
        text=words,
        x=at[0],
        y=at[1],
        xref=f"{reference('x', number)} domain",
        yref=f"{reference('y', number)} domain",
        showarrow=False,
        font={"size": size, "color": colour},
        **({"xanchor": "center", "yanchor": "middle"} | more),
    )


def _line(curve: Curve) -> go.Scatter:
    single = np.isfinite(curve.value).sum() == 1  # a line through one point cannot be seen
    return go.Scatter(
        x=log_step(curve.step),
        y=np.asarray(curve.value, dtype=float),
        mode="markers" if single else "lines",
        marker={"size": 7, "color": curve.colour},
        line={"color": curve.colour, "width": curve.width, "dash": curve.dash},
        customdata=curve.step,
        hovertemplate=f"step %{{customdata:,}}<br>{curve.hover or curve.label} %{{y:.4g}}<extra></extra>",
        name=curve.hover or curve.label,
    )


def _band_around(curve: Curve, lower: np.ndarray, upper: np.ndarray) -> go.Scatter:
    known = np.isfinite(lower) & np.isfinite(upper)
    x = log_step(curve.step)[known]
    return go.Scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([lower[known], upper[known][::-1]]),
        mode="lines",
        fill="toself",
        fillcolor=faded(curve.colour, 0.2),
        line={"width": 0},
        hoverinfo="skip",
        name="90 %",
    )
