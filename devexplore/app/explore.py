"""``dx.explore``: the explorer from Python, inside a notebook or in the browser."""

import os
import sys
import webbrowser
from pathlib import Path
from typing import Any, Literal, NamedTuple
from weakref import WeakValueDictionary

from devexplore.app.page import serve
from devexplore.app.place import InMemory, Kernel, Place
from devexplore.app.recent import remember
from devexplore.app.runs import ServedRuns
from devexplore.app.select import Select, as_selection
from devexplore.app.view import How, View
from devexplore.errors import InvalidSpec
from devexplore.run import Run, bundled_runs
from devexplore.tree_run import stored_run

HOW = ("auto", "widget", "server", "browser")

LEAST_HEIGHT = 480
MOST_HEIGHT = 10_000


class Chosen(NamedTuple):
    """How the explorer is shown, and why so."""

    how: How
    why: str


def explore(
    *runs: Run | str | os.PathLike[str],
    select: Select = None,
    height: int = 760,
    how: Literal["auto", "widget", "server", "browser"] = "auto",
) -> View | None:
    """Open the explorer on the given runs (opened runs, folders or bundled names; none: all bundled runs).

    In a notebook this gives a ``View``, which shows the explorer below the cell and goes both ways.
    Elsewhere it opens the browser and blocks until interrupted. Nothing is loaded from outside this machine,
    and the notebook keeps a picture only.

    Args:
        select: what to look at: values by name (``{"step": 3400, "form": 0}``), the query of a page's address
            (``"?step=3400"``), the file of a view that the page saved, or a ``dx.Selection``, which is then
            the one that moves this view, and others that are given it.
        height: in pixels, in a notebook.
        how: ``widget``: a widget of the notebook, whose data come from the kernel (also of a remote one).
            ``server``: a page in a frame, from a thread of the kernel, which stays alive while cells run; for
            browsers on the kernel's machine. ``browser``: the same in a browser tab of its own. ``auto``: in
            a notebook the widget, and where the front end does not show it the server; else the browser.
            ``view.how`` and ``view.why`` say what was chosen.

    Raises ``InvalidSpec`` for a height, way or selection that cannot be, and what opening the runs raises.
    """
    if how not in HOW:
        raise InvalidSpec(f"how: expected one of {', '.join(HOW)}, got {how!r}")
    require_pixels(height, LEAST_HEIGHT)
    selection = as_selection(select)
    opened = [stored_run(run) for run in (runs or bundled_runs().values())]
    for run in reversed(opened if runs else []):
        remember(run)
    notebook = in_notebook()
    if not notebook and how in ("auto", "browser"):
        serve(opened, selection=selection)
        return None
    chosen = _choose(how, notebook)
    falls_back = how == "auto"
    view = View(served_runs(opened), selection, home(), height, chosen.how, chosen.why, falls_back=falls_back)
    if how == "browser":
        webbrowser.open(view.address)
    return view


def require_pixels(height: object, least: int) -> None:
    """Raises ``InvalidSpec`` unless it is a height in pixels that can be."""
    if isinstance(height, bool) or not isinstance(height, int) or not least <= height <= MOST_HEIGHT:
        many = f"{least} to {MOST_HEIGHT:,}"
        raise InvalidSpec(f"height: expected a whole number of pixels, {many}, got {height!r}")


def _choose(how: Literal["auto", "widget", "server", "browser"], notebook: bool) -> Chosen:
    if how == "widget" and not notebook:
        raise InvalidSpec("how: a widget needs a notebook; choose 'server' or 'browser'")
    if how in ("widget", "server", "browser"):
        return Chosen(how, "asked for")
    return Chosen("widget", "a notebook shows widgets, and they need no port")


_SERVED: WeakValueDictionary[tuple[Path, ...], ServedRuns] = WeakValueDictionary()


def served_runs(runs: list[Run]) -> ServedRuns:
    """The runs with what follows from them: one for all views and widgets of the same runs."""
    key = tuple(run.path.resolve() for run in runs)
    served = _SERVED.get(key)
    if served is None:
        served = _SERVED[key] = ServedRuns(runs)
    return served


def home() -> Place:
    """Where the user's Selection lives: the kernel's event loop, where there is one."""
    try:
        return Kernel()
    except RuntimeError:  # no loop runs: a script
        return InMemory()


def in_notebook() -> bool:
    """Whether this Python is the kernel of a notebook."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    shell: Any = get_ipython()
    return shell is not None and shell.has_trait("kernel")
