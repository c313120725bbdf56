"""A staircase: the values, the levels through them, and the intervals in which they change."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from devexplore.views.axes import axis, base_layout, log_step, step_label, step_ticks, title_line
from devexplore.views.markup import plain
from devexplore.views.rows import strip_label
from devexplore.views.style import LIGHT, Theme


def change_points_figure(changes: xr.Dataset, theme: Theme = LIGHT) -> go.Figure:
    """What ``dx.change_points`` found: each level as a line, each change as a band over its interval."""
    name, units = strip_label(str(changes.attrs["curve"])), str(changes.attrs["units"])
    step, value = changes["curve_step"].values, changes["value"].values
    ticks, words = step_ticks(float(step.max()))
    count = changes.sizes["change"]
    told = f"{count} {'change' if count == 1 else 'changes'} of level, bands their 90 % intervals"
    figure = go.Figure(
        layout=base_layout(
            theme,
            title=title_line(f"{name}: {told}", theme),
            margin={"l": 60, "r": 20, "t": 64, "b": 48},
            xaxis=axis(theme, tickvals=ticks, ticktext=words, title={"text": "step"}),
            yaxis=axis(theme, title={"text": plain(f"{name} ({units})" if units else name)}),
        )
    )
    for lower, upper, at in zip(
        changes["lower"].values, changes["upper"].values, changes["step"].values, strict=True
    ):
        left, right = log_step(np.array([lower, upper]))
        band = {"fillcolor": theme.form_ground, "line": {"color": theme.form_band, "width": 1}}
        figure.add_vrect(x0=left, x1=right, layer="below", **band)
        figure.add_annotation(
            x=log_step(np.array(at)),
            y=1,
            yref="paper",
            xanchor="left",
            yanchor="bottom",
            textangle=-35,
            showarrow=False,
            text=step_label(at),
        )
    se = changes["value_se"].values
    figure.add_trace(
        go.Scatter(
            x=log_step(step),
            y=value,
            mode="markers",
            marker={"size": 4, "color": theme.raw},
            error_y={"type": "data", "array": se, "width": 0, "thickness": 1, "color": theme.uncertainty}
            if np.any(se > 0)
            else None,
            customdata=step,
            hovertemplate=f"step %{{customdata:,}}<br>{plain(name)} %{{y:.4g}}<extra></extra>",
            name=plain(name),
        )
    )
    x, y = _levels(changes)
    figure.add_trace(
        go.Scatter(
            x=x, y=y, mode="lines", line={"color": theme.ink, "width": 2}, hoverinfo="skip", name="levels"
        )
    )
    return figure


def _levels(changes: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Two points a level, a gap (NaN) between levels; nothing where there is no change."""
    if changes.sizes["change"] == 0:
        return np.zeros(0), np.zeros(0)
    step = changes["curve_step"].values
    starts = np.array([step.min(), *changes["step"].values])
    ends = np.array([*(step[step < at].max() for at in changes["step"].values), step.max()])
    level = np.array([*changes["before"].values, changes["after"].values[-1]])
    gap = np.full(len(level), np.nan)
    return (
        np.stack([log_step(starts), log_step(ends), gap], axis=1).ravel(),
        np.stack([level, level, gap], axis=1).ravel(),
    )
