"""The loss of one prediction over training."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from devexplore.analysis.learning_steps import LEARNED
from devexplore.views.axes import axis, base_layout, log_step, padded, step_ticks
from devexplore.views.panels import Panel, draw_panel
from devexplore.views.sheet import WIDTH, Box, foot, foot_height, sheet, write
from devexplore.views.stage_bands import band_trace
from devexplore.views.stages import StageMark
from devexplore.views.style import LIGHT, SIZES, Theme
from devexplore.views.token_words import end_of, place_words, word
from devexplore.views.visuals import Visuals

_CONTEXT: Final = 60
"""Characters of the text before the prediction."""


def history_figure(
    history: xr.Dataset,
    stages: Sequence[StageMark] = (),
    theme: Theme = LIGHT,
    title: str = "",
    said: str = "",
    labels: Mapping[str, Mapping[int, str]] | None = None,
    visuals: Visuals | None = None,
) -> go.Figure:
    """The loss of one prediction (``loss_history``) over log-steps: every checkpoint, smoothed, half-way.

    Dots are checkpoints, the line the smoothed loss. Where the prediction is learned, the dashed lines cross
    at its half-way step and the loss there. Below the title: its place, what became of it, and for text the
    text before it with the token predicted in bold. ``labels``: as ``place_words`` has them.
    """
    step, unit = history["step"].values, history.attrs.get("units", "")
    x, raw = log_step(step), history["token_loss"].values
    fate = str(history["fate"].item())
    traces = [
        go.Scatter(
            x=x,
            y=raw,
            mode="markers",
            marker={"size": 4, "color": theme.raw},
            customdata=step,
            hovertemplate="step %{customdata:,}<br>%{y:.3g}<extra></extra>",
            name="checkpoints",
            meta={"layer": "checkpoints"},
        ),
        go.Scatter(
            x=x,
            y=history["smooth_loss"].values,
            mode="lines",
            line={"color": theme.ink, "width": 2},
            hoverinfo="skip",
            name="smoothed",
            meta={"layer": "smoothed"},
        ),
    ]
    low, high = padded(np.append(raw, 0.0))
    place = place_words(history.attrs, int(history["sequence"]), int(history["position"]), labels)
    bandwidth = history.attrs.get("bandwidth")
    smooth = "" if bandwidth is None else f", Gaussian weights of bandwidth {bandwidth:.3g} in ln(1 + step)"
    look = visuals or Visuals("token_history")
    marks = [
        "dots: the loss at each checkpoint" if look.draws("checkpoints") else "",
        f"line: smoothed{smooth}" if look.draws("smoothed") else "",
    ]
    first = "; ".join(filter(None, marks))
    words = [f"{first[0].upper()}{first[1:]}."] if first else []
    if fate == LEARNED:
        at, level = float(history["learned_step"]), float(history["early"] + history["late"]) / 2
        half = float(log_step(np.array(at)))
        end = float(x.max())
        line = {"color": theme.muted, "width": 1, "dash": "dash"}
        traces += [
            go.Scatter(x=across, y=up, mode="lines", line=line, hoverinfo="skip", meta={"layer": "half-way"})
            for across, up in (([half, half], [low, high]), ([0.0, end], [level, level]))
        ]
        fate = f"half-way at step {at:,.0f}"
        dashed = "Dashed: half of the way between the smoothed loss at the first and at the last checkpoint."
        words.append(look.said(("half-way", dashed)))
    text = look.said(*words, said)
    figure = sheet(360 + foot_height(text), theme, title, f"{place}: {fate}")
    if "target_text" in history.coords:
        before, target = (str(history[name].item()) for name in ("context", "target_text"))
        told = f"{end_of(before, _CONTEXT)}<b>{word(target)}</b>"
        write(figure, told, 16, 52, theme.ink, SIZES["body"], name="context")
    panel = Panel("loss", unit, traces, (low, high))
    draw_panel(figure, panel, Box(58, 116, WIDTH - 90, 200), 1, stages, float(step.max()), theme)
    foot(figure, text, theme)
    return figure


def history_frame(losses: xr.Dataset, stages: Sequence[StageMark], theme: Theme = LIGHT) -> go.Figure:
    """The frame of one prediction's history on a small chart: stage bands over log-steps, and an empty curve
    (its last trace) that the page fills. The range of the loss is the page's to set, too.
    """
    end = float(log_step(losses["step"].values[-1])) or 1.0
    ticks, words = step_ticks(float(losses["step"].values[-1]))
    figure = go.Figure(
        layout=base_layout(
            theme,
            margin={"l": 34, "r": 10, "t": 6, "b": 22},
            hovermode="closest",
            dragmode=False,
            xaxis=axis(
                theme, range=[-0.015 * end, 1.015 * end], tickvals=ticks, ticktext=words, showgrid=False
            )
            | {"anchor": "y2"},
            yaxis={"domain": [0, 1], "range": [0, 1], "visible": False, "fixedrange": True},
            yaxis2=axis(theme, nticks=4, anchor="x"),
        )
    )
    for stage in stages:
        figure.add_trace(band_trace(stage, theme))
    figure.add_trace(
        go.Scatter(
            mode="lines",
            line={"color": theme.ink, "width": 1.6},
            yaxis="y2",
            hovertemplate="step %{customdata:,}<br>%{y:.3g}<extra></extra>",
        )
    )
    return figure
