"""Refined LLCs as a row of the timeline: one line for each component, each estimate with its verdict."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from devexplore.sampling.trust import DOUBTFUL, NOT_AN_LLC, VERDICT_WORDS
from devexplore.views.axes import log_step, padded
from devexplore.views.llc_row import verdict_marker
from devexplore.views.rows import Row
from devexplore.views.style import Theme

_DASHES = ("solid", "dash", "dot", "dashdot")


def refined_row(refined: xr.Dataset, verdict: xr.DataArray, title: str, theme: Theme) -> Row:
    """λ̂(step, component) with its verdicts. Lines are broken where there is no LLC; the first layer's
    components are warm, the second's cool, others grey.
    """
    step = refined["step"].values
    x = log_step(step)
    traces: list[go.Scatter] = []
    shown = [np.zeros(0)]
    for place, name in enumerate(refined["component"].values.tolist()):
        one = refined.isel(component=place)
        value, error = one["llc"].values.astype(float), one["llc_se"].values.astype(float)
        level = verdict.isel(component=place).values
        believed = np.isfinite(value) & (level != NOT_AN_LLC)
        colour, dash = _line_style(name, place, theme)
        traces.append(
            go.Scatter(
                x=x,
                y=np.where(believed, value, np.nan),
                mode="lines+markers",
                line={"color": colour, "width": 1.4, "dash": dash},
                marker={"size": 4, "color": colour},
                customdata=step,
                text=[
                    f"step {at:,}<br>{name}: LLC {v:.4g} ± {e:.2g} ({VERDICT_WORDS[k]})"
                    for at, v, e, k in zip(step, value, error, level, strict=True)
                ],
                hovertemplate="%{text}<extra></extra>",
                name=name,
            )
        )
        doubtful = believed & (level == DOUBTFUL)
        if doubtful.any():
            traces.append(
                go.Scatter(
                    x=x[doubtful],
                    y=value[doubtful],
                    mode="markers",
                    marker=verdict_marker(DOUBTFUL, theme.doubtful),
                    hoverinfo="skip",
                    name="doubtful",
                )
            )
        shown.append(value[believed])
    unknown = np.full(step.shape, np.nan)
    return Row(title, "", step, unknown, unknown, traces, padded(np.concatenate(shown)), 0.8)


def _line_style(name: str, place: int, theme: Theme) -> tuple[str, str]:
    """Colour by layer, shade and dash by place within it."""
    layer = name.split()[1] if name.startswith("layer ") else ""
    shades = {"1": theme.warm, "2": theme.cool}.get(layer, theme.undecided)
    return shades[place % len(shades)], _DASHES[place // len(shades) % len(_DASHES)]
