"""Stages on loss and LLC, with the intervals of their boundaries, and what changed in each as a table."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from jaxtyping import Float

from devexplore.views.axes import shorten, step_label
from devexplore.views.markup import plain
from devexplore.views.panels import Panel, draw_panel
from devexplore.views.sheet import WIDTH, Box, domains, foot_height, sheet
from devexplore.views.sheet import foot as write_foot
from devexplore.views.stage_bands import lanes_height
from devexplore.views.stages import StageMark
from devexplore.views.style import FONT, TYPE_WORDS, Theme

_ROW = 30
_LETTERS = 18
"""Of a stage's name in the table: more would take a second line."""

UNSUPPORTED = " †"
"""Beside the type of a stage with an end where no LLC is known."""

_HEADS = ("stage", "steps", "type", "Δ loss", "Δ LLC ± SE", "ends at step", "90 % interval", "probability")
_WIDTHS = (1.4, 1.5, 1.6, 1, 1.3, 1.5, 1.4, 1)


def stage_sheet(
    panels: Sequence[Panel],
    stages: xr.Dataset,
    marks: Sequence[StageMark],
    last_step: float,
    theme: Theme,
    title: str = "",
    said: str = "",
    foot: str = "",
) -> go.Figure:
    """Panels over log-steps, one below the other; vertical lines are boundaries, the bars on them their 90 %
    intervals, below the curves. Below, one row a stage."""
    table_height = _ROW * (len(marks) + 1) + 8
    top = 104
    figure = sheet(top + 262 * len(panels) + table_height + foot_height(foot), theme, title, said)
    share = lanes_height(stages)
    for i, panel in enumerate(panels):
        low, high = panel.range
        panel = panel._replace(range=(low - (high - low) * share / (1 - share), high))  # room for the bars
        box = Box(70, top + 262 * i, WIDTH - 110, 190)
        draw_panel(figure, panel, box, i + 1, marks, last_step, theme, stages)
    across, up = domains(figure, Box(16, top + 262 * len(panels), WIDTH - 32, table_height))
    figure.add_trace(_table(stages, marks, theme).update(domain={"x": across, "y": up}))
    write_foot(figure, foot, theme)
    return figure


def _table(stages: xr.Dataset, marks: Sequence[StageMark], theme: Theme) -> go.Table:
    losses = in_one_format(stages["delta_loss"].values)
    rows = [_row(stages.isel(stage=i), mark, losses[i]) for i, mark in enumerate(marks)]
    columns = [list(column) for column in zip(*rows, strict=True)]
    plain = [theme.ink] * len(rows)
    colours = [[mark.colour for mark in marks], plain, [mark.colour for mark in marks]] + [plain] * 5
    font = {"family": FONT, "size": 12}
    return go.Table(
        meta={"layer": "table"},
        columnwidth=list(_WIDTHS),
        header={
            "values": [f"<b>{head}</b>" for head in _HEADS],
            "align": "left",
            "height": _ROW,
            "fill": {"color": theme.sunken},
            "line": {"color": theme.line, "width": 0},
            "font": {**font, "color": theme.muted},
        },
        cells={
            "values": columns,
            "align": "left",
            "height": _ROW,
            "fill": {"color": theme.surface},
            "line": {"color": theme.line, "width": 0},
            "font": {**font, "color": colours},
        },
    )


def _row(one: xr.Dataset, mark: StageMark, delta_loss: str) -> tuple[str, ...]:
    delta, se = float(one["delta_llc"]), float(one["delta_llc_se"])
    supported = not np.isfinite(delta) or bool(one.get("supported", True))
    trusted = "*" if supported and not bool(one.get("trusted", True)) else ""
    lower, upper, probability = (
        float(one[name]) for name in ("boundary_lower", "boundary_upper", "probability")
    )
    kind = str(one["boundary_kind"].item())
    return (
        f"<b>{plain(shorten(mark.name, _LETTERS))}</b>",
        f"{mark.start:,.0f} – {mark.end:,.0f}",
        TYPE_WORDS.get(mark.type, "undecided") + ("" if supported else UNSUPPORTED),
        delta_loss,
        f"{with_error(delta, se)}{trusted}" if np.isfinite(delta) else "–",
        "end of the run" if kind == "end" else f"{mark.end:,.0f} ({kind})",
        f"{step_label(lower)} – {step_label(upper)}" if np.isfinite(lower + upper) else "–",
        f"{probability:.2f}" if np.isfinite(probability) else "–",
    )


def in_one_format(values: Float[np.ndarray, " n"]) -> list[str]:
    """Numbers of one column, signed: as many places as the largest needs for four digits; "≈ 0" below a
    thousandth of it, a dash for NaN."""
    largest = float(np.nanmax(np.abs(values), initial=0.0))
    places = max(0, 3 - int(np.floor(np.log10(largest)))) if largest > 0 else 0
    words = [f"{value:+.{places}f}".replace("-", "−") if np.isfinite(value) else "–" for value in values]
    small = np.abs(values) < largest / 1000
    return ["≈ 0" if tiny else said for said, tiny in zip(words, small, strict=True)]


def with_error(value: float, se: float) -> str:
    """+32.5 ± 1.2: both to the second digit of the error."""
    if not np.isfinite(se) or se <= 0:
        return signed(value)
    places = max(0, 1 - int(np.floor(np.log10(se))))
    return f"{value:+.{places}f} ± {se:.{places}f}".replace("-", "−")


def signed(value: float) -> str:
    """+1.23, −0.45; a dash for NaN."""
    return f"{value:+.3g}".replace("-", "−") if np.isfinite(value) else "–"
