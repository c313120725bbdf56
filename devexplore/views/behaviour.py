"""The metrics of a run as a grid of panels whose columns the page chooses by its width."""

from collections.abc import Sequence
from typing import Any, Final

import plotly.graph_objects as go

from devexplore.views.metric_panels import owners
from devexplore.views.panels import Panel, draw_panel
from devexplore.views.sheet import Box, sheet
from devexplore.views.stages import StageMark
from devexplore.views.style import Theme

CELL: Final = {"wide": 262, "most": 4, "left": 44, "right": 84, "above": 40, "high": 104, "below": 24}
"""Of one panel, in pixels: the least width, how many stand side by side at most, the room around the axes and
the height of these. The page lays the panels out by it."""

_TITLE_LETTERS: Final = 32
"""Letters of a title with its unit that fit over the narrowest panel."""


def metric_grid(
    panels: Sequence[Panel], stages: Sequence[StageMark], last_step: float, theme: Theme
) -> go.Figure:
    """The panels one below the other, without the width that only the page knows."""
    row = CELL["above"] + CELL["high"] + CELL["below"]
    figure = sheet(row * len(panels), theme)
    for i, panel in enumerate(panels):
        box = Box(
            CELL["left"],
            i * row + CELL["above"],
            1.1 * CELL["wide"] - CELL["left"] - CELL["right"],
            CELL["high"],
        )
        if len(panel.title) + len(panel.unit) > _TITLE_LETTERS:
            panel = panel._replace(unit="")  # it would run into the next panel's title
        draw_panel(figure, panel, box, i + 1, stages, last_step, theme)
    figure.update_layout(width=None, height=None, dragmode=False, paper_bgcolor="rgba(0,0,0,0)")
    figure.update_xaxes(title=None, fixedrange=True)
    figure.update_yaxes(nticks=4)
    figure.update_annotations(name=None)  # layers are of the figures that are drawn once
    return figure


def curves(figure: go.Figure) -> list[dict[str, Any]]:
    """Each curve of the grid: its trace, its panel (from 1), and the parts it belongs to."""
    found = []
    traces: Any = figure["data"]
    for place, trace in enumerate(traces):
        if trace.customdata is not None:
            parts = owners(trace.name) if trace.name else []
            found.append({"trace": place, "panel": int(trace.xaxis[1:] or 1), "parts": parts})
    return found


def shared_parts(found: Sequence[dict[str, Any]]) -> list[str]:
    """The parts that occur in more than one panel, in order: those that one can follow through the grid."""
    panels: dict[str, set[int]] = {}
    for curve in found:
        for part in curve["parts"]:
            panels.setdefault(part, set()).add(curve["panel"])
    return sorted(part for part, places in panels.items() if len(places) > 1)
