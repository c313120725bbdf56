"""The run beside random walks like it, at one scale: would a random walk draw this too?"""

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from devexplore.views.axes import axis, base_layout, log_step, step_label
from devexplore.views.style import LIGHT, SIZES, Theme
from devexplore.views.trajectory_layers import columns, time_scale, xyz

_PANEL = 235
_AIR = 1.12


def walks_figure(
    dynamics: xr.Dataset, walks: xr.Dataset, components: tuple[int, int] = (1, 2), theme: Theme = LIGHT
) -> go.Figure:
    """Curves of the run and of ``null_walks`` in two components, coloured from the first step to the last.

    All panels have the same scale on both axes; each says how much of its own variance it shows.
    """
    panels = [("the run", dynamics["curve_score"], dynamics)]
    panels += [
        (f"random walk {k + 1}", walks["curve_score"].isel(walk=k), walks.isel(walk=k))
        for k in range(walks.sizes["walk"])
    ]
    curves = [columns(curve, components) for _, curve, _ in panels]
    half = _AIR * max(float(np.ptp(curve, axis=0).max()) for curve in curves) / 2
    figure = make_subplots(
        1, len(panels), horizontal_spacing=0.03, subplot_titles=[f"<b>{name}</b>" for name, _, _ in panels]
    )
    for column, ((name, _, source), curve) in enumerate(zip(panels, curves, strict=True), start=1):
        step = source["curve_step"].values
        figure.add_trace(_line(curve, step, name, theme), row=1, col=column)
        middle = (curve.min(axis=0) + curve.max(axis=0)) / 2
        shares = source["explained_variance_ratio"].sel(component=list(components)).values
        for place, update in enumerate((figure.update_xaxes, figure.update_yaxes)):
            title = {"text": f"PC{components[place]} ({shares[place]:.0%})", "standoff": 4}
            sides = [middle[place] - half, middle[place] + half]
            update(axis(theme, range=sides, showticklabels=False, ticks="", title=title), row=1, col=column)
    figure.update_xaxes(showgrid=False, showline=True, mirror=True)
    figure.update_yaxes(showgrid=False, showline=True, mirror=True)
    figure.update_layout(
        base_layout(theme, margin={"l": 34, "r": 20, "t": 36, "b": 40}),
        width=_PANEL * len(panels) + 40,
        height=_PANEL + 70,
    )
    figure.update_annotations(font={"size": SIZES["body"], "color": theme.ink}, yshift=4)
    return figure


def _line(curve: np.ndarray, step: np.ndarray, name: str, theme: Theme) -> go.Scatter:
    return go.Scatter(
        **xyz(curve),
        mode="lines+markers",
        line={"color": theme.raw, "width": 1},
        marker={"size": 4, "color": log_step(step), "colorscale": time_scale(theme)},
        text=[f"{name}, step {step_label(at)}" for at in step],
        hovertemplate="%{text}<extra></extra>",
        name=name,
    )
