"""How vertices and forms depend on the bandwidth, beside the error by which it is chosen."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from devexplore.analysis.clock import NAMES
from devexplore.views.axes import axis, base_layout, log_step, step_ticks, title_line
from devexplore.views.style import LIGHT, Theme, plane_style

WIDTH, HEIGHT = 760, 440


def sensitivity_figure(sensitivity: xr.Dataset, theme: Theme = LIGHT) -> go.Figure:
    """Vertices of every plane over steps, one row a candidate bandwidth, wide ones above.

    Stars are turns whose cusps agree in all planes; where they were compared with surrogates, hollow ones
    have p > .05. The dashed line is the bandwidth that was used. At the side, the cross-validation error:
    where it is near that of the best, the data allow that bandwidth.
    """
    figure = make_subplots(1, 2, shared_yaxes=True, column_widths=[0.82, 0.18], horizontal_spacing=0.02)
    plane = sensitivity["vertex_plane"].values.astype(str)
    # pairs in order of components, whatever comes first in time
    for place, name in enumerate(sorted(set(plane), key=lambda text: (len(text), text))):
        figure.add_trace(_vertices(sensitivity.isel(vertex=plane == name), name, place, theme), row=1, col=1)
    figure.add_trace(_agreeing(sensitivity, theme), row=1, col=1)
    figure.add_trace(_error(sensitivity, theme), row=1, col=2)
    chosen = sensitivity.attrs["bandwidth"]
    figure.add_hline(chosen, line={"color": theme.ink, "width": 1.6, "dash": "dash"}, layer="below")
    how = (
        "chosen by cross-validation" if sensitivity.attrs["bandwidth_chosen_by"] != "user" else "as declared"
    )
    tested = bool(np.isfinite(sensitivity["agreeing_p_value"]).any())
    stars = "Hollow stars: p > 0.05" if tested else "Stars: not compared with a null"
    time = NAMES[sensitivity.attrs["time"]]
    candidates = sensitivity["candidate"].values
    figure.update_layout(
        base_layout(theme, margin={"l": 76, "r": 20, "t": 88, "b": 48}),
        title=title_line(f"Dashed: the bandwidth used, {chosen:.3g}, {how}. {stars}", theme),
        width=WIDTH,
        height=HEIGHT,
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1 - 34 / HEIGHT, "yref": "container", "yanchor": "top"},
    )
    last = float(np.concatenate([sensitivity["vertex_step"], sensitivity["agreeing_step"], [1.0]]).max())
    ticks, labels = step_ticks(last)
    figure.update_xaxes(axis(theme, tickvals=ticks, ticktext=labels, title={"text": "step"}), row=1, col=1)
    decades = {"type": "log", "tickvals": [1, 2, 5, 10, 20, 50, 100], "tickformat": "~g"}
    figure.update_xaxes(axis(theme, **decades, title={"text": "error (best = 1)"}), row=1, col=2)
    # ticks at the candidates: a bandwidth in between was never tried
    reach = np.log10([candidates[0] / 1.15, candidates[-1] * 1.15])
    rows = {"tickvals": candidates, "ticktext": [f"{one:.2g}" for one in candidates], "range": reach}
    figure.update_yaxes(axis(theme, type="log", **rows))
    figure.update_yaxes(title={"text": f"bandwidth in {time}", "standoff": 12}, row=1, col=1)
    return figure


def _vertices(vertices: xr.Dataset, name: str, place: int, theme: Theme) -> go.Scatter:
    colour, symbol = plane_style(place, theme)
    step, support = vertices["vertex_step"].values, vertices["vertex_support"].values
    return go.Scatter(
        x=log_step(step),
        y=vertices["vertex_bandwidth"].values,
        mode="markers",
        marker={"size": 7, "symbol": symbol, "color": colour, "opacity": 0.8},
        text=[
            f"vertex in {name}, step {at:,.0f}<br>there in {share:.0%} of redrawn noise"
            for at, share in zip(step, support, strict=True)
        ],
        hovertemplate="%{text}<extra></extra>",
        name=name,
    )


def _agreeing(sensitivity: xr.Dataset, theme: Theme) -> go.Scatter:
    step, angle, p = (sensitivity[f"agreeing_{name}"].values for name in ("step", "angle", "p_value"))
    weak = p > 0.05
    tested = [f", p = {one:.3g}" if np.isfinite(one) else "" for one in p]
    return go.Scatter(
        x=log_step(step),
        y=sensitivity["agreeing_bandwidth"].values,
        mode="markers",
        marker={
            "size": 15,
            "symbol": np.where(weak, "star-diamond-open", "star-diamond").tolist(),
            "color": theme.form,
            "line": {"width": 1.4, "color": np.where(weak, theme.form, theme.surface).tolist()},
        },
        text=[
            f"planes agree, step {at:,.0f}<br>turns by {one:.0f}°{said}"
            for at, one, said in zip(step, angle, tested, strict=True)
        ],
        hovertemplate="%{text}<extra></extra>",
        name="all planes agree",
    )


def _error(sensitivity: xr.Dataset, theme: Theme) -> go.Scatter:
    error = sensitivity["cross_validation"].values
    error = error / np.min(error)
    return go.Scatter(
        x=np.where(np.isfinite(error), error, np.nan),
        y=sensitivity["candidate"].values,
        mode="lines+markers",
        line={"color": theme.muted, "width": 1.4},
        marker={"size": 5, "color": theme.muted},
        hovertemplate="bandwidth %{y:.3g}: squared prediction error %{x:.3g} of the best<extra></extra>",
        showlegend=False,
        name="cross-validation",
    )
