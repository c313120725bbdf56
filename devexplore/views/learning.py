"""The groups of ``when_learned``: their mean histories, and what they are made of."""

from collections.abc import Sequence
from html import escape
from typing import Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from devexplore.analysis.learning_steps import NEVER, UNLEARNED
from devexplore.views.axes import axis, base_layout, log_step, step_label, title_line
from devexplore.views.predictions import context_cell, themed, token
from devexplore.views.stage_axis import stage_axis
from devexplore.views.stages import StageMark
from devexplore.views.style import LIGHT, Theme, faded

_TYPICAL_CLASSES: Final = 2
_FEW: Final = 30
_SYMBOLS: Final = ("circle", "square", "diamond", "triangle-up", "cross")


def learning_figure(groups: xr.Dataset, stages: Sequence[StageMark] = (), theme: Theme = LIGHT) -> go.Figure:
    """Left: the mean loss of each group of ``when_learned`` over log-steps, ± one standard error. Right, for
    text: which share of each group is in each class of tokens; the grey bars are the share of all.

    Groups in the order in which they are learned go from dark to light; the never learned and the unlearned
    are grey and dotted, blue and dashed. Groups of fewer than 30 predictions are drawn thin, without shares.
    """
    has_classes = "class_share" in groups
    figure = make_subplots(
        1, 2 if has_classes else 1, column_widths=[0.6, 0.4] if has_classes else None, horizontal_spacing=0.2
    )
    step = groups["step"].values
    stage_axis(figure, step, stages, theme)
    shown = groups.isel(group=np.flatnonzero(groups["count"].values > 0))
    styles = _group_styles([str(name) for name in groups["group"].values], theme)
    x = log_step(step)
    for name in shown["group"].values:
        one, (colour, dash, symbol) = shown.sel(group=name), styles[str(name)]
        mean, se = one["mean_loss"].values, np.nan_to_num(one["mean_loss_se"].values)
        few = int(one["count"]) < _FEW
        legend = {"legendgroup": str(name), "name": f"{name} × {int(one['count']):,}"}
        figure.add_trace(
            go.Scatter(
                x=np.concatenate([x, x[::-1]]),
                y=np.concatenate([mean - se, (mean + se)[::-1]]),
                fill="toself",
                fillcolor=faded(colour, 0.15),
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
                legendgroup=str(name),
            ),
            row=1,
            col=1,
        )
        figure.add_trace(
            go.Scatter(
                x=x,
                y=mean,
                mode="lines",
                line={"color": colour, "width": 1 if few else 2, "dash": dash},
                customdata=np.stack([step, se], axis=1),
                hovertemplate=f"{name}<br>step %{{customdata[0]:,}}: %{{y:.3g}} ± %{{customdata[1]:.2g}}"
                "<extra></extra>",
                **legend,
            ),
            row=1,
            col=1,
        )
        if has_classes and not few:
            figure.add_trace(
                go.Scatter(
                    x=100 * one["class_share"].values,
                    y=groups["token_class"].values,
                    mode="markers",
                    marker={"color": colour, "size": 9, "symbol": symbol, "line": {"width": 0}},
                    hovertemplate=f"{name}: %{{x:.0f}} % %{{y}}<extra></extra>",
                    showlegend=False,
                    legendgroup=str(name),
                ),
                row=1,
                col=2,
            )
    if has_classes:
        figure.add_trace(
            go.Bar(
                x=100 * groups["class_share_all"].values,
                y=groups["token_class"].values,
                orientation="h",
                marker={"color": theme.line, "line": {"width": 0}},
                hovertemplate="all: %{x:.0f} % %{y}<extra></extra>",
                name="all predictions",
            ),
            row=1,
            col=2,
        )
        figure.update_yaxes(
            axis(theme, showgrid=False, automargin=True, ticksuffix="  ", autorange="reversed"), row=1, col=2
        )
        figure.update_xaxes(
            axis(theme, title={"text": "share of the group (%)"}, rangemode="tozero"), row=1, col=2
        )
    unit = groups["mean_loss"].attrs.get("units", "")
    figure.update_yaxes(axis(theme, title={"text": f"mean loss ({unit})"}, rangemode="tozero"), row=1, col=1)
    figure.update_layout(
        **base_layout(theme, margin={"l": 56, "r": 16, "t": 96, "b": 44}, bargap=0.3) | {"showlegend": True},
        height=460,
        title=title_line("Mean loss of predictions, by the stage in which it fell half-way", theme),
        legend={
            "orientation": "h",
            "x": 0,
            "y": 0.93,
            "xref": "container",
            "yref": "container",
            "yanchor": "top",
            "font": {"size": 12, "color": theme.ink},
        },
    )
    return figure


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


def _group_styles(names: list[str], theme: Theme) -> dict[str, tuple[str, str, str]]:
    """Colour, dash and symbol of each group; after five groups that learn, the colours come again, dashed."""
    learning = [name for name in names if name not in (NEVER, UNLEARNED)]
    count = len(theme.time)
    styles = {
        name: (theme.time[i % count], "dash" if i // count % 2 else "solid", _SYMBOLS[i % len(_SYMBOLS)])
        for i, name in enumerate(learning)
    }
    return styles | {NEVER: (theme.faint, "dot", "x"), UNLEARNED: (theme.rose, "dash", "triangle-down")}


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
