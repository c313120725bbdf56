"""Loss and LLC over training with the stages behind them, as one small picture without any script."""

import hashlib
from collections.abc import Callable, Sequence
from html import escape
from typing import Final, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float

from devexplore.analysis.stages import find_stages
from devexplore.analysis.trust import trust
from devexplore.arguments import require_run
from devexplore.errors import NotMeasured
from devexplore.run import Run
from devexplore.sampling.trust import DOUBTFUL, NOT_AN_LLC, TRUSTED
from devexplore.schema import CHECKPOINTS, LLC, LOSSES, STEP
from devexplore.views.axes import log_step, padded, shorten, step_label, step_ticks
from devexplore.views.in_notebooks import Themes, colours, require_theme
from devexplore.views.llc_row import estimate_range
from devexplore.views.stage_bands import name_places
from devexplore.views.stages import StageMark, stage_marks
from devexplore.views.style import DARK, FONT, LIGHT

WIDTH: Final = 760
"""Of the picture, in its own pixels; it is as wide as its place lets it be."""

MOST_BYTES: Final = 40_000
"""The picture is at most so long: curves are thinned evenly until it is, and hundreds of stages left out."""

_LEFT, _RIGHT, _TOP, _BELOW = 72.0, 14.0, 30.0, 38.0
_HIGH, _GAP = 96.0, 18.0
_LETTER: Final = 6.4
"""Width of a letter, in pixels."""
_LETTERS: Final = int((WIDTH - _LEFT - _RIGHT) / _LETTER)
_HATCH: Final = "url(<hatch>)"
"""Stands for the picture's own hatching, in which no escaped text can be mistaken for it."""

_POINTS: Final = (800, 400, 200)
_WORDS: Final = 1500
"""Letters of what is said of the stages to readers of screens."""


class _Curve(NamedTuple):
    """One panel: what it shows, at which log-steps, and what is known of each value."""

    title: str
    unit: str
    x: Float[np.ndarray, " step"]
    y: Float[np.ndarray, " step"]
    se: Float[np.ndarray, " step"]
    verdict: np.ndarray
    range: tuple[float, float]
    dots: bool = False
    """Whether each value has a dot."""


def still(run: Run, stages: xr.Dataset | None = None, theme: Themes = "auto") -> str:
    """Loss and LLC over log-steps, the stages behind them, as an SVG to stand in a page (at most 40 kB).

    Drawn as on the page: estimates that are an LLC as a line with its band of ± one standard error, doubtful
    ones hollow, what is no LLC as crosses; test loss (or, without, the training loss) as a line. Of long
    runs the checkpoints are thinned. Needs no script and loads nothing.

    Args:
        stages: of ``dx.find_stages`` (None: the run's).
        theme: "auto": light or dark as the notebook is; or one of these.

    Raises ``NotMeasured`` for a run with neither LLC nor losses, ``InvalidSpec`` for another theme.
    """
    require_run(run)
    require_theme(theme)
    curves = [curve for curve in (_loss(run), _llc(run)) if curve is not None]
    if not curves:
        raise NotMeasured(f"{run.name} has neither LLC nor losses; {run.remedy('losses,llc')}")
    found = find_stages(run) if stages is None else stages
    for most in _POINTS:
        drawn = _picture(run.name, curves, found, most, theme)
        if len(drawn.encode()) <= MOST_BYTES:
            return drawn
    return _picture(run.name, curves, found.isel(stage=slice(0)), _POINTS[-1], theme)


def _loss(run: Run) -> _Curve | None:
    for group, name in ((LOSSES, "test_loss"), (CHECKPOINTS, "train_loss")):
        if run.has(group) and name in run.dataset(group):
            loss = run.dataset(group)[name].load()
            y = loss.values.astype(float)
            title, unit = name.replace("_", " "), str(loss.attrs.get("units", ""))
            none = np.zeros(y.shape)
            return _Curve(
                title, unit, log_step(loss[STEP].values), y, none, none.astype(int), padded(y, 0.08)
            )
    return None


def _llc(run: Run) -> _Curve | None:
    if not run.has(LLC):
        return None
    llc = run.dataset(LLC).load()
    value, se = llc["llc"].values.astype(float), np.nan_to_num(llc["llc_se"].values.astype(float))
    verdict = trust(llc)["verdict"].values
    limits = estimate_range(value, se, verdict)
    return _Curve("LLC", "", log_step(llc[STEP].values), value, se, verdict, limits, dots=True)


def _picture(name: str, curves: Sequence[_Curve], stages: xr.Dataset, most: int, theme: Themes) -> str:
    marks = stage_marks(stages, LIGHT)
    end = max([float(curve.x.max()) for curve in curves]) or 1.0
    height = _TOP + len(curves) * _HIGH + (len(curves) - 1) * _GAP + _BELOW
    parts = []
    for i, curve in enumerate(curves):
        parts += _panel(curve, _TOP + i * (_HIGH + _GAP), end, marks, most)
    parts += _names(marks, end) + _steps(end, height - _BELOW)
    body = "".join(parts)
    own = "dx-still-" + hashlib.sha256(f"{theme}{body}".encode()).hexdigest()[:10]
    named = [i for i, _, _ in name_places(marks, end, _LETTERS)]
    shades, dark = (
        {f"stage-{i}": of_theme[i].colour for i in named} for of_theme in (marks, stage_marks(stages, DARK))
    )
    style = colours(f".{own}", theme, shades, dark) + _STYLE.replace("SELF", f".{own}")
    words = "; ".join(mark.words for mark in marks)
    label = f"{' and '.join(curve.title for curve in curves)} of {shorten(name, 80)} over training"
    view = f'viewBox="0 0 {WIDTH} {height:.0f}" width="100%"'
    return (
        f'<svg class="{own}" xmlns="http://www.w3.org/2000/svg" {view} '
        f'style="max-width:{WIDTH + 100}px;height:auto;display:block" role="img" '
        f'aria-label="{escape(label)}"><desc>{escape(shorten(words, _WORDS))}</desc><style>{style}</style>'
        f'<defs><pattern id="{own}-h" width="5" height="5" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><path class="hatch" d="M0 0V5"/></pattern></defs>'
        f'<rect class="ground" width="{WIDTH}" height="{height:.0f}" rx="6"/>'
        f"{body.replace(_HATCH, f'url(#{own}-h)')}</svg>"
    )


_STYLE: Final = (
    f" SELF text {{ font: 11px {FONT}; fill: var(--dx-muted); }}"
    " SELF .ground { fill: var(--dx-surface); }"
    " SELF .title { font-weight: 600; fill: var(--dx-ink); }"
    " SELF .name { font-weight: 600; }"
    " SELF .number { font-variant-numeric: tabular-nums; }"
    " SELF .band-A { fill: var(--dx-warm-band); } SELF .band-B { fill: var(--dx-cool-band); }"
    " SELF .band-undecided { fill: var(--dx-undecided-band); }"
    " SELF .hatch { stroke: var(--dx-hatch); stroke-width: 1.6; }"
    " SELF .grid { stroke: var(--dx-grid); fill: none; } SELF .axis { stroke: var(--dx-line); fill: none; }"
    " SELF .edge { stroke: var(--dx-muted); stroke-dasharray: 1.5 3; fill: none; }"
    " SELF .line { stroke: var(--dx-ink); stroke-width: 1.7; fill: none; stroke-linejoin: round; }"
    " SELF .dots { stroke: var(--dx-ink); stroke-width: 3.4; stroke-linecap: round; fill: none; }"
    " SELF .se { fill: var(--dx-uncertainty); }"
    " SELF .doubtful { stroke: var(--dx-doubtful); stroke-width: 1.5; fill: none; }"
    " SELF .none { stroke: var(--dx-faint); stroke-width: 1.3; fill: none; }"
)


def _across(x: np.ndarray, end: float) -> np.ndarray:
    return _LEFT + np.asarray(x, dtype=float) / end * (WIDTH - _LEFT - _RIGHT)


def _panel(curve: _Curve, top: float, end: float, marks: Sequence[StageMark], most: int) -> list[str]:
    """Bands, boundaries, grid, curve and title of one panel."""
    low, high = curve.range
    bottom = top + _HIGH

    def down(y: np.ndarray) -> np.ndarray:
        return bottom - (np.asarray(y, dtype=float) - low) / (high - low) * _HIGH

    parts = []
    bands = {"A": "", "B": "", "undecided": ""}
    for mark in marks:
        left, right = _across(log_step(np.array([mark.start, mark.end])), end)
        kind = mark.type if mark.type in bands else "undecided"
        bands[kind] += f"M{left:.1f} {top:.0f}H{right:.1f}V{bottom:.0f}H{left:.1f}Z"
    parts += [_path(f"band-{kind}", d) for kind, d in bands.items()]
    if bands["undecided"]:
        parts.append(f'<path fill="{_HATCH}" d="{bands["undecided"]}"/>')
    inner = [float(_across(log_step(np.array(mark.end)), end)) for mark in marks[:-1]]
    parts.append(_path("edge", "".join(f"M{x:.1f} {top:.0f}V{bottom:.0f}" for x in inner)))
    for value in _round_values(low, high):
        y = float(down(np.array(value)))
        parts.append(_path("grid", f"M{_LEFT:.0f} {y:.1f}H{WIDTH - _RIGHT:.0f}"))
        parts.append(
            f'<text class="number" x="{_LEFT - 7:.0f}" y="{y + 3.8:.1f}" text-anchor="end">'
            f"{_short(value)}</text>"
        )
    parts += _marks_of(curve, end, down, most)
    parts += _title(curve, top + _HIGH / 2)
    return parts


def _title(curve: _Curve, middle: float) -> list[str]:
    """What the panel shows, and below it in which unit, along its axis."""
    lines = [("title", curve.title, 14)]
    if curve.unit:
        lines.append(("unit", f"({shorten(curve.unit, int(_HIGH / _LETTER) + 5)})", 28))
    return [
        f'<text class="{kind}" transform="translate({x} {middle:.0f}) rotate(-90)" text-anchor="middle">'
        f"{escape(words)}</text>"
        for kind, words, x in lines
    ]


def _marks_of(curve: _Curve, end: float, down: Callable[[np.ndarray], np.ndarray], most: int) -> list[str]:
    """The values of a curve by their verdicts."""
    rows = np.flatnonzero(np.isfinite(curve.y))
    if rows.size > most:
        rows = rows[np.unique(np.linspace(0, rows.size - 1, most).round().astype(int))]
    if rows.size == 0:
        return []
    x, y, se, verdict = (values[rows] for values in (curve.x, curve.y, curve.se, curve.verdict))
    at, inside = _across(x, end), (y >= curve.range[0]) & (y <= curve.range[1])
    low, high = curve.range
    clipped = np.clip(y, low, high)
    points = np.stack([at, down(clipped)], axis=1)
    believed = verdict != NOT_AN_LLC
    parts = []
    for first, after in _stretches(believed):
        part = slice(first, after)
        upper, lower = (down(np.clip(y[part] + sign * se[part], low, high)) for sign in (1, -1))
        if se[part].any():
            around = np.concatenate([np.stack([at[part], upper], 1), np.stack([at[part], lower], 1)[::-1]])
            parts.append(_path("se", _line(around) + "Z"))
        parts.append(_path("line", _line(points[part])))
    if curve.dots or rows.size == 1:
        parts.append(_path("dots", "".join(f"M{a:.1f} {b:.1f}h0" for a, b in points[verdict == TRUSTED])))
    rings = points[(verdict == DOUBTFUL) & inside]
    parts.append(_path("doubtful", "".join(f"M{a - 2.6:.1f} {b:.1f}{_RING}" for a, b in rings)))
    crosses = points[(verdict == NOT_AN_LLC) & inside]
    parts.append(
        _path("none", "".join(f"M{a - 2.2:.1f} {b - 2.2:.1f}l4.4 4.4m0-4.4l-4.4 4.4" for a, b in crosses))
    )
    return parts


_RING: Final = "a2.6 2.6 0 1 0 5.2 0a2.6 2.6 0 1 0-5.2 0"


def _names(marks: Sequence[StageMark], end: float) -> list[str]:
    """The stages' names over the upper panel."""
    return [
        f'<text class="name" x="{float(_across(np.array(x), end)):.1f}" y="{_TOP - 9:.0f}" '
        'text-anchor="middle" '
        f'style="fill:var(--dx-stage-{i})">{escape(text)}</text>'
        for i, text, x in name_places(marks, end, _LETTERS)
    ]


def _steps(end: float, bottom: float) -> list[str]:
    """The axis of log-steps: 0, 1, 10 …, and the last step."""
    last = 10.0**end - 1
    ticks, words = step_ticks(last)
    room = 7.5 * _LETTER / (WIDTH - _LEFT - _RIGHT) * end
    shown = [(x, word) for x, word in zip(ticks, words, strict=True) if x < end - room]
    parts = [_path("axis", f"M{_LEFT:.0f} {bottom:.0f}H{WIDTH - _RIGHT:.0f}")]
    for x, word in [*shown, (end, step_label(round(last)))]:
        at = float(_across(np.array(x), end))
        anchor = "end" if x == end else "middle"
        edge = at + 4 if x == end else at
        parts.append(_path("axis", f"M{at:.1f} {bottom:.0f}v4"))
        parts.append(
            f'<text class="number" x="{edge:.1f}" y="{bottom + 16:.0f}" text-anchor="{anchor}">{word}</text>'
        )
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle:.0f}" y="{bottom + 30:.0f}" text-anchor="middle">step</text>')
    return parts


def _path(kind: str, d: str) -> str:
    return f'<path class="{kind}" d="{d}"/>' if d else ""


def _line(points: Float[np.ndarray, "point 2"]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _stretches(where: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], where.astype(int), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _round_values(low: float, high: float) -> list[float]:
    """Two to four round numbers within the range."""
    width = (high - low) / 3
    size = 10.0 ** np.floor(np.log10(width))
    spacing = size * min(unit for unit in (1, 2, 2.5, 5, 10) if size * unit >= width)
    first = np.ceil(low / spacing)
    return [float(k * spacing) + 0.0 for k in np.arange(first, np.floor(high / spacing) + 1)]


def _short(value: float) -> str:
    text = f"{value:.3g}" if abs(value) < 10_000 else step_label(value) if value > 0 else f"{value:.2g}"
    return text.replace("-", "−")
