"""Which layers of a figure are drawn, and with which properties: the ``visuals=`` of every figure.

A layer is what one switch draws: every trace carries its name as ``meta["layer"]``, words and lines beside
traces as ``name``. Names are the page's and the glossary's, and the same in every figure.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go

from devexplore.errors import InvalidSpec
from devexplore.views.axes import shorten
from devexplore.views.panels import Panel

_LETTERS: Final = 400
"""Of what Plotly says of a property; it may go on to list all colours there are."""

_SHEET: Final = ("title", "note", "caption")
_STAGES: Final = ("stages", "bands", "boundaries", "stage_names")
_PANELS: Final = ("panel_titles", *_STAGES, *_SHEET)
_CURVES: Final = ("loss", "train_loss", "llc", "errors")
_PLANES: Final = ("stage", "step", "raw", "circles", "evolute", "vertices", "points", "legend")

LAYERS: Final[Mapping[str, tuple[str, ...]]] = {
    "agreement": ("critical_points", "intervals", "numbers", *_STAGES, *_SHEET),
    "chains": ("chains", "ends", "zero", "trivial", "now", "llc", "errors", *_PANELS),
    "development": (*_CURVES, *_PLANES, *_PANELS),
    "developments": ("spans", "ends", "halfway", "going_on", "intervals", "numbers", "legend", *_STAGES,
        *_SHEET),
    "k_gons": ("loss", "levels", "labels", "drawn", "gons", "spokes", "columns", "headings", *_PANELS),
    "landscape": ("ground", "wells", "ties", "measured_llc", "odds", "crossings", "n", *_SHEET),
    "stage_analysis": ("metrics", "intervals", "labels", *_PANELS),
    "stages": (*_CURVES, "intervals", "table", *_PANELS),
    "staircase": (
        "loss", "train_loss", "modes", "goals", "measured", "predicted", "predicted_from_checkpoint",
        "labels", *_PANELS,
    ),
    "token_changes": ("legend", "caption"),
    "token_groups": ("groups", "errors", "shares", "legend", *_PANELS),
    "token_history": ("checkpoints", "smoothed", "halfway", "context", *_PANELS),
    "token_rankings": ("bars", "headings", *_SHEET),
    "trajectory": (*_PLANES, "forms", "null", *_SHEET),
}  # fmt: skip
"""The layers of each figure of ``dx.figures``. ``stages`` is bands, boundaries, their intervals and names."""

_MADE_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "stages": ("band", "boundary", "interval", "stage_names"),
    "bands": ("band",),
    "boundaries": ("boundary",),
    "intervals": ("interval", "intervals"),
    "chains": ("chain",),
    "crossings": ("crossing",),
    "goals": ("goal",),
    "going_on": ("going on",),
    "gons": ("gon",),
    "halfway": ("halfway", "half-way"),
    "levels": ("level",),
    "measured_llc": ("measured llc",),
    "spans": ("span",),
}
"""Layers whose marks are called otherwise, or that are several in one."""

How = bool | Mapping[str, Any]


class Visuals:
    """What one figure is asked to draw.

    ``wanted``: a layer's name → False (not drawn), True (drawn, also where it is not by itself) or properties
    of its traces as Plotly calls them, ``{"line": {"width": 2}}`` (of its words where it has no traces).
    Of ``{"stages": False, "boundaries": True}`` the narrower name counts where both could.

    Raises ``InvalidSpec`` for a name that the figure does not have, and for another value.
    """

    def __init__(self, figure: str, wanted: Mapping[str, How] | None = None):
        names = LAYERS[figure]
        if not isinstance(wanted, Mapping | None):
            raise InvalidSpec(
                f"visuals: expected {{layer: False, True or properties}}, got {type(wanted).__name__}; "
                f"layers of {figure}: {', '.join(names)}"
            )
        self.figure, self.wanted = figure, dict(wanted or {})
        for name, how in self.wanted.items():
            if name not in names:
                raise InvalidSpec(f"visuals: {figure} has no layer {name!r}; it has {', '.join(names)}")
            if not isinstance(how, bool | np.bool_ | Mapping):
                raise InvalidSpec(
                    f"visuals: {name}: expected False, True or a dict of properties, got {how!r}"
                )
            wrong = [key for key in how if not isinstance(key, str)] if isinstance(how, Mapping) else []
            if wrong:
                raise InvalidSpec(f"visuals: {name}: names of properties are text, got {wrong[0]!r}")
            if figure == "token_changes" and isinstance(how, Mapping):
                raise InvalidSpec(
                    f"visuals: token_changes is text; {name}: expected False or True, got {how!r}"
                )

    def draws(self, layer: str, by_itself: bool = True) -> bool:
        """Whether this layer is drawn; ``by_itself``: whether it is where nothing is asked."""
        how = self._how(layer)
        return by_itself if how is None else not _is_off(how)

    def draws_any(self, *layers: str) -> bool:
        """Whether any of these layers is one of this figure and drawn."""
        held = {mark for name in LAYERS[self.figure] for mark in _MADE_OF.get(name, (name,))}
        return any(self.draws(layer) for layer in layers if layer in held)

    def said(self, *parts: str | tuple[str, str]) -> str:
        """The words of a caption, without those that are (layer, words) of layers that are not drawn."""
        told = (part if isinstance(part, str) else part[1] * self.draws(part[0]) for part in parts)
        return " ".join(filter(None, told))

    def applied(self, figure: go.Figure) -> go.Figure:
        """The figure (itself, changed) with its layers as they are wanted, in single precision."""
        _in_single_precision(figure)
        if not self.wanted:
            return figure
        traces: Any = figure.data
        kept = [i for i, trace in enumerate(traces) if self.draws(_layer(trace))]
        for i in kept:
            self._set(traces[i], _layer(traces[i]))
        held = {_layer(trace) for trace in traces}
        figure.data = [traces[i] for i in kept]
        layout: Any = figure.layout
        for kind in ("annotations", "shapes"):
            marks = [mark for mark in layout[kind] if mark.name is None or self.draws(mark.name)]
            for mark in marks:
                if mark.name is not None and mark.name not in held:
                    self._set(mark, mark.name)
            layout[kind] = marks
        _moved(layout.sliders, {old: new for new, old in enumerate(kept)})
        return figure

    def _set(self, mark: Any, layer: str) -> None:
        how = self._how(layer)
        if how is None:
            return
        mark.visible = True
        if isinstance(how, Mapping):
            try:
                mark.update(dict(how))
            except ValueError as error:
                raise InvalidSpec(f"visuals: {self._name(layer)}: {_first_words(error)}") from error

    def _name(self, layer: str) -> str | None:
        """The narrowest of the wanted names that this layer goes by."""
        names = [name for name in self.wanted if layer in _MADE_OF.get(name, (name,))]
        return min(names, key=lambda name: len(_MADE_OF.get(name, ())), default=None)

    def _how(self, layer: str) -> How | None:
        name = self._name(layer)
        return None if name is None else self.wanted[name]


def layered(panel: Panel, layer: str, band: str = "errors", **named: str) -> Panel:
    """The panel with a layer on each of its traces that has none: ``band`` for filled ones, ``named`` by the
    trace's own name, ``layer`` for all others."""
    traces = []
    for trace in panel.traces:
        held = None if trace.meta is None else _layer(trace)
        own = named.get(str(trace.name or "").replace(" ", "_"), layer)
        traces.append(trace.update(meta={"layer": held or (band if trace.fill == "toself" else own)}))
    return panel._replace(traces=traces)


def _layer(trace: Any) -> str:
    return trace.meta["layer"]


def _is_off(how: How) -> bool:
    return not isinstance(how, Mapping) and not how


def _moved(sliders: Any, place: Mapping[int, int]) -> None:
    """Sliders that restyle the traces that are left, at the places that they have now."""
    for slider in sliders:
        for step in slider.steps:
            changes, traces = step.args
            left = [i for i, trace in enumerate(traces) if trace in place]
            step.args = [
                {name: [values[i] for i in left] for name, values in changes.items()},
                [place[traces[i]] for i in left],
            ]


def _first_words(error: ValueError) -> str:
    """What Plotly says of a property, without the list of all there are."""
    return shorten(" ".join(str(error).split("Valid properties:")[0].split()), _LETTERS)


def _in_single_precision(figure: go.Figure) -> None:
    """Seven digits are more than a screen shows, and a saved notebook is half as large."""
    traces: Any = figure.data
    for trace in traces:
        for name in ("x", "y", "z"):
            values = getattr(trace, name, None)
            if isinstance(values, np.ndarray) and values.dtype == np.float64:
                trace[name] = values.astype(np.float32)
