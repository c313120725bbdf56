"""One showing of the explorer, or of one of its panes, in a notebook: its session and messages.

What Panel carries on the served page goes over the widget's own comm here: the parts' properties, what they
ask, and what they are answered. Nothing of it is kept in the notebook.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import param

from devexplore.app.components import Asking
from devexplore.app.link import copied, link
from devexplore.app.place import Kernel, Place
from devexplore.app.runs import ServedRuns
from devexplore.app.selection import Selection
from devexplore.app.session import Session

FRAME = "frame"
PICTURED = "trajectory"
"""The pane whose picture the notebook keeps."""

_OF_PANEL = set(param.Parameterized.param) | set(Asking.param)
"""Properties that only Panel knows what to do with."""


class Display:
    """Fills one display in the browser; ``send`` carries a message there.

    It lives in the thread in which its messages are handled, which need not be the one that runs cells
    (JupyterLab's subshells): its Selection is its own, kept like the user's (``selection`` at ``home``).
    """

    def __init__(
        self,
        served: ServedRuns,
        selection: Selection,
        home: Place,
        send: Callable[[Mapping[str, Any]], None],
        only: str | None = None,
    ) -> None:
        self._place = Kernel()
        own = copied(selection)
        self._session = Session(served, own, self._place, only=only, inside=True)
        self._session.keep_up()
        self._parts: dict[str, Asking] = {FRAME: self._session.shell, **self._session.viewers}
        self._ends: list[Callable[[], None]] = [link(selection, home, own, self._place)]
        for name, part in self._parts.items():
            part.say = lambda message, name=name: send({"part": name, "say": dict(message)})
            watcher = part.param.watch(partial(_tell, send, name), _properties(part))
            self._ends.append(partial(part.param.unwatch, watcher))
        send({"start": self._start(only)})

    def _start(self, only: str | None) -> dict[str, Any]:
        kinds = {FRAME: "shell" if only is None else "single"}
        return {
            "frame": FRAME,
            "bus": self._session.shell.bus,
            "picture": PICTURED if only is None else "",
            "parts": {
                name: {
                    "viewer": kinds.get(name, name),
                    "values": {one: getattr(part, one) for one in _properties(part)},
                }
                for name, part in self._parts.items()
            },
        }

    def hear(self, part: str, message: Mapping[str, Any]) -> None:
        """What a part in the browser says."""
        self._parts[part].hear(message)

    def close(self) -> None:
        """Nobody looks any more."""
        self._place.soon(self._close)

    def _close(self) -> None:
        for end in self._ends:
            end()
        self._session.close()


def _properties(part: Asking) -> list[str]:
    """What the browser side of a part is made with."""
    own = [name for name in part.param if name not in _OF_PANEL]
    return [name for name in own if not isinstance(getattr(part, name), Asking)]


def _tell(send: Callable[[Mapping[str, Any]], None], name: str, *events: param.parameterized.Event) -> None:
    send({"part": name, "set": {event.name: event.new for event in events}})
