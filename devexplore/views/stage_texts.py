"""The same text once a stage, each token coloured by how the loss of predicting it changed in that stage."""

from collections.abc import Sequence
from html import escape
from typing import Final

import xarray as xr

from devexplore.views.axes import step_label
from devexplore.views.coloured_text import colour_key, coloured_piece, coloured_tokens, flow
from devexplore.views.coloured_text import note as noted
from devexplore.views.stage_sheet import signed
from devexplore.views.stages import StageMark
from devexplore.views.style import SIZES, Theme
from devexplore.views.tokens import colour_limit
from devexplore.views.visuals import Visuals

_HEAD_WIDTH: Final = 140


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
        texts = "".join(coloured_tokens(one, limit, unit, theme) for one in change)
        rows.append(
            f'<div style="display:flex;align-items:flex-start">{_head(stage, said, theme)}'
            f'<div style="flex:1 1 0;min-width:0">{flow(texts, theme)}</div></div>'
        )
    look = visuals or Visuals("token_changes")
    below = noted(note, theme) if note and look.draws("caption") else ""
    key = colour_key("change of loss in each stage", limit, unit, theme) if look.draws("legend") else ""
    return coloured_piece(f"{key}{''.join(rows)}{below}", theme)


def _head(stage: StageMark, said: str, theme: Theme) -> str:
    """The stage's name, where it lies and its mean change, beside its text."""
    style = (
        f"flex:0 0 {_HEAD_WIDTH}px;margin-right:12px;padding:2px 0 2px 10px;"
        f"border-left:4px solid {stage.colour};overflow-wrap:anywhere"
    )
    quiet = f"color:{theme.muted};font-size:{SIZES['small']}px"
    return (
        f'<div style="{style}"><b style="color:{stage.colour};font-size:{SIZES["title"]}px">'
        f'{escape(stage.name)}</b><div style="{quiet}">{said}</div></div>'
    )
