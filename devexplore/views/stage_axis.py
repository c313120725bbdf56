"""A log-step axis with the stages as bands behind the curves."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from devexplore.views.axes import axis, log_step, step_ticks
from devexplore.views.stage_bands import band_names, line_at
from devexplore.views.stages import StageMark
from devexplore.views.style import Theme


def stage_axis(figure: go.Figure, step: np.ndarray, stages: Sequence[StageMark], theme: Theme) -> None:
    """Make the first x-axis of a figure one of log-steps, with the stages behind it and their names above."""
    for stage in stages:
        left, right = log_step(np.array([stage.start, stage.end]))
        figure.add_shape(
            type="rect", x0=left, x1=right, y0=0, y1=1, xref="x", yref="y domain",
            fillcolor=stage.band, line_width=0, layer="below",
        )  # fmt: skip
    for stage in stages[:-1]:
        x = float(log_step(np.array(stage.end)))
        figure.add_shape(
            type="line", x0=x, x1=x, y0=0, y1=1, xref="x", yref="y domain", layer="below",
            line={**line_at(stage.own), "color": theme.muted},
        )  # fmt: skip
    end = float(log_step(step.max()))
    names = [{**name, "yref": "y domain"} for name in band_names(stages, end, theme)]
    figure.update_layout(annotations=names)
    ticks, labels = step_ticks(float(step.max()))
    figure.update_layout(
        xaxis=axis(
            theme, tickvals=ticks, ticktext=labels, title={"text": "step"}, range=[-0.015 * end, 1.015 * end]
        )
    )
