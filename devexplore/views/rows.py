"""The timeline's rows: the loss, and further metrics as strips of one line or of one a part."""

from math import prod
from textwrap import wrap
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from devexplore.views.axes import log_step, padded, shorten
from devexplore.views.markup import plain
from devexplore.views.parts import by_part, part_key, part_names, part_styles
from devexplore.views.style import Theme

MOST_PARTS = 16
"""A strip shows a metric with at most this many parts."""

LEAST_HEIGHT, LINE_HEIGHT = 0.55, 0.26
"""Heights of a strip, and of a line of the text beside it, where the rows of loss and LLC have 1."""

TITLE_LETTERS = 16
"""Letters of a row's title on one line."""

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
    """Relative to the rows of loss and LLC."""
    verdict: np.ndarray | None = None
    """Of an LLC: 0 trusted, 1 doubtful, 2 not an LLC, at each step."""
    reason: np.ndarray | None = None
    """Why, in words; empty where trusted."""
    key: tuple[str, ...] = ()
    """Of many lines: which is which, as lines of markup."""


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


def loss_caption(losses: xr.Dataset | None, checkpoints: xr.Dataset | None) -> str:
    """What a figure says under the row of the loss: what its second line is, where there is one."""
    both = losses is not None and checkpoints is not None and "train_loss" in checkpoints
    return "Grey, dotted: training loss." if both else ""


def strip_row(metric: xr.DataArray, theme: Theme) -> Row:
    """One further metric, small: one line, or one for each part (head, feature, mode), in order, with a key.

    ``metric(step)``, ``metric(step, part)`` or ``metric(step, layer, head)``.
    """
    title, unit = strip_label(str(metric.name)), metric.attrs.get("units", "")
    if metric.ndim == 1:
        row = _row(title, unit, metric, [_line(metric, theme.ink, 1.5, title)], 1.0)
        return row._replace(height=_height(len(title_lines(title)) + 1))
    parts = by_part(metric)
    names = part_names(parts)
    styles = part_styles(names, theme)
    traces = [
        _line(parts.isel(part=i), style.colour, 1.3, f"{title}, {name}", style.dash)
        for i, (name, style) in enumerate(zip(names, styles, strict=True))
    ]
    return row_of_parts(
        title, unit, metric["step"].values, traces, padded(metric.values), part_key(names, styles)
    )


def row_of_parts(
    title: str,
    unit: str,
    step: np.ndarray,
    traces: list[go.Scatter],
    limits: tuple[float, float],
    key: list[str],
) -> Row:
    """A row of many lines: no one value to read off, but a key, and the height that this needs."""
    unknown = np.full(step.shape, np.nan)
    height = _height(len(title_lines(title)) + len(key))
    return Row(title, unit, step, unknown, unknown, traces, limits, height, key=tuple(key))


def title_lines(title: str) -> list[str]:
    """A row's title as it fits beside the row, on two lines at most."""
    lines = wrap(title, TITLE_LETTERS)
    return lines if len(lines) <= 2 else [lines[0], shorten(" ".join(lines[1:]), TITLE_LETTERS)]


def _height(lines: int) -> float:
    """The height that a strip with so many lines of text beside it needs."""
    return max(LEAST_HEIGHT, LINE_HEIGHT * lines)


def strip_label(name: str) -> str:
    """A metric's name as people write it: ``icl_score`` → ``ICL score``."""
    return " ".join(ABBREVIATIONS.get(word, word) for word in name.split("_"))


def strips(metrics: xr.Dataset) -> list[str]:
    """The metrics that can be added as a strip: one number a checkpoint, or one for each of a few parts."""
    return [str(name) for name, values in metrics.data_vars.items() if _is_strip(values)]


def _is_strip(values: xr.DataArray) -> bool:
    dims = [dim for dim in values.dims if dim != "step"]
    drawn = len(dims) <= 1 or dims == ["layer", "head"]
    return "step" in values.dims and drawn and prod(values.sizes[dim] for dim in dims) <= MOST_PARTS


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
        hovertemplate=f"step %{{customdata:,}}<br>{plain(name)} %{{y:.4g}}<extra></extra>",
        name=plain(name),
    )
