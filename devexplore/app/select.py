"""What people give as a view to begin with, as a Selection."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from devexplore.app.selection import Selection
from devexplore.errors import InvalidSpec

Select = Selection | Mapping[str, Any] | str | os.PathLike[str] | None


def as_selection(select: Select) -> Selection:
    """A Selection as it is (who changes it moves what follows it); values by name; the query of a page's
    address (``"?step=3400&form=0"``); the file of a view that the page saved; None: the view at the start.

    Raises ``InvalidSpec`` where it is none of these, and for names and values that a Selection has not.
    """
    if isinstance(select, Selection):
        return select
    if select is None:
        return Selection()
    if isinstance(select, Mapping):
        return _of_values(select)
    if isinstance(select, str) and select.startswith("?"):
        return Selection.from_query(select)
    if isinstance(select, str | os.PathLike):
        return saved_view(Path(select), "select")
    raise InvalidSpec(
        "select: expected a Selection, its values by name ({'step': 3400}), the query of an address or the "
        f"path of a saved view, got {type(select).__name__}"
    )


def require_among(selection: Selection, runs: Collection[str]) -> None:
    """Let a Selection without a run look at the first. Raises ``InvalidSpec`` where it looks at another."""
    if selection.run and selection.run not in runs:
        raise InvalidSpec(
            f"select: it looks at the run {selection.run!r}, and here is {', '.join(runs)}: "
            "give this one a Selection of its own (one Selection moves views of the same runs)"
        )
    if not selection.run:
        selection.run = next(iter(runs))


def saved_view(file: Path, said: str) -> Selection:
    """The view that the page saved as a file. Raises ``InvalidSpec``, which begins with ``said``."""
    try:
        return Selection.from_json(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InvalidSpec(f"{said} {file}: not read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise InvalidSpec(
            f"{said} {file}: no view that the page saved ({error}); save one with the page's link button"
        ) from error


def _of_values(values: Mapping[str, Any]) -> Selection:
    selection = Selection()
    known = selection.state()
    for name in values:
        if name not in known:
            raise InvalidSpec(f"select: a Selection has no {name!r}; it has {', '.join(known)}")
    selection.apply(values)
    for name, value in values.items():
        if selection.state()[name] != value:
            raise InvalidSpec(f"select: {name} cannot be {value!r}. {selection.param[name].doc}")
    return selection
