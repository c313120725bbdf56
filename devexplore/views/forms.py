"""Why to believe in a form: its strength beside those of random walks, and how far its planes agree."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from devexplore.errors import InvalidSpec
from devexplore.views.axes import axis, base_layout, padded, title_line
from devexplore.views.form_marks import form_words, is_form, turn_words
from devexplore.views.style import LIGHT, SIZES, Theme, plane_style

WIDTH = 760
MOST_TURNS = 12
"""Turns listed, the strongest of the run."""

_ROW = 24
_HISTOGRAM = 170
_BINS = 40


def null_figure(forms: xr.Dataset, theme: Theme = LIGHT) -> go.Figure:
    """The run's turns by their strength, above the strongest turn and strongest form of each random walk.

    Turns are in order of time with their p-values; a form is a full star, any other turn a hollow square.
    Dashed: what a turn or a form must exceed to be as rare as ``max_p`` among the walks. Without random walks
    (too few components) only the conclusion is written.
    """
    strength = forms["turn_strength"].values
    listed = np.sort(np.argsort(-strength, kind="stable")[:MOST_TURNS])
    listed = listed[strength[listed] > 0]
    height = 120 + _ROW * max(len(listed), 1) + _HISTOGRAM
    figure = make_subplots(
        2,
        1,
        shared_xaxes=True,
        vertical_spacing=36 / height,
        row_heights=[_ROW * max(len(listed), 1), _HISTOGRAM],
    )
    figure.update_layout(
        **base_layout(theme, margin={"l": 96, "r": 24, "t": 64, "b": 56}, barmode="overlay", bargap=0.08),
        width=WIDTH,
        height=height,
        title=title_line(forms.attrs["conclusion"], theme),
    )
    walks = {"turn": forms["surrogate_turn_strength"].values, "form": forms["surrogate_strength"].values}
    if len(walks["turn"]) == 0:
        return figure.update_xaxes(visible=False).update_yaxes(visible=False)
    everything = np.concatenate([strength[listed], *walks.values(), [0.0]])
    width = float(everything.max()) / _BINS
    for what, colour, fill in (("turn", theme.undecided[0], True), ("form", theme.form, False)):
        figure.add_trace(_histogram(walks[what], what, width, colour, fill), row=2, col=1)
        limit = rarest(walks[what], forms.attrs["max_p"])
        if np.isfinite(limit):
            for panel in ("", "2"):
                figure.add_shape(_upright(limit, limit, panel), line=_dashed(colour))
    for trace in _marks(forms, listed, theme):
        figure.add_trace(trace, row=1, col=1)
    title = (
        f"share of the trajectory's whole turning that happens there (dashed: p = {forms.attrs['max_p']:g})"
    )
    figure.update_xaxes(axis(theme, range=[0, 1.18 * float(everything.max())]))
    figure.update_xaxes(title={"text": title, "standoff": 8}, row=2, col=1)
    names = [f"step {step:,.0f}" for step in forms["turn_step"].values[listed]]
    figure.update_yaxes(
        axis(theme, tickvals=np.arange(len(listed)), ticktext=names, range=[len(listed) - 0.4, -0.6]),
        row=1,
        col=1,
    )
    figure.update_yaxes(axis(theme, title={"text": "random walks", "standoff": 8}), row=2, col=1)
    legend = {"orientation": "h", "x": 0, "y": 1 - 34 / height, "yref": "container", "yanchor": "top"}
    figure.update_layout(showlegend=True, legend=legend)
    return figure


def agreement_figure(forms: xr.Dataset, form: int = 0, theme: Theme = LIGHT) -> go.Figure:
    """One form, plane by plane: how far each plane's cusp lies from the agreed place, and when it happens.

    Left, offsets as shares of the extent; the ring is the tolerance, which their root mean square must keep.
    Right, the step of each plane's cusp; the dashed line is the form's step, the band its 90 % interval.

    Raises InvalidSpec for a form that is not there.
    """
    count = forms.sizes["form"]
    if not 0 <= form < count:
        there = f"0 … {count - 1}" if count else "none: find_forms found no form here"
        raise InvalidSpec(f"expected the number of a form ({there}), got {form}")
    one = forms.isel(form=form)
    extent, tolerance = forms.attrs["extent"], forms.attrs["tolerance"]
    figure = make_subplots(1, 2, column_widths=[0.42, 0.58], horizontal_spacing=0.16)
    names = one["plane"].values.astype(str)
    farthest = tolerance
    for place, name in enumerate(names):
        here = one.isel(plane=place)
        pair = [int(part.removeprefix("PC")) for part in name.split("–")]
        offset = (here["plane_center"].values - one["coordinates"].sel(component=pair).values) / extent
        farthest = max(farthest, float(np.abs(offset).max()))
        colour, symbol = plane_style(place, theme)
        marker = {"size": 10, "symbol": symbol, "color": colour, "line": {"width": 1, "color": theme.surface}}
        words = f"{name}: {np.hypot(*offset):.2%} of the extent off, step {float(here['plane_step']):,.0f}"
        hover = {"text": [words], "hovertemplate": "%{text}<extra></extra>", "name": name}
        for column, (x, y) in enumerate(
            ([offset[0], offset[1]], [float(here["plane_step"]), place]), start=1
        ):
            figure.add_trace(
                go.Scatter(x=[x], y=[y], mode="markers", marker=marker, **hover), row=1, col=column
            )
    figure.add_shape(
        type="circle", x0=-tolerance, x1=tolerance, y0=-tolerance, y1=tolerance, layer="below",
        fillcolor=theme.form_ground, line={"color": theme.form_band, "width": 1}, row=1, col=1,
    )  # fmt: skip
    step, low, high = (float(one[name]) for name in ("step", "step_low", "step_high"))
    figure.add_shape(_upright(low, high, "2"), type="rect", fillcolor=theme.form_ground, line_width=0)
    figure.add_shape(_upright(step, step, "2"), line=_dashed(theme.form))
    words = (
        f"Form {form + 1}, step {step:,.0f}: cusps agree within {float(one['residual']):.2%} of the extent "
        f"(root mean square; {tolerance:.0%} allowed)"
    )
    figure.update_layout(
        **base_layout(theme, margin={"l": 64, "r": 24, "t": 48, "b": 56}, title=title_line(words, theme)),
        width=WIDTH,
        height=380,
    )
    sides = {"range": [-1.15 * farthest, 1.15 * farthest], "nticks": 5, "tickformat": ".1~%"}
    figure.update_xaxes(
        axis(theme, title={"text": "offset along the first component"}, **sides), row=1, col=1
    )
    figure.update_yaxes(
        axis(theme, title={"text": "along the second"}, scaleanchor="x", scaleratio=1, **sides), row=1, col=1
    )
    steps = padded(np.append(one["plane_step"].values, [low, high]), 0.12)
    figure.update_xaxes(
        axis(theme, title={"text": "step of the plane's cusp"}, range=steps, nticks=5, tickformat=",d"),
        row=1,
        col=2,
    )
    ticks = {"tickvals": np.arange(len(names)), "ticktext": names, "range": [len(names) - 0.5, -0.5]}
    figure.update_yaxes(axis(theme, **ticks), row=1, col=2)
    return figure


def rarest(strengths: np.ndarray, max_p: float) -> float:
    """What a strength must exceed for a p-value of at most ``max_p``; NaN where every strength has one."""
    allowed = int(np.floor(max_p * (1 + len(strengths)) + 1e-9)) - 1
    return float(np.sort(strengths)[::-1][allowed]) if allowed < len(strengths) else np.nan


def _histogram(strengths: np.ndarray, what: str, width: float, colour: str, fill: bool) -> go.Histogram:
    none = int(np.sum(strengths == 0))
    name = f"strongest {what} of each of {len(strengths)} random walks"
    name += f" ({none} without one)" if none else ""
    return go.Histogram(
        x=strengths[strengths > 0],
        xbins={"start": 0, "size": width},
        marker={
            "color": colour if fill else "rgba(0,0,0,0)",
            "opacity": 0.45 if fill else 1,
            "line": {"color": colour, "width": 0 if fill else 1.4},
        },
        name=name,
        hovertemplate=f"strongest {what} %{{x}}: %{{y}} random walks<extra></extra>",
    )


def _marks(forms: xr.Dataset, listed: np.ndarray, theme: Theme) -> list[go.Scatter]:
    """One trace for turns that are no forms, one for forms, each mark with its p-value beside it."""
    form_p = dict(zip(forms["step"].values.tolist(), forms["p_value"].values.tolist(), strict=True))
    spoken = dict(zip(forms["step"].values.tolist(), form_words(forms), strict=True))
    turns, full = turn_words(forms), is_form(forms)
    rows = np.arange(len(listed))
    step = forms["turn_step"].values.tolist()
    traces = []
    for forms_only, name, symbol, size in (
        (False, "turn", "square-open", 9),
        (True, "form", "star-diamond", 13),
    ):
        rows_here = rows[full[listed] == forms_only]
        here = listed[rows_here]
        if len(here) == 0:
            continue
        said = [_nearest(spoken, step[i]) if forms_only else turns[i] for i in here]
        p_value = [_nearest(form_p, step[i]) if forms_only else forms["turn_p_value"].values[i] for i in here]
        traces.append(
            go.Scatter(
                x=forms["turn_strength"].values[here],
                y=rows_here,
                mode="markers+text",
                marker={
                    "symbol": symbol,
                    "size": size,
                    "color": theme.form,
                    "line": {"width": 1.6 * (not forms_only)},
                },
                text=[f"  p = {p:.3g}" for p in p_value],
                textposition="middle right",
                textfont={"size": SIZES["small"], "color": theme.ink if forms_only else theme.muted},
                customdata=said,
                hovertemplate="%{customdata}<extra></extra>",
                name=f"{name} of the run",
            )
        )
    return traces


def _nearest(by_step: dict[float, Any], step: float) -> Any:
    return by_step[min(by_step, key=lambda other: abs(other - step))]


def _upright(left: float, right: float, panel: str) -> dict[str, Any]:
    """A line or band over the whole height of a panel, below its marks."""
    return {
        "type": "line", "x0": left, "x1": right, "y0": 0, "y1": 1, "layer": "below",
        "xref": f"x{panel}", "yref": f"y{panel} domain",
    }  # fmt: skip


def _dashed(colour: str) -> dict[str, Any]:
    return {"color": colour, "width": 1.2, "dash": "dash"}
