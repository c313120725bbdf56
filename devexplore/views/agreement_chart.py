"""Which curve sees a boundary when: a row a curve, each boundary a mark on its interval."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from devexplore.views.axes import log_step, step_label
from devexplore.views.row_chart import interval_bars, listed, row_sheet, write_beside
from devexplore.views.rows import strip_label
from devexplore.views.stages import StageMark
from devexplore.views.style import Theme
from devexplore.views.visuals import Visuals

_ON: Final = {True: ", on their 90 % intervals", False: ""}

_KINDS: Final = {"maximum": "triangle-up", "minimum": "triangle-down", "plateau": "square"}


def agreement_chart(
    found: xr.Dataset,
    stages: Sequence[StageMark],
    theme: Theme,
    title: str = "",
    said: str = "",
    called: Mapping[str, str] | None = None,
    visuals: Visuals | None = None,
) -> go.Figure:
    """Boundaries of ``agreement``: a row a curve that has any, each boundary a mark on its 90 % interval.

    ▲ maximum, ▼ minimum, ■ plateau. Right: the share of the first row's boundaries that this one sees too, in
    brackets what chance would give, and how probable so many or more are by chance. ``called``: what curves
    are called, where not as ``strip_label`` has it.
    """
    every = [str(name) for name in found["curve_name"].values]
    without = found.attrs.get("without", {})  # curves that could not be judged, and why
    label = {name: _sentence((called or {}).get(name, strip_label(name))) for name in (*every, *without)}
    seen = set(found["curve"].values.astype(str))
    names = [name for name in every if name in seen] or every
    first = names[0]
    beside = {name: _shared(found, first, name) for name in names[1:]}
    look = visuals or Visuals("agreement")
    below = [
        look.said(
            ("critical_points", f"▲ maximum, ▼ minimum, ■ plateau{_ON[look.draws('intervals')]}."),
            (
                "numbers",
                f"Right: share of the boundaries of {label[first]} that this one sees too (what intervals "
                "laid at random would share), and the probability p that they share so many or more.",
            ),
        ),
        listed("Without any boundary", [label[name] for name in every if name not in names]),
        *(f"{label[name]}: {why}" for name, why in without.items()),
    ]
    head = f"shared with {label[first]}"
    figure, number_of = row_sheet(
        [label[name] for name in names], stages, float(found.attrs["last_step"]), theme, title, said,
        foot="\n".join(filter(None, below)), right=[head, *beside.values()],
    )  # fmt: skip
    curve = found["curve"].values.astype(str)
    for name in names:
        one = found.isel(boundary=np.flatnonzero(curve == name))
        row = number_of(names.index(name))
        columns = (one[what].values for what in ("kind", "step", "lower", "upper", "probability"))
        words = [
            f"{label[name]}: {kind} at step {step_label(step)}"
            f"<br>90 %: {step_label(low)}–{step_label(high)}<br>probability {probability:.2f}"
            for kind, step, low, high, probability in zip(*columns, strict=True)
        ]
        figure.add_trace(interval_bars(one["lower"].values, one["upper"].values, row, theme.muted))
        figure.add_trace(
            go.Scatter(
                x=log_step(one["step"].values),
                y=np.full(one.sizes["boundary"], row),
                mode="markers",
                marker={
                    "symbol": [_KINDS.get(str(kind), "circle") for kind in one["kind"].values],
                    "size": 9,
                    "color": theme.ink,
                },
                text=words,
                hovertemplate="%{text}<extra></extra>",
                name=name,
                meta={"layer": "critical_points"},
            )
        )
    for name, text in beside.items():
        write_beside(figure, text, number_of(names.index(name)), theme)
    write_beside(figure, head, -0.5, theme, yanchor="bottom")
    return figure


def _shared(found: xr.Dataset, first: str, other: str) -> str:
    shared, chance, p = (
        float(found[what].sel(curve_name=first, other=other)) for what in ("shared", "chance", "p_value")
    )
    if not np.isfinite(shared):
        return ""
    return f"{shared:.0%} ({chance:.0%}), p {'< 0.01' if p < 0.01 else f'{p:.2f}'}"


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]
