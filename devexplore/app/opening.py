"""What the page's dialog for opening runs asks."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from devexplore.app.recent import recent_runs
from devexplore.app.runs import ServedRuns
from devexplore.errors import DevexploreError, InvalidSpec
from devexplore.run import bundled_runs, open_run


def places(served: ServedRuns, _: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Bundled and recent runs: name, path, whether each is open already, and why it cannot be opened."""
    here = {held.run.path.resolve() for held in served.values()}
    bundled = [_place(name, path, path.resolve() in here) for name, path in bundled_runs().items()]
    recent = [_place(path.name, path, path.resolve() in here) for path in recent_runs()]
    return {"bundled": bundled, "recent": recent}


def _place(name: str, path: Path, is_open: bool) -> dict[str, Any]:
    why = ""
    try:
        open_run(path)
    except (DevexploreError, OSError) as error:
        why = str(error)
    return {"name": name, "path": str(path), "open": is_open, "why": why}


def open_typed(served: ServedRuns, values: Mapping[str, Any]) -> dict[str, str]:
    """Serve the run whose path was typed, pasted or dropped, and say under which name."""
    return {"name": served.open(typed_path(str(values["path"])))}


def typed_path(text: str) -> str:
    """The path in a text as people paste and file managers drop it: the first line that is no comment,
    without quotes around it, a ``file:`` address as a path, ``~`` as the home folder."""
    lines = [line.strip() for line in text.splitlines()]
    path = next((line for line in lines if line and not line.startswith("#")), "")
    if len(path) > 1 and path[0] == path[-1] and path[0] in "'\"":
        path = path[1:-1]
    if path.lower().startswith("file:"):
        path = url2pathname(urlsplit(path).path)
    if not path:
        raise InvalidSpec("type or paste the path of a run's folder")
    return os.path.expanduser(path)  # noqa: PTH111  Path's own raises where there is no such user


OPENING: Final[Mapping[str, Callable[[ServedRuns, Mapping[str, Any]], Any]]] = {
    "places": places,
    "open": open_typed,
}
"""What may be asked, by name."""
