"""Tokens: how the loss of each prediction changes between two steps."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import xarray as xr

from devexplore.analysis.labelled_losses import PLACE
from devexplore.analysis.tokens import change_between
from devexplore.app.components import Tokens
from devexplore.app.derived import READ_ERRORS, DerivedRun
from devexplore.app.pane import Answer, Look, Pane, missing
from devexplore.app.panes.token_answers import ranking, source_of, top
from devexplore.geometry import nearest_in_log_time
from devexplore.views import tokens as tokens_view
from devexplore.views.ideals import ideals_view
from devexplore.views.token_history import history_frame

NO_CHANGE = 1e-3
"""A loss that changes by less than this share of the mean loss at the first step is shown as unchanged."""

STEPS = "STEP_FROM, STEP_TO"
"""Stands in the code for the two steps compared, which the page knows."""

LONGEST_TEXT = 4000
"""Letters of the user's own text."""

KEPT_BYTES = 3_000_000
"""Of losses that a report keeps; the sequences beyond are left out."""

RANKED_BY, RANKED_BY_OF_GRID = ["place", "token", "class", "position"], ["place", "position"]


class TokensPane(Pane):
    title = "Tokens"
    viewer = Tokens
    follows = ("sequence", "text")
    answers: ClassVar[Mapping[str, Answer]] = {"ranking": ranking, "top": top}

    def payload(self, look: Look) -> dict[str, Any]:
        derived = look.derived
        losses = derived.token_losses
        if losses is None:
            return missing(look, "losses", "The loss per token")
        language = _readable(derived)
        own, refused = _own_losses(look) if language else (None, "")
        if own is not None:
            losses, shown = own, tokens_view.own_text_view(own)
        elif language and derived.probe is not None:
            sequence = min(look.selection.sequence, losses.sizes["sequence"] - 1)
            shown = tokens_view.text_view(losses, derived.probe, sequence)
        else:
            shown = tokens_view.grid_view(losses, derived.probe, look.selection.sequence)
        stages = look.stages()
        first, last = losses["step"].values[[0, -1]]
        ideals = derived.ideal_losses if derived.run.system == "regression" else None
        if derived.run.system == "regression" and ideals is None:
            shown["note"] += f" To see them beside ridge and zero: {derived.run.remedy('losses')}."
        return {
            **shown,
            "limits": {
                "stage": [limit_between(losses, *pair) for pair in tokens_view.stage_ranges(stages)],
                "start": limit_between(losses, first, last),
            },
            "history": history_frame(losses, stages, look.theme),
            "ranked_by": RANKED_BY if language else RANKED_BY_OF_GRID,
            "position_name": tokens_view.dimension_name(derived.probe, "position"),
            "ideals": None if ideals is None else ideals_view(losses, ideals, look.theme),
            "own": own is not None,
            "text_longest": LONGEST_TEXT if language else 0,
            "refused": refused,
        }

    def code(self, look: Look) -> str:
        text = look.selection.text
        if text and look.derived.run.system == "language":
            lines = [f"losses = dx.token_losses(run, {text!r})", "dx.figures.token_changes(losses, run=run)"]
            return "\n".join([*lines, f"change = dx.loss_change(losses, {STEPS})"])
        sequence = look.selection.sequence
        shown = f"run, sequence={sequence}" if look.derived.run.system == "language" else "run"
        return f"dx.figures.token_changes({shown})\nchange = dx.loss_change(run, {STEPS})"

    def table(self, look: Look) -> pd.DataFrame | None:
        """Of the sequence shown, a row a token; of a ranking, a row a rank."""
        derived, selection = look.derived, look.selection
        if derived.token_losses is None:
            return None
        if selection.token_view == "ideals" and derived.ideal_losses is not None:
            return derived.ideal_losses.to_dataframe().reset_index()
        source = source_of(derived, selection.text)
        steps = compared_steps(look, source.losses)
        change = source.change(*steps)
        if selection.token_view == "ranking":
            ranked = (source.ranking(change, selection.ranked_by, way) for way in ("improved", "worsened"))
            tables = [
                one.to_dataframe().reset_index().assign(direction=one.attrs["direction"]) for one in ranked
            ]
            return pd.concat(tables)
        held = source.losses["token_loss"].assign_coords({dim: change[dim].values for dim in PLACE})
        if source.text and not source.own:
            change = change.isel(sequence=[min(selection.sequence, change.sizes["sequence"] - 1)])
        rows = change.to_dataframe().reset_index()
        for step in (change.attrs["step_from"], change.attrs["step_to"]):
            values = held.sel(step=step, sequence=change["sequence"]).transpose(*PLACE)
            rows[f"loss_at_{step}"] = values.values.ravel()
        texts = [name for name in ("token_text", "target_text") if name in rows]
        losses = [name for name in rows if str(name).startswith("loss_at_")]
        columns = ["sequence", "position", *texts, *losses, "loss_change"]
        return rows.loc[rows["loss_change"].notna(), columns]

    def kept(self, look: Look) -> Iterable[list[dict[str, Any]]]:
        return [[{"sequence": at, "text": ""} for at in page] for page in kept_pages(look)]

    def kept_answers(self, look: Look) -> Iterable[tuple[str, dict[str, Any]]]:
        """Over each stage, and all of training: rankings, and predictions in the text that is open (of one of
        the user's own, in the place that is locked)."""
        derived, selection = look.derived, look.selection
        losses = derived.token_losses
        if losses is None:
            return
        steps = losses["step"].values
        text = selection.text if _readable(derived) else ""
        for pair in [*tokens_view.stage_ranges(look.stages()), (steps[0], steps[-1])]:
            compared = steps[nearest_in_log_time(steps, np.array(pair))[:, 0]].tolist()
            for by in RANKED_BY if _readable(derived) else RANKED_BY_OF_GRID:
                for source in sorted({"", text}):
                    yield "ranking", {"text": source, "by": by, "steps": compared}
            if _readable(derived):
                sequence = 0 if text else min(selection.sequence, losses.sizes["sequence"] - 1)
                for token in [selection.token] if text else range(losses.sizes["position"]):
                    yield "top", {"text": text, "sequence": sequence, "token": token, "steps": compared}


def kept_pages(look: Look) -> list[range]:
    """Sequences of the probe that a report keeps, those together that are shown together."""
    losses = look.derived.token_losses
    if losses is None:
        return []
    count, rows = losses.sizes["sequence"], 1 if _readable(look.derived) else tokens_view.GRID_ROWS
    size = 4 * losses.sizes["step"] * losses.sizes["position"] * rows
    pages = [range(first, min(first + rows, count)) for first in range(0, count, rows)]
    return pages[: max(1, KEPT_BYTES // size)]


def _readable(derived: DerivedRun) -> bool:
    """Whether its tokens are text."""
    return derived.run.system == "language" and derived.probe is not None


def _own_losses(look: Look) -> tuple[xr.Dataset | None, str]:
    """The losses of the user's own text, if one is given, or why there are none. Raises ``Waiting``."""
    text = look.selection.text
    if not text:
        return None, ""
    try:
        return look.result(look.derived.text_losses(text), "Losses of your text at every checkpoint"), ""
    except READ_ERRORS as error:
        return None, str(error)


def compared_steps(look: Look, losses: xr.Dataset) -> tuple[float, float]:
    """The two steps between which the page shows the change of loss."""
    selection, measured = look.selection, losses["step"].values
    if selection.change == "custom":
        return selection.change_from, selection.change_to if selection.change_to >= 0 else measured[-1]
    steps = look.derived.steps
    step = selection.step if selection.step >= 0 else steps[-1]
    now = float(steps[nearest_in_log_time(steps, step)[0]])
    stages = look.stages()
    here = [stage for stage in stages if stage.start <= now < stage.end] or stages[-1:]
    if selection.change == "stage" and here and here[0].start <= now <= here[0].end:
        return here[0].start, here[0].end
    return measured[0], now


def limit_between(losses: xr.Dataset, start: float, end: float) -> float:
    """Where the colours end for a change of loss between two steps, over the whole probe."""
    at_first = float(np.abs(losses["token_loss"].isel(step=0)).mean())
    at = nearest_in_log_time(losses["step"].values, np.array([start, end]))[:, 0]
    return tokens_view.colour_limit(change_between(losses["token_loss"], *at), NO_CHANGE * at_first)
