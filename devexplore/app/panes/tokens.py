"""Tokens: how the loss of each prediction changes between two steps."""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from devexplore.analysis.tokens import change_between
from devexplore.app.components import Tokens
from devexplore.app.pane import Look, Pane, missing
from devexplore.geometry import nearest_in_log_time
from devexplore.views import tokens as tokens_view

NO_CHANGE = 1e-3
"""A loss that changes by less than this share of the mean loss at the first step is shown as unchanged."""


class TokensPane(Pane):
    title = "Tokens"
    viewer = Tokens
    follows = ("sequence",)

    def payload(self, look: Look) -> dict[str, Any]:
        derived = look.derived
        losses = derived.token_losses
        if losses is None:
            return missing(look, "losses", "The loss per token")
        if derived.run.system == "language" and derived.probe is not None:
            sequence = min(look.selection.sequence, losses.sizes["sequence"] - 1)
            shown = tokens_view.text_view(losses, derived.probe, sequence)
        else:
            shown = tokens_view.grid_view(losses, derived.probe)
        ranges = tokens_view.stage_ranges(look.stages())
        first, last = losses["step"].values[[0, -1]]
        return {
            **shown,
            "limits": {
                "stage": [limit_between(losses, *pair) for pair in ranges],
                "start": limit_between(losses, first, last),
            },
        }

    def code(self, look: Look) -> str:
        return "dx.figures.token_changes(run)"

    def table(self, look: Look) -> pd.DataFrame | None:
        losses = look.derived.token_losses
        return None if losses is None else losses["token_loss"].to_dataframe().reset_index()


def limit_between(losses: xr.Dataset, start: float, end: float) -> float:
    """Where the colours end for a change of loss between two steps, over the whole probe."""
    at_first = float(np.abs(losses["token_loss"].isel(step=0)).mean())
    at = nearest_in_log_time(losses["step"].values, np.array([start, end]))[:, 0]
    return tokens_view.colour_limit(change_between(losses["token_loss"], *at), NO_CHANGE * at_first)
