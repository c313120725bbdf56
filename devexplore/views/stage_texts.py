"""The same text once a stage, each token coloured by how the loss of predicting it changed in that stage."""

from collections.abc import Sequence
from html import escape
from typing import Final

import xarray as xr

from devexplore.views.axes import step_label
from devexplore.views.coloured_text import FLOW_STYLE, colour_key, coloured_tokens
from devexplore.views.predictions import themed
from devexplore.views.stage_sheet import signed
from devexplore.views.stages import StageMark
from devexplore.views.style import Theme
from devexplore.views.tokens import colour_limit
from devexplore.views.visuals import Visuals

_STYLE: Final = """
.dx-text .stages { display: grid; grid-template-columns: max-content 1fr; column-gap: var(--space-4); }
.dx-text .stages .head { border-left: 4px solid; padding: 2px 0 2px 10px; margin-bottom: 10px; }
.dx-text .stages .head b { display: block; font-size: var(--size-title); }
.dx-text .stages .head small { display: block; color: var(--muted); font-size: var(--size-small);
  font-variant-numeric: tabular-nums; }
.dx-text .stages .flow { margin: 0 0 10px; padding: 6px 10px; }
"""


def stage_texts(
    changes: Sequence[xr.DataArray],
    stages: Sequence[StageMark],
    theme: Theme,
    note: str = "",
    visuals: Visuals | None = None,
) -> str:
    """A self-contained piece of HTML: one row a stage, the change of each token's loss as its colour.

    ``changes`` (sequence, position), one a stage, as of ``loss_change`` on the same text; all rows have the
    same colour limit, the largest of their own (``views.tokens.colour_limit``). Red: the loss fell.
    """
    limit = max(colour_limit(change) for change in changes)
    unit = changes[0].attrs.get("units", "")
    rows = []
    for change, stage in zip(changes, stages, strict=True):
        said = f"{step_label(stage.start)}–{step_label(stage.end)}<br>mean {signed(float(change.mean()))}"
        rows.append(
            f'<div class="head" style="border-color: {stage.colour}">'
            f'<b style="color: {stage.colour}">{escape(stage.name)}</b><small>{said}</small></div>'
        )
        rows.append(f'<p class="flow">{"".join(coloured_tokens(one, limit, unit) for one in change)}</p>')
    look = visuals or Visuals("token_changes")
    said = f'<p class="note">{escape(note)}</p>' if note and look.draws("caption") else ""
    key = colour_key("change of loss in each stage", limit, unit) if look.draws("legend") else ""
    return themed(
        f'<style>{FLOW_STYLE}{_STYLE}</style>{key}<div class="stages">{"".join(rows)}</div>{said}', theme
    )
