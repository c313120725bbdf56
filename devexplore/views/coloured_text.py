"""Text whose tokens are coloured by how the loss of predicting them changed.

All style is inline, and in plain colours: a notebook that is not trusted (somebody else's) is shown without
its stylesheets, and without colours that a browser would have to mix.
"""

from collections.abc import Sequence
from html import escape
from typing import Final

import numpy as np
import xarray as xr

from devexplore.analysis.labelled_losses import require_texts
from devexplore.views.style import FONT, LIGHT, MONO, RADIUS, SIZES, TOKEN_STRENGTH, Theme, blend
from devexplore.views.token_words import change_words
from devexplore.views.tokens import colour_limit

_QUOTED: Final = str.maketrans('"', "'")
_BLOCKS: Final = 5
"""Of the legend, on each side of no change."""


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
        flows[text] = flows.get(text, "") + coloured_tokens(one, limit, unit, theme)
    what = ", ".join(filter(None, ("change of loss", change_words(change.attrs))))
    pieces = "".join(flow(tokens, theme) for tokens in flows.values())
    return coloured_piece(f"{colour_key(what, limit, unit, theme)}{pieces}", theme)


def coloured_piece(content: str, theme: Theme) -> str:
    """A self-contained piece of HTML on the theme's own ground."""
    style = (
        f"color:{theme.ink};background-color:{theme.surface};padding:4px;line-height:1.45;"
        f"font-size:{SIZES['body']}px;font-family:{FONT.translate(_QUOTED)}"
    )
    return f'<div class="dx-text" style="{style}">{content}</div>'


def flow(tokens: str, theme: Theme) -> str:
    """Running text of ``coloured_tokens``, framed."""
    style = (
        f"margin:0 0 8px 0;padding:6px 10px;border:1px solid {theme.line};border-radius:{RADIUS}px;"
        f"white-space:pre-wrap;overflow-wrap:anywhere;font-size:{SIZES['body']}px;line-height:1.75;"
        f"font-family:{MONO.translate(_QUOTED)}"
    )
    return f'<p class="flow" style="{style}">{tokens}</p>'


def note(words: str, theme: Theme) -> str:
    """What is said below."""
    style = f"margin:6px 2px 0 2px;color:{theme.muted};font-size:{SIZES['small']}px"
    return f'<p class="note" style="{style}">{escape(words)}</p>'


def coloured_tokens(change: xr.DataArray, limit: float, unit: str, theme: Theme) -> str:
    """The tokens of one sequence as spans, on grounds that say how their loss changed."""
    values, words = change.values, change["target_text"].values
    there = np.flatnonzero(np.isfinite(values))
    first = int(there[0]) if "first_token" in change.coords and len(there) else 0
    lead = str(change["token_text"].values[0]) if first == 0 else ""
    spans = [f'<span style="color:{theme.faint}">{escape(lead)}</span>' if lead else ""]
    for value, text in zip(values[first:], words[first:], strict=True):
        if not np.isfinite(value):
            spans.append(escape(str(text)))
            continue
        said = f"{value:+.2f} {unit}".replace("-", "−")
        colour = change_colour(float(value) / limit, theme)
        spans.append(
            f'<span title="{escape(said)}" style="background-color:{colour};padding:2px 0">'
            f"{escape(str(text))}</span>"
        )
    return "".join(spans)


def change_colour(share: float, theme: Theme) -> str:
    """The ground of a change that is this share of the limit, opaque: red below 0, blue above."""
    strength = TOKEN_STRENGTH / 100 * min(abs(share), 1.0)
    return blend(theme.fell if share < 0 else theme.rose, theme.surface, strength)


def colour_key(what: str, limit: float, unit: str, theme: Theme) -> str:
    """What the colours mean, from the loss that fell most to the one that rose most."""
    ramp = "".join(
        f'<span style="background-color:{change_colour(i / _BLOCKS, theme)};padding:0 7px"></span>'
        for i in range(-_BLOCKS, _BLOCKS + 1)
    )
    title = f"color:{theme.ink};font-size:{SIZES['body']}px;margin-right:12px"
    style = f"margin:0 2px 8px 2px;color:{theme.muted};font-size:{SIZES['small']}px"
    return (
        f'<div class="key" style="{style}"><span style="{title}">{escape(what)}</span>'
        f"fell −{limit:g} {escape(unit)} {ramp} rose +{limit:g} {escape(unit)}</div>"
    )
