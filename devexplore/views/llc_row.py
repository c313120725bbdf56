"""The LLC as a row of the timeline: each estimate by its verdict, and what the page says of them all."""

from textwrap import wrap
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from devexplore.analysis.trust import count_verdicts
from devexplore.sampling.trust import DOUBTFUL, NOT_AN_LLC, TRUSTED, VERDICT_WORDS
from devexplore.views.axes import log_step, padded
from devexplore.views.markup import with_minus
from devexplore.views.rows import Row, strip_label
from devexplore.views.style import Theme

DOUBTFUL_REACH = -0.25, 1.5
"""Doubtful estimates stretch the LLC axis at most to these multiples of the largest trusted one."""

HOVER_WIDTH = 48
"""Characters of a line of the hover."""


def llc_row(llc: xr.Dataset, judged: xr.Dataset, theme: Theme) -> Row:
    """The LLC with its ± one-standard-error band, each estimate by its verdict (``analysis.trust``).

    Trusted: a filled dot. Doubtful: a larger hollow one. Not an LLC: a thin cross, joined by a dotted grey
    line, without a band. Estimates beyond the axis are arrows at its edge, in the same colours.
    """
    step, value, se = llc["step"].values, llc["llc"].values, np.nan_to_num(llc["llc_se"].values)
    verdict, x, known = judged["verdict"].values, log_step(step), np.isfinite(value)
    words = np.array(
        [_llc_words(llc.isel(step=i), judged.isel(step=i)) for i in range(step.size)], dtype=object
    )
    low, high = estimate_range(value, se, verdict)
    inside = (value >= low) & (value <= high)
    believed = known & (verdict != NOT_AN_LLC)

    def points(where: np.ndarray, at: np.ndarray, marker: dict[str, Any], name: str) -> go.Scatter:
        return go.Scatter(
            x=x[where],
            y=at[where],
            mode="markers",
            marker=marker,
            customdata=step[where],
            text=words[where],
            hovertemplate="%{text}<extra></extra>",
            name=name,
        )

    colours = {TRUSTED: theme.ink, DOUBTFUL: theme.doubtful, NOT_AN_LLC: theme.faint}
    traces = [*_bands(x, value, se, believed, theme)]
    traces += [
        _joined(x, value, known & _beside(~believed), {"color": theme.faint, "width": 1.2, "dash": "dot"}),
        _joined(x, value, believed, {"color": theme.ink, "width": 1.6}),
    ]
    traces += [
        points(
            known & inside & (verdict == level), value, verdict_marker(level, colour), VERDICT_WORDS[level]
        )
        for level, colour in colours.items()
    ]
    for edge, beyond, symbol in ((high, value > high, "triangle-up"), (low, value < low, "triangle-down")):
        off = known & beyond
        if off.any():
            marker = {"symbol": symbol, "size": 7, "color": [colours[level] for level in verdict[off]]}
            inwards = np.full(step.size, edge - np.sign(edge - (low + high) / 2) * 0.03 * (high - low))
            traces.append(points(off, inwards, marker, "beyond the axis"))
    reason = np.array([with_minus(str(said)) for said in judged["reason"].values], dtype=object)
    return Row("LLC", "", step, value, se, traces, (low, high), 1.0, verdict=verdict, reason=reason)


def verdict_marker(level: int, colour: str) -> dict[str, Any]:
    """How an estimate of this verdict is drawn: by its shape first, by its colour second."""
    if level == DOUBTFUL:
        return {"symbol": "circle-open", "size": 6.5, "color": colour, "line": {"width": 1.5}}
    if level == NOT_AN_LLC:
        return {"symbol": "x-thin", "size": 5, "line": {"color": colour, "width": 1.4}}
    return {"symbol": "circle", "size": 3.5, "color": colour}


def _bands(
    x: np.ndarray, value: np.ndarray, se: np.ndarray, believed: np.ndarray, theme: Theme
) -> list[go.Scatter]:
    """The ± SE band over each stretch of estimates that are LLCs."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], believed.astype(int), [0]])))
    bands = []
    for first, after in zip(edges[::2], edges[1::2], strict=True):
        at = slice(first, after)
        band = go.Scatter(
            x=np.concatenate([x[at], x[at][::-1]]),
            y=np.concatenate([(value + se)[at], (value - se)[at][::-1]]),
            fill="toself",
            fillcolor=theme.uncertainty,
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            name="± SE",
        )
        bands.append(band)
    return bands


def _joined(x: np.ndarray, value: np.ndarray, where: np.ndarray, line: dict[str, Any]) -> go.Scatter:
    """A line through these points, broken between others."""
    y = np.where(where, value, np.nan)
    return go.Scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", name="LLC")


def _beside(where: np.ndarray) -> np.ndarray:
    """These points and their neighbours on both sides."""
    wide = where.copy()
    wide[:-1] |= where[1:]
    wide[1:] |= where[:-1]
    return wide


def estimate_range(value: np.ndarray, se: np.ndarray, verdict: np.ndarray) -> tuple[float, float]:
    """The axis of the LLC: zero and the trusted estimates set it, doubtful ones stretch it within reason."""
    known = np.isfinite(value)
    trusted, doubtful = known & (verdict == TRUSTED), known & (verdict == DOUBTFUL)
    if trusted.sum() < 3:
        inside = known & (verdict != NOT_AN_LLC)
        inside = inside if inside.any() else known
        return padded(np.concatenate([[0.0], (value + se)[inside], (value - se)[inside]]))
    ends = np.concatenate([(value + se)[trusted], (value - se)[trusted]])
    least, most = (share * np.abs(ends).max() for share in DOUBTFUL_REACH)
    return padded(np.concatenate([[0.0], ends, value[doubtful].clip(least, most)]))


def _llc_words(at: xr.Dataset, judged: xr.Dataset) -> str:
    error = float(at["llc_se"])
    lines = [
        f"step {int(at['step']):,}",
        f"LLC {float(at['llc']):.4g}" + (f" ± {error:.2g}" if np.isfinite(error) else ""),
    ]
    if "rhat" in at:  # a published curve comes without its chains
        lines.append(f"R̂ {float(at['rhat']):.3g} · ESS {float(at['ess']):.0f}")
        lines.append(f"excess loss E[L] − L(w*) = {float(at['excess_loss']):.3g}")
    level = int(judged["verdict"])
    if level != TRUSTED:
        lines.append(f"<b>{VERDICT_WORDS[level]}</b>")
        reasons = str(judged["reason"].item()).split("; ")
        lines += [line for reason in reasons for line in wrap(f"· {reason}", HOVER_WIDTH)]
    return with_minus("<br>".join(lines))


def trust(judged: xr.Dataset | None) -> dict[str, Any]:
    """The verdicts on the LLC curve: how many of each, to stand beside its mark; what was not judged; what is
    said of an estimate of each verdict."""
    if judged is None:
        return {"marks": [], "note": "", "words": []}
    missing = judged.attrs.get("not_judged", [])
    words = ["LLC trusted", "LLC doubtful", "not an LLC"]
    note = "LLC judged without " + ", ".join(map(strip_label, missing)) if missing else ""
    if judged.attrs.get("by_sign_alone"):
        note = "LLC judged by its sign alone: nothing is known of its chains"
        words[TRUSTED] = "LLC not judged"
    return {
        "marks": [{"level": c.level, "text": c.words} for c in count_verdicts(judged)],
        "note": note,
        "words": words,
    }


KEY: Final = "LLC: hollow points are doubtful; crosses and arrows at the edge are estimates that are no LLC."


def llc_caption(llc: xr.Dataset | None) -> str:
    """What a figure says under an LLC curve: its marks, and how its chains were run."""
    if llc is None:
        return ""
    said = settings(llc)
    return f"{KEY} λ̂ at {said}." if said else KEY


def settings(llc: xr.Dataset | None) -> str:
    """How the chains behind the LLC were run; empty where the store does not say."""
    names = ("step_size", "n_beta", "localization", "batch_size", "chains", "draws")
    if llc is None or not all(name in llc.attrs for name in names):
        return ""
    step_size, n_beta, localization, batch, chains, draws = (float(llc.attrs[name]) for name in names)
    return (
        f"ε {step_size:.3g} · nβ {n_beta:.4g} · γ {localization:.4g} · batch {batch:.0f} · "
        f"{chains:.0f} chains × {draws:.0f} draws"
    )
