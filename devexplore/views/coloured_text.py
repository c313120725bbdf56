"""Text whose tokens are coloured by how the loss of predicting them changed."""

from collections.abc import Sequence
from html import escape
from typing import Final

import numpy as np
import xarray as xr

from devexplore.analysis.labelled_losses import require_texts
from devexplore.views.predictions import themed
from devexplore.views.style import LIGHT, TOKEN_STRENGTH, Theme
from devexplore.views.token_words import change_words
from devexplore.views.tokens import colour_limit

FLOW_STYLE: Final = """
.dx-text .flow { font: 13px/1.75 var(--mono); white-space: pre-wrap; overflow-wrap: anywhere; tab-size: 4;
  border: 1px solid var(--line); border-radius: var(--radius); padding: var(--space-3); margin: 0 0 8px; }
.dx-text .flow span { border-radius: 2px; padding: 2px 0; }
.dx-text .flow .lead { color: var(--faint); }
.dx-text .key { display: flex; gap: 8px; align-items: center; color: var(--muted); margin: 0 2px 8px;
  font-size: var(--size-small); font-variant-numeric: tabular-nums; flex-wrap: wrap; }
.dx-text .ramp { width: 160px; height: 10px; border: 1px solid var(--line); border-radius: 2px; }
.dx-text .what { color: var(--ink); font-size: var(--size-body); margin-right: 12px; }
"""


def coloured_text(
    change: xr.DataArray,
    sequences: Sequence[int] | None = None,
    limit: float | None = None,
    theme: Theme = LIGHT,
) -> str:
    """A self-contained piece of HTML: text, each token coloured by the change of its loss (``loss_change``).

    Red: the loss fell; blue: it rose; white: no change. The colour is linear in the change and symmetric,
    full at ± ``limit`` (default ``colour_limit`` of the whole change, not only of what is shown). A token
    without a value has no colour; the first, which nothing predicts, is grey. Hovering tells the number.
    Positions that a window of one's own text only reads stand in the window before: not shown twice.

    ``sequences``: which ones, by their label; default all. All text is escaped; bytes that are no whole
    character show as �.

    Raises:
        InvalidSpec: for a change that knows no texts (give ``loss_change`` the run, or ``probe=``).
    """
    require_texts(change, "coloured text")
    limit = colour_limit(change) if limit is None else limit
    unit = change.attrs.get("units", "")
    wanted = change["sequence"].values if sequences is None else np.asarray(sequences)
    flows: dict[int, str] = {}
    for label in wanted:
        one = change.sel(sequence=label)
        text = int(one["text"]) if "text" in one.coords else int(label)  # windows of one text run on
        flows[text] = flows.get(text, "") + coloured_tokens(one, limit, unit)
    what = ", ".join(filter(None, ("change of loss", change_words(change.attrs))))
    pieces = "".join(f'<p class="flow">{flow}</p>' for flow in flows.values())
    return themed(f"<style>{FLOW_STYLE}</style>{colour_key(what, limit, unit)}{pieces}", theme)


def coloured_tokens(change: xr.DataArray, limit: float, unit: str) -> str:
    """The tokens of one sequence as spans, on grounds that say how their loss changed."""
    values, words = change.values, change["target_text"].values
    there = np.flatnonzero(np.isfinite(values))
    first = int(there[0]) if "first_token" in change.coords and len(there) else 0
    lead = str(change["token_text"].values[0]) if first == 0 else ""
    spans = [f'<span class="lead">{escape(lead)}</span>' if lead else ""]
    for value, text in zip(values[first:], words[first:], strict=True):
        if not np.isfinite(value):
            spans.append(escape(str(text)))
            continue
        share = round(TOKEN_STRENGTH * min(abs(value) / limit, 1.0))
        role = "fell" if value < 0 else "rose"
        said = f"{value:+.2f} {unit}".replace("-", "−")
        spans.append(
            f'<span title="{escape(said)}" style="background: color-mix(in srgb, var(--{role}) {share}%, '
            f'transparent)">{escape(str(text))}</span>'
        )
    return "".join(spans)


def colour_key(what: str, limit: float, unit: str) -> str:
    """What the colours mean, from the loss that fell most to the one that rose most."""
    ends = f"var(--fell) {TOKEN_STRENGTH}%, transparent", f"var(--rose) {TOKEN_STRENGTH}%, transparent"
    ramp = ", transparent 50%, ".join(f"color-mix(in srgb, {end})" for end in ends)
    return (
        f'<div class="key"><span class="what">{escape(what)}</span>'
        f"<span>fell −{limit:g} {escape(unit)}</span>"
        f'<span class="ramp" style="background: linear-gradient(to right, {ramp})"></span>'
        f"<span>rose +{limit:g} {escape(unit)}</span></div>"
    )
