"""Checkpoints and runs side by side: what is measured at each, and the timelines of runs under each other."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from devexplore.geometry import nearest_in_log_time
from devexplore.views.axes import axis, base_layout, log_step, shorten, step_ticks
from devexplore.views.llc_row import llc_row
from devexplore.views.markup import plain
from devexplore.views.rows import Row, loss_row, strip_row
from devexplore.views.stage_bands import band_names, band_trace
from devexplore.views.stages import StageMark
from devexplore.views.style import Theme
from devexplore.views.timeline import GUTTER, follow, in_gutter, row_title

HEADER: Final = 0.1
"""Height of the line above a run's rows, with its name and its stages, as a share of the figure."""

_GAP: Final = 0.06
_LETTERS: Final = 13
"""Of a run's name beside its timeline."""

_STAGE_LETTERS: Final = 46
"""Of stages' names that fit side by side where three charts share the page."""


class Story(NamedTuple):
    """A run as its timeline tells it."""

    name: str
    colour: str
    rows: Sequence[Row]
    stages: Sequence[StageMark]


def measured_rows(
    losses: xr.Dataset | None,
    checkpoints: xr.Dataset | None,
    llc: xr.Dataset | None,
    judged: xr.Dataset | None,
    metrics: xr.Dataset | None,
    theme: Theme,
) -> list[Row]:
    """A row of everything that is one number a checkpoint: losses, LLC with its verdicts, metrics."""
    rows = [loss_row(losses, None, theme), loss_row(None, checkpoints, theme)]
    rows += [] if llc is None or judged is None else [llc_row(llc, judged, theme)]
    single = [] if metrics is None else [v for v in metrics.data_vars.values() if v.dims == ("step",)]
    rows += [strip_row(values, theme) for values in single]
    return [row for row in rows if row is not None]


def readings(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows as the page's table needs them, to be read at any step."""
    return [{**one, "range": list(row.range)} for one, row in zip(follow(list(rows)), rows, strict=True)]


def readings_table(rows: Sequence[Row], steps: Sequence[float]) -> dict[str, np.ndarray]:
    """Columns of a table with a row for each of ``rows``, a value and its standard error for each step, from
    the nearest checkpoint at which it was measured."""
    at = [nearest_in_log_time(row.step, np.array(steps, dtype=float))[:, 0] for row in rows]
    columns: dict[str, np.ndarray] = {
        "quantity": np.array([row.title for row in rows], dtype=object),
        "unit": np.array([row.unit for row in rows], dtype=object),
    }
    for i in range(len(steps)):
        name = "" if len(steps) == 1 else f"_{i + 1}"
        columns[f"step{name}"] = np.array([row.step[near[i]] for row, near in zip(rows, at, strict=True)])
        columns[f"value{name}"] = np.array([row.value[near[i]] for row, near in zip(rows, at, strict=True)])
        columns[f"error{name}"] = np.array([row.error[near[i]] for row, near in zip(rows, at, strict=True)])
    return columns


def timelines(
    stories: Sequence[Story], last_step: float, theme: Theme
) -> tuple[go.Figure, list[dict[str, Any]]]:
    """The runs' rows under each other over one log-step axis, each run's stages behind its own rows; and what
    the time cursor reads off, with the place of the run (``run``) for each row.

    Rows of one title have one scale in all runs.
    """
    ticks, words = step_ticks(last_step)
    end = float(log_step(np.array(last_step))) or 1.0
    figure = go.Figure(
        layout=base_layout(
            theme, margin={"l": 42, "r": GUTTER, "t": 18, "b": 22}, hovermode="closest", dragmode=False
        )
    )
    count = sum(len(story.rows) for story in stories)
    share = (1.0 - HEADER * (len(stories) - 1) - _GAP * (count - len(stories))) / max(count, 1)
    scales = _common_scales(stories)
    told: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    top, number = 1.0, 1
    for place, story in enumerate(stories):
        bottom = top - share * len(story.rows) - _GAP * (len(story.rows) - 1)
        behind = _axis_name(number)
        figure.update_layout(
            {
                behind: {
                    "domain": [max(bottom, 0.0), top],
                    "range": [0, 1],
                    "visible": False,
                    "fixedrange": True,
                }
            }
        )
        for stage in story.stages:
            figure.add_trace(band_trace(stage, theme).update(yaxis=_short(behind)))
        notes += [{**name, "y": top} for name in band_names(story.stages, end, theme, _STAGE_LETTERS)]
        name = f"<b>━ {plain(shorten(story.name, _LETTERS))}</b>"
        notes.append(in_gutter(name, top, story.colour))
        for row, seen in zip(story.rows, follow(list(story.rows)), strict=True):
            number += 1
            name, low = _axis_name(number), top - share
            values = axis(theme, domain=[max(low, 0.0), top], range=scales[row.title], anchor="x", nticks=3)
            figure.update_layout({name: values})
            figure.add_traces([trace.update(xaxis="x", yaxis=_short(name)) for trace in row.traces])
            notes.append(row_title(row, top, theme))
            told.append({**seen, "axis": name, "run": place})
            top = low - _GAP
        top += _GAP - HEADER
        number += 1
    air = 0.015 * end
    figure.update_layout(
        annotations=notes,
        xaxis=axis(
            theme, range=[-air, end + air], showgrid=False, tickvals=ticks, ticktext=words, anchor="free",
            position=0, ticks="outside", ticklen=4,
        ),
    )  # fmt: skip
    return figure, told


def _common_scales(stories: Sequence[Story]) -> dict[str, list[float]]:
    rows = [row for story in stories for row in story.rows]
    return {
        title: [
            min(row.range[0] for row in rows if row.title == title),
            max(row.range[1] for row in rows if row.title == title),
        ]
        for title in {row.title for row in rows}
    }


def _axis_name(number: int) -> str:
    return "yaxis" if number == 1 else f"yaxis{number}"


def _short(name: str) -> str:
    return name.replace("axis", "")
