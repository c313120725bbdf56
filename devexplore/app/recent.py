"""Runs that were opened lately, in a small file of the user's."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Final

from devexplore.errors import NotWritable
from devexplore.paths import write_whole
from devexplore.run import Run, is_bundled, user_data

MOST_RECENT: Final = 12


def recent_file() -> Path:
    """Where they are kept: beside the annotations of runs that cannot hold them themselves."""
    return user_data() / "recent_runs.json"


def recent_runs() -> list[Path]:
    """Folders of the runs opened lately, the last one first; whether they are still there is not looked at.
    Without the file, or where it is none of ours: none."""
    try:
        held = json.loads(recent_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [Path(path) for path in held if isinstance(path, str)] if isinstance(held, list) else []


def remember(run: Run) -> None:
    """This run was opened. Bundled runs need no remembering; where nothing can be written, nothing is."""
    if is_bundled(run.path):
        return
    here = run.path.resolve()
    paths = [here, *(path for path in recent_runs() if path != here)][:MOST_RECENT]
    listed = json.dumps([str(path) for path in paths], indent=1)
    with suppress(NotWritable):  # a convenience, and no reason to refuse a run
        write_whole(recent_file(), listed, "the list of recent runs")
