"""The loss of one prediction over training."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from devexplore.analysis.learning_steps import LEARNED
from devexplore.views.axes import axis, base_layout, log_step, padded, title_line
from devexplore.views.stage_axis import stage_axis
from devexplore.views.stages import StageMark
from devexplore.views.style import LIGHT, SIZES, Theme
from devexplore.views.token_words import end_of, word

_CONTEXT: Final = 40
"""Characters of the text before the prediction."""


def history_figure(history: xr.Dataset, stages: Sequence[StageMark] = (), theme: Theme = LIGHT) -> go.Figure:
    """The loss of one prediction (``loss_history``) over log-steps: every checkpoint, smoothed, half-way.

    Dots are checkpoints, the line the smoothed loss. Where the prediction is learned, the dashed lines cross
    at its half-way step and the loss there. The title is the text before it, and the token predicted.
    """
    step, unit = history["step"].values, history.attrs.get("units", "")
    x, raw = log_step(step), history["token_loss"].values
    figure = go.Figure(
        [
            go.Scatter(
                x=x,
                y=raw,
                mode="markers",
                marker={"size": 4, "color": theme.raw},
                customdata=step,
                hovertemplate="step %{customdata:,}<br>%{y:.3g}<extra></extra>",
                name="checkpoints",
            ),
            go.Scatter(
                x=x,
                y=history["smooth_loss"].values,
                mode="lines",
                line={"color": theme.ink, "width": 2},
                hoverinfo="skip",
                name="smoothed",
            ),
        ]
    )
    stage_axis(figure, step, stages, theme)
    fate = str(history["fate"].item())
    said = fate
    if fate == LEARNED:
        at = float(history["learned_step"])
        level = float(history["early"] + history["late"]) / 2
        line = {"color": theme.muted, "width": 1, "dash": "dash"}
        figure.add_vline(float(log_step(np.array(at))), line=line)
        figure.add_hline(level, line=line)
        said = f"half-way at step {at:,.0f}"
    place = f"sequence {int(history['sequence'])}, position {int(history['position'])}"
    if "target_text" in history.coords:
        before, target = (str(history[name].item()) for name in ("context", "target_text"))
        words = f"{end_of(before, _CONTEXT)}<b>{word(target)}</b>"
        said = f"{place} · {said}"
    else:
        words = place
    figure.update_layout(
        **base_layout(theme, margin={"l": 56, "r": 16, "t": 76, "b": 44}, height=320),
        yaxis=axis(theme, title={"text": f"loss ({unit})"}, range=padded(np.append(raw, 0.0))),
        title=title_line(
            f"{words}<br><span style='font-size:{SIZES['small']}px;color:{theme.muted}'>{said}</span>", theme
        ),
    )
    return figure
