"""Stages behind curves over log-steps: their bands, their names, and their boundaries with intervals."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from devexplore.views.axes import log_step, shorten, step_label
from devexplore.views.labels import spread_apart
from devexplore.views.markup import plain
from devexplore.views.stages import StageMark, chosen_by_hand
from devexplore.views.style import SIZES, TYPE_WORDS, Theme

LETTERS = 66
"""Letters of a stage's name that fit side by side over the whole range of steps, on the narrowest page."""

BAR, LANE = 0.032, 0.042
"""Height of the lowest interval bar over the lower edge, and of one lane of bars, as shares of the panel."""

SHORTEST, SHORTEST_OF_ALL = 5, 3
"""Letters that a name keeps where there is no room over its stage; and where there is hardly any at all."""


def band_trace(stage: StageMark, theme: Theme, low: float = 0.0, high: float = 1.0) -> go.Scatter:
    """The band of a stage between these values of the first y-axis, hatched where it is of no type."""
    left, right = log_step(np.array([stage.start, stage.end]))
    hatched = stage.type not in ("A", "B")
    pattern = {"shape": "/", "size": 7, "solidity": 0.18, "fgcolor": theme.hatch, "bgcolor": stage.band}
    return go.Scatter(
        x=[left, right, right, left, left],
        y=[low, low, high, high, low],
        yaxis="y",
        mode="lines",
        fill="toself",
        fillcolor=stage.band,
        fillpattern=pattern if hatched else None,
        line={"width": 0},
        hoverinfo="skip",
        name=f"{plain(stage.name)} ({TYPE_WORDS.get(stage.type, 'undecided')})",
        meta={"layer": "band", "type": stage.type},
    )


def band_names(
    stages: Sequence[StageMark], end: float, theme: Theme, letters: int = LETTERS
) -> list[dict[str, Any]]:
    """Annotations above a log-step axis of length ``end``, over which so many letters fit: each stage's name
    over its middle, shortened to its room, and aside where its neighbours need theirs.

    Where there is no room for all, the narrowest stages have none; the chips carry them.
    """
    return [
        {
            "x": x,
            "y": 1,
            "xref": "x",
            "yref": "paper",
            "yanchor": "bottom",
            "showarrow": False,
            "text": f"<b>{plain(text)}</b>",
            "font": {"size": SIZES["small"], "color": stages[i].colour},
        }
        for i, text, x in name_places(stages, end, letters)
    ]


def name_places(
    stages: Sequence[StageMark], end: float, letters: int = LETTERS
) -> list[tuple[int, str, float]]:
    """The same, before it is drawn: which stage, its name in the letters that it has room for, and where."""
    left, right = (log_step(np.array([getattr(s, at) for s in stages])) for at in ("start", "end"))
    room = (right - left) / end * letters
    widest = np.argsort(-room, kind="stable")
    texts = _texts(stages, room, SHORTEST)
    if sum(map(len, texts)) + len(texts) > letters:
        texts = _texts(stages, room, SHORTEST_OF_ALL)
    sizes = np.array([len(text) + 1.0 for text in texts])
    shown = np.sort(widest[np.cumsum(sizes[widest]) <= letters])
    middle = ((left + right) / 2 / end * letters)[shown]
    places = spread_apart(middle, sizes[shown], (-1.0, letters + 1.0)) / letters * end
    return [(i, texts[i], x) for i, x in zip(shown.tolist(), places.tolist(), strict=True)]


def _texts(stages: Sequence[StageMark], room: np.ndarray, least: int) -> list[str]:
    return [shorten(stage.name, max(least, int(n))) for stage, n in zip(stages, room, strict=True)]


def boundary_lines(
    stages: Sequence[StageMark], theme: Theme, low: float = 0.0, high: float = 1.0
) -> list[go.Scatter]:
    """A thin line at each boundary between stages, as ``boundary_traces`` but without its interval."""
    lines = []
    for stage in stages[:-1]:
        x = float(log_step(np.array(stage.end)))
        words = _words(stage.end, stage.own)
        line = {**_stroke(stage.own), "color": theme.muted}
        lines.append(_mark([x] * 3, [low, (low + high) / 2, high], words, "boundary", line))
    return lines


def _stroke(own: bool) -> dict[str, Any]:
    """The stroke of a boundary. Dotted: found on the curve. Dashed: the user's own."""
    return {"width": 1, "dash": "dash" if own else "dot"}


def boundary_traces(
    stages: xr.Dataset, theme: Theme, low: float = 0.0, high: float = 1.0
) -> list[go.Scatter]:
    """A thin line at each boundary inside the run, between these values of a y-axis, and a bar over its 90 %
    interval near the lower edge; bars that overlap lie in different lanes.

    Dotted: found on the curve. Dashed: the user's own; without a bar where the curve has nothing near it.
    """
    traces = []
    marks = zip(_intervals(stages), chosen_by_hand(stages), _lanes(stages), strict=True)
    for (at, lower, upper), own, lane in marks:
        known = lane >= 0
        words = _words(at, own)
        words += f"<br>90 %: {step_label(lower)}–{step_label(upper)}" if known else ""
        x = float(log_step(np.array(at)))
        y = low + (BAR + LANE * max(lane, 0)) * (high - low)  # hovering tells of the points of a line only
        line = {**_stroke(own), "color": theme.ink}
        traces.append(_mark([x, x, x], [low, y, high], words, "boundary", line))
        if known:
            ends = log_step(np.array([lower, upper])).tolist()
            traces.append(_mark(ends, [y, y], words, "interval", {"color": theme.ink, "width": 4}))
    return traces


def lanes_height(stages: xr.Dataset | None) -> float:
    """The share of the panel that its interval bars take; 0 without any."""
    lanes = [] if stages is None else [lane for lane in _lanes(stages) if lane >= 0]
    return BAR + LANE * (max(lanes) + 0.5) if lanes else 0.0


def _intervals(stages: xr.Dataset) -> list[tuple[float, float, float]]:
    """Each boundary inside the run with the ends of its interval, NaN where it has none."""
    columns = (stages[name].values[:-1].tolist() for name in ("end", "boundary_lower", "boundary_upper"))
    return list(zip(*columns, strict=True))


def _lanes(stages: xr.Dataset) -> list[int]:
    """The lane of each boundary's bar, the lowest that is free where it begins; −1 without a bar."""
    until: list[float] = []
    lanes = []
    for _, lower, upper in _intervals(stages):
        if not np.isfinite(lower + upper):
            lanes.append(-1)
            continue
        lane = next((lane for lane, end in enumerate(until) if end < lower), len(until))
        until[lane : lane + 1] = [upper]
        lanes.append(lane)
    return lanes


def _words(at: float, own: bool) -> str:
    return f"boundary at step {at:,.0f}" + (", chosen by hand" if own else "")


def _mark(x: list[float], y: list[float], words: str, layer: str, line: dict[str, Any]) -> go.Scatter:
    return go.Scatter(
        x=x, y=y, mode="lines", line=line, text=[words] * len(x), hovertemplate="%{text}<extra></extra>",
        meta={"layer": layer},
    )  # fmt: skip
