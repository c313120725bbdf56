"""Next-token predictions as a table: one row a position, the form beside what it is compared with."""

from collections.abc import Sequence
from html import escape
from typing import Final

import numpy as np
import xarray as xr

from devexplore.views.lifted_rows import prediction_rows
from devexplore.views.lifting import PREDICTOR_WORDS
from devexplore.views.style import LIGHT, THEMES, Theme, css_variables
from devexplore.views.token_words import MARKS

_STRENGTH: Final = 24

STYLE: Final = """
.dx-text { color: var(--ink); background: var(--surface); font: var(--size-body)/1.45 var(--font); }
.dx-text table { border-collapse: collapse; margin: 0; width: 100%; table-layout: auto; font: inherit;
  color: inherit; }
.dx-text .scroll { overflow: auto; max-height: 560px; border: 1px solid var(--line);
  border-radius: var(--radius); }
.dx-text .scroll:focus-visible { outline: 2px solid var(--ink); outline-offset: 1px; }
.dx-text th { position: sticky; top: 0; background: var(--sunken); color: var(--muted);
  font-weight: 500; font-size: var(--size-small); text-align: left; white-space: nowrap; z-index: 1; }
.dx-text th b { color: var(--ink); font-weight: 600; display: block; }
.theme.dx-text th, .theme.dx-text td { padding: 3px 6px; border: 0; border-bottom: 1px solid var(--line);
  vertical-align: baseline; text-align: left; }
.theme.dx-text th { vertical-align: bottom; }
.dx-text tr:last-child td { border-bottom: 0; }
.dx-text td { background: var(--surface); white-space: nowrap; }
.dx-text td.number, .dx-text th.number { text-align: right; font-variant-numeric: tabular-nums; }
.dx-text td.place { color: var(--muted); }
.dx-text .context { font: 12px var(--mono); color: var(--muted); width: 150px; max-width: 150px; }
.dx-text .context div { display: flex; justify-content: flex-end; overflow: hidden; white-space: pre; }
.dx-text th.context { font: 500 var(--size-small)/1.45 var(--font); text-align: right; }
.dx-text .context b { color: var(--ink); font-weight: 600; }
.dx-text .token { font: 12px var(--mono); white-space: pre; border-radius: 3px; padding: 1px 3px; }
.dx-text .token.true { box-shadow: inset 0 0 0 1.5px var(--ink); }
.dx-text .mark { color: var(--muted); font-style: normal; font-weight: 400; opacity: .75; }
.dx-text .guess { display: inline-flex; align-items: baseline; gap: 2px; margin-right: 6px; }
.dx-text .guess small { color: var(--muted); font-size: var(--size-small);
  font-variant-numeric: tabular-nums; }
.dx-text .fell { color: var(--fell); }
.dx-text .rose { color: var(--rose); }
.dx-text .note { color: var(--muted); font-size: var(--size-small); margin: 6px 2px 0; }
"""


def prediction_table(
    lifted: xr.Dataset,
    sequence: int = 0,
    reference: str = "nearest",
    top: int = 3,
    others: int = 1,
    theme: Theme = LIGHT,
    positions: Sequence[int] | None = None,
) -> str:
    """A self-contained piece of HTML: what each predictor expects next, at every position of one text.

    Columns: position, the last tokens read, the true next token, the gain (log-probability that the form
    gives it, less that of ``reference``; nats), then the ``top`` most probable tokens of the form and
    ``others`` of each that it is compared with, with their probabilities. The true token is framed. Blanks,
    line breaks and tabs are shown as ␣ ↵ ⇥. All text is escaped. ``positions`` keeps to some of them.
    """
    here = lifted.isel(sequence=sequence)
    names = here["predictor"].values.tolist()
    body = []
    for row in prediction_rows(lifted, sequence, reference, top, others, positions):
        cells = [
            f'<td class="number place">{row["place"]}</td>',
            context_cell(row["before"], row["last"]),
            f"<td>{'' if row['target'] is None else token(row['target'])}</td>",
            f'<td class="number">{gain(row["gain"])}</td>',
            *(f"<td>{''.join(guess(*one) for one in guesses)}</td>" for guesses in row["guesses"]),
        ]
        body.append(f"<tr>{''.join(cells)}</tr>")
    head = '<th scope="col" class="number">position</th><th scope="col" class="context">read so far</th>'
    head += '<th scope="col">true next</th><th scope="col" class="number">gain</th>'
    head += "".join(f'<th scope="col">{_head(here, name)}</th>' for name in names)
    note = (
        f"Gain: log-probability of the true next token (nats), lifted less {PREDICTOR_WORDS[reference]}. "
        "Framed: the true next token. ␣ blank, ↵ line break, ⇥ tab."
    )
    return themed(
        f'<div class="scroll" tabindex="0" role="region" aria-label="Predictions of the next token">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
        f'<p class="note">{escape(note)}</p>',
        theme,
    )


def themed(content: str, theme: Theme) -> str:
    """A self-contained piece of HTML in our style: it may stand on any page, and as often as you like."""
    name = next(name for name, known in THEMES.items() if known == theme)
    style = f"<style>{css_variables()}{STYLE}</style>"
    return f'<div class="theme dx-text" data-theme="{name}">{style}{content}</div>'


def visible(text: str) -> str:
    """Escaped text with its white space in sight."""
    return "".join(
        f'<i class="mark">{MARKS[character]}</i>' if character in MARKS else escape(character)
        for character in text
    )


def token(text: str, probability: float = 0.0, true: bool = False) -> str:
    """One token as text of its own direction, on a ground as dark as it is probable; framed if it is true."""
    share = round(_STRENGTH * probability, 1)
    style = f' style="background: color-mix(in srgb, var(--ink) {share}%, transparent)"' if share > 0 else ""
    return f'<bdi class="token{" true" if true else ""}"{style}>{visible(text)}</bdi>'


def guess(text: str, probability: float, true: bool) -> str:
    """A predicted token with its probability."""
    percent = "&lt;1 %" if probability < 0.01 else f"{100 * probability:.0f} %"
    return f'<span class="guess">{token(text, probability, true)}<small>{percent}</small></span>'


def gain(nats: float | None) -> str:
    """A change of log-probability: red where the loss fell, blue where it rose, empty where there is none."""
    if nats is None or not np.isfinite(nats):
        return ""
    return f'<span class="{"fell" if nats > 0 else "rose"}">{nats:+.2f}</span>'.replace("-", "−")


def context_cell(before: str, last: str) -> str:
    """A cell with the end of the text read so far, the token just read in bold."""
    text = f"<bdi>{visible(before)}</bdi><b><bdi>{visible(last)}</bdi></b>"
    return f'<td class="context"><div><span>{text}</span></div></td>'


def _head(here: xr.Dataset, name: str) -> str:
    step = float(here["predictor_step"].sel(predictor=name))
    return f"<b>{escape(PREDICTOR_WORDS[name])}</b>step {step:,.0f}"
