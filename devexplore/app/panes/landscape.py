"""The landscape: stages as wells, and which of them a posterior prefers at a number of samples."""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from devexplore.app.components import Landscape
from devexplore.app.pane import Look, Pane, message, missing
from devexplore.views.landscape import landscape_parts, slider_stops
from devexplore.views.landscape_odds import n_words
from devexplore.views.landscape_words import landscape_brief, landscape_words


class LandscapePane(Pane):
    title = "Landscape"
    viewer = Landscape

    def payload(self, look: Look) -> dict[str, Any]:
        if look.derived.llc is None:
            return missing(look, "llc", "The LLC")
        stages = look.result(look.derived.stages, "Finding stages")
        job = look.derived.free_energies
        if stages is None or job is None:
            return message("No landscape", "Wells stand for stages, and this run has none.")
        energies = look.result(job, "Free energies of the stages")
        if not np.isfinite(energies["free_energy"].values).any():
            why = "; ".join(dict.fromkeys(str(words) for words in energies["why"].values if words))
            return message("No stage ends at a checkpoint with both a loss and an LLC", why)
        marks = look.stages()
        ground, odds, frames, moving = landscape_parts(energies, marks, look.theme)
        stops, first = slider_stops(energies)
        numbers = energies["n"].values[stops]
        return {
            "ground": ground,
            "odds": odds,
            "frames": frames,
            "moving": moving,
            "samples": np.log10(numbers),
            "words": [n_words(float(n)) for n in numbers],
            "first": first,
            "brief": landscape_brief(energies, marks),
            "foot": landscape_words(energies, marks),
        }

    def code(self, look: Look) -> str:
        return "dx.figures.landscape(run)"

    def table(self, look: Look) -> pd.DataFrame | None:
        job = look.derived.free_energies
        if job is None or not job.future.done() or job.future.exception() is not None:
            return None
        energies: xr.Dataset = job.future.result()
        return energies[["free_energy", "preferred"]].reset_coords(drop=True).to_dataframe().reset_index()
