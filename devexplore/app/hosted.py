"""The widget that carries displays of the explorer, or of one of its panes, into a notebook."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import anywidget
import ipywidgets
import traitlets

from devexplore.app.bundle import notebook_code
from devexplore.app.components import script
from devexplore.app.derived import READ_ERRORS
from devexplore.app.display import Display
from devexplore.app.place import Place
from devexplore.app.runs import ServedRuns
from devexplore.app.selection import Selection

LOADER = script("loader")

SILENT_S: Final = 10.0
"""A display that was asked whether it is there, and has not answered for so long, is gone."""


class Hosted(anywidget.AnyWidget):
    """A widget whose browser side gets its code and data from the kernel, and stores none of it.

    Every place where it is displayed has a session of its own; all follow one Selection. A session ends with
    its display, and begins again when the widget is displayed again.
    """

    _esm = LOADER
    version = traitlets.Unicode(help="Of the code that draws.").tag(sync=True)
    view = traitlets.Unicode(help="Which picture in the notebook rests while this is shown.").tag(sync=True)
    tall = traitlets.Unicode(help="Height, as CSS.").tag(sync=True)

    _displays: dict[str, Display] = {}  # noqa: RUF012 - of a widget that was refused: it closes, too

    def __init__(
        self,
        served: ServedRuns,
        selection: Selection,
        home: Place,
        height: int,
        *,
        only: str | None = None,
        view: str = "",
    ) -> None:
        layout = ipywidgets.Layout(width="100%", min_width="240px", margin="2px 0")
        super().__init__(version=notebook_code().version, view=view, tall=f"{height}px", layout=layout)
        self._served, self._selection, self._home, self._only = served, selection, home, only
        self._displays = {}
        self._asked: dict[str, float] = {}
        self.on_shown: Callable[[], None] = lambda: None
        self.on_failed: Callable[[str], None] = lambda why: None
        self.on_picture: Callable[[str], None] = lambda picture: None
        self.on_msg(self._hear)

    @property
    def displays(self) -> int:
        """In how many places it is shown."""
        return len(self._displays)

    def __repr__(self) -> str:
        shown = "the explorer" if self._only is None else self._only
        return f"<devexplore widget: {shown} of {', '.join(self._served)}>"

    def close(self) -> None:
        """End it: what is displayed of it rests."""
        for name in list(self._displays):
            self._close(name)
        super().close()

    def _hear(self, _: Any, message: Mapping[str, Any], buffers: Any) -> None:
        want, name = message.get("want"), str(message.get("display", ""))
        if want in ("here", "code"):
            self.on_shown()
        if want == "code":
            self.send({"code": notebook_code().version}, [notebook_code().packed])
        elif want == "open":
            self._open(name)
        elif want == "alive":
            self._asked.pop(name, None)
        elif want == "close":
            self._close(name)
        elif want == "failed":
            self.on_failed(str(message.get("why", "")))
        elif want == "picture":
            self.on_picture(str(message["picture"]))
        elif name in self._displays:
            self._displays[name].hear(str(message["part"]), message["message"])

    def _open(self, name: str) -> None:
        """A display has come. Those of a page that was closed cannot say so: all others are asked."""
        now = time.monotonic()
        for gone in [one for one, asked in self._asked.items() if now - asked > SILENT_S]:
            self._close(gone)
        self._close(name)
        for other in self._displays:
            self._asked.setdefault(other, now)
        if self._displays:
            self.send({"alive": True})

        def send(message: Mapping[str, Any]) -> None:
            self.send({"display": name, **message})

        try:
            self._displays[name] = Display(self._served, self._selection, self._home, send, self._only)
        except READ_ERRORS as error:
            send({"trouble": str(error)})

    def _close(self, name: str) -> None:
        self._asked.pop(name, None)
        display = self._displays.pop(name, None)
        if display is not None:
            display.close()
