"""Rankings of changed predictions as bars: single ones with the text before them, or means of groups."""

import re
from collections.abc import Mapping
from html import unescape
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from devexplore.views.axes import axis, padded
from devexplore.views.sheet import WIDTH, Box, foot, foot_height, place, sheet, write
from devexplore.views.style import LIGHT, MONO, SIZES, Theme
from devexplore.views.token_words import called, change_words, end_of, label_words, place_words, word
from devexplore.views.visuals import Visuals

Labels = Mapping[str, Mapping[int, str]]
"""By dimension and label, how people call a sequence or a position; empty: by its number from 1."""

_ROW: Final = 22
_HEAD: Final = 40
_CONTEXT: Final = 32
"""Characters of the text before a prediction."""

_LETTER: Final = 6.7
"""Width of a letter of the labels, in pixels."""

_FOOT: Final = "Red: the loss fell; blue: it rose. The first of many are so also by luck."
_GROUPED: Final = "Bars: means over predictions (×: how many); whiskers: one standard error, over {units}."
_TEXT: Final = "The predicted token is bold, before it what the model read; ␣ blank, ↵ line break, ⇥ tab."


def ranking_figure(
    *rankings: xr.Dataset,
    theme: Theme = LIGHT,
    title: str = "",
    said: str = "",
    labels: Labels | None = None,
    visuals: Visuals | None = None,
) -> go.Figure:
    """One or more rankings of ``most_changed``, one below the other over the same axis of loss change.

    Red: the loss fell; blue: it rose. Whiskers: one standard error, over sequences. A single prediction's
    label ends with the token predicted, in bold; a group's says how often it occurs. An empty ranking says
    so. ``labels``: what to call sequences and positions.
    """
    labels = labels or {}
    units = f"{called(rankings[0].attrs, 'sequence')}s"
    by, texts = rankings[0].attrs["by"], any("target_text" in table for table in rankings)
    bars = visuals is None or visuals.draws("bars")
    words = [
        _FOOT if bars else "",
        "" if by == "place" or not bars else _GROUPED.format(units=units),
        _TEXT if texts and by == "place" else "",
        said,
    ]
    quiet = " ".join(filter(None, words))
    heights = [_ROW * max(table.sizes["rank"], 1) for table in rankings]
    figure = sheet(
        62 + sum(heights) + _HEAD * len(rankings) + 48 + foot_height(quiet),
        theme,
        title,
        change_words(rankings[0].attrs),
        bargap=0.3,
    )
    named = [_labels(table, theme, labels) for table in rankings]
    widest = max((_letters(label) for some in named for label in some), default=0)
    left = 28 + _LETTER * widest
    reach = [np.zeros(1)]
    for table in rankings:
        change, se = table["loss_change"].values, _errors(table)
        reach += [change, change - np.nan_to_num(se), change + np.nan_to_num(se)]
    unit = rankings[0].attrs.get("units", "")
    top = 62.0
    for number, (table, names, height) in enumerate(zip(rankings, named, heights, strict=True), 1):
        box = Box(left, top + _HEAD, WIDTH - 24 - left, height)
        last = number == len(rankings)
        place(
            figure,
            box,
            number,
            axis(
                theme,
                range=padded(np.concatenate(reach), 0.04),
                showticklabels=last,
                title={
                    "text": f"change of loss ({unit})" if last else "",
                    "standoff": 4,
                    "font": {"size": SIZES["small"], "color": theme.muted},
                },
            )
            | {"zeroline": True, "zerolinecolor": theme.faint},
            axis(
                theme,
                showgrid=False,
                fixedrange=True,
                tickvals=table["rank"].values,
                ticktext=names,
                ticksuffix=" ",
                tickfont={"family": MONO, "size": SIZES["small"], "color": theme.muted},
                range=[max(table.sizes["rank"], 1) + 0.6, 0.4],
            ),
        )
        figure.add_trace(_bars(table, theme, labels).update(xaxis=f"x{number}", yaxis=f"y{number}"))
        fell, none = table.attrs["direction"] == "improved", "" if table.sizes["rank"] else ": none"
        kind = f"<b>{'most improved' if fell else 'most worsened'}</b> {_kind(table.attrs)}{none}"
        write(figure, kind, left, box.top - 4, theme.ink, SIZES["body"], yanchor="bottom", name="headings")
        top += _HEAD + height
    foot(figure, quiet, theme)
    return figure


def _bars(table: xr.Dataset, theme: Theme, labels: Labels) -> go.Bar:
    se = _errors(table)
    return go.Bar(
        x=table["loss_change"].values,
        y=table["rank"].values,
        orientation="h",
        marker={
            "color": theme.fell if table.attrs["direction"] == "improved" else theme.rose,
            "line": {"width": 0},
        },
        error_x={
            "array": se,
            "visible": bool(np.isfinite(se).any()),
            "color": theme.ink,
            "thickness": 1.2,
            "width": 3,
        },
        text=_hovers(table, labels),
        textposition="none",
        meta={"layer": "bars"},
        hovertemplate="%{text}<extra></extra>",
    )


def _errors(table: xr.Dataset) -> np.ndarray:
    held = "loss_change_se" in table
    return table["loss_change_se"].values if held else np.full(table.sizes["rank"], np.nan)


def _kind(attrs: Mapping) -> str:
    kinds = {
        "place": "single predictions",
        "token": "predicted tokens",
        "class": "classes of the predicted token",
    }
    by = attrs["by"]
    return kinds[by] if by in kinds else f"{called(attrs, by)}s"


def _labels(table: xr.Dataset, theme: Theme, labels: Labels) -> list[str]:
    by, ink = table.attrs["by"], f'<span style="color:{theme.ink}">'
    if by == "place" and "target_text" in table:
        return [
            f"{end_of(str(before), _CONTEXT)}{ink}<b>{word(str(target))}</b></span>"
            for before, target in zip(table["context"].values, table["target_text"].values, strict=True)
        ]
    if by == "place":
        return _places(table, labels)
    name = {"token": "target_text", "class": "token_class"}.get(by, by)
    counted = zip(table[name].values, table["count"].values, strict=True)
    return [f"{ink}{_label(one, table.attrs, labels)}</span> × {count:,}" for one, count in counted]


def _label(one: Any, attrs: Mapping, labels: Labels) -> str:
    by = attrs["by"]
    if by in ("sequence", "position"):
        return f"{called(attrs, by)} {label_words(one, labels.get(by))}"
    return word(str(one)) if by == "token" else str(one)


def _places(table: xr.Dataset, labels: Labels) -> list[str]:
    places = zip(table["sequence"].values.tolist(), table["position"].values.tolist(), strict=True)
    return [place_words(table.attrs, *at, labels) for at in places]


def _letters(label: str) -> int:
    """How many letters of a label are seen."""
    return len(unescape(re.sub(r"<[^>]*>", "", label)))


def _hovers(table: xr.Dataset, labels: Labels) -> list[str]:
    unit = table.attrs.get("units", "")
    change = table["loss_change"].values
    if table.attrs["by"] == "place":
        said = zip(_places(table, labels), change, strict=True)
        return [f"{at}<br>{value:+.3g} {unit}" for at, value in said]
    se, count, sequences = (table[name].values for name in ("loss_change_se", "count", "sequences"))
    units = f"{called(table.attrs, 'sequence')}s"
    return [
        f"{value:+.3g}{f' ± {error:.2g}' if np.isfinite(error) else ''} {unit}"
        f"<br>{n:,} predictions in {many:,} {units}"
        for value, error, n, many in zip(change, se, count, sequences, strict=True)
    ]
