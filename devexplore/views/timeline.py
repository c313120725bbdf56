"""Loss and LLC over log-steps with stage bands; further metrics as strips below."""

from typing import Any

import numpy as np
import plotly.graph_objects as go

from devexplore.views.axes import axis, base_layout, log_step, step_ticks
from devexplore.views.rows import Row
from devexplore.views.stage_bands import band_names, band_trace
from devexplore.views.stages import StageMark
from devexplore.views.style import SIZES, Theme

GUTTER = 108
"""Pixels right of the plot for the rows' names and current values."""


def timeline(rows: list[Row], stages: list[StageMark], last_step: float, theme: Theme) -> go.Figure:
    """All rows over one log-step axis, the stage bands behind them.

    Bands live on an axis of their own that spans all rows, so that an undecided stage can be hatched (layout
    shapes cannot) and zooming a row's values leaves them in place.
    """
    ticks, words = step_ticks(last_step)
    end = float(log_step(np.array(last_step)))
    figure = go.Figure(
        layout=base_layout(
            theme,
            margin={"l": 42, "r": GUTTER, "t": 20, "b": 24},
            hovermode="closest",
            dragmode=False,
            yaxis={"domain": [0, 1], "range": [0, 1], "visible": False, "fixedrange": True},
        )
    )
    for stage in stages:
        figure.add_trace(band_trace(stage, theme))
    titles = []
    bottom = 1.0
    total = sum(row.height for row in rows)
    gap = 0.06 if len(rows) < 4 else 0.035
    share = (1.0 - gap * (len(rows) - 1)) / total
    for i, row in enumerate(rows):
        top, bottom = bottom, bottom - share * row.height
        name = f"yaxis{i + 2}"
        titles.append(_row_title(row, top, theme))
        low, high = row.range
        figure.update_layout(
            {
                name: axis(
                    theme,
                    domain=[max(bottom, 0.0), top],
                    range=[low, high],
                    anchor="x",
                    nticks=5 if row.height == 1.0 else 3,
                )
            }
        )
        for trace in row.traces:
            figure.add_trace(trace.update(xaxis="x", yaxis=f"y{i + 2}"))
        bottom -= gap
    figure.update_layout(annotations=[*band_names(stages, end, theme), *titles])
    air = 0.015 * end
    figure.update_layout(
        xaxis=axis(
            theme,
            range=[-air, end + air],
            showgrid=False,
            tickvals=ticks,
            ticktext=words,
            anchor=f"y{len(rows) + 1}",
            ticks="outside",
            ticklen=4,
        )
    )
    return figure


def follow(rows: list[Row]) -> list[dict[str, Any]]:
    """What the time cursor reads off: one entry a row, in the order of the figure's axes."""
    return [
        {
            "axis": f"yaxis{i + 2}",
            "title": row.title,
            "unit": row.unit,
            "step": row.step.astype(float),
            "value": row.value.astype(float),
            "error": row.error.astype(float),
            "verdict": [] if row.verdict is None else row.verdict,
            "reason": [] if row.reason is None else list(row.reason),
        }
        for i, row in enumerate(rows)
    ]


def _row_title(row: Row, top: float, theme: Theme) -> dict[str, Any]:
    """The row's name in the right gutter; the page writes the current value below it."""
    return {
        "x": 1,
        "y": top,
        "xref": "paper",
        "yref": "paper",
        "xanchor": "left",
        "yanchor": "top",
        "xshift": 4,
        "showarrow": False,
        "text": f"<b>{row.title}</b>",
        "font": {"size": SIZES["small"], "color": theme.ink},
    }
