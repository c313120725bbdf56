"""The page's parts as Panel components: each gets its data once, and steps through the browser's own bus.

``Shell`` is the bridge: it mirrors the Selection into the browser and carries the browser's changes back, a
few hundred bytes a change. The viewers know only their data and the bus, so a step costs no figure and,
beyond that one message, no server. In a notebook, where Panel is not, a display (display.py) carries the same
properties and messages.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import panel as pn
import param
from panel.custom import JSComponent
from panel.viewable import Child

from devexplore.app.payload import encode
from devexplore.app.selection import Selection
from devexplore.views.style import css_variables

HERE = Path(__file__).parent
PLOTLY_CSS = (Path(pn.__file__).parent / "dist" / "css" / "models" / "plotly.css").read_text(encoding="utf-8")


def script(*names: str) -> str:
    """Our JavaScript files as one module: offline there is no import map, so parts are joined here."""
    return "\n".join((HERE / "javascript" / f"{name}.js").read_text(encoding="utf-8") for name in names)


def sheet(*names: str) -> list[str]:
    """Our style sheets' text."""
    return [(HERE / "css" / f"{name}.css").read_text(encoding="utf-8") for name in names]


class Asking(JSComponent):
    """A part of the page whose browser side may ask Python for what takes work."""

    __abstract = True

    asked: Callable[[int, str, Mapping[str, Any]], None]
    """Called with the number of a question, its name and its values, when the browser asks."""

    say: Callable[[Mapping[str, Any]], None] | None = None
    """Carries messages to the browser where Panel does not."""

    def hear(self, data: Mapping[str, Any]) -> None:
        """What the browser side says."""
        self.asked(int(data["number"]), str(data["question"]), dict(data["values"]))

    def _handle_msg(self, data: Mapping[str, Any]) -> None:
        self.hear(data)

    def tell(self, message: dict[str, Any]) -> None:
        """Say it to the browser side."""
        if self.say is not None:
            self.say(message)
        else:
            self._send_msg(message)

    def answer(self, number: int, value: Any, error: str = "") -> None:
        """What was asked as ``number``, or why it cannot be answered."""
        self.tell({"answer": number, "value": encode(value), "error": error})


class Viewer(Asking):
    """A pane: draws ``payload`` (JSON, see payload.py) and follows the bus named ``bus``."""

    payload = param.String("", doc="What to draw, or {'message': …} saying what would measure it.")
    progress = param.String("", doc="JSON of a running computation; empty when none runs.")
    bus = param.String("", doc="Name of the page's bus in the browser.")
    pane = param.String("", doc="The pane's name, as in the Selection.")
    title = param.String("", doc="What it is called on the page.")
    tabbed = param.Boolean(False, doc="Whether it shares its place with others, whose tab says what it is.")

    __abstract = True


class Timeline(Viewer):
    """Loss, LLC and strips over log-steps."""

    _esm = script("bus", "pane", "figure", "boundaries", "timeline")
    _stylesheets: ClassVar[list[str]] = [PLOTLY_CSS, *sheet("common", "timeline")]


class Trajectory(Viewer):
    """PC1–3 in space and in three planes."""

    _esm = script("bus", "pane", "figure", "trajectory")
    _stylesheets: ClassVar[list[str]] = [PLOTLY_CSS, *sheet("common", "trajectory")]


class Tokens(Viewer):
    """Loss change per token, on text or on a grid."""

    limit = param.Number(1.0, doc="Colour limit between the two custom steps.")

    _esm = script(
        "bus", "pane", "figure", "own_text", "token_history", "token_ranking", "token_ideals", "tokens"
    )
    _stylesheets: ClassVar[list[str]] = [PLOTLY_CSS, *sheet("common", "tokens")]


class Forms(Viewer):
    """One card a form: how sure it is, what it is made of, what it predicts."""

    _esm = script("bus", "pane", "figure", "forms")
    _stylesheets: ClassVar[list[str]] = [PLOTLY_CSS, *sheet("common", "forms")]


class Behaviour(Viewer):
    """The metrics as small panels."""

    _esm = script("bus", "pane", "figure", "behaviour")
    _stylesheets: ClassVar[list[str]] = [PLOTLY_CSS, *sheet("common", "behaviour")]


class Chains(Viewer):
    """The traces behind each estimate of the LLC."""

    _esm = script("bus", "pane", "figure", "chain_charts", "chain_strip", "chains")
    _stylesheets: ClassVar[list[str]] = [PLOTLY_CSS, *sheet("common", "chains")]


class Landscape(Viewer):
    """Wells, and how sure each is to be preferred, at a number of samples."""

    _esm = script("bus", "pane", "figure", "landscape")
    _stylesheets: ClassVar[list[str]] = [PLOTLY_CSS, *sheet("common", "landscape")]


class Compare(Viewer):
    """A pinned checkpoint and another run, beside what is shown."""

    _esm = script("bus", "pane", "figure", "compared_table", "compare")
    _stylesheets: ClassVar[list[str]] = [PLOTLY_CSS, *sheet("common", "compare")]


class Frame(Asking):
    """What stands around the panes: mirrors the Selection into the browser, and carries changes back."""

    payload = param.String("", doc="The run: name, description, steps, stages, loss.")
    state = param.String("", doc="The Selection at the start, as JSON.")
    news = param.String("", doc="JSON of what there is to say of the run beside what it holds.")
    query = param.String("", doc="The Selection as a URL query; the browser shows it in its address.")
    bus = param.String("", doc="Name of the page's bus in the browser.")
    inside = param.Boolean(False, doc="Whether it is a part of another page: a notebook.")

    __abstract = True

    def __init__(self, selection: Selection, **params: Any) -> None:
        self._selection = selection
        self._heard: dict[str, Any] = {}
        super().__init__(state=selection.to_json(), query=selection.query(), **params)
        self._watcher = selection.param.watch(self._changed, list(selection.state()))

    def hear(self, data: Mapping[str, Any]) -> None:
        """The browser changed the Selection, or asks."""
        if "question" in data:
            super().hear(data)
            return
        self._heard = dict(data)
        try:
            self._selection.apply(data)
        finally:
            self._heard = {}

    def let_go(self) -> None:
        """Follow the Selection no more."""
        self._selection.param.unwatch(self._watcher)

    def _changed(self, *events: param.parameterized.Event) -> None:
        """The Selection changed: the address follows, and the browser hears what it does not know yet."""
        self.query = self._selection.query()
        patch = {e.name: e.new for e in events if self._heard.get(e.name, self) != e.new}
        if patch:
            self.tell(patch)


class Shell(Frame):
    """Header, player, help and the grid that holds the panes."""

    tabs = param.List([], doc="Name and title of each pane that shares a place with others.")
    timeline = Child(doc="Pane.")
    trajectory = Child(doc="Pane.")
    tokens = Child(doc="Pane.")
    forms = Child(doc="Pane.")
    behaviour = Child(doc="Pane.")
    chains = Child(doc="Pane.")
    landscape = Child(doc="Pane.")
    compare = Child(doc="Pane.")

    _esm = script("bus", "pane", "bridge", "player", "dividers", "open_run", "shell")
    _stylesheets: ClassVar[list[str]] = [css_variables(), *sheet("common", "shell")]

    def __init__(self, selection: Selection, panes: Mapping[str, Viewer], **params: Any) -> None:
        super().__init__(selection, **panes, **params)


class Single(Frame):
    """One pane, or the player alone, for a layout of the user's own."""

    shows = param.String("", doc="Name of the pane, or player.")

    _esm = script("bus", "pane", "bridge", "player", "single")
    _stylesheets: ClassVar[list[str]] = [css_variables(), *sheet("common", "shell", "single")]
