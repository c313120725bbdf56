"""Refined LLCs as a row of the timeline: one line for each component, each estimate with its verdict."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from devexplore.sampling.trust import DOUBTFUL, NOT_AN_LLC, VERDICT_WORDS
from devexplore.views.axes import log_step, padded
from devexplore.views.llc_row import verdict_marker
from devexplore.views.parts import part_key, part_styles
from devexplore.views.rows import Row, row_of_parts
from devexplore.views.style import Theme


def refined_row(refined: xr.Dataset, verdict: xr.DataArray, title: str, theme: Theme) -> Row:
    """λ̂(step, component) with its verdicts. Lines are broken where there is no LLC."""
    step = refined["step"].values
    x = log_step(step)
    traces: list[go.Scatter] = []
    shown = [np.zeros(0)]
    names = refined["component"].values.tolist()
    styles = part_styles(names, theme)
    for place, (name, style) in enumerate(zip(names, styles, strict=True)):
        one = refined.isel(component=place)
        value, error = one["llc"].values.astype(float), one["llc_se"].values.astype(float)
        level = verdict.isel(component=place).values
        believed = np.isfinite(value) & (level != NOT_AN_LLC)
        traces.append(
            go.Scatter(
                x=x,
                y=np.where(believed, value, np.nan),
                mode="lines+markers",
                line={"color": style.colour, "width": 1.4, "dash": style.dash},
                marker={"size": 4, "color": style.colour},
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
    return row_of_parts(title, "", step, traces, padded(np.concatenate(shown)), part_key(names, styles))
