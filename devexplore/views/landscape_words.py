"""What a landscape says under itself: which stages have a well, what is measured, what it cannot show."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import xarray as xr

from devexplore.views.landscape_odds import crossing_bars
from devexplore.views.stages import StageMark
from devexplore.views.visuals import Visuals
from devexplore.views.wells import same_wells

_FOOT: Final = (
    "Measured, of the checkpoint at the end of each stage: λ̂ with its standard error{ticks}, the loss, and "
    "so F = n·L + λ̂·ln n{hollow}. L is {loss}.{schematic}{bars} λ̂ is a number at one nβ: n compares "
    "stages and counts no real samples."
)
_TICKS: Final = " (ticks at the lower edge{tied})"
_TIES: Final = ", each tied to its well"
_SCHEMATIC: Final = (
    " Schematic: walls and ridges; wells that would overlap stand aside, stages less than 1 apart at every n "
    "share one."
)
_BARS: Final = (
    " Bars on the right: 90 % intervals of the n at which a stage (its colour) and the one before cross."
)
_BRIEF: Final = (
    "Measured at each stage’s end: λ̂ ± SE (ticks) and loss L, so F = n·L + λ̂·ln n; hollow: λ̂ in doubt. "
    "Walls are schematic; n counts no real samples."
)
_BRIEF_BARS: Final = "Bars: where neighbours cross (90 %)."
_LOSSES: Final = {
    "init_loss": "the loss at w* over all the data that chains sample: it may fall where the test loss rises"
}


def landscape_words(energies: xr.Dataset, stages: Sequence[StageMark], visuals: Visuals | None = None) -> str:
    """What a landscape says under itself: what is measured in it, and what it cannot show; a few lines."""
    shown, marks, wells = shown_wells(energies, stages)
    loss = str(energies.attrs.get("loss", "loss"))
    look = visuals or Visuals("landscape")
    words = [
        _FOOT.format(
            ticks=_TICKS.format(tied=_TIES * look.draws("ties")) * look.draws("measured llc"),
            hollow="; hollow: a doubtful λ̂" * look.draws("wells"),
            schematic=_SCHEMATIC * look.draws_any("ground", "wells"),
            bars=_BARS if crossing_bars(shown) and look.draws("crossing") else "",
            loss=_LOSSES.get(loss, f"the {loss.replace('_', ' ')}"),
        ),
        *_crossings(shown, marks, wells),
    ]
    known = np.isfinite(energies["free_energy"].isel(n=0).values)
    words += [
        f"{mark.name} has no well ({_why(energies, i)})." for i, mark in enumerate(stages) if not known[i]
    ]
    return "\n".join(words)


def landscape_brief(energies: xr.Dataset, stages: Sequence[StageMark]) -> str:
    """The same in two short lines, where there is room for no more."""
    shown, marks, wells = shown_wells(energies, stages)
    known = np.isfinite(energies["free_energy"].isel(n=0).values)
    without = ", ".join(mark.name for mark, there in zip(stages, known, strict=True) if not there)
    words = [_BRIEF, _BRIEF_BARS if crossing_bars(shown) else "", f"No well: {without}." if without else ""]
    return " ".join(filter(None, [*words, *_crossings(shown, marks, wells)]))


def shown_wells(
    energies: xr.Dataset, stages: Sequence[StageMark]
) -> tuple[xr.Dataset, list[StageMark], list[list[int]]]:
    """The stages whose free energy is known, with their marks, and which of them share a well."""
    known = np.flatnonzero(np.isfinite(energies["free_energy"].isel(n=0).values))
    shown = energies.isel(stage=known)
    wells = same_wells(shown["free_energy"].transpose("stage", "n").values)
    return shown, [stages[i] for i in known.tolist()], wells


def _crossings(shown: xr.Dataset, stages: Sequence[StageMark], wells: Sequence[list[int]]) -> list[str]:
    """What the picture cannot show: that nothing is decided in it, and crossings out of its sight."""
    lowest = set(shown["free_energy"].transpose("stage", "n").values.argmin(axis=0).tolist())
    held = [well for well in wells if lowest & set(well)]
    words = []
    if len(held) == 1:
        names = " · ".join(stages[i].name for i in held[0])
        words.append(f"{names}: lowest at every n shown, so that n decides nothing here.")
    n, crossing = shown["n"].values, shown["crossing_n"].values
    for i in range(1, len(stages)):
        if crossing[i] < n[0] or crossing[i] > n[-1]:
            words.append(
                f"{stages[i].name} and the stage before cross out of sight, at n = {crossing[i]:.3g}."
            )
    return words


def _why(energies: xr.Dataset, place_: int) -> str:
    return str(energies["why"].values[place_]) if "why" in energies else "its loss or λ̂ is unknown"
