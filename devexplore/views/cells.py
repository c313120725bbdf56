"""What a run, its stages and its forms show of themselves in the cell of a notebook: HTML, no script."""

import hashlib
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

import numpy as np
import xarray as xr

from devexplore.views.axes import shorten, step_label
from devexplore.views.form_facts import sought
from devexplore.views.in_notebooks import Themes, colours
from devexplore.views.markup import with_minus
from devexplore.views.stage_sheet import UNSUPPORTED, in_one_format, with_error
from devexplore.views.stages import stage_marks
from devexplore.views.style import DARK, FONT, LIGHT, MONO, TYPE_WORDS

MOST_ROWS: Final = 60
"""Stages or forms that a table lists; the Dataset below it has all."""

_STYLE: Final = f"""
SELF {{ font: 13px/1.45 {FONT}; color: var(--dx-ink); background: var(--dx-surface); border: 1px solid
  var(--dx-line); border-radius: 6px; padding: 12px 16px; max-width: 900px; box-sizing: border-box; }}
SELF > h3 {{ margin: 0; font: 600 14px/1.4 {FONT}; color: inherit; letter-spacing: 0; }}
SELF > h3 span {{ font-weight: 400; color: var(--dx-muted); margin-left: 8px; }}
SELF > p {{ margin: 4px 0 0; color: var(--dx-muted); font-size: 12px; overflow-wrap: anywhere; }}
SELF > svg {{ margin: 8px 0 4px -6px; }}
SELF > p code {{ font: 12px {MONO}; color: var(--dx-ink); background: var(--dx-sunken); border: 1px solid
  var(--dx-line); border-radius: 4px; padding: 1px 5px; overflow-wrap: anywhere; }}
SELF .facts {{ display: flex; flex-wrap: wrap; gap: 2px 16px; margin-top: 6px; font-variant-numeric:
  tabular-nums; }}
SELF .facts span {{ color: var(--dx-muted); font-size: 12px; }}
SELF .facts b {{ color: var(--dx-ink); font-weight: 600; }}
SELF .scroll {{ overflow-x: auto; margin-top: 8px; }}
SELF .scroll table {{ border-collapse: collapse; margin: 0; font: inherit; color: inherit; border: 0;
  background: none; }}
SELF .scroll th, SELF .scroll td {{ padding: 4px 10px; text-align: left; border: 0;
  border-bottom: 1px solid var(--dx-line); white-space: nowrap; vertical-align: middle; background: none;
  color: inherit; }}
SELF .scroll tbody tr, SELF .scroll thead tr {{ background: none; }}
SELF .scroll tbody tr:last-child td {{ border-bottom: 0; }}
SELF .scroll th {{ color: var(--dx-muted); font-weight: 500; font-size: 11px; white-space: normal;
  vertical-align: bottom; }}
SELF .scroll .number {{ text-align: right; font-variant-numeric: tabular-nums; }}
SELF .scroll td.value {{ text-align: right; padding-right: 0; font-variant-numeric: tabular-nums; }}
SELF .scroll td.error {{ text-align: left; padding-left: 4px; color: var(--dx-muted); font-variant-numeric:
  tabular-nums; }}
SELF .quiet {{ color: var(--dx-muted); }}
SELF .chip {{ display: inline-block; border: 1px solid var(--dx-line); border-left: 4px solid; border-radius:
  5px; padding: 1px 8px 1px 6px; font-weight: 600; max-width: 16em; overflow: hidden; text-overflow: ellipsis;
  vertical-align: middle; }}
SELF .chip i {{ font-style: normal; color: var(--dx-ink); unicode-bidi: isolate; }}
SELF .undecided {{ border-left: 1px solid var(--dx-line); padding-left: 10px; background-image:
  repeating-linear-gradient(135deg, var(--dx-hatch) 0 1.5px, transparent 1.5px 4px); background-size: 6px
  100%; background-repeat: no-repeat; }}
SELF .form {{ border-left-color: var(--dx-form); }}
SELF > details {{ margin-top: 8px; }}
SELF > details > summary {{ color: var(--dx-muted); font-size: 12px; cursor: pointer; }}
"""


def run_cell(
    name: str,
    system: str,
    measured: Mapping[str, int],
    facts: Sequence[str],
    picture: str,
    hints: Sequence[str],
) -> str:
    """A run: name and system, at how many steps each group is measured (0: it has no steps), what else is
    said of it, the still, and how to go on (code, or words that begin with a capital)."""
    counts = "".join(
        f"<span>{escape(group)} <b>{steps:,}</b></span>" if steps else f"<span>{escape(group)}</span>"
        for group, steps in measured.items()
    )
    steps = f'<div class="facts"><span>measured at steps:</span>{counts}</div>' if counts else ""
    said = "".join(f"<p>{escape(fact)}</p>" for fact in facts)
    code = " ".join(f"<code>{escape(hint)}</code>" for hint in hints)
    head = f"<h3>{escape(shorten(name, 120))}<span>{escape(system)}</span></h3>"
    return _cell(f"{head}{steps}{picture}{said}<p>{code}</p>")


def stage_cell(stages: xr.Dataset, below: str = "", theme: Themes = "auto") -> str:
    """Stages of ``find_stages`` as a table, the type of each in its colour; ``below``: more, folded."""
    marks, dark = (stage_marks(stages, theme_)[:MOST_ROWS] for theme_ in (LIGHT, DARK))
    losses = in_one_format(stages["delta_loss"].values.astype(float))
    unit = str(stages["delta_loss"].attrs.get("units", ""))
    heads = [
        ("stage", ""), ("steps", "number"), ("type", ""),
        (f"Δ loss ({unit})" if unit else "Δ loss", "number"), ("Δ LLC ± SE", "number two"),
        ("ends with", ""), ("90 % interval", "number"), ("probability", "number"),
    ]  # fmt: skip
    rows = []
    for i, mark in enumerate(marks):
        one = stages.isel(stage=i)
        kind = mark.type if mark.type in ("A", "B") else "undecided"
        unsupported = not bool(one.get("supported", True)) and np.isfinite(float(one["delta_llc"]))
        cells = [
            f'<td><span class="chip {kind}" style="border-left-color: var(--dx-stage-{i})" '
            f'title="{escape(mark.words)}"><i>{escape(shorten(mark.name, 40))}</i></span></td>',
            _number(f"{mark.start:,.0f} – {mark.end:,.0f}"),
            f"<td>{escape(TYPE_WORDS[kind])}{UNSUPPORTED if unsupported else ''}</td>",
            _number(losses[i]),
            _with_error(float(one["delta_llc"]), float(one["delta_llc_se"])),
            *_boundary(one),
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    count = stages.sizes["stage"]
    more = f"The first {MOST_ROWS} of {count}. " if count > MOST_ROWS else ""
    dagger = f"{UNSUPPORTED.strip()}: an end lies among checkpoints that are no LLC. "
    words = f"{more}{dagger if any(UNSUPPORTED in row for row in rows) else ''}"
    note = stages.attrs.get("note", "")
    said = f"<p>{escape(f'{words}{str(note)[:1].upper()}{str(note)[1:]}.' if note else words)}</p>"
    said = said if note or words else ""
    for mark, own in zip(marks, stages["note"].values if "note" in stages else (), strict=False):
        if str(own):
            said += f"<p><b>{escape(shorten(mark.name, 40))}</b>: {escape(shorten(str(own), 300))}</p>"
    title = f"<h3>{count} stage{'s' if count > 1 else ''} of training</h3>"
    shades = [{f"stage-{i}": mark.colour for i, mark in enumerate(of_theme)} for of_theme in (marks, dark)]
    return _cell(f"{title}{_table(heads, rows)}{said}", below, theme, *shades)


def forms_cell(forms: xr.Dataset, below: str = "", theme: Themes = "auto") -> str:
    """Forms of ``find_forms``, or one (``forms.isel(form=0)``), as a table; ``below``: more, folded."""
    single = "form" not in forms.dims
    every = forms.expand_dims("form") if single else forms
    components = [int(component) for component in every["component"].values]
    heads = [
        ("form", ""), ("step", "number"), ("90 % interval", "number"), ("turns by", "number"),
        ("p ± SE", "number two"), ("planes apart", "number"), ("strength", "number"),
        *((f"PC{component}", "number") for component in components),
    ]  # fmt: skip
    rows = []
    for i in range(min(every.sizes["form"], MOST_ROWS)):
        one = every.isel(form=i)
        places = one["coordinates"].values.astype(float)
        cells = [
            f'<td><span class="chip form"><i>{"form" if single else f"form {i + 1}"}</i></span></td>',
            _number(f"{float(one['step']):,.0f}"),
            _number(f"{float(one['step_low']):,.0f} – {float(one['step_high']):,.0f}"),
            _number(f"{float(one['angle']):.0f}°"),
            _share(float(one["p_value"]), float(one["p_value_se"])),
            _number(f"{float(one['residual']):.1%}"),
            _number(f"{float(one['strength']):.0%}"),
            *(_number(_signed(place)) for place in places),
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    count = every.sizes["form"]
    title = "A form" if single else f"{count or 'No'} form{'' if count == 1 else 's'}"
    more = f"The first {MOST_ROWS} of {count}. " if count > MOST_ROWS else ""
    conclusion = "" if single else str(forms.attrs.get("conclusion", ""))
    conclusion = f"{conclusion[:1].upper()}{conclusion[1:]}. " if conclusion else ""
    meaning = sought(forms) if {"plane"} <= set(forms.dims) else ""
    said = f"<p>{escape(more + conclusion + meaning)}</p>"
    how = "forms.isel(form=0)" if not single else "form"
    hint = f"<p><code>dx.lift(run, {how})</code> says what it predicts.</p>" if rows else ""
    return _cell(f"<h3>{title}</h3>{_table(heads, rows) if rows else ''}{said}{hint}", below, theme)


def _cell(
    content: str,
    below: str = "",
    theme: Themes = "auto",
    light: Mapping[str, str] | None = None,
    dark: Mapping[str, str] | None = None,
) -> str:
    """A cell in our style and colours, under a name of its own, so that many stand on one page; ``below`` is
    folded under it."""
    own = f".dx-{hashlib.sha256(f'{theme}{content}'.encode()).hexdigest()[:10]}"
    # Thrice its name: JupyterLab has rules of its own for tables, which are to give way.
    style = colours(own, theme, light, dark) + _STYLE.replace("SELF", 3 * own)
    folded = f"<details><summary>Dataset</summary>{below}</details>" if below else ""
    return f'<div class="{own[1:]}"><style>{style}</style>{content}{folded}</div>'


def _table(heads: Sequence[tuple[str, str]], rows: Sequence[str]) -> str:
    row = "".join(
        f'<th scope="col" class="number"{" colspan=2" if "two" in kind else ""}>{escape(head)}</th>'
        if kind
        else f'<th scope="col">{escape(head)}</th>'
        for head, kind in heads
    )
    body = f"<thead><tr>{row}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="scroll"><table>{body}</table></div>'


def _number(words: str) -> str:
    return f'<td class="number">{escape(words)}</td>'


def _with_error(value: float, se: float) -> str:
    """A value and its error in two cells, so that both stand in a column."""
    if not np.isfinite(value):
        return '<td class="value quiet">–</td><td class="error"></td>'
    said, _, error = with_error(value, se).partition(" ± ")
    return f'<td class="value">{said}</td><td class="error">{f"± {error}" if error else ""}</td>'


def _signed(value: float) -> str:
    return with_minus(f"{value:+,.0f}" if abs(value) >= 100 else f"{value:+.3g}")


def _share(value: float, se: float) -> str:
    error = f"± {se:.1g}" if np.isfinite(se) and se > 0 else ""
    return f'<td class="value">{value:.3g}</td><td class="error">{error}</td>'


def _boundary(stage: xr.Dataset) -> list[str]:
    """What the stage ends with, the interval and the probability of that boundary."""
    lower, upper, probability = (
        float(stage[name]) for name in ("boundary_lower", "boundary_upper", "probability")
    )
    kind = str(stage["boundary_kind"].item())
    known = np.isfinite(lower + upper)
    return [
        f"<td>{'the run' if kind == 'end' else escape(kind)}</td>",
        _number(f"{step_label(lower)} – {step_label(upper)}" if known else "–"),
        _number(f"{probability:.2f}" if np.isfinite(probability) else "–"),
    ]
