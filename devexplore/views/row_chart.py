"""Rows over one log-step axis: which curve sees a boundary when, and when each development takes place."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from devexplore.views.axes import axis, log_step, step_label, step_ticks
from devexplore.views.rows import strip_label
from devexplore.views.sheet import WIDTH, Box, foot_height, place, sheet, write
from devexplore.views.sheet import foot as write_foot
from devexplore.views.stage_bands import band_names, band_trace, boundary_lines
from devexplore.views.stages import StageMark
from devexplore.views.style import SIZES, Theme, run_style

_ROW: Final = 26.0
_ROW_OF_A_RUN: Final = 14.0
_STROKE, _STROKE_OF_A_RUN = 14.0, 6.0
_TOP, _BELOW = 88.0, 50.0
_KINDS: Final = {"maximum": "triangle-up", "minimum": "triangle-down", "plateau": "square"}


def agreement_chart(
    found: xr.Dataset,
    stages: Sequence[StageMark],
    theme: Theme,
    title: str = "",
    said: str = "",
    called: Mapping[str, str] | None = None,
) -> go.Figure:
    """Boundaries of ``agreement``: a row a curve that has any, each boundary a mark on its 90 % interval.

    ▲ maximum, ▼ minimum, ■ plateau. Right: the share of the first row's boundaries that this one sees too, in
    brackets what chance would give, and how probable so many or more are by chance. ``called``: what curves
    are called, where not as ``strip_label`` has it.
    """
    every = [str(name) for name in found["curve_name"].values]
    label = {name: _sentence((called or {}).get(name, strip_label(name))) for name in every}
    seen = set(found["curve"].values.astype(str))
    names = [name for name in every if name in seen] or every
    first = names[0]
    beside = {name: _shared(found, first, name) for name in names[1:]}
    below = [
        f"▲ maximum, ▼ minimum, ■ plateau, on their 90 % intervals. Right: share of the boundaries of "
        f"{label[first]} that this one sees too (what intervals laid at random would share), and the "
        "probability p that they share so many or more.",
        _listed("Without any boundary", [label[name] for name in every if name not in names]),
        *(f"{label.get(name) or _sentence(strip_label(name))}: {why}" for name, why in _without(found)),
    ]
    head = f"shared with {label[first]}"
    figure, number_of = _rows(
        [label[name] for name in names], stages, float(found.attrs["last_step"]), theme, title, said,
        foot="\n".join(filter(None, below)), right=[head, *beside.values()],
    )  # fmt: skip
    curve = found["curve"].values.astype(str)
    for name in names:
        one = found.isel(boundary=np.flatnonzero(curve == name))
        row = number_of(names.index(name))
        columns = (one[what].values for what in ("kind", "step", "lower", "upper", "probability"))
        words = [
            f"{label[name]}: {kind} at step {step_label(step)}"
            f"<br>90 %: {step_label(low)}–{step_label(high)}<br>probability {probability:.2f}"
            for kind, step, low, high, probability in zip(*columns, strict=True)
        ]
        figure.add_trace(_intervals(one["lower"].values, one["upper"].values, row, theme.muted))
        figure.add_trace(
            go.Scatter(
                x=log_step(one["step"].values),
                y=np.full(one.sizes["boundary"], row),
                mode="markers",
                marker={
                    "symbol": [_KINDS.get(str(kind), "circle") for kind in one["kind"].values],
                    "size": 9,
                    "color": theme.ink,
                },
                text=words,
                hovertemplate="%{text}<extra></extra>",
                name=name,
                meta={"layer": "boundaries"},
            )
        )
    for name, text in beside.items():
        _beside(figure, text, number_of(names.index(name)), theme)
    _beside(figure, head, -0.5, theme, yanchor="bottom")
    return figure


def _shared(found: xr.Dataset, first: str, other: str) -> str:
    shared, chance, p = (
        float(found[what].sel(curve_name=first, other=other)) for what in ("shared", "chance", "p_value")
    )
    if not np.isfinite(shared):
        return ""
    return f"{shared:.0%} ({chance:.0%}), p {'< 0.01' if p < 0.01 else f'{p:.2f}'}"


def _without(found: xr.Dataset) -> list[tuple[str, str]]:
    """Curves that could not be judged, and why."""
    return list(found.attrs.get("without", {}).items())


def _listed(head: str, names: Sequence[str]) -> str:
    return f"{head}: {', '.join(names)}." if names else ""


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def development_chart(
    found: xr.Dataset,
    stages: Sequence[StageMark],
    last_step: float,
    theme: Theme,
    title: str = "",
    said: str = "",
    note: str = "",
) -> go.Figure:
    """Developments of ``developments``: a row each, a bar from onset to end, a dot half-way, with their 90 %
    intervals; an open end where the metric still moves at the last checkpoint. Several runs lie side by side.
    ``note``: what the line below is to say besides.
    """
    runs = found.expand_dims("run") if "run" not in found.dims else found
    labels = [_development_label(found, i) for i in range(found.sizes["development"])]
    count = runs.sizes["run"]
    row_height = max(_ROW, _ROW_OF_A_RUN * count)
    missing = found.attrs.get("missing", [])
    words = (
        "Bar, from stroke to stroke: from 10 % to 90 % of the way from the first value to the extreme; dot: "
        "half-way, with its 90 % interval over blocks of held-out samples (none where a metric is of the "
        "weights alone). Arrow: the extreme is the last checkpoint, it may not be over."
    )
    lacking = _listed("Not measured" if count == 1 else "Not measured in all of the runs", missing)
    head = "half-way (90 %)"
    beside = [_with_interval(found.isel(development=i)) for i in range(len(labels))] if count == 1 else []
    figure, number_of = _rows(
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
            _beside(figure, text, number_of(i), theme)
        _beside(figure, head, -0.5, theme, yanchor="bottom")
    else:
        names = [
            f"<span style='color:{run_style(i, theme)[0]}'><b>━ {name}</b></span>"
            for i, name in enumerate(runs["run"].values)
        ]
        write(figure, "   ".join(names), WIDTH - 16, 12, theme.muted, xanchor="right")
    return figure


def _rows(
    labels: list[str],
    stages: Sequence[StageMark],
    last_step: float,
    theme: Theme,
    title: str,
    said: str,
    row_height: float = _ROW,
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
        figure.add_annotation({**name, "yref": "y domain"})
    return figure, float


def _intervals(
    lower: np.ndarray, upper: np.ndarray, row: float, colour: str, width: float = 2.0
) -> go.Scatter:
    """Bars from lower to upper, in one trace; nothing where either is unknown."""
    known = np.isfinite(lower.astype(float) + upper.astype(float))
    ends = np.stack([log_step(lower[known]), log_step(upper[known]), np.full(known.sum(), np.nan)], axis=1)
    return go.Scatter(
        x=ends.ravel(), y=np.full(ends.size, row), mode="lines", line={"color": colour, "width": width},
        hoverinfo="skip", meta={"layer": "intervals"},
    )  # fmt: skip


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
        bar = _intervals(onset[at], end[at], row, theme.circle_in_space, 5.0)
        spans.append(bar.update(meta={"layer": "span"}))
        dots.append(_intervals(lower[at], upper[at], row, colour))
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
        f"{name}<br>onset {step_label(a)}, half-way {step_label(b)}, end {step_label(c)}"
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


def _beside(figure: go.Figure, words: str, row: float, theme: Theme, **more: Any) -> None:
    figure.add_annotation(
        text=words, x=1, xref="x domain", y=row, yref="y", xanchor="left", xshift=6, showarrow=False,
        font={"size": SIZES["small"], "color": theme.muted}, **({"yanchor": "middle"} | more),
    )  # fmt: skip
