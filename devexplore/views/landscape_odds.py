"""Beside a landscape: how sure each stage is to have the lowest free energy, over the number of samples."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from devexplore.views.axes import axis, shorten
from devexplore.views.markup import plain
from devexplore.views.sheet import WIDTH, Box, place, write
from devexplore.views.stages import StageMark
from devexplore.views.style import SIZES, Theme

BOX: Final = Box(WIDTH - 370, 100, 320, 300)
"""Its place on the sheet."""

_LETTERS: Final = 14
_LINE: Final = 16.5
"""Pixels of a line of words or of a lane of bars, where probabilities have the plot's height."""


def draw_odds(
    figure: go.Figure,
    shown: xr.Dataset,
    stages: Sequence[StageMark],
    theme: Theme,
    size: tuple[float, float] = (BOX.width, BOX.height),
) -> None:
    """Probability of the lowest free energy over n; names stand above it, intervals of the crossings of
    neighbours below, both in lanes, so that neither covers a curve in a plot of ``size`` pixels."""
    box = BOX
    n = shown["n"].values
    across = (float(np.log10(n[0])), float(np.log10(n[-1])))
    quiet = {"size": SIZES["small"], "color": theme.muted}
    decades = np.arange(np.ceil(across[0]), np.floor(across[1]) + 1)
    names, bars = _name_places(shown, stages, size[0]), crossing_bars(shown)
    line = _LINE / size[1]
    above, below = (1 + max((lane for *_, lane in held), default=-1) for held in (names, bars))
    place(
        figure,
        box,
        2,
        axis(
            theme,
            title={"text": "n", "font": quiet, "standoff": 2},
            tickvals=decades.tolist(),
            ticktext=[n_words(10.0**k) for k in decades],
            range=list(across),
        ),
        axis(
            theme,
            range=[-line * (below + 0.3), 1.03 + line * above],
            tickvals=[0, 0.5, 1],
            fixedrange=True,
        ),
    )
    write(
        figure, "<b>Probability of the lowest free energy</b>", box.left - 2, 76, theme.ink, 12, name="odds"
    )
    for i, mark in enumerate(stages):
        figure.add_trace(
            go.Scatter(
                x=np.log10(n),
                y=shown["preferred"].isel(stage=i).values,
                mode="lines",
                line={"color": mark.colour, "width": 2.2},
                name=plain(mark.name),
                customdata=[n_words(float(value)) for value in n],
                xaxis="x2",
                yaxis="y2",
                hovertemplate=f"{plain(mark.name)}: %{{y:.2f}} at n = %{{customdata}}<extra></extra>",
                meta={"layer": "odds"},
            )
        )
    for i, ends, lane in bars:
        lower, upper = (n_words(float(shown[f"crossing_{end}"][i])) for end in ("lower", "upper"))
        words = f"{plain(stages[i].name)} and the stage before cross at n = {lower} – {upper}"
        figure.add_trace(
            go.Scatter(
                x=list(ends),
                y=[-line * (lane + 0.65)] * 2,
                mode="lines",
                line={"color": stages[i].colour, "width": 6},
                text=[words] * 2,
                hovertemplate="%{text}<extra></extra>",
                xaxis="x2",
                yaxis="y2",
                meta={"layer": "crossing"},
            )
        )
    for marks, at, lane in names:
        figure.add_annotation(
            text=stage_names(marks),
            x=at,
            y=1.02 + line * lane,
            xref="x2",
            yref="y2",
            yanchor="bottom",
            showarrow=False,
            name="odds",
            font={"size": SIZES["small"], "color": theme.muted},
        )


def crossing_bars(shown: xr.Dataset) -> list[tuple[int, tuple[float, float], int]]:
    """Of each stage that crosses the one before within sight: the interval, in log₁₀ n, and its lane."""
    n = shown["n"].values
    across = (float(np.log10(n[0])), float(np.log10(n[-1])))
    until: list[float] = []
    bars = []
    known = [i for i in range(shown.sizes["stage"]) if np.isfinite(float(shown["crossing_n"][i]))]
    lower, upper = (np.log10(shown[f"crossing_{end}"].values) for end in ("lower", "upper"))
    for i in sorted(known, key=lambda i: lower[i]):
        if upper[i] <= across[0] or lower[i] >= across[1]:
            continue
        ends = (max(float(lower[i]), across[0]), min(float(upper[i]), across[1]))
        bars.append((i, ends, _lane(until, *ends)))
    return bars


def _name_places(
    shown: xr.Dataset, stages: Sequence[StageMark], width: float
) -> list[tuple[list[StageMark], float, int]]:
    """Each stage's name over the n (log₁₀) at which it is surest, in lanes; stages that are as sure at the
    same n share one."""
    x = np.log10(shown["n"].values)
    places: dict[tuple[float, float], list[StageMark]] = {}
    for i, mark in enumerate(stages):
        odds = shown["preferred"].isel(stage=i).values
        if odds.max() <= 0.1:
            continue
        at, best = float(x[odds > 0.95 * odds.max()].mean()), float(odds.max())
        near = [key for key in places if abs(key[0] - at) < 0.05 * np.ptp(x) and abs(key[1] - best) < 0.08]
        places.setdefault(near[0] if near else (at, best), []).append(mark)
    until: list[float] = []
    named = []
    for (at, _), marks in sorted(places.items()):
        letters = len(" · ".join(shorten(mark.name, _LETTERS) for mark in marks))
        half = 0.33 * SIZES["small"] * letters / width * float(np.ptp(x))
        inside = min(max(at, float(x[0]) + half), float(x[-1]) - half)
        named.append((marks, inside, _lane(until, inside - half, inside + half)))
    return named


def _lane(until: list[float], start: float, end: float) -> int:
    """The first lane that is free from ``start`` on, taken until ``end``."""
    lane = next((lane for lane, taken in enumerate(until) if taken < start), len(until))
    until[lane : lane + 1] = [end]
    return lane


def stage_names(stages: Sequence[StageMark]) -> str:
    """Names in their stages' colours, in one line."""
    return " · ".join(
        f"<span style='color:{mark.colour}'><b>{plain(shorten(mark.name, _LETTERS))}</b></span>"
        for mark in stages
    )


def n_words(n: float) -> str:
    """A number of samples: 316, 3.2k, 10M, 10⁹ as 1e9."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if n >= size:
            return f"{n / size:.2g}{unit}" if n < 100 * size else f"{n / size:.0f}{unit}"
    return f"{n:.0f}"
