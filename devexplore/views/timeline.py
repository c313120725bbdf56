"""Loss and LLC over log-steps with stage bands; further metrics as strips below."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from devexplore.views.axes import axis, base_layout, log_step, step_ticks
from devexplore.views.markup import plain
from devexplore.views.rows import Row, title_lines
from devexplore.views.stage_bands import band_names, band_trace, boundary_traces, lanes_height
from devexplore.views.stages import StageMark
from devexplore.views.style import SIZES, Theme

GUTTER = 116
"""Pixels right of the plot for the rows' names and current values."""

MARGINS = 20, 24
"""Pixels above and below the plot."""

LEAST_ROW = 50
"""Pixels of a row of height 1 at the least."""


def timeline(
    rows: list[Row],
    stages: list[StageMark],
    last_step: float,
    theme: Theme,
    found: xr.Dataset | None = None,
) -> go.Figure:
    """All rows over one log-step axis, the stages behind them; with the boundaries and their 90 % intervals
    where they are given as ``find_stages`` found them.

    Bands and boundaries live on an axis of their own that spans all rows, so that an undecided stage can be
    hatched (layout shapes cannot) and zooming a row's values leaves them in place. The bars of the intervals
    lie below the last row.
    """
    ticks, words = step_ticks(last_step)
    end = float(log_step(np.array(last_step))) or 1.0
    figure = go.Figure(
        layout=base_layout(
            theme,
            margin={"l": 42, "r": GUTTER, "t": MARGINS[0], "b": MARGINS[1]},
            hovermode="closest",
            dragmode=False,
            yaxis={"domain": [0, 1], "range": [0, 1], "visible": False, "fixedrange": True},
        )
    )
    for stage in stages:
        figure.add_trace(band_trace(stage, theme))
    figure.add_traces([] if found is None else boundary_traces(found, theme))
    titles = []
    for i, (row, (bottom, top)) in enumerate(zip(rows, _domains(rows, found), strict=True)):
        titles.append(row_title(row, top, theme))
        low, high = row.range
        values = axis(
            theme, domain=[bottom, top], range=[low, high], anchor="x", nticks=4 if row.height >= 1.0 else 3
        )
        figure.update_layout({f"yaxis{i + 2}": values})
        for trace in row.traces:
            figure.add_trace(trace.update(xaxis="x", yaxis=f"y{i + 2}"))
    figure.update_layout(annotations=[*band_names(stages, end, theme), *titles])
    air = 0.015 * end
    figure.update_layout(
        xaxis=axis(
            theme,
            range=[-air, end + air],
            showgrid=False,
            tickvals=ticks,
            ticktext=words,
            anchor="free",  # no axis of values is there before stages are, and reaches the lower edge
            position=0,
            ticks="outside",
            ticklen=4,
        )
    )
    return figure


def least_height(rows: list[Row]) -> float:
    """Pixels below which the rows could not be read; the page scrolls rather than squeeze them further."""
    return sum(MARGINS) + LEAST_ROW * sum(row.height for row in rows) / (1.0 - _gap(rows) * len(rows))


def _gap(rows: list[Row]) -> float:
    return 0.06 if len(rows) < 4 else 0.035


def _domains(rows: list[Row], found: xr.Dataset | None) -> list[tuple[float, float]]:
    """Bottom and top of each row, as shares of the figure, above the bars of the boundaries' intervals."""
    gap, below = _gap(rows), lanes_height(found)
    share = (1.0 - below - gap * (len(rows) - 1)) / sum(row.height for row in rows)
    domains, top = [], 1.0
    for row in rows:
        bottom = max(top - share * row.height, 0.0)
        domains.append((bottom, top))
        top = bottom - gap
    return domains


def follow(rows: list[Row]) -> list[dict[str, Any]]:
    """What the time cursor reads off: one entry a row, in the order of the figure's axes."""
    return [
        {
            "axis": f"yaxis{i + 2}",
            "title": row.title,
            "lines": len(title_lines(row.title)),
            "unit": row.unit,
            "step": row.step.astype(float),
            "value": row.value.astype(float),
            "error": row.error.astype(float),
            "verdict": [] if row.verdict is None else row.verdict,
            "reason": [] if row.reason is None else list(row.reason),
        }
        for i, row in enumerate(rows)
    ]


def row_title(row: Row, top: float, theme: Theme) -> dict[str, Any]:
    """The row's name in the right gutter; the page writes the current value below it. Below that
    of many lines stands their key."""
    words = "<br>".join([f"<b>{'<br>'.join(map(plain, title_lines(row.title)))}</b>", *row.key])
    return {**in_gutter(words, top, theme.ink), "yanchor": "top", "align": "left"}


def in_gutter(words: str, height: float, colour: str) -> dict[str, Any]:
    """Words in the right gutter, above this height (a share of the figure)."""
    return {
        "x": 1,
        "y": height,
        "xref": "paper",
        "yref": "paper",
        "xanchor": "left",
        "yanchor": "bottom",
        "xshift": 4,
        "showarrow": False,
        "text": words,
        "font": {"size": SIZES["small"], "color": colour},
    }
