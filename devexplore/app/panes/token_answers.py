"""What the tokens pane answers when asked: rankings of a change of loss, and predictions then and now."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from devexplore.analysis.labelled_losses import labelled_losses
from devexplore.analysis.token_rankings import Direction, most_changed
from devexplore.analysis.tokens import change_between
from devexplore.app.derived import DerivedRun
from devexplore.errors import InvalidSpec
from devexplore.geometry import nearest_in_log_time
from devexplore.measure.next_tokens import next_tokens
from devexplore.views.ranked_rows import ranked_rows
from devexplore.views.tokens import grid_item, grid_labels, label_values, own_places

RANKED = 20
"""Rows of a ranking."""

TOP = 5
"""Predictions that are named."""


class Source(NamedTuple):
    """The losses that are read: of the probe, or of the user's own text."""

    losses: xr.Dataset
    probe: xr.Dataset | None
    own: bool

    @property
    def text(self) -> bool:
        """Whether these are losses of tokens that can be read."""
        return self.probe is not None and "target_text" in self.probe

    def item(self, sequence: int, position: int) -> int:
        """Number of a place among what the page shows of its sequence."""
        if self.own:
            rows, columns = own_places(self.losses)
            return int(np.flatnonzero((rows == sequence) & (columns == position))[0])
        return position if self.text else grid_item(self.losses, sequence, position)

    def place(self, sequence: int, item: int) -> tuple[int, int]:
        """Sequence and position of what the page calls this item. Text only."""
        if not self.own:
            return sequence, item
        rows, columns = own_places(self.losses)
        return int(rows[item]), int(columns[item])

    def change(self, start: float, end: float) -> xr.DataArray:
        """Change of every loss between the checkpoints nearest to two steps."""
        losses = labelled_losses(self.losses, self.probe)
        at = nearest_in_log_time(losses["step"].values, np.array([start, end]))[:, 0]
        return change_between(losses, *at)

    def ranking(self, change: xr.DataArray, by: Any, direction: Direction) -> xr.Dataset:
        return most_changed(change, n=RANKED, direction=direction, by=by)


def source_of(derived: DerivedRun, text: str) -> Source:
    """Of the probe, or of this text, whose losses are there or waited for. Raises what that raises."""
    if text and derived.run.system == "language":
        losses = derived.text_losses(text).wait()
        return Source(losses, losses, True)
    if derived.token_losses is None:
        raise InvalidSpec("no token losses are measured")
    return Source(derived.token_losses, derived.probe, False)


def ranking(derived: DerivedRun, values: Mapping[str, Any]) -> dict[str, Any]:
    """Most improved and most worsened between two steps, by place, token, class or position."""
    source = source_of(derived, values["text"])
    change = source.change(*values["steps"])
    labels = {}
    for dim in ("sequence", "position"):
        if not source.text and label_values(source.probe, dim) is not None:
            labels[dim] = dict(enumerate(grid_labels(change, source.probe, dim)))
    rows = partial(ranked_rows, item=source.item, labels=labels)
    return {
        "improved": rows(source.ranking(change, values["by"], "improved")),
        "worsened": rows(source.ranking(change, values["by"], "worsened")),
        "unit": change.attrs["units"],
        "over": f"{change.attrs.get('sequence_name', 'sequence')}s",
    }


def top(derived: DerivedRun, values: Mapping[str, Any]) -> dict[str, Any]:
    """What the checkpoints at these steps predict at the place of a token."""
    source = source_of(derived, values["text"])
    if source.probe is None or "token_id" not in source.probe:
        raise InvalidSpec("the probe does not hold the tokens' numbers")
    sequence, position = source.place(values["sequence"], values["token"])
    ids, target = (source.probe[name].isel(sequence=sequence).values for name in ("token_id", "target_id"))
    found = next_tokens(
        derived.run, ids[: position + 1].tolist(), values["steps"], int(target[position]), TOP
    )
    return {
        "steps": values["steps"],
        "true": found.attrs["true_text"],
        "predictions": [
            {
                "texts": one["top_text"].values.tolist(),
                "probabilities": one["top_probability"].values.tolist(),
                "is_true": (one["top_id"].values == found.attrs["true_id"]).tolist(),
                "probability": float(one["true_probability"]),
                "rank": int(one["true_rank"]),
            }
            for one in (found.isel(step=i) for i in range(found.sizes["step"]))
        ],
    }
