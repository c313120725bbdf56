"""Loss and LLC over log-steps with stage bands; further metrics as strips below."""

from textwrap import wrap
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from devexplore.analysis.trust import count_verdicts
from devexplore.sampling.trust import DOUBTFUL, NOT_AN_LLC, TRUSTED, VERDICT_WORDS
from devexplore.views.axes import axis, base_layout, log_step, padded, shorten, step_ticks
from devexplore.views.stages import StageMark
from devexplore.views.style import SIZES, TYPE_WORDS, Theme

DOUBTFUL_REACH = -0.25, 1.5
"""Doubtful estimates stretch the LLC axis at most to these multiples of the largest trusted one."""

HOVER_WIDTH = 48
"""Characters of a line of the hover."""

MOST_PARTS = 16
"""A strip shows a metric with at most this many parts."""

ABBREVIATIONS = {"icl": "ICL", "kl": "KL", "ood": "OOD", "llc": "LLC"}

LETTERS = 66
"""Letters of a stage's name that fit side by side over the whole range of steps, on the narrowest page."""

GUTTER = 108
"""Pixels right of the plot for the rows' names and current values."""


class Row(NamedTuple):
    """One row of the timeline: what it shows, and the values that follow the time cursor."""

    title: str
    unit: str
    step: np.ndarray
    value: np.ndarray
    error: np.ndarray
    """Standard error of the value, NaN where none is known."""
    traces: list[go.Scatter]
    range: tuple[float, float]
    height: float
    verdict: np.ndarray | None = None
    """Of an LLC: 0 trusted, 1 doubtful, 2 not an LLC, at each step."""
    reason: np.ndarray | None = None
    """Why, in words; empty where trusted."""


def loss_row(losses: xr.Dataset | None, checkpoints: xr.Dataset | None, theme: Theme) -> Row | None:
    """Test loss as a line, training loss faint behind it; None when neither was measured."""
    traces = []
    shown = None
    unit = ""
    if checkpoints is not None and "train_loss" in checkpoints:
        train = checkpoints["train_loss"]
        unit = train.attrs.get("units", "")
        shown = train
        alone = losses is None
        colour, width, dash = (theme.ink, 1.6, "solid") if alone else (theme.faint, 1.2, "dot")
        traces.append(_line(train, colour, width, "train loss", dash=dash))
    if losses is not None:
        test = losses["test_loss"]
        unit = test.attrs.get("units", unit)
        shown = test
        traces.append(_line(test, theme.ink, 1.8, "test loss"))
    if shown is None:
        return None
    title = "test loss" if losses is not None else "train loss"
    return _row(title, unit, shown, traces, 1.0)


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
    low, high = _llc_range(value, se, verdict)
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
    return Row(
        "LLC", "", step, value, se, traces, (low, high), 1.0, verdict=verdict, reason=judged["reason"].values
    )


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


def _llc_range(value: np.ndarray, se: np.ndarray, verdict: np.ndarray) -> tuple[float, float]:
    """The axis of the LLC: trusted estimates set it, doubtful ones stretch it within reason."""
    known = np.isfinite(value)
    trusted, doubtful = known & (verdict == TRUSTED), known & (verdict == DOUBTFUL)
    if trusted.sum() < 3:
        inside = known & (verdict != NOT_AN_LLC)
        inside = inside if inside.any() else known
        return padded(np.concatenate([(value + se)[inside], (value - se)[inside]]))
    ends = np.concatenate([(value + se)[trusted], (value - se)[trusted]])
    least, most = (share * np.abs(ends).max() for share in DOUBTFUL_REACH)
    return padded(np.concatenate([ends, value[doubtful].clip(least, most)]))


def strip_row(metric: xr.DataArray, theme: Theme) -> Row:
    """One further metric, small: one line, or one for each part (feature, head, mode)."""
    title = strip_label(str(metric.name))
    unit = metric.attrs.get("units", "")
    if metric.ndim == 1:
        return _row(title, unit, metric, [_line(metric, theme.ink, 1.5, title)], 0.55)
    (dim,) = set(metric.dims) - {"step"}
    parts = [metric.isel({dim: i}) for i in range(metric.sizes[dim])]
    traces = [_line(part, theme.ink, 1.1, f"{title}, {dim} {i}") for i, part in enumerate(parts)]
    row = _row(title, unit, parts[0], traces, 0.55)
    return row._replace(value=row.error, range=padded(metric.values))  # many lines: no one value to read off


def strip_label(name: str) -> str:
    """A metric's name as people write it: ``icl_score`` → ``ICL score``."""
    return " ".join(ABBREVIATIONS.get(word, word) for word in name.split("_"))


def strips(metrics: xr.Dataset) -> list[str]:
    """The metrics that can be added as a strip: one number a checkpoint, or one for each of a few parts."""
    return [str(name) for name, values in metrics.data_vars.items() if _is_strip(values)]


def _is_strip(values: xr.DataArray) -> bool:
    parts = [size for dim, size in values.sizes.items() if dim != "step"]
    return "step" in values.dims and (parts == [] or (len(parts) == 1 and parts[0] <= MOST_PARTS))


def timeline(rows: list[Row], stages: list[StageMark], last_step: float, theme: Theme) -> go.Figure:
    """All rows over one log-step axis, the stage bands behind them.

    Bands live on an axis of their own that spans all rows, so that an undecided stage can be hatched (layout
    shapes cannot) and zooming a row's values leaves them in place.
    """
    ticks, words = step_ticks(last_step)
    end = float(log_step(np.array(last_step)))
    figure = go.Figure(
        layout=base_layout(
            theme,
            margin={"l": 42, "r": GUTTER, "t": 20, "b": 24},
            hovermode="closest",
            dragmode=False,
            yaxis={"domain": [0, 1], "range": [0, 1], "visible": False, "fixedrange": True},
        )
    )
    for stage in stages:
        figure.add_trace(band_trace(stage, theme))
    titles = []
    bottom = 1.0
    total = sum(row.height for row in rows)
    gap = 0.06 if len(rows) < 4 else 0.035
    share = (1.0 - gap * (len(rows) - 1)) / total
    for i, row in enumerate(rows):
        top, bottom = bottom, bottom - share * row.height
        name = f"yaxis{i + 2}"
        titles.append(_row_title(row, top, theme))
        low, high = row.range
        figure.update_layout(
            {
                name: axis(
                    theme,
                    domain=[max(bottom, 0.0), top],
                    range=[low, high],
                    anchor="x",
                    nticks=5 if row.height == 1.0 else 3,
                )
            }
        )
        for trace in row.traces:
            figure.add_trace(trace.update(xaxis="x", yaxis=f"y{i + 2}"))
        bottom -= gap
    figure.update_layout(annotations=[*band_names(stages, end, theme), *titles])
    air = 0.015 * end
    figure.update_layout(
        xaxis=axis(
            theme,
            range=[-air, end + air],
            showgrid=False,
            tickvals=ticks,
            ticktext=words,
            anchor=f"y{len(rows) + 1}",
            ticks="outside",
            ticklen=4,
        )
    )
    return figure


def follow(rows: list[Row]) -> list[dict[str, Any]]:
    """What the time cursor reads off: one entry a row, in the order of the figure's axes."""
    return [
        {
            "axis": f"yaxis{i + 2}",
            "title": row.title,
            "unit": row.unit,
            "step": row.step.astype(float),
            "value": row.value.astype(float),
            "error": row.error.astype(float),
            "verdict": [] if row.verdict is None else row.verdict,
            "reason": [] if row.reason is None else list(row.reason),
        }
        for i, row in enumerate(rows)
    ]


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


def _row(title: str, unit: str, values: xr.DataArray, traces: list[go.Scatter], height: float) -> Row:
    shown = values.values.astype(float)
    unknown = np.full(shown.shape, np.nan)
    return Row(title, unit, values["step"].values, shown, unknown, traces, padded(shown), height)


def _row_title(row: Row, top: float, theme: Theme) -> dict[str, Any]:
    """The row's name in the right gutter; the page writes the current value below it."""
    return {
        "x": 1,
        "y": top,
        "xref": "paper",
        "yref": "paper",
        "xanchor": "left",
        "yanchor": "top",
        "xshift": 4,
        "showarrow": False,
        "text": f"<b>{row.title}</b>",
        "font": {"size": SIZES["small"], "color": theme.ink},
    }


def _line(values: xr.DataArray, colour: str, width: float, name: str, dash: str = "solid") -> go.Scatter:
    step = values["step"].values
    return go.Scatter(
        x=log_step(step),
        y=values.values.astype(float),
        mode="lines",
        line={"color": colour, "width": width, "dash": dash},
        customdata=step,
        hovertemplate=f"step %{{customdata:,}}<br>{name} %{{y:.4g}}<extra></extra>",
        name=name,
    )


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
    return "<br>".join(lines)


def band_trace(stage: StageMark, theme: Theme, low: float = 0.0, high: float = 1.0) -> go.Scatter:
    """The band of a stage between these values of the first y-axis, hatched where it is of no type."""
    left, right = log_step(np.array([stage.start, stage.end]))
    hatched = stage.type not in ("A", "B")
    pattern = {"shape": "/", "size": 7, "solidity": 0.18, "fgcolor": theme.hatch, "bgcolor": stage.band}
    return go.Scatter(
        x=[left, right, right, left, left],
        y=[low, low, high, high, low],
        yaxis="y",
        mode="lines",
        fill="toself",
        fillcolor=stage.band,
        fillpattern=pattern if hatched else None,
        line={"width": 0},
        hoverinfo="skip",
        name=f"{stage.name} ({TYPE_WORDS.get(stage.type, 'undecided')})",
        meta={"layer": "band", "type": stage.type},
    )


def band_names(
    stages: list[StageMark], end: float, theme: Theme, letters: int = LETTERS
) -> list[dict[str, Any]]:
    """Annotations above a log-step axis of length ``end``: the names of stages that have room for one, where
    so many letters fit over the whole axis."""
    names = []
    for stage in stages:
        left, right = log_step(np.array([stage.start, stage.end]))
        room = int((right - left) / end * letters)
        if room < 3:
            continue  # no room for a name; the chips carry it
        names.append(
            {
                "x": (left + right) / 2,
                "y": 1,
                "xref": "x",
                "yref": "paper",
                "yanchor": "bottom",
                "showarrow": False,
                "text": f"<b>{shorten(stage.name, room)}</b>",
                "font": {"size": SIZES["small"], "color": stage.colour},
            }
        )
    return names
