"""Stages as marks: their colours, names in words, and which one a step belongs to."""

from typing import Final, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Int

from devexplore.views.axes import step_label
from devexplore.views.style import TYPE_WORDS, Theme, band, stage_shades

BY_HAND: Final = ("moved", "added")
"""Origins of boundaries that are the user's own and no critical point of the curve."""


class StageMark(NamedTuple):
    """One stage, ready to draw. ``start`` is inside, ``end`` is the next stage's start."""

    name: str
    start: float
    end: float
    type: str
    colour: str
    band: str
    words: str
    """A sentence for hover and for screen readers."""
    own: bool = False
    """Whether the boundary at its end was chosen by hand."""


def stage_marks(stages: xr.Dataset | None, theme: Theme) -> list[StageMark]:
    """The stages of ``find_stages`` in order; an empty list when there are none."""
    if stages is None or stages.sizes.get("stage", 0) == 0:
        return []
    types = [str(kind) for kind in stages["type"].values]
    own = [*chosen_by_hand(stages), False]
    marks = []
    for i, (kind, colour) in enumerate(zip(types, stage_shades(types, theme), strict=True)):
        one = stages.isel(stage=i)
        start, end = float(one["start"]), float(one["end"])
        words = f"{one['name'].item()}: steps {start:,.0f} to {end:,.0f}, {TYPE_WORDS.get(kind, 'undecided')}"
        delta_loss, delta_llc = float(one["delta_loss"]), float(one["delta_llc"])
        if np.isfinite(delta_loss):
            words += f"; Δloss {delta_loss:+.3g}"
        if np.isfinite(delta_llc):
            words += f"; ΔLLC {delta_llc:+.3g} ± {float(one['delta_llc_se']):.2g}"
            if not bool(one.get("supported", True)):
                words += ", with an end among checkpoints that are no LLC"
            elif not bool(one.get("trusted", True)):
                words += ", between estimates that are not trusted"
        note = str(one["note"].item()) if "note" in one else ""
        words += f". {note}" if note else ""
        mark = StageMark(str(one["name"].item()), start, end, kind, colour, band(kind, theme), words, own[i])
        marks.append(mark)
    return marks


def chosen_by_hand(stages: xr.Dataset) -> list[bool]:
    """Of each boundary inside the run, whether it is the user's own rather than found on the curve."""
    without = np.zeros(stages.sizes["stage"] - 1, dtype=bool)
    if "boundary_lower" in stages:
        without |= ~np.isfinite(stages["boundary_lower"].values[:-1].astype(float))
    if "boundary_origin" in stages:
        without |= np.isin(stages["boundary_origin"].values[:-1].astype(str), BY_HAND)
    return without.tolist()


def stage_index(steps: np.ndarray, stages: list[StageMark]) -> Int[np.ndarray, " step"]:
    """The stage each step lies in; −1 outside all of them. The last stage holds its own end."""
    steps = np.asarray(steps, dtype=float)
    index = np.full(steps.shape, -1)
    for i, stage in enumerate(stages):
        last = i == len(stages) - 1
        index[(steps >= stage.start) & ((steps <= stage.end) if last else (steps < stage.end))] = i
    return index


def chips(stages: list[StageMark]) -> list[dict[str, str | float]]:
    """The stages as the page's chips need them."""
    return [
        {**stage._asdict(), "range": f"{step_label(stage.start)}–{step_label(stage.end)}"} for stage in stages
    ]
