"""Rankings of changed predictions as bars: single ones with the text before them, or means of groups."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from devexplore.views.axes import axis, base_layout, padded, title_line
from devexplore.views.style import LIGHT, MONO, SIZES, Theme
from devexplore.views.token_words import end_of, word

_ROW = 22
_CONTEXT = 32
"""Characters of the text before a prediction."""

_KINDS = {
    "place": "single predictions",
    "token": "predicted tokens",
    "class": "classes of the predicted token",
    "position": "positions",
    "sequence": "sequences",
}


def ranking_figure(*rankings: xr.Dataset, theme: Theme = LIGHT) -> go.Figure:
    """One or more rankings of ``most_changed``, one below the other over the same axis of loss change.

    Red: the loss fell; blue: it rose. Whiskers: one standard error, over sequences. A single prediction's
    label ends with the token predicted, in bold; a group's says how often it occurs. An empty ranking says
    so.
    """
    sizes = [max(table.sizes["rank"], 1) for table in rankings]
    height = 100 + _ROW * sum(sizes) + 40 * (len(sizes) - 1)
    figure = make_subplots(
        len(rankings), 1, shared_xaxes=True, row_heights=sizes, vertical_spacing=min(0.5, 40 / height)
    )
    reach = [np.zeros(1)]
    for row, table in enumerate(rankings, start=1):
        change = table["loss_change"].values
        se = table["loss_change_se"].values if "loss_change_se" in table else np.full(change.shape, np.nan)
        fell = table.attrs["direction"] == "improved"
        rank = table["rank"].values
        figure.add_trace(
            go.Bar(
                x=change,
                y=rank,
                orientation="h",
                marker={"color": theme.fell if fell else theme.rose, "line": {"width": 0}},
                error_x={
                    "array": se,
                    "visible": bool(np.isfinite(se).any()),
                    "color": theme.ink,
                    "thickness": 1.2,
                    "width": 3,
                },
                text=_hovers(table),
                textposition="none",
                hovertemplate="%{text}<extra></extra>",
            ),
            row=row,
            col=1,
        )
        figure.update_yaxes(
            axis(theme, showgrid=False, automargin=True, ticksuffix=" "),
            tickvals=rank,
            ticktext=_labels(table, theme),
            tickfont={"family": MONO, "size": SIZES["small"], "color": theme.muted},
            range=[sizes[row - 1] + 0.6, 0.4],
            row=row,
            col=1,
        )
        figure.add_annotation(
            text=f"<b>{'most improved' if fell else 'most worsened'}</b> {_KINDS[table.attrs['by']]}"
            + ("" if len(change) else ": none"),
            x=0,
            xref="x domain" if row == 1 else f"x{row} domain",
            xanchor="left",
            y=1,
            yref="y domain" if row == 1 else f"y{row} domain",
            yanchor="bottom",
            yshift=2,
            showarrow=False,
            font={"size": SIZES["body"], "color": theme.ink},
        )
        reach += [change, change - np.nan_to_num(se), change + np.nan_to_num(se)]
    unit = rankings[0].attrs.get("units", "")
    figure.update_xaxes(
        axis(theme, range=padded(np.concatenate(reach), 0.04))
        | {"zeroline": True, "zerolinecolor": theme.faint}
    )
    figure.update_xaxes(
        title={"text": f"change of loss ({unit})", "standoff": 6},
        showticklabels=True,
        row=len(rankings),
        col=1,
    )
    figure.update_layout(
        **base_layout(theme, margin={"l": 8, "r": 16, "t": 60, "b": 40}, bargap=0.3, height=height),
        title=title_line(_between(rankings[0]), theme),
    )
    return figure


def _between(table: xr.Dataset) -> str:
    first, last = table.attrs.get("step_from"), table.attrs.get("step_to")
    return "Change of loss" if first is None else f"Change of loss, step {first:,} to {last:,}"


def _labels(table: xr.Dataset, theme: Theme) -> list[str]:
    by, ink = table.attrs["by"], f'<span style="color:{theme.ink}">'
    if by == "place" and "target_text" in table:
        return [
            f"{end_of(str(before), _CONTEXT)}{ink}<b>{word(str(target))}</b></span>"
            for before, target in zip(table["context"].values, table["target_text"].values, strict=True)
        ]
    if by == "place":
        places = zip(table["sequence"].values, table["position"].values, strict=True)
        return [f"sequence {sequence}, position {position}" for sequence, position in places]
    name = {"token": "target_text", "class": "token_class"}.get(by, by)
    counted = zip(table[name].values, table["count"].values, strict=True)
    return [f"{ink}{word(label) if by == 'token' else label}</span> × {count:,}" for label, count in counted]


def _hovers(table: xr.Dataset) -> list[str]:
    unit = table.attrs.get("units", "")
    change = table["loss_change"].values
    if table.attrs["by"] == "place":
        places = zip(table["sequence"].values, table["position"].values, change, strict=True)
        return [f"sequence {s}, position {p}<br>{value:+.3g} {unit}" for s, p, value in places]
    se, count, sequences = (table[name].values for name in ("loss_change_se", "count", "sequences"))
    return [
        f"{value:+.3g}{f' ± {error:.2g}' if np.isfinite(error) else ''} {unit}"
        f"<br>{n:,} predictions in {units:,} sequences"
        for value, error, n, units in zip(change, se, count, sequences, strict=True)
    ]
