"""A form on one card: where and when it is, how sure that is, and what it favours, in words and tokens."""

from html import escape

import numpy as np
import xarray as xr

from devexplore.analysis.form_readings import FormReading
from devexplore.views.lifting import PREDICTOR_WORDS
from devexplore.views.markup import with_minus
from devexplore.views.predictions import context_cell, gain, guess, themed, token
from devexplore.views.style import LIGHT, Theme

_ROWS = 6
_TOKENS = 8
_CHARACTERS = 40

_STYLE = """
.dx-card { border: 1px solid var(--line); border-radius: var(--radius); padding: 12px 16px; }
.dx-card h3 { margin: 0; font: 600 var(--size-title)/1.4 var(--font); color: var(--ink); }
.dx-card h4 { margin: 14px 0 4px; font: 600 var(--size-body)/1.4 var(--font); color: var(--ink); }
.dx-card p { margin: 2px 0; }
.dx-card .facts { color: var(--muted); font-variant-numeric: tabular-nums; }
.dx-card .sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr));
  gap: 0 24px; }
.dx-card .sides > div { min-width: 0; }
.dx-card .scroll { max-height: none; }
.dx-card .tokens { line-height: 1.9; }
"""


def form_card(form: xr.Dataset, lifted: xr.Dataset, reading: FormReading, theme: Theme = LIGHT) -> str:
    """A self-contained piece of HTML.

    The head says what it is (attribute ``name``, else Form) and its step (with its interval), its p-value
    against the null, strength, residual and coordinates, as far as ``form`` has them, and how many
    checkpoints it is made of. Then what it changes most against the reference, in a sentence, and the tokens
    and contexts that it favours and disfavours.
    """
    sides = [
        _side(reading.favoured_tokens, reading.favoured_contexts, reading.reference),
        _side(reading.disfavoured_tokens, reading.disfavoured_contexts, reading.reference),
    ]
    return themed(
        f'<style>{_STYLE}</style><div class="dx-card"><h3>{escape(_title(form))}</h3>'
        f'<p class="facts">{escape(_facts(form, lifted))}</p><p>{escape(sentence(reading))}</p>'
        f'<div class="sides">{"".join(sides)}</div></div>',
        theme,
    )


def _title(form: xr.Dataset) -> str:
    title = f"{form.attrs.get('name', 'Form')} at step {float(form['step']):,.0f}"
    if "step_low" in form:
        title += f" ({float(form['step_low']):,.0f}–{float(form['step_high']):,.0f})"
    return title


def _facts(form: xr.Dataset, lifted: xr.Dataset) -> str:
    facts = [
        f"{name} {float(form[key]):.3g}"
        for key, name in (("p_value", "p ="), ("strength", "strength"), ("residual", "residual"))
        if key in form
    ]
    if "coordinates" in form:
        places = form["coordinates"].values.astype(float)
        facts.append(", ".join(f"PC{k} {place:+.3g}" for k, place in enumerate(places, start=1)))
    alpha = lifted["weights"].values
    facts.append(f"{np.count_nonzero(alpha)} of {len(alpha)} checkpoints, Σ|α| = {np.abs(alpha).sum():.3g}")
    return " · ".join(facts)


def sentence(reading: FormReading) -> str:
    """What rose and fell most, with standard errors; only what the tables say."""
    mass, target = reading.predicted_classes, reading.target_classes
    most = mass.isel(predicted_class=int(np.abs(mass["mass_change"].values).argmax()))
    best = target.isel(target_class=0)
    step = target.attrs["reference_step"]
    return (
        f"Against {PREDICTOR_WORDS[reading.reference]} at step {step:,.0f}: the probability of tokens of "
        f"class “{most['predicted_class'].item()}” changes most, by "
        f"{_with_error(100 * float(most['mass_change']), 100 * float(most['mass_change_se']))} points; true "
        f"tokens of class “{best['target_class'].item()}” gain most, "
        f"{_with_error(float(best['log_prob_change']), float(best['log_prob_change_se']))} nats."
    )


def _with_error(value: float, error: float) -> str:
    return with_minus(f"{value:+.2f} ± {error:.2f}" if np.isfinite(error) else f"{value:+.2f}")


def _side(tokens: xr.Dataset, contexts: xr.Dataset, reference: str) -> str:
    words = " ".join(
        f'<span class="guess">{token(str(text))}<small>{100 * change:+.2f}</small></span>'.replace(">-", ">−")
        for text, change in zip(
            tokens["token_text"].values[:_TOKENS], tokens["probability_change"].values[:_TOKENS], strict=True
        )
    )
    rows = "".join(_row(contexts.isel(rank=rank)) for rank in range(min(_ROWS, contexts.sizes["rank"])))
    other = escape(PREDICTOR_WORDS[reference])
    head = (
        '<th scope="col" class="context">text</th><th scope="col">true next</th>'
        f'<th scope="col" class="number">gain</th><th scope="col">lifted</th><th scope="col">{other}</th>'
    )
    direction = tokens.attrs["direction"]
    return (
        f"<div><h4>Tokens {direction} (points of probability)</h4>"
        f'<p class="tokens">{words or "none"}</p>'
        f"<h4>Contexts {direction} (nats)</h4>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="Contexts {direction}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></div>"
    )


def _row(context: xr.Dataset) -> str:
    target, last = str(context["target_text"].item()), str(context["token_text"].item())
    cells = [
        context_cell(str(context["context"].item()).removesuffix(last)[-_CHARACTERS:], last),
        f"<td>{guess(target, float(context['probability']), False)}</td>",
        f'<td class="number">{gain(float(context["log_prob_change"]))}</td>',
    ]
    for prefix in ("", "reference_"):
        text = str(context[f"{prefix}top_text"].values[0])
        cells.append(
            f"<td>{guess(text, float(context[f'{prefix}top_probability'].values[0]), text == target)}</td>"
        )
    return f"<tr>{''.join(cells)}</tr>"
