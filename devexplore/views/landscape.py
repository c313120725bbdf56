"""Stages as wells, placed by λ̂ and as deep as their free energy is low, while the number of samples moves."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from devexplore.sampling.trust import TRUSTED
from devexplore.views.axes import axis, shorten
from devexplore.views.sheet import WIDTH, Box, foot, place, sheet, size_of, write
from devexplore.views.stages import StageMark
from devexplore.views.style import SIZES, Theme
from devexplore.views.wells import RIDGE, ground, heights, well_places

_FLOOR: Final = -0.5
_STOPS: Final = 60
_LETTERS: Final = 14
_ODDS: Final = Box(WIDTH - 370, 100, 320, 300)
_LINE: Final = 0.055
"""Height of a line of words, in probability."""

_FOOT: Final = (
    "Measured: λ̂ with its standard error (ticks at the lower edge), the loss, and so F = n·L + λ̂·ln n, of "
    "the checkpoint at the end of each stage; hollow: a doubtful λ̂. Schematic: walls and ridges; wells that "
    "would coincide stand aside. Bars on the right: 90 % intervals of n at which neighbours cross. λ̂ is a "
    "number at one nβ: n compares stages and counts no real samples."
)


def landscape_figure(
    energies: xr.Dataset, stages: Sequence[StageMark], theme: Theme, title: str = "", said: str = ""
) -> go.Figure:
    """Left: one well a stage of ``free_energy``. Right: how sure each is to be preferred, over n. The slider
    moves n in both.

    A well's place is λ̂ (moved aside where two would coincide: the tick below is where it belongs), its height
    the free energy above the lowest one, as a share of the highest at that n. Walls and ridges are drawn
    between them, not measured. A stage without an LLC has no well, and the foot says why.
    """
    known = np.flatnonzero(np.isfinite(energies["free_energy"].isel(n=0).values))
    shown, marks = energies.isel(stage=known), [stages[i] for i in known.tolist()]
    missing = [
        f"{stages[i].name} has no well ({_why(energies, i)})." for i in range(len(stages)) if i not in known
    ]
    figure = sheet(560 + 16 * len(missing), theme, title, said)
    stops = np.unique(np.linspace(0, shown.sizes["n"] - 1, _STOPS).round().astype(int))
    active = _first_stop(shown, stops)
    frames = [_moving(shown.isel(n=at), marks, theme) for at in stops.tolist()]
    _odds(figure, shown, marks, theme)
    _name_odds(figure, shown, marks, theme)
    still = len(tuple(figure.data))
    figure.add_traces(frames[active])
    _ground_axes(figure, shown, [mark.colour for mark in marks], theme)
    moving = list(range(still, still + len(frames[active])))
    steps = [
        {
            "method": "restyle",
            "label": n_words(float(shown["n"][at])),
            "args": [_restyled(frame), moving],
        }
        for at, frame in zip(stops.tolist(), frames, strict=True)
    ]
    figure.update_layout(sliders=[_slider(steps, active, figure, theme)])
    foot(figure, "\n".join([_FOOT, *missing]), theme)
    return figure


def n_words(n: float) -> str:
    """A number of samples: 316, 3.2k, 10M, 10⁹ as 1e9."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if n >= size:
            return f"{n / size:.2g}{unit}" if n < 100 * size else f"{n / size:.0f}{unit}"
    return f"{n:.0f}"


def _above(nats: float) -> str:
    """+1,080; what is below a nat means nothing (terms of order ln ln n are left out)."""
    return f"+{nats:,.0f}" if nats >= 10 else f"+{nats:.1f}" if nats >= 1 else "+ under 1"


def _moving(at_n: xr.Dataset, stages: Sequence[StageMark], theme: Theme) -> list[go.Scatter]:
    """What the slider moves: the ground, the wells' bottoms with their words, and n on the right."""
    energy, odds = at_n["free_energy"].values, at_n["preferred"].values
    places, height = well_places(at_n["llc"].values), heights(energy)
    x, y = ground(places, height)
    floor = np.full(1, _FLOOR)
    hill = go.Scatter(
        x=np.concatenate([x[:1], x, x[-1:]]),
        y=np.concatenate([floor, y, floor]),
        mode="lines",
        fill="toself",
        fillcolor=theme.sunken,
        line={"color": theme.muted, "width": 1.6},
        hoverinfo="skip",
        meta={"layer": "ground"},
    )
    lowest = int(energy.argmin())
    said = ["lowest" if i == lowest else _above(nats - energy[lowest]) for i, nats in enumerate(energy)]
    words = [
        f"<b>{shorten(mark.name, _LETTERS)}</b><br>{above}" for mark, above in zip(stages, said, strict=True)
    ]
    hover = [
        f"{mark.name}, step {int(at_n['step'][i]):,}<br>loss {float(at_n['loss'][i]):.4g}"
        f"<br>λ̂ {float(at_n['llc'][i]):.4g} ± {float(at_n['llc_se'][i]):.2g}"
        f"<br>preferred with probability {odds[i]:.2f}"
        for i, mark in enumerate(stages)
    ]
    doubtful = at_n["verdict"].values != TRUSTED
    colours = [mark.colour for mark in stages]
    bottoms = go.Scatter(
        x=places,
        y=height,
        mode="markers+text",
        text=words,
        textposition="bottom center",
        textfont={"size": SIZES["small"], "color": colours},
        marker={
            "size": 11,
            "symbol": np.where(doubtful, "circle-open", "circle").tolist(),
            "color": colours,
            "line": {"width": 2, "color": colours},
        },
        customdata=hover,
        hovertemplate="%{customdata}<extra></extra>",
        meta={"layer": "wells"},
    )
    here = np.log10(float(at_n["n"]))
    now = go.Scatter(
        x=[here, here], y=[0, 1.12], mode="lines", line={"color": theme.ink, "width": 1.4},
        hoverinfo="skip", xaxis="x2", yaxis="y2", meta={"layer": "n"},
    )  # fmt: skip
    return [hill, bottoms, now]


def _restyled(frame: Sequence[go.Scatter]) -> dict[str, Any]:
    """The arrays of a frame, as Plotly's restyle takes them."""
    return {
        "x": [np.asarray(trace.x).tolist() for trace in frame],
        "y": [np.asarray(trace.y).tolist() for trace in frame],
        "text": [None if trace.text is None else list(trace.text) for trace in frame],
        "customdata": [None if trace.customdata is None else list(trace.customdata) for trace in frame],
    }


def _ground_axes(figure: go.Figure, shown: xr.Dataset, colours: list[str], theme: Theme) -> None:
    """Axes of the wells, and under them where each λ̂ truly lies."""
    box = Box(40, 70, 600, 330)
    llc = shown["llc"].values
    quiet = {"size": SIZES["small"], "color": theme.muted}
    place(
        figure,
        box,
        1,
        axis(theme, title={"text": "λ̂", "font": quiet, "standoff": 4}, showgrid=False),
        axis(
            theme,
            range=[_FLOOR, RIDGE + 0.05],
            showticklabels=False,
            ticks="",
            showgrid=False,
            fixedrange=True,
            title={
                "text": "free energy above the lowest, F − F<sub>min</sub> (nats)",
                "font": quiet,
                "standoff": 8,
            },
        ),
    )
    figure.add_trace(
        go.Scatter(
            x=llc,
            y=np.full(len(llc), _FLOOR + 0.07),
            mode="markers",
            marker={"symbol": "line-ns", "size": 11, "line": {"width": 2, "color": colours}},
            error_x={
                "type": "data",
                "array": shown["llc_se"].values,
                "color": theme.muted,
                "thickness": 1.2,
                "width": 3,
            },
            hovertemplate="λ̂ %{x:.4g}<extra></extra>",
            meta={"layer": "measured llc"},
        )
    )


def _odds(figure: go.Figure, shown: xr.Dataset, stages: Sequence[StageMark], theme: Theme) -> None:
    """Probability of the lowest free energy over n, and the intervals of crossings of neighbours."""
    box = _ODDS
    n = shown["n"].values
    quiet = {"size": SIZES["small"], "color": theme.muted}
    decades = np.arange(np.ceil(np.log10(n[0])), np.floor(np.log10(n[-1])) + 1)
    place(
        figure,
        box,
        2,
        axis(
            theme,
            title={"text": "n", "font": quiet, "standoff": 2},
            tickvals=decades.tolist(),
            ticktext=[n_words(10.0**k) for k in decades],
            range=[np.log10(n[0]), np.log10(n[-1])],
        ),
        axis(theme, range=[0, 1.2], tickvals=[0, 0.5, 1], fixedrange=True),
    )
    write(figure, "<b>Probability of the lowest free energy</b>", box.left - 2, 76, theme.ink, 12)
    for i, mark in enumerate(stages):
        odds = shown["preferred"].isel(stage=i).values
        figure.add_trace(
            go.Scatter(
                x=np.log10(n),
                y=odds,
                mode="lines",
                line={"color": mark.colour, "width": 2.2},
                name=mark.name,
                customdata=[n_words(float(value)) for value in n],
                xaxis="x2",
                yaxis="y2",
                hovertemplate=f"{mark.name}: %{{y:.2f}} at n = %{{customdata}}<extra></extra>",
                meta={"layer": "odds"},
            )
        )
        lower, upper = (float(shown[f"crossing_{end}"][i]) for end in ("lower", "upper"))
        if np.isfinite(float(shown["crossing_n"][i])):
            ends = np.clip(np.log10([lower, upper]), np.log10(n[0]), np.log10(n[-1]))
            figure.add_trace(
                go.Scatter(
                    x=ends,
                    y=[0.5, 0.5],
                    mode="lines",
                    line={"color": mark.colour, "width": 6},
                    opacity=0.45,
                    text=[
                        f"{mark.name} and the stage before cross at n = {n_words(lower)} – {n_words(upper)}"
                    ]
                    * 2,
                    hovertemplate="%{text}<extra></extra>",
                    xaxis="x2",
                    yaxis="y2",
                    meta={"layer": "crossing"},
                )
            )


def _name_odds(figure: go.Figure, shown: xr.Dataset, stages: Sequence[StageMark], theme: Theme) -> None:
    """Each stage's name at its line where it is surest, as high as it must be to cover no other; stages that
    are as sure at the same n share one."""
    x = np.log10(shown["n"].values)
    places: dict[tuple[float, float], list[StageMark]] = {}
    for i, mark in enumerate(stages):
        odds = shown["preferred"].isel(stage=i).values
        if odds.max() <= 0.1:
            continue
        at, best = float(x[odds > 0.95 * odds.max()].mean()), float(odds.max())
        near = [key for key in places if abs(key[0] - at) < 0.05 * np.ptp(x) and abs(key[1] - best) < 0.08]
        places.setdefault(near[0] if near else (at, best), []).append(mark)
    taken: list[tuple[float, float, float]] = []
    for (at, best), marks in sorted(places.items()):
        names = [shorten(mark.name, _LETTERS) for mark in marks]
        half = 0.3 * SIZES["small"] * len(" · ".join(names)) / _ODDS.width * float(np.ptp(x))
        others = [i for i, mark in enumerate(stages) if mark not in marks]
        above = shown["preferred"].isel(stage=others).values[:, np.argmin(np.abs(x - at))] - best
        # under its own line where another runs close above it
        high = best - 1.4 * _LINE if ((above > 0) & (above < 1.4 * _LINE)).any() else best
        while any(right > at - half and abs(high - y) < _LINE for _, right, y in taken):
            high += _LINE
        taken.append((at - half, at + half, high))
        words = [
            f"<span style='color:{mark.colour}'><b>{name}</b></span>"
            for mark, name in zip(marks, names, strict=True)
        ]
        figure.add_annotation(
            text=" · ".join(words),
            x=max(at, float(x[0]) + half),
            y=high,
            xref="x2",
            yref="y2",
            yanchor="bottom",
            showarrow=False,
            font={"size": SIZES["small"], "color": theme.muted},
        )


def _slider(steps: list[dict[str, Any]], active: int, figure: go.Figure, theme: Theme) -> dict[str, Any]:
    wide, high = size_of(figure)
    return {
        "active": active,
        "steps": steps,
        "x": 40 / wide,
        "y": 1 - 446 / high,
        "len": 600 / wide,
        "xanchor": "left",
        "yanchor": "top",
        "pad": {"t": 0, "b": 0},
        "currentvalue": {
            "prefix": "samples n = ",
            "font": {"size": SIZES["body"], "color": theme.ink},
            "xanchor": "left",
        },
        "font": {"size": 1, "color": "rgba(0,0,0,0)"},
        "ticklen": 0,
        "minorticklen": 0,
        "bgcolor": theme.faint,
        "bordercolor": theme.faint,
        "activebgcolor": theme.muted,
    }


def _first_stop(shown: xr.Dataset, stops: np.ndarray) -> int:
    """Where the slider starts: at the last crossing, in the middle where there is none."""
    crossings = shown["crossing_n"].values
    if not np.isfinite(crossings).any():
        return stops.size // 2
    far = np.abs(np.log(shown["n"].values[stops] / np.nanmax(crossings)))
    return int(np.argmin(far))


def _why(energies: xr.Dataset, place_: int) -> str:
    return str(energies["why"].values[place_]) if "why" in energies else "its loss or λ̂ is unknown"
