"""The chains of one checkpoint as a sheet: their traces, the running λ̂, and the LLC over training below."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from devexplore.views.axes import axis, log_step
from devexplore.views.chains import (
    burn_in,
    excess_range,
    llc_range,
    thinned,
    trivial_excess,
    trivial_name,
    updates,
    verdict_of,
)
from devexplore.views.llc_row import settings
from devexplore.views.markup import plain
from devexplore.views.panels import Panel, draw_panel
from devexplore.views.sheet import Box, foot, foot_height, place, sheet, write
from devexplore.views.stages import StageMark
from devexplore.views.style import SIZES, Theme
from devexplore.views.visuals import Visuals

_TRACES: Final = Box(66, 92, 560, 250)
_RUNNING: Final = Box(716, 92, 330, 250)
_TRAINING: Final = Box(66, 434, 980, 130)
_HEIGHT: Final = 612


def chains_figure(
    readings: xr.Dataset,
    step: int,
    llc: Panel,
    stages: Sequence[StageMark],
    last_step: float,
    theme: Theme,
    title: str = "",
    visuals: Visuals | None = None,
) -> go.Figure:
    """The checkpoint ``step`` of ``analysis.chain_readings``; ``llc`` is the LLC over training, drawn below.

    Left: each chain's excess of the batch loss over that of the same batch at w*; dashed: a predictor that
    learned nothing, or where it would be. Right: λ̂ ± its standard error, had the chains ended there, and each
    chain's own at the end. Without chains both say so.
    """
    at = thinned(readings)[0].sel(step=step) if "excess" in readings else readings.sel(step=step)
    words = chains_words(readings, at, (visuals or Visuals("chains")).draws("chain"))
    figure = sheet(_HEIGHT + foot_height(words), theme, title, numbers_of(at))
    if "excess" in at and np.isfinite(at["excess"].values).any():
        _traces(figure, at, theme)
        _running(figure, at, theme)
    else:
        write(figure, "No chains were kept of this checkpoint.", 66, 200, theme.muted)
    draw_panel(figure, llc, _TRAINING, 3, stages, last_step, theme)
    mark = float(log_step(np.array(step)))
    low, high = llc.range
    figure.add_trace(
        go.Scatter(
            x=[mark, mark], y=[low, high], xaxis="x3", yaxis="y3", mode="lines", hoverinfo="skip",
            line={"color": theme.ink, "width": 1.4}, meta={"layer": "now"},
        )
    )  # fmt: skip
    foot(figure, words, theme)
    return figure


def numbers_of(at: xr.Dataset) -> str:
    """What is known of one checkpoint's LLC, in a line."""
    found = {name: float(at[name]) for name in at.data_vars if at[name].ndim == 0 and name != "reason"}
    parts = []
    if np.isfinite(found.get("llc", np.nan)):
        error = found.get("llc_se", np.nan)
        parts.append(f"λ̂ = {found['llc']:.4g}" + (f" ± {error:.2g}" if np.isfinite(error) else ""))
    forms = {"rhat": "R̂ {:.3f}", "ess": "ESS {:.0f}", "excess_loss": "E[L] − L(w*) = {:.3g}",
        "relative_distance": "‖w − w*‖ = {:.3g} ‖w*‖"}  # fmt: skip
    parts += [
        form.format(found[name]) for name, form in forms.items() if np.isfinite(found.get(name, np.nan))
    ]
    return " · ".join(parts)


def chains_words(readings: xr.Dataset, at: xr.Dataset, traces: bool = True) -> str:
    """The verdict, and what the figure does not show; ``traces``: whether it shows those of the chains."""
    verdict = plain(verdict_of(at))
    words = [f"{verdict[0].upper()}{verdict[1:]}."]
    if "excess" in readings and traces:
        every = thinned(readings)[1]
        skipped = burn_in(readings)
        words += [
            f"The first {skipped:,.0f} updates are burn-in, which is not kept." if skipped else "",
            f"One of {every} draws is drawn; λ̂ is of all." if every > 1 else "",
        ]
    said = settings(readings)
    return " ".join(filter(None, [*words, f"SGLD at {said}." if said else ""]))


def _traces(figure: go.Figure, at: xr.Dataset, theme: Theme) -> None:
    x, trivial, unit = updates(at), float(trivial_excess(at)), plain(str(at["excess"].attrs.get("units", "")))
    limits = excess_range(at)
    _axes(figure, _TRACES, 1, at, limits, theme)
    _title(figure, _TRACES, "excess of the batch loss over that at w*", unit, theme)
    for chain in range(at.sizes["chain"]):
        figure.add_trace(
            go.Scatter(
                x=x, y=at["excess"].values[chain], mode="lines", name=f"chain {chain + 1}",
                line={"color": theme.runs[chain % len(theme.runs)], "width": 1.1}, meta={"layer": "chain"},
                hovertemplate=f"chain {chain + 1}, update %{{x:,.0f}}<br>%{{y:.4g}} {unit}<extra></extra>",
            )
        )  # fmt: skip
    _level(figure, 0.0, "solid", "zero", theme)
    if limits[0] <= trivial <= limits[1]:
        _level(figure, trivial, "dash", "trivial", theme)
    if np.isfinite(trivial):
        outside = trivial > limits[1] or trivial < limits[0]
        arrow = (" ↑" if trivial > limits[1] else " ↓") if outside else " (dashed)"
        write(figure, f"{plain(trivial_name(at))}: {trivial:+.3g}{arrow}", _TRACES.left + _TRACES.width, 72,
            theme.muted, xanchor="right", name="trivial")  # fmt: skip


def _running(figure: go.Figure, at: xr.Dataset, theme: Theme) -> None:
    x, mean, error = updates(at), at["running_llc"].values, at["running_se"].values
    _axes(figure, _RUNNING, 2, at, llc_range(at), theme)
    _title(figure, _RUNNING, "running λ̂ ± standard error", "", theme)
    known = np.isfinite(mean + error)
    band = go.Scatter(
        x=np.concatenate([x[known], x[known][::-1]]),
        y=np.concatenate([(mean + error)[known], (mean - error)[known][::-1]]),
        mode="lines", fill="toself", fillcolor=theme.uncertainty, line={"width": 0}, hoverinfo="skip",
        name="± SE", meta={"layer": "errors"},
    )  # fmt: skip
    line = go.Scatter(
        x=x, y=mean, mode="lines", line={"color": theme.ink, "width": 1.6}, name="λ̂", meta={"layer": "llc"},
        hovertemplate="update %{x:,.0f}<br>λ̂ so far %{y:.4g}<extra></extra>",
    )  # fmt: skip
    own = at["chain_llc"].values
    ends = go.Scatter(
        x=np.full(own.shape, x[-1]), y=own, mode="markers", name="each chain", meta={"layer": "ends"},
        marker={"size": 6, "color": [theme.runs[i % len(theme.runs)] for i in range(own.size)]},
        text=[f"chain {i + 1}" for i in range(own.size)], cliponaxis=False,
        hovertemplate="%{text}<br>its own λ̂ %{y:.4g}<extra></extra>",
    )  # fmt: skip
    for trace in (band, line, ends):
        figure.add_trace(trace.update(xaxis="x2", yaxis="y2"))


def _axes(
    figure: go.Figure, box: Box, number: int, at: xr.Dataset, limits: tuple[float, float], theme: Theme
) -> None:
    x = updates(at)
    start = max(burn_in(at), 0.0)
    words = {"text": "SGLD update", "standoff": 2, "font": {"size": SIZES["small"], "color": theme.muted}}
    place(
        figure,
        box,
        number,
        axis(theme, range=[start, x[-1]], title=words, ticks="outside", ticklen=4, showgrid=False, nticks=7),
        axis(theme, range=list(limits), nticks=6, exponentformat="power"),
    )


def _title(figure: go.Figure, box: Box, title: str, unit: str, theme: Theme) -> None:
    quiet = f" <span style='color:{theme.muted}'>({unit})</span>" if unit else ""
    write(figure, f"<b>{title}</b>{quiet}", box.left - 2, 70, theme.ink, 12, name="panel_titles")


def _level(figure: go.Figure, y: float, dash: str, name: str, theme: Theme) -> None:
    figure.add_shape(
        type="line", xref="x domain", yref="y", x0=0, x1=1, y0=y, y1=y, name=name, layer="below",
        line={"color": theme.muted, "width": 1, "dash": dash},
    )  # fmt: skip
