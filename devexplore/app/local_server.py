"""The server in a notebook's kernel: one thread for all views that are shown through it."""

from __future__ import annotations

import html
import json
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import panel as pn

from devexplore.app.link import copied, link
from devexplore.app.page import ADDRESS, free_port, listen
from devexplore.app.place import ServedPage
from devexplore.app.session import Session

if TYPE_CHECKING:
    from devexplore.app.view import View

_LOCK = threading.Lock()
_VIEWS: dict[str, View] = {}
_RUNNING: tuple[int, Any] | None = None

FRAME = """<div data-devexplore="{view}"></div>
<script>
(async () => {{
  const address = {address}, hole = () => document.querySelector('[data-devexplore="{view}"]:empty');
  try {{ await fetch(address, {{mode: "no-cors"}}); }} catch {{
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


def serve_view(view: View) -> str:
    """The address of a view, which is served from now on, to this machine only."""
    global _RUNNING
    with _LOCK:
        if _RUNNING is None:
            port = free_port(0)
            _RUNNING = (port, listen(_session, port, threaded=True))
            _wait_for(port)
        _VIEWS[view.id] = view
        return f"http://{ADDRESS}:{_RUNNING[0]}/?view={view.id}"


def _wait_for(port: int) -> None:
    """The thread has begun; a browser that asks before it listens would be told that nobody is there."""
    for _ in range(200):
        with socket.socket() as trial:
            if trial.connect_ex((ADDRESS, port)) == 0:
                return
        time.sleep(0.05)


def stop_serving(view: View) -> None:
    """Serve a view no more; with the last one the server ends."""
    global _RUNNING
    with _LOCK:
        _VIEWS.pop(view.id, None)
        if not _VIEWS and _RUNNING is not None:
            _RUNNING[1].stop()
            _RUNNING = None


def frame(view: View, address: str, height: int) -> str:
    """HTML that shows the served page where its server answers."""
    return FRAME.format(
        view=html.escape(view.id),
        address=json.dumps(address),
        height=height,
        unreachable=json.dumps(UNREACHABLE.format(address=f"{ADDRESS}")),
    )


def _session() -> pn.viewable.Viewable:
    """One browser's session of the view that its address names."""
    pn.extension("plotly", notifications=False)
    asked = (pn.state.session_args or {}).get("view", [b""])[0].decode(errors="replace")
    view = _VIEWS.get(asked)
    if view is None:
        return pn.pane.Str("This view has ended: run its cell again.")
    place = ServedPage()
    own = copied(view.selection)
    session = Session(view.served, own, place)
    place.at_end(link(view.selection, view.home, own, place))
    pn.state.onload(session.keep_up)
    return session.shell
