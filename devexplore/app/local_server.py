"""The server in a notebook's kernel: one thread for all views that are shown through it."""

from __future__ import annotations

import asyncio
import html
import json
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

import panel as pn

# Plotly's scripts for the page. pn.extension("plotly") would load them, from outside, into a cell that runs.
import panel.models.plotly
from panel.io.server import get_server

from devexplore.app.link import copied, link
from devexplore.app.page import ADDRESS, free_port, of_this_machine
from devexplore.app.place import Act, ServedPage
from devexplore.app.session import Session

if TYPE_CHECKING:
    from devexplore.app.view import View

_LOCK = threading.Lock()
_VIEWS: dict[str, View] = {}
_SESSIONS: dict[str, list[Act]] = {}
"""What ends each browser's session of a view."""

_RUNNING: ServerThread | None = None

FRAME = """<div data-devexplore="{view}"></div>
<script>
(async () => {{
  const address = {address}, hole = () => document.querySelector('[data-devexplore="{view}"]:empty');
  try {{ await fetch(new URL("/favicon.ico", address), {{mode: "no-cors"}}); }} catch {{
    if (hole()) hole().textContent = {unreachable};
    return;
  }}
  const frame = document.createElement("iframe");
  Object.assign(frame, {{src: address, title: "devexplore", width: "100%", height: {height}}});
  frame.style.border = "0";
  const hide = document.createElement("style");
  hide.textContent = '.devexplore-still[data-view="{view}"] {{ display: none; }}';
  if (hole()) hole().append(hide, frame);
}})();
</script>
"""
"""The picture gives its place to the page where the server can be reached: no frame is dead."""

UNREACHABLE = (
    "Run the cell to explore. (No server answers at {address}: it ended, or runs on another machine.)"
)


class ServerThread(threading.Thread):
    """Serves in an event loop of its own until it is stopped; its port is free again then.

    Raises what keeps the server from starting.
    """

    def __init__(self, port: int) -> None:
        super().__init__(name="devexplore-server", daemon=True)
        self.port = port
        self._begun: Future[asyncio.AbstractEventLoop] = Future()
        self.start()
        self._loop = self._begun.result()

    def run(self) -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            server = get_server({"/": _session}, port=self.port, start=False, **of_this_machine(self.port))
            server.start()
        except BaseException as error:  # noqa: BLE001 - who waits for it is told
            self._begun.set_exception(error)
            return
        self._begun.set_result(loop)
        loop.run_forever()
        server.stop(wait=False)
        server.unlisten()
        loop.run_until_complete(asyncio.sleep(0.05))  # connections close
        loop.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self.join(5)


def serve_view(view: View) -> str:
    """The address of a view, which is served from now on, to this machine only."""
    global _RUNNING
    with _LOCK:
        if _RUNNING is None:
            _RUNNING = ServerThread(free_port(0))
        _VIEWS[view.id] = view
        return f"http://{ADDRESS}:{_RUNNING.port}/?view={view.id}"


def stop_serving(view: View) -> None:
    """Serve a view no more; with the last one the server ends."""
    global _RUNNING
    with _LOCK:
        _VIEWS.pop(view.id, None)
        for end in _SESSIONS.pop(view.id, []).copy():
            end()
        if not _VIEWS and _RUNNING is not None:
            _RUNNING.stop()
            _RUNNING = None


def frame(view: View, address: str, height: int) -> str:
    """HTML that shows the served page where its server answers."""
    return FRAME.format(
        view=html.escape(view.id),
        address=json.dumps(address),
        height=height,
        unreachable=json.dumps(UNREACHABLE.format(address=ADDRESS)),
    )


def _session() -> pn.viewable.Viewable:
    """One browser's session of the view that its address names."""
    asked = (pn.state.session_args or {}).get("view", [b""])[0].decode(errors="replace")
    view = _VIEWS.get(asked)
    if view is None:
        return pn.pane.Str("This view has ended: run its cell again.")
    place = ServedPage()
    own = copied(view.selection)
    session = Session(view.served, own, place)
    unlink = link(view.selection, view.home, own, place)
    ends = _SESSIONS.setdefault(view.id, [])

    def end() -> None:
        unlink()
        session.close()
        if end in ends:
            ends.remove(end)

    ends.append(end)
    place.at_end(end)
    pn.state.onload(session.keep_up)
    return session.shell
