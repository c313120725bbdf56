"""The groups of ``when_learned``: their mean histories, and what they are made of."""

from collections.abc import Sequence
from html import escape
from typing import Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from devexplore.analysis.learning_steps import NEVER, UNLEARNED
from devexplore.views.axes import axis, log_step, padded, shorten, step_label
from devexplore.views.panels import Panel, draw_panel
from devexplore.views.predictions import context_cell, themed, token
from devexplore.views.sheet import WIDTH, Box, foot, foot_height, place, sheet, size_of, write
from devexplore.views.stages import StageMark
from devexplore.views.style import LIGHT, SIZES, Theme, faded
from devexplore.views.token_words import called
from devexplore.views.visuals import Visuals, layered

_TYPICAL_CLASSES: Final = 2
_FEW: Final = 30
_ALL: Final = "all predictions"
_NO_MARKS: Final = " and without marks on the right"
_TITLE: Final = "Mean loss of single predictions, grouped by when it had fallen half-way"
_KEY: Final = 29
"""Height of a row of the legend, in pixels."""
_KEY_LINE: Final = 60
"""Width of what stands beside a name in the legend, in pixels."""
_LETTER: Final = 7.2
"""Width of a letter in the legend, in pixels."""
_LETTERS: Final = 14
"""Of a group's name in the legend."""
_SYMBOLS: Final = ("circle", "square", "diamond", "triangle-up", "cross")


def learning_figure(
    groups: xr.Dataset,
    stages: Sequence[StageMark] = (),
    theme: Theme = LIGHT,
    title: str = "",
    said: str = "",
    visuals: Visuals | None = None,
) -> go.Figure:
    """Left: the mean loss of each group of ``when_learned`` over log-steps, ± one standard error. Right, for
    text: which share of each group is in each class of tokens; the grey bars are the share of all.

    Groups of fewer than 30 predictions are drawn thin, without shares. The foot says what the groups are.
    """
    has_classes = "class_share" in groups
    shown = groups.isel(group=np.flatnonzero(groups["count"].values > 0))
    few = [str(name) for name in shown["group"].values[shown["count"].values < _FEW]]
    styles = _group_styles([str(name) for name in groups["group"].values], stages, theme)
    look = visuals or Visuals("token_groups")
    text = _foot(groups, few, said, look)
    keys = _keys(shown)
    rows = -(-(len(keys) + has_classes) // int((WIDTH - 16) / (_widest(keys) + _KEY_LINE)))
    top = 62 + _KEY * rows + 36
    figure = sheet(top + 300 + 44 + foot_height(text), theme, title, _TITLE)
    step = groups["step"].values
    traces = [
        trace
        for name in shown["group"].values
        for trace in _history(shown.sel(group=name), step, styles[str(name)])
    ]
    held = np.concatenate([np.zeros(1), *(np.asarray(trace.y, dtype=float) for trace in traces)])
    panel = Panel("mean loss", str(groups["mean_loss"].attrs.get("units", "")), traces, padded(held))
    box = Box(58, top, 560 if has_classes else WIDTH - 90, 300)
    draw_panel(figure, layered(panel, "groups"), box, 1, stages, float(step.max()), theme)
    if has_classes:
        _draw_shares(
            figure, shown.sel(group=[n for n in shown["group"].values if n not in few]), styles, top, theme
        )
    figure.update_traces(showlegend=False)
    if look.draws("groups") or look.draws("shares"):
        _draw_key(figure, shown, styles, few, has_classes, theme)
    foot(figure, text, theme)
    return figure


def _history(one: xr.Dataset, step: np.ndarray, style: tuple[str, str, str]) -> list[go.Scatter]:
    """The mean loss of one group, and the band of its standard error."""
    name, (colour, dash, _), x = str(one["group"].item()), style, log_step(step)
    mean, se = one["mean_loss"].values, np.nan_to_num(one["mean_loss_se"].values)
    band = go.Scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([mean - se, (mean + se)[::-1]]),
        fill="toself",
        fillcolor=faded(colour, 0.15),
        line={"width": 0},
        hoverinfo="skip",
        legendgroup=name,
    )
    line = go.Scatter(
        x=x,
        y=mean,
        mode="lines",
        line={"color": colour, "width": 1 if int(one["count"]) < _FEW else 2, "dash": dash},
        customdata=np.stack([step, se], axis=1),
        hovertemplate=f"{name}<br>step %{{customdata[0]:,}}: %{{y:.3g}} ± %{{customdata[1]:.2g}}"
        "<extra></extra>",
        name=name,
        legendgroup=name,
    )
    return [band, line]


def _draw_shares(
    figure: go.Figure, groups: xr.Dataset, styles: dict[str, tuple[str, str, str]], top: float, theme: Theme
) -> None:
    """Marks: the share of each group that is in each class; bars: the share of all."""
    classes, axes = groups["token_class"].values, {"xaxis": "x2", "yaxis": "y2"}
    small = {"size": SIZES["small"], "color": theme.muted}
    place(
        figure,
        Box(780, top, WIDTH - 24 - 780, 300),
        2,
        axis(theme, title={"text": "share (%)", "font": small, "standoff": 2}, rangemode="tozero"),
        axis(theme, showgrid=False, ticksuffix="  ", autorange="reversed", fixedrange=True),
    )
    write(
        figure,
        "<b>classes of their tokens</b>",
        778,
        top - 18,
        theme.ink,
        12,
        yanchor="bottom",
        name="shares",
    )
    figure.add_trace(
        go.Bar(
            x=100 * groups["class_share_all"].values,
            y=classes,
            orientation="h",
            marker={"color": theme.line, "line": {"width": 0}},
            hovertemplate="all: %{x:.0f} % %{y}<extra></extra>",
            legendgroup=_ALL,
            meta={"layer": "shares"},
            **axes,
        )
    )
    for name in groups["group"].values:
        colour, _, symbol = styles[str(name)]
        figure.add_trace(
            go.Scatter(
                x=100 * groups["class_share"].sel(group=name).values,
                y=classes,
                mode="markers",
                marker={"color": colour, "size": 9, "symbol": symbol, "line": {"width": 0}},
                hovertemplate=f"{name}: %{{x:.0f}} % %{{y}}<extra></extra>",
                legendgroup=str(name),
                meta={"layer": "shares"},
                **axes,
            )
        )


def _keys(groups: xr.Dataset) -> list[str]:
    """Names in the legend, and how many predictions are in each group."""
    counted = zip(groups["group"].values, groups["count"].values, strict=True)
    return [f"{shorten(str(name), _LETTERS)} × {int(count):,}" for name, count in counted]


def _widest(keys: Sequence[str]) -> float:
    return _LETTER * max(map(len, [*keys, _ALL]))


def _draw_key(
    figure: go.Figure,
    groups: xr.Dataset,
    styles: dict[str, tuple[str, str, str]],
    few: Sequence[str],
    has_classes: bool,
    theme: Theme,
) -> None:
    """A legend between the title and the panels: line and mark of each group, and how many are in it."""
    nothing = {"x": [None], "y": [None], "hoverinfo": "skip", "showlegend": True}
    keys = _keys(groups)
    for name, words in zip(groups["group"].values, keys, strict=True):
        colour, dash, symbol = styles[str(name)]
        figure.add_trace(
            go.Scatter(
                mode="lines+markers" if has_classes and name not in few else "lines",
                line={"color": colour, "width": 1 if name in few else 2, "dash": dash},
                marker={"color": colour, "size": 8, "symbol": symbol},
                name=words,
                legendgroup=str(name),
                meta={"layer": "legend"},
                **nothing,
            )
        )
    if has_classes:
        grey = {"symbol": "square", "size": 11, "color": theme.line}
        figure.add_trace(
            go.Scatter(
                mode="markers", marker=grey, name=_ALL, legendgroup=_ALL, meta={"layer": "legend"}, **nothing
            )
        )
    _, high = size_of(figure)
    figure.update_layout(
        showlegend=True,
        legend={
            "orientation": "h",
            "x": 8 / WIDTH,
            "y": 1 - 54 / high,
            "xanchor": "left",
            "yanchor": "top",
            "entrywidth": _widest(keys),
            "entrywidthmode": "pixels",
            "itemwidth": 42,
            "font": {"size": 12, "color": theme.ink},
            "bgcolor": "rgba(0,0,0,0)",
        },
    )


def _foot(groups: xr.Dataset, few: Sequence[str], said: str, look: Visuals) -> str:
    """What groups, bands and marks are, and what choosing groups by their losses does to them."""
    grouping, least = groups.attrs.get("grouping", "stages"), groups.attrs.get("min_fall")
    below = f"{least:.2g} {groups.attrs.get('units', '')}".rstrip() if least is not None else "enough"
    one = called(groups.attrs, "sequence")
    right, held = (
        "class_share" in groups and look.draws("shares"),
        groups["group"].values[groups["count"].values > 0],
    )
    words = [
        "" if grouping == "stages" else f"Groups: {grouping}.",
        "Half-way: between the first and the last value of its smoothed loss.",
        f"Never learned: it never fell {below} below the first." if NEVER in held else "",
        f"Unlearned: it fell {below}, and more than half of that is lost at the end."
        if UNLEARNED in held
        else "",
        f"Bands: ± one standard error over {one}s."
        if np.isfinite(groups["mean_loss_se"]).any() and look.draws("errors")
        else "",
        "Right: share of each group in each class of tokens (a token may be in several)." if right else "",
        f"Drawn thin{_NO_MARKS if right else ''}, of fewer than {_FEW}: {', '.join(few)}."
        if few and look.draws("groups")
        else "",
        "Groups are chosen by the very losses that are shown: where single losses are mostly noise, the "
        "learned start high and the never learned low by selection alone.",
    ]
    return " ".join(filter(None, [*words, said]))


def learning_table(groups: xr.Dataset, examples: int = 3, theme: Theme = LIGHT) -> str:
    """The groups of ``when_learned`` as a self-contained piece of HTML: when, how many, and which tokens.

    Of each group that holds any: its steps, the number of predictions and their share, the classes that it
    has most beyond the share of all, its typical tokens, and some examples in context. All text is escaped.
    """
    has_text = "typical_token" in groups
    titles = ["half-way in", "steps", "predictions"] + (
        ["more than usual", "typical tokens", "examples"] if has_text else []
    )
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    body = []
    for name in groups["group"].values[groups["count"].values > 0]:
        one = groups.sel(group=name)
        start, end = float(one["group_start"]), float(one["group_end"])
        steps = f"{step_label(start)}–{step_label(end)}" if np.isfinite(start) else ""
        cells = [
            f"<td><b>{escape(str(name))}</b></td>",
            f'<td class="number">{steps}</td>',
            f'<td class="number">{int(one["count"]):,} ({_percent(float(one["share"]))})</td>',
        ]
        if has_text:
            typical = " ".join(token(str(text)) for text in one["typical_token"].values if text != "")
            cells += [f"<td>{_classes(one)}</td>", f'<td class="wrap">{typical}</td>']
            cells.append(f"<td><table>{_example_rows(one, examples)}</table></td>")
        body.append(f"<tr>{''.join(cells)}</tr>")
    return themed(
        "<style>.dx-text td.wrap { white-space: normal; min-width: 120px; } .theme.dx-text td td "
        "{ border: 0; padding: 2px 4px; }</style>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="When predictions are learned">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
        '<p class="note">␣ blank, ↵ line break, ⇥ tab. Examples: those whose history is nearest to the '
        "group’s mean.</p>",
        theme,
    )


def _group_styles(
    names: list[str], stages: Sequence[StageMark], theme: Theme
) -> dict[str, tuple[str, str, str]]:
    """Colour, dash and symbol of each group: that of its stage; groups that are no stages go from dark to
    light, after five the colours come again, dashed."""
    learning = [name for name in names if name not in (NEVER, UNLEARNED)]
    own = {stage.name: stage.colour for stage in stages}
    count = len(theme.time)
    styles = {}
    for i, name in enumerate(learning):
        again = "dash" if i // count % 2 else "solid"
        colour, dash = (own[name], "solid") if name in own else (theme.time[i % count], again)
        styles[name] = (colour, dash, _SYMBOLS[i % len(_SYMBOLS)])
    return styles | {NEVER: (theme.faint, "dot", "x"), UNLEARNED: (theme.ink, "dashdot", "triangle-down")}


def _classes(group: xr.Dataset) -> str:
    """The classes of which a group has most beyond the share of all."""
    more = (group["class_share"] - group["class_share_all"]).values
    order = [i for i in np.argsort(-more, kind="stable")[:_TYPICAL_CLASSES] if more[i] > 0]
    return "<br>".join(
        f"{escape(str(group['token_class'].values[i]))} {100 * group['class_share'].values[i]:.0f} % "
        f"<small>(all {100 * group['class_share_all'].values[i]:.0f} %)</small>"
        for i in order
    )


def _example_rows(group: xr.Dataset, count: int) -> str:
    there = np.flatnonzero(group["example_position"].values >= 0)[:count]
    return "".join(
        f"<tr>{context_cell(str(group['example_context'].values[i]), '')}"
        f"<td>{token(str(group['example_target'].values[i]), true=True)}</td></tr>"
        for i in there
    )


def _percent(share: float) -> str:
    return "&lt;1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"
