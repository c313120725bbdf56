"""The page: one session's view, and the server that shows it on this machine only."""

import socket
import threading
import webbrowser
from collections.abc import Sequence
from typing import Any

import panel as pn

from devexplore.app.place import ServedPage
from devexplore.app.runs import ServedRuns
from devexplore.app.selection import Selection
from devexplore.app.session import Session
from devexplore.run import Run

PORT = 5006
ADDRESS = "127.0.0.1"


def derive(runs: Sequence[Run]) -> ServedRuns:
    """The runs by name, with what follows from them. Raises ``RunNotFound`` where there is none."""
    return ServedRuns(runs)


def page(runs: Sequence[Run] | ServedRuns, start: Selection | None = None) -> pn.viewable.Viewable:
    """One session's page. Its Selection comes from the address; where that has none, ``start`` is it."""
    pn.extension("plotly", notifications=False)
    derived = runs if isinstance(runs, ServedRuns) else derive(runs)
    location = pn.state.location
    query = location.search if location is not None else ""
    selection = Selection.from_query(query or "")
    if start is not None and not query:
        selection.apply(start.state())
    session = Session(derived, selection, ServedPage())
    pn.state.onload(session.keep_up)
    return session.shell


def serve(
    runs: Sequence[Run],
    *,
    port: int = PORT,
    open_browser: bool = True,
    threaded: bool = False,
    selection: Selection | None = None,
) -> Any:
    """Serve the page on this machine and (by default) open the browser.

    ``port=0``, or a port that is taken, takes a free one. Blocks until interrupted, unless ``threaded``: then
    the server's thread comes back (``.stop()`` ends it). ``selection`` is the view at an address without one.
    Only this machine can reach the page: it binds 127.0.0.1 and accepts websockets from both loopback names.
    """
    derived = derive(runs)
    next(iter(derived.values())).start()  # while the browser opens
    port = free_port(port)
    print(f"devexplore: http://{ADDRESS}:{port}/ (Ctrl-C ends it)", flush=True)
    if open_browser:
        threading.Timer(0.8, webbrowser.open, [f"http://{ADDRESS}:{port}/"]).start()

    def session() -> pn.viewable.Viewable:
        return page(derived, selection)

    return pn.serve({"/": session}, port=port, threaded=threaded, **of_this_machine(port))


def of_this_machine(port: int) -> dict[str, Any]:
    """What keeps a server of Panel's to this machine, and quiet."""
    return {
        "address": ADDRESS,
        "title": "devexplore",
        "show": False,
        "verbose": False,
        "websocket_origin": [f"{ADDRESS}:{port}", f"localhost:{port}"],
    }


def free_port(wanted: int) -> int:
    """The wanted port when it is free, else one that the system chooses."""
    for port in (wanted, 0):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((ADDRESS, port))
            except OSError:
                continue
            return int(trial.getsockname()[1])
    raise OSError(f"no free port on {ADDRESS}")
