"""The loss at each example beside that of idealised predictors, for runs that learn in context."""

from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from devexplore.views.axes import axis, base_layout, padded
from devexplore.views.labels import spread_apart
from devexplore.views.style import SIZES, Theme

_DASHES: Final = {"zero": "dot", "ridge": "dash", "dmmse": "dashdot"}
_WORDS: Final = {"zero": "zero", "ridge": "ridge", "dmmse": "discrete MMSE"}
_LETTER: Final = 0.045
"""Least distance of two names at the right end, as a share of the axis."""


def ideals_view(losses: xr.Dataset, ideals: xr.Dataset, theme: Theme) -> dict[str, Any]:
    """The figure with the ideal predictors' curves and, for the page to draw, the network's at every step.

    All are means over the probe's sequences; the same sequences for all, so that they may be compared.
    """
    mean = losses["token_loss"].mean("sequence").transpose("step", "position").values.astype(np.float32)
    return {"figure": ideals_figure(ideals, mean, theme), "network": mean.ravel()}


def ideals_figure(ideals: xr.Dataset, network: np.ndarray, theme: Theme) -> go.Figure:
    """Curves of the ideal predictors over examples, from zero loss up; room for the network's at any step."""
    position = np.arange(1, ideals.sizes["position"] + 1)
    names = ideals["predictor"].values.tolist()
    high = padded(np.append(ideals["loss"].values, np.quantile(network, 0.995)))[1]
    small = {"size": SIZES["small"], "color": theme.muted}
    figure = go.Figure(
        layout=base_layout(
            theme,
            margin={"l": 44, "r": 84, "t": 8, "b": 38},
            hovermode="closest",
            dragmode=False,
            xaxis=axis(
                theme,
                range=[0.7, len(position) + 0.3],
                dtick=1 if len(position) <= 16 else None,
                showgrid=False,
                ticks="outside",
                ticklen=4,
                title={"text": "example in context", "standoff": 4, "font": small},
            ),
            yaxis=axis(
                theme,
                range=[0, high],
                nticks=5,
                title={"text": "mean squared error", "standoff": 6, "font": small},
            ),
        )
    )
    for name in names:
        here = ideals.sel(predictor=name)
        figure.add_trace(
            go.Scatter(
                x=position,
                y=here["loss"].values,
                customdata=here["loss_se"].values,
                mode="lines+markers",
                line={"color": theme.muted, "width": 1.5, "dash": _DASHES.get(name, "longdash")},
                marker={"size": 4, "color": theme.muted},
                name=_WORDS.get(name, name),
                hovertemplate="%{fullData.name}, example %{x}<br>%{y:.3g} ± %{customdata:.1g}<extra></extra>",
            )
        )
    ends = ideals["loss"].isel(position=-1).values / high
    for name, shown in zip(names, spread_apart(ends, _LETTER), strict=True):
        figure.add_annotation(
            text=_WORDS.get(name, name), x=1, xref="paper", xanchor="left", xshift=6, y=float(shown),
            yref="paper", yanchor="middle", showarrow=False,
            font=small,
        )  # fmt: skip
    return figure
