"""A sheet of rows over one log-step axis, the stages behind them."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go

from devexplore.views.axes import axis, log_step, step_ticks
from devexplore.views.sheet import WIDTH, Box, foot_height, place, sheet
from devexplore.views.sheet import foot as write_foot
from devexplore.views.stage_bands import band_names, band_trace, boundary_lines
from devexplore.views.stages import StageMark
from devexplore.views.style import SIZES, Theme

ROW: Final = 26.0
"""Height of a row, in pixels."""

_TOP, _BELOW = 88.0, 50.0


def row_sheet(
    labels: list[str],
    stages: Sequence[StageMark],
    last_step: float,
    theme: Theme,
    title: str,
    said: str,
    row_height: float = ROW,
    foot: str = "",
    right: Sequence[str] = (),
) -> tuple[go.Figure, Any]:
    """A sheet with one row a label, the stages behind them, room for these words at the right, and which y a
    row has."""
    high = row_height * len(labels)
    figure = sheet(_TOP + high + _BELOW + foot_height(foot), theme, title, said)
    write_foot(figure, foot, theme)
    left = 30 + 0.58 * 12 * max(map(len, labels), default=0)
    room = 24 + 0.6 * SIZES["small"] * max(map(len, right), default=0)
    box = Box(left, _TOP, WIDTH - left - room, high)
    end = float(log_step(np.array(last_step))) or 1.0
    ticks, words = step_ticks(last_step)
    low, top = len(labels) - 0.5, -0.5
    quiet = {"size": SIZES["small"], "color": theme.muted}
    place(
        figure,
        box,
        1,
        axis(
            theme,
            range=[-0.015 * end, 1.015 * end],
            tickvals=ticks,
            ticktext=words,
            ticks="outside",
            ticklen=4,
            title={"text": "step", "standoff": 2, "font": quiet},
        ),
        axis(
            theme,
            range=[low, top],
            tickvals=list(range(len(labels))),
            ticktext=labels,
            fixedrange=True,
            tickfont={"size": 12, "color": theme.ink},
            ticklabelstandoff=6,
        ),
    )
    for stage in stages:
        figure.add_trace(band_trace(stage, theme, low, top))
    figure.add_traces(boundary_lines(stages, theme, low, top))
    letters = int(box.width / (0.6 * SIZES["small"]))
    for name in band_names(stages, end, theme, letters):
        figure.add_annotation({**name, "yref": "y domain", "name": "stage_names"})
    return figure, float


def interval_bars(
    lower: np.ndarray, upper: np.ndarray, row: float, colour: str, width: float = 2.0
) -> go.Scatter:
    """Bars from lower to upper, in one trace; nothing where either is unknown."""
    known = np.isfinite(lower.astype(float) + upper.astype(float))
    ends = np.stack([log_step(lower[known]), log_step(upper[known]), np.full(known.sum(), np.nan)], axis=1)
    return go.Scatter(
        x=ends.ravel(), y=np.full(ends.size, row), mode="lines", line={"color": colour, "width": width},
        hoverinfo="skip", meta={"layer": "intervals"},
    )  # fmt: skip


def write_beside(figure: go.Figure, words: str, row: float, theme: Theme, **more: Any) -> None:
    figure.add_annotation(
        text=words, x=1, xref="x domain", y=row, yref="y", xanchor="left", xshift=6, showarrow=False,
        font={"size": SIZES["small"], "color": theme.muted}, name="numbers", **({"yanchor": "middle"} | more),
    )  # fmt: skip


def listed(head: str, names: Sequence[str]) -> str:
    return f"{head}: {', '.join(names)}." if names else ""
