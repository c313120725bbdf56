"""Loss and LLC over log-steps with stage bands; further metrics as strips below."""

from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from devexplore.analysis.stages import may_be_local_minimum
from devexplore.views.axes import axis, base_layout, log_step, padded, step_ticks
from devexplore.views.stages import StageMark
from devexplore.views.style import SIZES, TYPE_WORDS, Theme

RHAT_LIMIT = 1.1
"""Above this R̂ the chains disagree and an LLC is drawn as doubtful."""

LARGE_EXCESS = 0.25
"""An excess loss above this share of L(w*): the chains left the neighbourhood, and the hover says so."""

MOST_PARTS = 16
"""A strip shows a metric with at most this many parts."""

ABBREVIATIONS = {"icl": "ICL", "kl": "KL", "ood": "OOD", "llc": "LLC"}

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


def doubtful(llc: xr.Dataset) -> xr.DataArray:
    """Which LLC estimates are not to be believed as they stand, for any of the ``reasons``."""
    return xr.concat(list(reasons(llc).values()), "reason").any("reason")


def reasons(llc: xr.Dataset) -> dict[str, xr.DataArray]:
    """Why an estimate is doubtful, in words, and which checkpoints each reason holds for."""
    known = np.isfinite(llc["llc"])
    return {
        f"R̂ > {RHAT_LIMIT}": llc["rhat"] > RHAT_LIMIT,
        "a chain diverged": llc["diverged_chains"] > 0,
        "below zero, so no local minimum": known & ~may_be_local_minimum(llc["llc"], llc["llc_se"].fillna(0)),
    }


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


def llc_row(llc: xr.Dataset, theme: Theme, losses: xr.Dataset | None = None) -> Row:
    """The LLC with its ± one-standard-error band; doubtful estimates are crosses.

    With the losses at hand, the hover also says where the excess loss is large against the loss itself.
    """
    if losses is not None:
        llc = llc.assign(test_loss=losses["test_loss"].reindex(step=llc["step"], method="nearest"))
    step, value, se = llc["step"].values, llc["llc"].values, np.nan_to_num(llc["llc_se"].values)
    doubt = doubtful(llc).values
    x = log_step(step)
    known = np.isfinite(value)
    band = go.Scatter(
        x=np.concatenate([x[known], x[known][::-1]]),
        y=np.concatenate([(value + se)[known], (value - se)[known][::-1]]),
        fill="toself",
        fillcolor=theme.uncertainty,
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        name="± SE",
    )
    line = go.Scatter(
        x=x,
        y=value,
        mode="lines+markers",
        line={"color": theme.ink, "width": 1.6},
        marker={"size": np.where(doubt, 0, 3.5), "color": theme.ink},
        customdata=step,
        text=[_llc_words(llc.isel(step=i), bool(doubt[i])) for i in range(step.size)],
        hovertemplate="%{text}<extra></extra>",
        name="LLC",
    )
    crosses = go.Scatter(
        x=x[doubt],
        y=value[doubt],
        mode="markers",
        marker={"symbol": "x-thin", "size": 6, "line": {"color": theme.doubtful, "width": 1.6}},
        hoverinfo="skip",
        name="doubtful",
    )
    trusted = known & ~doubt
    inside = trusted if trusted.sum() >= 3 else known
    edges = np.concatenate([(value + se)[inside], (value - se)[inside]])
    return Row("LLC", "", step, value, se, [band, line, crosses], padded(edges), 1.0)


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


def strips(metrics: xr.Dataset | None) -> list[str]:
    """The metrics that can be added as a strip: one number a checkpoint, or one for each of a few parts."""
    if metrics is None:
        return []
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
        figure.add_trace(_band(stage, theme))
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
    figure.update_layout(annotations=[*_band_names(stages, end, theme), *titles])
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
        }
        for i, row in enumerate(rows)
    ]


def trust(llc: xr.Dataset | None) -> str:
    """The verdict on the LLC curve in words."""
    if llc is None:
        return ""
    count, total = int(doubtful(llc).sum()), llc.sizes["step"]
    if count == 0:
        return f"all R̂ ≤ {RHAT_LIMIT}, no chain diverged"
    held = {words: int(which.sum()) for words, which in reasons(llc).items() if which.any()}
    if len(held) == 1:
        return f"{count} of {total} doubtful: {next(iter(held))}"
    return f"{count} of {total} doubtful: " + ", ".join(f"{n} {words}" for words, n in held.items())


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


def _llc_words(at: xr.Dataset, doubt: bool) -> str:
    excess = float(at["excess_loss"])
    lines = [
        f"step {int(at['step']):,}",
        f"LLC {float(at['llc']):.4g} ± {float(at['llc_se']):.2g}",
        f"R̂ {float(at['rhat']):.3g} · ESS {float(at['ess']):.0f}",
        f"excess loss E[L] − L(w*) = {excess:.3g}",
    ]
    if "test_loss" in at and excess > LARGE_EXCESS * abs(float(at["test_loss"])):
        share = excess / abs(float(at["test_loss"]))
        lines.append(f"<b>chains left the neighbourhood: excess is {share:.0%} of the loss</b>")
    if int(at["diverged_chains"]) > 0:
        lines.append(f"<b>{int(at['diverged_chains'])} chains diverged</b>")
    if doubt:
        why = [words for words, which in reasons(at).items() if bool(which)]
        lines.append(f"<b>doubtful: {', '.join(why)}</b>")
    return "<br>".join(lines)


def _band(stage: StageMark, theme: Theme) -> go.Scatter:
    left, right = log_step(np.array([stage.start, stage.end]))
    hatched = stage.type not in ("A", "B")
    pattern = {"shape": "/", "size": 7, "solidity": 0.18, "fgcolor": theme.hatch, "bgcolor": stage.band}
    return go.Scatter(
        x=[left, right, right, left, left],
        y=[0, 0, 1, 1, 0],
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


def _band_names(stages: list[StageMark], end: float, theme: Theme) -> list[dict[str, Any]]:
    names = []
    for stage in stages:
        left, right = log_step(np.array([stage.start, stage.end]))
        if right - left < 0.045 * end:
            continue  # no room for a name; the chips carry it
        names.append(
            {
                "x": (left + right) / 2,
                "y": 1,
                "xref": "x",
                "yref": "paper",
                "yanchor": "bottom",
                "showarrow": False,
                "text": f"<b>{stage.name}</b>",
                "font": {"size": SIZES["small"], "color": stage.colour},
            }
        )
    return names
