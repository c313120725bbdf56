"""The staircase of a deep linear network: each mode beside the time that theory gives it."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from jaxtyping import Float

from devexplore.views.axes import log_step, step_label
from devexplore.views.panels import Curve, Panel, curve_panel
from devexplore.views.style import Theme


def mode_panel(strength: xr.DataArray, times: xr.Dataset, theme: Theme) -> Panel:
    """Strength of each mode of the teacher, which ends at its singular value (dotted).

    On half of that, a bar: the checkpoints between which the mode is half learned. A diamond: the closed form
    from the start; a ring: the closed form from the checkpoint before.
    """
    step = strength["step"].values
    values = strength.transpose("step", "teacher_mode").values
    goals = times["teacher_value"].values
    curves = [
        Curve(step, values[:, mode], f"mode {mode + 1}", theme.runs[mode % len(theme.runs)])
        for mode in range(values.shape[1])
    ]
    panel = curve_panel("Strength of each mode", "", curves, theme, zero=True)
    traces = list(panel.traces)
    for mode, goal in enumerate(goals.tolist()):
        colour = theme.runs[mode % len(theme.runs)]
        traces.append(_goal(step, goal, colour))
        one = times.isel(teacher_mode=mode)
        traces += _half_way(one, goal / 2, colour, mode + 1)
    return panel._replace(traces=traces)


def _goal(step: np.ndarray, goal: float, colour: str) -> go.Scatter:
    ends = log_step(step[[0, -1]])
    return go.Scatter(
        x=ends, y=[goal, goal], mode="lines", line={"color": colour, "width": 1, "dash": "dot"},
        hoverinfo="skip", meta={"layer": "goal"},
    )  # fmt: skip


def _half_way(one: xr.Dataset, level: float, colour: str, mode: int) -> list[go.Scatter]:
    """Where this mode is half learned: measured as a bar, predicted as marks."""
    marks = []
    ends = np.array([float(one["half_lower"]), float(one["half_upper"])])
    if np.isfinite(ends).all():
        words = f"mode {mode}: half learned between steps {ends[0]:,.0f} and {ends[1]:,.0f}"
        line = {"color": colour, "width": 5}
        marks.append(_mark(log_step(ends), level, words, "measured", mode="lines", line=line))
    looks = (
        ("predicted", "diamond-open", "closed form from the start"),
        ("predicted_from_checkpoint", "circle-open", "closed form from the checkpoint before"),
    )
    for name, symbol, said in looks:
        at = float(one[name])
        if np.isfinite(at):
            words = f"mode {mode}, {said}: step {step_label(at)}"
            marker = {"symbol": symbol, "size": 10, "color": colour, "line": {"width": 2, "color": colour}}
            x = log_step(np.array([at]))
            marks.append(_mark(x, level, words, name, mode="markers", marker=marker))
    return marks


def _mark(x: Float[np.ndarray, " n"], level: float, words: str, layer: str, **look) -> go.Scatter:
    return go.Scatter(
        x=x, y=np.full(len(x), level), text=[words] * len(x), hovertemplate="%{text}<extra></extra>",
        meta={"layer": layer}, **look,
    )  # fmt: skip
