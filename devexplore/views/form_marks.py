"""Forms on the trajectory's pictures, and, quieter, the turns that no random walk makes but are no forms.

A form is a filled star at its coordinates, in the circle within which planes had to agree, a dotted line from
the trajectory's own point at its step, and the piece of trajectory within its 90 % interval drawn broad. A
turn that beats the null without being a form is a hollow square on the trajectory.
"""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from jaxtyping import Bool, Float

from devexplore.views.axes import log_step
from devexplore.views.style import Theme
from devexplore.views.trajectory_layers import ROUND, apart, columns, deep, flat, xyz

LAYER = "forms"

_SAME_STEP = 1e-6

_TOUCH = 8
"""Size of an unseen mark on each form: of marks under the pointer the smallest speaks, and at a saddle the
checkpoints crowd.
"""


def beaten(forms: xr.Dataset) -> Bool[np.ndarray, " turn"]:
    """Turns that few enough random walks make, and that are no forms."""
    rare = forms["turn_p_value"].values <= forms.attrs["max_p"]
    return rare & ~is_form(forms)


def is_form(forms: xr.Dataset) -> Bool[np.ndarray, " turn"]:
    """Which turns are listed as forms."""
    turn, form = forms["turn_step"].values[:, None], forms["step"].values
    return np.any(np.isclose(turn, form, rtol=_SAME_STEP, atol=0), axis=1)


def any_form(forms: xr.Dataset) -> bool:
    """Whether there is anything to draw: a form, or a turn that beats the null."""
    return forms.sizes["form"] > 0 or bool(beaten(forms).any())


def form_spans(forms: xr.Dataset | None) -> list[dict[str, int]]:
    """The step of each form and its interval, in whole steps."""
    if forms is None:
        return []
    ends = zip(*(forms[name].values for name in ("step_low", "step", "step_high")), strict=True)
    return [
        {"low": int(np.floor(low)), "step": round(float(step)), "high": int(np.ceil(high))}
        for low, step, high in ends
    ]


def key(forms: xr.Dataset, curve_bandwidth: float) -> str:
    """What is drawn in green, and at which smoothing it was sought where that is not the curve's."""
    words = []
    if forms.sizes["form"] > 0:
        words.append("Green stars: forms, in the circle within which planes had to agree.")
    if bool(beaten(forms).any()):
        words.append("Green squares: turns that beat random walks and are no form.")
    sought = float(forms.attrs.get("bandwidth", curve_bandwidth))
    if not np.isclose(sought, curve_bandwidth):
        words.append(f"Forms were sought at a bandwidth of their own, {sought:.3g}.")
    return " ".join(words)


def form_words(forms: xr.Dataset) -> list[str]:
    """What hovering over a form says."""
    words = []
    for i in range(forms.sizes["form"]):
        one = {name: float(forms[name].values[i]) for name in _SAID}
        words.append(
            f"<b>form {i + 1}</b>, step {one['step']:,.0f} "
            f"(90 %: {one['step_low']:,.0f}–{one['step_high']:,.0f})"
            f"<br>turns by {one['angle']:.0f}°, p = {one['p_value']:.3g}"
            f"<br>planes agree within {one['residual']:.1%} of the extent"
        )
    return words


_SAID = ("step", "step_low", "step_high", "angle", "p_value", "residual")


def turn_words(forms: xr.Dataset) -> list[str]:
    """What hovering over a turn says, with the reason why it is no form."""
    step, angle, p = (forms[f"turn_{name}"].values for name in ("step", "angle", "p_value"))
    return [
        f"turn at step {step[i]:,.0f}, by {angle[i]:.0f}°, p = {p[i]:.3g}<br>no form: {reason(forms, i)}"
        for i in range(forms.sizes["turn"])
    ]


def reason(forms: xr.Dataset, turn: int) -> str:
    """Why a turn is no form."""
    residual, angle = (float(forms[f"turn_{name}"].values[turn]) for name in ("residual", "angle"))
    tolerance, least = forms.attrs["tolerance"], forms.attrs["min_turn"]
    if np.isnan(residual):
        return "some plane has no vertex at that time"
    if residual > tolerance:
        return f"the planes' cusps lie {residual:.0%} of the extent<br>apart, {tolerance:.0%} is allowed"
    if angle < least:
        return f"less than {least:.0f}°"
    return "at the place of a stronger one, or too weak for one"


def form_places(forms: xr.Dataset | None, components: Sequence[int]) -> Float[np.ndarray, "form component"]:
    """Coordinates of forms, none where forms were not sought in these components."""
    if forms is None or not np.isin(components, forms["component"].values).all():
        return np.empty((0, len(components)))
    return columns(forms["coordinates"], components)


def ground(
    forms: xr.Dataset, dynamics: xr.Dataset, components: tuple[int, int], theme: Theme
) -> list[go.Scatter]:
    """What lies below the curve in a plane: the circles of the tolerance (outlines, for in a narrow plane
    they are large), pieces of trajectory, lines from the curve."""
    places = form_places(forms, components)
    if len(places) == 0:
        return []
    radius = forms.attrs["tolerance"] * forms.attrs["extent"]
    circle = radius * np.stack([np.cos(ROUND), np.sin(ROUND)], axis=1)
    around = apart([place + circle for place in places], 2)
    rim = {"color": theme.form_band, "width": 1, "dash": "dot"}
    pieces, leads = _pieces(forms, dynamics, components), _leads(forms, dynamics, components)
    return [
        flat(around, LAYER, mode="lines", line=rim),
        flat(pieces, LAYER, mode="lines", line={"color": theme.form_band, "width": 13}),
        flat(leads, LAYER, mode="lines", line={"color": theme.form, "width": 1.2, "dash": "dot"}),
    ]


def marks(
    forms: xr.Dataset, dynamics: xr.Dataset, components: tuple[int, int], theme: Theme
) -> list[go.Scatter]:
    """What lies above the curve in a plane: turns that beat the null, and the forms themselves."""
    square = {"symbol": "square-open", "size": 10, "color": theme.form, "line": {"width": 1.6}}
    rim = {"width": 1, "color": theme.surface}
    star = {"symbol": "star-diamond", "size": 14, "color": theme.form, "line": rim}
    touch = {"size": _TOUCH, "color": "rgba(0,0,0,0)"}
    return [
        go.Scatter(
            **xyz(points),
            mode="markers",
            marker=look,
            customdata=np.round(step),
            text=words,
            hovertemplate="%{text}<extra></extra>",
            meta={"layer": LAYER},
        )
        for (points, step, words), mark in zip(
            _places(forms, dynamics, components), (square, star), strict=True
        )
        for look in (mark, touch)
        if len(points) > 0
    ]


def marks_in_space(
    forms: xr.Dataset, dynamics: xr.Dataset, theme: Theme, components: Sequence[int] = (1, 2, 3)
) -> list[go.Scatter3d]:
    """The same in three components, without the disc: scales differ between axes there."""
    lines = [
        (_pieces(forms, dynamics, components), {"color": theme.form, "width": 10}),
        (_leads(forms, dynamics, components), {"color": theme.form, "width": 2}),
    ]
    traces = [deep(points, LAYER, mode="lines", line=line) for points, line in lines if len(points) > 0]
    looks = (("square-open", 5), ("diamond", 5))
    for (points, step, words), (symbol, size) in zip(
        _places(forms, dynamics, components), looks, strict=True
    ):
        if len(points) > 0:
            marker = {"symbol": symbol, "size": size, "color": theme.form}
            hover = {"customdata": np.round(step), "text": words, "hovertemplate": "%{text}<extra></extra>"}
            traces.append(deep(points, LAYER, mode="markers", marker=marker, hoverinfo=None, **hover))
    return traces


def _places(
    forms: xr.Dataset, dynamics: xr.Dataset, components: Sequence[int]
) -> list[tuple[Float[np.ndarray, "mark v"], np.ndarray, list[str]]]:
    """Where quiet turns and forms lie, their steps, and what they say."""
    quiet = np.flatnonzero(beaten(forms))
    step, words = forms["turn_step"].values[quiet], turn_words(forms)
    return [
        (_at(dynamics, components, step), step, [words[i] for i in quiet]),
        (form_places(forms, components), forms["step"].values, form_words(forms)),
    ]


def _at(dynamics: xr.Dataset, components: Sequence[int], step: np.ndarray) -> Float[np.ndarray, "point v"]:
    """Points of the drawn curve at any steps."""
    place, curve = log_step(dynamics["curve_step"].values), columns(dynamics["curve_score"], components)
    return np.stack([np.interp(log_step(step), place, column) for column in curve.T], axis=1)


def _pieces(
    forms: xr.Dataset, dynamics: xr.Dataset, components: Sequence[int]
) -> Float[np.ndarray, "point v"]:
    """The curve within the interval of each form."""
    curve = dynamics["curve_step"].values
    pieces = []
    for low, high in zip(forms["step_low"].values, forms["step_high"].values, strict=True):
        inside = curve[(curve > low) & (curve < high)]
        pieces.append(_at(dynamics, components, np.array([low, *inside, high])))
    return apart(pieces, len(components))


def _leads(
    forms: xr.Dataset, dynamics: xr.Dataset, components: Sequence[int]
) -> Float[np.ndarray, "point v"]:
    """From the curve at each form's step to the form."""
    on_curve = _at(dynamics, components, forms["step"].values)
    pairs = np.stack([on_curve, form_places(forms, components)], axis=1)
    return apart(list(pairs), len(components))
