"""A sheet of several panels: where each lies, in pixels, and how a figure of one plot is put into it."""

from textwrap import wrap
from typing import Any, Final, NamedTuple

import plotly.graph_objects as go

from devexplore.views.axes import base_layout
from devexplore.views.markup import plain
from devexplore.views.style import SIZES, Theme

WIDTH = 1100
"""Of every sheet, in pixels: what a notebook's cell and a page's column hold."""

_LINE: Final = 176
"""Letters of a line across a sheet."""


class Box(NamedTuple):
    """A plot's place on a sheet, in pixels from its upper left corner."""

    left: float
    top: float
    width: float
    height: float


def sheet(height: float, theme: Theme, title: str = "", said: str = "", **more: Any) -> go.Figure:
    """An empty sheet of ``WIDTH`` × ``height``, with a title and a quiet line under it."""
    figure = go.Figure(
        layout=base_layout(
            theme,
            width=WIDTH,
            height=height,
            margin={"l": 0, "r": 0, "t": 0, "b": 0},
            paper_bgcolor=theme.surface,
            hovermode="closest",
            dragmode="pan",
            **more,
        )
    )
    write(figure, f"<b>{plain(title)}</b>" if title else "", 16, 12, theme.ink, SIZES["title"], name="title")
    write(figure, said, 16, 34, theme.muted, name="note")
    return figure


def size_of(figure: go.Figure) -> tuple[float, float]:
    """Width and height of a sheet, in pixels."""
    layout: Any = figure["layout"]
    return float(layout["width"]), float(layout["height"])


def domains(figure: go.Figure, box: Box) -> tuple[list[float], list[float]]:
    """The box as Plotly's domains: shares of the sheet from its lower left corner."""
    wide, high = size_of(figure)
    return (
        [box.left / wide, (box.left + box.width) / wide],
        [1 - (box.top + box.height) / high, 1 - box.top / high],
    )


def write(
    figure: go.Figure,
    words: str,
    left: float,
    top: float,
    colour: str,
    size: float = SIZES["small"],
    **more: Any,
) -> None:
    """Words whose upper left corner (or the corner that ``more`` anchors) is at this pixel of the sheet."""
    if words:
        wide, high = size_of(figure)
        corner = {"xanchor": "left", "yanchor": "top", "align": "left"}
        figure.add_annotation(
            text=words,
            x=left / wide,
            y=1 - top / high,
            xref="paper",
            yref="paper",
            showarrow=False,
            font={"size": size, "color": colour},
            **(corner | more),
        )


def foot(figure: go.Figure, words: str, theme: Theme) -> None:
    """Quiet words at the lower edge of a sheet, in as many lines as they need."""
    lines = "<br>".join(_lines(words))
    write(figure, lines, 16, size_of(figure)[1] - 10, theme.muted, yanchor="bottom", name="caption")


def foot_height(words: str) -> float:
    """Pixels of the lower edge of a sheet that ``foot`` takes for these words."""
    return 14.5 * len(_lines(words)) + 16


def _lines(words: str) -> list[str]:
    return [line for part in words.split("\n") for line in wrap(part, _LINE)]


def place(figure: go.Figure, box: Box, number: int, xaxis: dict[str, Any], yaxis: dict[str, Any]) -> None:
    """Make the axes x<number> and y<number> of a sheet, over this box."""
    across, up = domains(figure, box)
    figure.update_layout(
        {
            f"xaxis{number}": {**xaxis, "domain": across, "anchor": f"y{number}"},
            f"yaxis{number}": {**yaxis, "domain": up, "anchor": f"x{number}"},
        }
    )


def reference(letter: str, number: int) -> str:
    """An axis as annotations call it: the first has no number."""
    return letter if number == 1 else f"{letter}{number}"


def inset(figure: go.Figure, single: go.Figure, box: Box, number: int) -> None:
    """Put a figure of one plot (traces and axes; equal scales stay equal) into a box of a sheet."""
    layout: Any = single["layout"]
    xaxis, yaxis = layout["xaxis"].to_plotly_json(), layout["yaxis"].to_plotly_json()
    if "scaleanchor" in yaxis:
        yaxis["scaleanchor"] = f"x{number}"
    place(figure, box, number, xaxis, yaxis)
    traces: Any = single["data"]
    for trace in traces:
        figure.add_trace(trace.update(xaxis=f"x{number}", yaxis=f"y{number}"))


def alone(figure: go.Figure, number: int, theme: Theme) -> go.Figure:
    """The plot on the axes x<number> and y<number> of a sheet as a figure of its own, of no fixed size."""
    layout: Any = figure["layout"]
    traces: Any = figure["data"]
    own = reference("x", number)
    shown = [trace for trace in traces if (trace.xaxis or "x") in (own, f"x{number}")]
    single = go.Figure(layout=base_layout(theme, hovermode="closest", dragmode=False))
    single.add_traces([type(trace)(trace).update(xaxis="x", yaxis="y") for trace in shown])
    xaxis, yaxis = (layout[f"{letter}axis{number}"].to_plotly_json() for letter in "xy")
    single.update_layout(
        xaxis=xaxis | {"domain": [0, 1], "anchor": "y", "fixedrange": True},
        yaxis=yaxis | {"domain": [0, 1], "anchor": "x", "fixedrange": True},
        margin={"l": 40, "r": 12, "t": 8, "b": 36},
    )
    for words in layout.annotations:
        if words.xref == own:
            single.add_annotation(words.to_plotly_json() | {"xref": "x", "yref": "y", "name": None})
    return single
