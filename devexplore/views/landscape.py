"""Stages as wells, placed by λ̂ and as deep as their free energy is low, while the number of samples moves."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from devexplore.sampling.trust import TRUSTED
from devexplore.views.axes import axis
from devexplore.views.landscape_odds import draw_odds, n_words, stage_names
from devexplore.views.landscape_words import landscape_words, shown_wells
from devexplore.views.markup import plain
from devexplore.views.sheet import Box, alone, foot, foot_height, place, sheet, size_of
from devexplore.views.stages import StageMark
from devexplore.views.style import SIZES, Theme
from devexplore.views.trajectory_layers import apart, xyz
from devexplore.views.visuals import Visuals
from devexplore.views.wells import RIDGE, ground, heights, well_places

_FLOOR: Final = -0.5
_TICK: Final = _FLOOR + 0.07
_TIED: Final = -0.29
"""Where ties stand below their well, under the words of one at height 0."""
_WORDS: Final = 0.29
"""Height of a well's words below it."""
_STOPS: Final = 60
_SMALL: Final = 150, 170
"""Pixels for which the probabilities' words are placed on the page, wide and high."""
_POINT: Final = 1e-9
"""The width of the line at n. It stands at ``x0``, which the traces that have an x of their own pass over:
so a stop of the slider moves it, and the ground need not be sent its places again."""
_ASIDE: Final = 44
"""Pixels beside the wells for the words of the last."""


def landscape_figure(
    energies: xr.Dataset,
    stages: Sequence[StageMark],
    theme: Theme,
    title: str = "",
    said: str = "",
    visuals: Visuals | None = None,
) -> go.Figure:
    """Left: one well a stage of ``free_energy``. Right: how sure each is to be preferred, over n. The slider
    moves n in both.

    A well's place is λ̂ (moved aside where two would overlap: a line ties it to the tick where it belongs),
    its height the free energy above the lowest one, as a share of the highest at that n. Stages that no n
    parts share a well. Walls and ridges are drawn between them, not measured. A stage without an LLC has no
    well, and the foot says why.
    """
    shown, marks, wells = shown_wells(energies, stages)
    text = landscape_words(energies, stages, visuals)
    figure = sheet(500 + foot_height(text), theme, title, said)
    stops, active = slider_stops(shown)
    frames = [_moving(shown.isel(n=at), marks, wells, theme) for at in stops.tolist()]
    draw_odds(figure, shown, marks, theme)
    still = len(tuple(figure.data))
    figure.add_traces(frames[active])
    _ground_axes(figure, shown, [mark.colour for mark in marks], theme)
    moving = list(range(still, still + len(frames[active])))
    steps = [
        {
            "method": "restyle",
            "label": n_words(float(shown["n"][at])),
            "args": [_stop(frame), moving],
        }
        for at, frame in zip(stops.tolist(), frames, strict=True)
    ]
    figure.update_layout(sliders=[_slider(steps, active, figure, theme)])
    foot(figure, text, theme)
    return figure


def landscape_parts(
    energies: xr.Dataset, stages: Sequence[StageMark], theme: Theme
) -> tuple[go.Figure, go.Figure, list[dict[str, Any]], list[int]]:
    """The wells and the probabilities as figures of their own, without a slider: beside them what
    each stop of ``slider_stops`` changes in the wells, and the traces that it changes."""
    shown, marks, wells = shown_wells(energies, stages)
    stops, active = slider_stops(shown)
    frames = [_moving(shown.isel(n=at), marks, wells, theme)[:-1] for at in stops.tolist()]
    both = sheet(500, theme)
    draw_odds(both, shown, marks, theme, _SMALL)
    both.add_traces(frames[active])
    _ground_axes(both, shown, [mark.colour for mark in marks], theme)
    ground_figure, odds = alone(both, 1, theme), alone(both, 2, theme)
    ground_figure.update_yaxes(title_text="F − F<sub>min</sub> (no unit)")
    traces: Any = ground_figure.select_traces()
    bottoms = next(trace for trace in traces if trace.meta["layer"] == "wells")
    bottoms.update(textposition=_sides(np.asarray(bottoms.x)), cliponaxis=False)
    ground_figure.update_layout(margin_r=_ASIDE)
    moving = list(range(len(frames[active])))
    return ground_figure, odds, [_heights(frame) for frame in frames], moving


def slider_stops(energies: xr.Dataset) -> tuple[np.ndarray, int]:
    """The places in n at which a slider stops, and the stop at which it stands first."""
    shown = energies.isel(stage=np.isfinite(energies["free_energy"].isel(n=0).values))
    stops = np.unique(np.linspace(0, shown.sizes["n"] - 1, _STOPS).round().astype(int))
    return stops, _first_stop(shown, stops)


def _above(lowest: float) -> str:
    """+1,080; what is below 1 means nothing (terms of order ln ln n are left out)."""
    return f"+{lowest:,.0f}" if lowest >= 10 else f"+{lowest:.1f}" if lowest >= 1 else "+ under 1"


def _moving(
    at_n: xr.Dataset, stages: Sequence[StageMark], wells: Sequence[list[int]], theme: Theme
) -> list[go.Scatter]:
    """What the slider moves: the ground, the wells' bottoms with their words and ties, and n on the right."""
    energy, odds, llc = (at_n[name].values for name in ("free_energy", "preferred", "llc"))
    own = np.array([energy[well].min() for well in wells])
    places, height = well_places(np.array([llc[well].mean() for well in wells])), heights(own)
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
    said = ["lowest" if i == own.argmin() else _above(above) for i, above in enumerate(own - own.min())]
    words = [
        f"{stage_names([stages[i] for i in well])}<br>{above}"
        for well, above in zip(wells, said, strict=True)
    ]
    each = [
        f"{plain(mark.name)}, step {int(at_n['step'][i]):,}<br>loss {float(at_n['loss'][i]):.4g}"
        f"<br>λ̂ {llc[i]:.4g} ± {float(at_n['llc_se'][i]):.2g}"
        f"<br>preferred with probability {odds[i]:.2f}"
        for i, mark in enumerate(stages)
    ]
    doubtful = at_n["verdict"].values != TRUSTED
    colours = [stages[well[0]].colour for well in wells]
    bottoms = go.Scatter(
        x=places,
        y=height,
        mode="markers+text",
        text=words,
        textposition="bottom center",
        textfont={"size": SIZES["small"], "color": colours},
        marker={
            "size": 11,
            "symbol": ["circle-open" if doubtful[well].any() else "circle" for well in wells],
            "color": colours,
            "line": {"width": 2, "color": colours},
        },
        customdata=["<br>".join(each[i] for i in well) for well in wells],
        hovertemplate="%{customdata}<extra></extra>",
        meta={"layer": "wells"},
    )
    from_tick = [
        np.array([[llc[i], _TICK + 0.05], [place, _TIED], [place, max(at - _WORDS, _TIED)]])
        for well, place, at in zip(wells, places, height, strict=True)
        for i in well
    ]
    ties = go.Scatter(
        **xyz(apart(from_tick, 2)), mode="lines", line={"color": theme.faint, "width": 1},
        hoverinfo="skip", meta={"layer": "ties"},
    )  # fmt: skip
    now = go.Scatter(
        x0=np.log10(float(at_n["n"])), dx=_POINT, y=[0, 1], mode="lines",
        line={"color": theme.ink, "width": 1.4}, hoverinfo="skip",
        xaxis="x2", yaxis="y2", meta={"layer": "n"},
    )  # fmt: skip
    return [hill, bottoms, ties, now]


def _stop(frame: Sequence[go.Scatter]) -> dict[str, Any]:
    """What n changes, as Plotly's restyle takes it: 60 stops with all that stays as it is are megabytes."""
    y = [np.asarray(trace.y) for trace in frame]
    ground_y, *others = y
    return _words(frame) | {
        "x0": [trace.x0 for trace in frame],
        "y": [_packed(ground_y), *(values.tolist() for values in others)],
    }


def _packed(values: np.ndarray) -> dict[str, str]:
    """Numbers as Plotly takes them for arrays of a trace, in single precision: as text they are five times as
    long in a saved notebook, which gives each a line of its own."""
    return {"dtype": "f4", "bdata": b64encode(values.astype("<f4").tobytes()).decode()}


def _words(frame: Sequence[go.Scatter]) -> dict[str, Any]:
    """What is written at the wells, and said where the pointer is over them."""
    return {
        "text": [None if trace.text is None else list(trace.text) for trace in frame],
        "customdata": [None if trace.customdata is None else list(trace.customdata) for trace in frame],
    }


def _sides(places: np.ndarray) -> list[str]:
    """Where the words of each well stand below it: away from a near neighbour."""
    near = 0.2 * float(np.ptp(places))
    return [
        "bottom right"
        if ((at - places > 0) & (at - places < near)).any()
        else "bottom left"
        if ((places - at > 0) & (places - at < near)).any()
        else "bottom center"
        for at in places
    ]


def _heights(frame: Sequence[go.Scatter]) -> dict[str, Any]:
    """What n changes in the wells: heights and words; their places stay."""
    return _words(frame) | {"y": [np.asarray(trace.y, dtype=np.float32) for trace in frame]}


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
                "text": "free energy above the lowest, F − F<sub>min</sub> (no unit)",
                "font": quiet,
                "standoff": 8,
            },
        ),
    )
    figure.add_trace(
        go.Scatter(
            x=llc,
            y=np.full(len(llc), _TICK),
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
    """Where the slider starts: at the last crossing in sight, in the middle where there is none."""
    n = shown["n"].values
    crossings = (
        shown["crossing_n"].where((shown["crossing_n"] >= n[0]) & (shown["crossing_n"] <= n[-1])).values
    )
    if not np.isfinite(crossings).any():
        return stops.size // 2
    far = np.abs(np.log(n[stops] / np.nanmax(crossings)))
    return int(np.argmin(far))
