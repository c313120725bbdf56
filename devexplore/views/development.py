"""A whole development on one sheet: loss and LLC beside the planes of the trajectory; the planes alone."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
import xarray as xr

from devexplore.views.axes import shorten
from devexplore.views.markup import plain
from devexplore.views.panels import Panel, draw_panel, panel_stack
from devexplore.views.sheet import WIDTH, Box, foot, foot_height, inset, sheet, write
from devexplore.views.stages import StageMark
from devexplore.views.style import TYPE_WORDS, Theme
from devexplore.views.trajectory import caption, layer_keys, plane, plane_names, vertex_key
from devexplore.views.visuals import Visuals
from devexplore.views.walk_layer import walk_layers

_LETTERS = 14
"""Of a stage's name in the key."""


def development_figure(
    panels: Sequence[Panel],
    dynamics: xr.Dataset | None,
    why: str,
    stages: Sequence[StageMark],
    last_step: float,
    theme: Theme,
    title: str = "",
    said: str = "",
    key: str = "",
    visuals: Visuals | None = None,
) -> go.Figure:
    """Left: panels over log-steps, one below the other. Right: the planes of ``dynamics``, the first large.
    Without it the panels are as wide as the sheet, and the foot says ``why``. ``key``: what the marks of the
    panels mean."""
    if dynamics is None:
        quiet = f"No trajectory: {why}. {key}"
        return panel_stack(panels, stages, last_step, theme, title=title, said=said, foot=quiet)
    look = visuals or Visuals("development")
    words = layer_keys(dynamics, None)
    off = _circle_words(words, look.draws("circles", by_itself=False), look.draws("evolute", by_itself=False))
    below = look.said(
        caption(dynamics), ("raw", "Dots: checkpoints."), off, ("vertices", vertex_key(dynamics)), key
    )
    figure = sheet(634 + foot_height(below), theme, title, said)
    for i, panel in enumerate(panels):
        box = Box(62, 104 + i * 272, 372, 206)
        draw_panel(figure, panel, box, i + 1, stages, last_step, theme)
    boxes = [Box(516, 86, 560, 246), Box(516, 386, 250, 212), Box(826, 386, 250, 212)]
    for number, (name, box) in enumerate(zip(plane_names(dynamics), boxes, strict=False), 3):
        inset(figure, plane(dynamics, name, stages, theme, ("stage", "raw", "vertices")), box, number)
    foot(figure, below, theme)
    if look.draws_any("band", "stage"):
        _key(figure, stages, theme)
    return figure


def trajectory_figure(
    dynamics: xr.Dataset,
    forms: xr.Dataset | None,
    conclusion: str,
    stages: Sequence[StageMark],
    theme: Theme,
    title: str = "",
    visuals: Visuals | None = None,
    walks: xr.Dataset | None = None,
) -> go.Figure:
    """Each plane of ``dynamics`` with circles, evolute, vertices, cusps and forms, side by side; behind them,
    where they are given, ``walks`` (of ``null_walks``)."""
    look = visuals or Visuals("trajectory")
    null = None if walks is None else walk_layers(dynamics, walks, theme, compared=forms is not None)
    by_step = look.draws("step", by_itself=not stages)
    said = look.said(
        _trajectory_words(dynamics, forms, conclusion, look),
        "Colour: training steps, from violet to yellow." if by_step else "",
        "" if null is None else null["words"],
    )
    show = ("step" if not stages else "stage", "circles", "evolute", "vertices", "forms")
    figure = sheet(448 + foot_height(said), theme, title)
    names = plane_names(dynamics)
    cell = (WIDTH - 16) / len(names)
    for i, name in enumerate(names):
        one = plane(dynamics, name, stages, theme, show, forms)
        if null is not None:
            one = go.Figure([null["planes"][i], *one.data], layout=one.layout)
        inset(figure, one, Box(i * cell + 58, 66, cell - 66, 340), i + 1)
    foot(figure, said, theme)
    if look.draws("stage"):
        _key(figure, stages, theme)
    return figure


def _trajectory_words(dynamics: xr.Dataset, forms: xr.Dataset | None, conclusion: str, look: Visuals) -> str:
    """The caption, as far as its layers are drawn."""
    words = layer_keys(dynamics, forms)
    circles, evolute = look.draws("circles"), look.draws("evolute")
    both = "Grey: osculating circles; dots: their centres, the evolute."
    return look.said(
        caption(dynamics, conclusion if look.draws("forms") else ""),
        both if circles and evolute else _circle_words(words, circles, evolute),
        ("vertices", words["vertices"]),
        ("forms", words["forms"]),
        words["raw"] if look.draws("raw", by_itself=False) else "",
    )


def _circle_words(words: Mapping[str, str], circles: bool, evolute: bool) -> str:
    """What circles and evolute are, as far as they are drawn."""
    alone = "Small dots: the centres of the osculating circles, the evolute."
    centres = words["evolute"] if circles else alone
    return " ".join([words["circles"]] * circles + [centres] * evolute)


def _key(figure: go.Figure, stages: Sequence[StageMark], theme: Theme) -> None:
    """Which colour is which stage, at the top right; in two columns' width at most."""
    words = [
        f"<span style='color:{stage.colour}'><b>━ {plain(shorten(stage.name, _LETTERS))}</b></span>"
        for stage in stages
    ]
    kinds = [
        f"<span style='color:{shade}'>{TYPE_WORDS[kind]}</span>"
        for kind, shade in (("A", theme.warm[1]), ("B", theme.cool[1]), ("undecided", theme.undecided[1]))
        if any(stage.type == kind for stage in stages)
    ]
    if words:
        for line, top in (("   ".join(words), 12), (" · ".join(kinds), 34)):
            write(figure, line, WIDTH - 16, top, theme.muted, xanchor="right", name="legend")
