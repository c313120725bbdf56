"""When each development takes place: a row a development, a bar a run."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from devexplore.views.axes import log_step, step_label
from devexplore.views.markup import plain
from devexplore.views.row_chart import ROW, interval_bars, listed, row_sheet, write_beside
from devexplore.views.sheet import WIDTH, write
from devexplore.views.stages import StageMark
from devexplore.views.style import Theme, run_style
from devexplore.views.visuals import Visuals

_ROW_OF_A_RUN: Final = 14.0
_STROKE, _STROKE_OF_A_RUN = 14.0, 6.0


def development_chart(
    found: xr.Dataset,
    stages: Sequence[StageMark],
    last_step: float,
    theme: Theme,
    title: str = "",
    said: str = "",
    note: str = "",
    visuals: Visuals | None = None,
) -> go.Figure:
    """Developments of ``developments``: a row each, a bar from onset to end, a dot half-way, with their 90 %
    intervals; an open end where the metric still moves at the last checkpoint. Several runs lie side by side.
    ``note``: what the line below is to say besides.
    """
    runs = found.expand_dims("run") if "run" not in found.dims else found
    labels = [_development_label(found, i) for i in range(found.sizes["development"])]
    count = runs.sizes["run"]
    row_height = max(ROW, _ROW_OF_A_RUN * count)
    missing = found.attrs.get("missing", [])
    words = _words(visuals or Visuals("developments"))
    lacking = listed("Not measured" if count == 1 else "Not measured in all of the runs", missing)
    head = "half-way (90 %)"
    beside = [_with_interval(found.isel(development=i)) for i in range(len(labels))] if count == 1 else []
    figure, number_of = row_sheet(
        labels, stages, last_step, theme, title, said, row_height,
        foot="\n".join(filter(None, [words, note, lacking])), right=[head, *beside] if beside else [],
    )  # fmt: skip
    below: list[go.Scatter] = []
    above: list[go.Scatter] = []
    for place_ in range(count):
        one = runs.isel(run=place_)
        colour, symbol = (theme.ink, "circle") if count == 1 else run_style(place_, theme)
        stroke = _STROKE if count == 1 else _STROKE_OF_A_RUN
        rows = np.array([number_of(i) for i in range(one.sizes["development"])])
        rows = rows + (place_ - (count - 1) / 2) * 0.7 / count
        spans, dots = _development_traces(one, rows, colour, symbol, stroke, theme)
        below, above = below + spans, above + dots
    figure.add_traces([*below, *above])  # no run's bar hides another's dot
    if beside:
        for i, text in enumerate(beside):
            write_beside(figure, text, number_of(i), theme)
        write_beside(figure, head, -0.5, theme, yanchor="bottom")
    else:
        names = [
            f"<span style='color:{run_style(i, theme)[0]}'><b>━ {plain(str(name))}</b></span>"
            for i, name in enumerate(runs["run"].values)
        ]
        write(figure, "   ".join(names), WIDTH - 16, 12, theme.muted, xanchor="right", name="legend")
    return figure


def _words(look: Visuals) -> str:
    """What the marks are, as far as they are drawn."""
    interval = (
        ", with its 90 % interval over blocks of held-out samples (none where a metric is of the weights "
        "alone)"
    )
    marks = [
        "bar, from stroke to stroke: from 10 % to 90 % of the way from the first value to the extreme"
        if look.draws("span")
        else "",
        f"dot: half-way{interval if look.draws('intervals') else ''}" if look.draws("halfway") else "",
    ]
    first = "; ".join(filter(None, marks))
    return look.said(
        f"{first[0].upper()}{first[1:]}." if first else "",
        ("going on", "Arrow: the extreme is the last checkpoint, it may not be over."),
    )


def _development_traces(
    one: xr.Dataset, rows: np.ndarray, colour: str, symbol: str, stroke: float, theme: Theme
) -> tuple[list[go.Scatter], list[go.Scatter]]:
    """The bars of one run from onset to end; and what lies on them: half-way points and their intervals."""
    onset, halfway, end, lower, upper = (
        one[name].values.astype(float)
        for name in ("onset", "halfway", "end", "halfway_lower", "halfway_upper")
    )
    spans, dots = [], []
    for i, row in enumerate(rows.tolist()):
        at = slice(i, i + 1)
        bar = interval_bars(onset[at], end[at], row, theme.circle_in_space, 5.0)
        spans.append(bar.update(meta={"layer": "span"}))
        dots.append(interval_bars(lower[at], upper[at], row, colour))
    open_end = one["last"].values.astype(bool)
    spans.append(
        go.Scatter(
            x=log_step(np.concatenate([onset, np.where(open_end, np.nan, end)])),
            y=np.tile(rows, 2),
            mode="markers",
            hoverinfo="skip",
            marker={"symbol": "line-ns", "size": stroke, "line": {"width": 2, "color": theme.faint}},
            meta={"layer": "ends"},
        )
    )
    words = [
        f"{plain(str(name))}<br>onset {step_label(a)}, half-way {step_label(b)}, end {step_label(c)}"
        for name, a, b, c in zip(one["development"].values, onset, halfway, end, strict=True)
    ]
    dots.append(
        go.Scatter(
            x=log_step(halfway),
            y=rows,
            mode="markers",
            text=words,
            hovertemplate="%{text}<extra></extra>",
            marker={"symbol": symbol, "size": 9, "color": colour},
            meta={"layer": "halfway"},
        )
    )
    going = np.flatnonzero(open_end)
    spans.append(
        go.Scatter(
            x=log_step(end[going]),
            y=rows[going],
            mode="markers",
            hoverinfo="skip",
            marker={"symbol": "triangle-right", "size": 10, "color": theme.circle_in_space},
            meta={"layer": "going on"},
        )
    )
    return spans, dots


def _development_label(found: xr.Dataset, place_: int) -> str:
    name = str(found["development"].values[place_])
    parts = np.unique(found["part"].values.reshape(-1, found.sizes["development"])[:, place_].astype(str))
    part = str(parts[0]) if len(parts) == 1 else ""  # other seeds have other heads
    short = part.replace("layer ", "L").replace("head ", "H")
    return f"{name} {short}".rstrip()


def _with_interval(one: xr.Dataset) -> str:
    at, lower, upper = (float(one[f"halfway{end}"]) for end in ("", "_lower", "_upper"))
    if not np.isfinite(lower + upper):
        return step_label(at)
    return f"{step_label(at)} ({step_label(lower)}–{step_label(upper)})"
