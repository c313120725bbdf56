"""Stages behind curves over log-steps: their bands, their names, and their boundaries with intervals."""

from typing import Any

import numpy as np
import plotly.graph_objects as go

from devexplore.views.axes import log_step, shorten
from devexplore.views.stages import StageMark
from devexplore.views.style import SIZES, TYPE_WORDS, Theme

LETTERS = 66
"""Letters of a stage's name that fit side by side over the whole range of steps, on the narrowest page."""


def band_trace(stage: StageMark, theme: Theme, low: float = 0.0, high: float = 1.0) -> go.Scatter:
    """The band of a stage between these values of the first y-axis, hatched where it is of no type."""
    left, right = log_step(np.array([stage.start, stage.end]))
    hatched = stage.type not in ("A", "B")
    pattern = {"shape": "/", "size": 7, "solidity": 0.18, "fgcolor": theme.hatch, "bgcolor": stage.band}
    return go.Scatter(
        x=[left, right, right, left, left],
        y=[low, low, high, high, low],
        yaxis="y",
        mode="lines",
        fill="toself",
        fillcolor=stage.band,
        fillpattern=pattern if hatched else None,
        line={"width": 0},
        hoverinfo="skip",
        name=f"{stage.name} ({TYPE_WORDS.get(stage.type, 'undecided')})",
        meta={"layer": "band", "type": stage.type},
    )


def band_names(
    stages: list[StageMark], end: float, theme: Theme, letters: int = LETTERS
) -> list[dict[str, Any]]:
    """Annotations above a log-step axis of length ``end``: the names of stages that have room for one, where
    so many letters fit over the whole axis."""
    names = []
    for stage in stages:
        left, right = log_step(np.array([stage.start, stage.end]))
        room = int((right - left) / end * letters)
        if room < 3:
            continue  # no room for a name; the chips carry it
        names.append(
            {
                "x": (left + right) / 2,
                "y": 1,
                "xref": "x",
                "yref": "paper",
                "yanchor": "bottom",
                "showarrow": False,
                "text": f"<b>{shorten(stage.name, room)}</b>",
                "font": {"size": SIZES["small"], "color": stage.colour},
            }
        )
    return names
