"""The timeline's rows: the loss, and further metrics as strips of one line or of one a part."""

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from devexplore.views.axes import log_step, padded
from devexplore.views.style import Theme

MOST_PARTS = 16
"""A strip shows a metric with at most this many parts."""

ABBREVIATIONS = {"icl": "ICL", "kl": "KL", "ood": "OOD", "llc": "LLC"}


class Row(NamedTuple):
    """One row of the timeline: what it shows, and the values that follow the time cursor."""

    title: str
    unit: str
    step: np.ndarray
    value: np.ndarray
    error: np.ndarray
    """Standard error of the value, NaN where none is known."""
    traces: list[go.Scatter]
    range: tuple[float, float]
    height: float
    verdict: np.ndarray | None = None
    """Of an LLC: 0 trusted, 1 doubtful, 2 not an LLC, at each step."""
    reason: np.ndarray | None = None
    """Why, in words; empty where trusted."""


def loss_row(losses: xr.Dataset | None, checkpoints: xr.Dataset | None, theme: Theme) -> Row | None:
    """Test loss as a line, training loss faint behind it; None when neither was measured."""
    traces = []
    shown = None
    unit = ""
    if checkpoints is not None and "train_loss" in checkpoints:
        train = checkpoints["train_loss"]
        unit = train.attrs.get("units", "")
        shown = train
        alone = losses is None
        colour, width, dash = (theme.ink, 1.6, "solid") if alone else (theme.faint, 1.2, "dot")
        traces.append(_line(train, colour, width, "train loss", dash=dash))
    if losses is not None:
        test = losses["test_loss"]
        unit = test.attrs.get("units", unit)
        shown = test
        traces.append(_line(test, theme.ink, 1.8, "test loss"))
    if shown is None:
        return None
    title = "test loss" if losses is not None else "train loss"
    return _row(title, unit, shown, traces, 1.0)


def strip_row(metric: xr.DataArray, theme: Theme) -> Row:
    """One further metric, small: one line, or one for each part (feature, head, mode)."""
    title = strip_label(str(metric.name))
    unit = metric.attrs.get("units", "")
    if metric.ndim == 1:
        return _row(title, unit, metric, [_line(metric, theme.ink, 1.5, title)], 0.55)
    (dim,) = set(metric.dims) - {"step"}
    parts = [metric.isel({dim: i}) for i in range(metric.sizes[dim])]
    traces = [_line(part, theme.ink, 1.1, f"{title}, {dim} {i}") for i, part in enumerate(parts)]
    row = _row(title, unit, parts[0], traces, 0.55)
    return row._replace(value=row.error, range=padded(metric.values))  # many lines: no one value to read off


def strip_label(name: str) -> str:
    """A metric's name as people write it: ``icl_score`` → ``ICL score``."""
    return " ".join(ABBREVIATIONS.get(word, word) for word in name.split("_"))


def strips(metrics: xr.Dataset) -> list[str]:
    """The metrics that can be added as a strip: one number a checkpoint, or one for each of a few parts."""
    return [str(name) for name, values in metrics.data_vars.items() if _is_strip(values)]


def _is_strip(values: xr.DataArray) -> bool:
    parts = [size for dim, size in values.sizes.items() if dim != "step"]
    return "step" in values.dims and (parts == [] or (len(parts) == 1 and parts[0] <= MOST_PARTS))


def _row(title: str, unit: str, values: xr.DataArray, traces: list[go.Scatter], height: float) -> Row:
    shown = values.values.astype(float)
    unknown = np.full(shown.shape, np.nan)
    return Row(title, unit, values["step"].values, shown, unknown, traces, padded(shown), height)


def _line(values: xr.DataArray, colour: str, width: float, name: str, dash: str = "solid") -> go.Scatter:
    step = values["step"].values
    return go.Scatter(
        x=log_step(step),
        y=values.values.astype(float),
        mode="lines",
        line={"color": colour, "width": width, "dash": dash},
        customdata=step,
        hovertemplate=f"step %{{customdata:,}}<br>{name} %{{y:.4g}}<extra></extra>",
        name=name,
    )
