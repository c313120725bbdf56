"""Paths as they are given to public functions."""

import os
from pathlib import Path

from devexplore.errors import InvalidSpec


def as_path(given: object, what: str) -> Path:
    """A path; ``what`` says in words what lies there. Raises ``InvalidSpec`` for what can be none."""
    if not isinstance(given, str | os.PathLike):
        raise InvalidSpec(f"expected {what} as text or a pathlib.Path, got {type(given).__name__}")
    if "\0" in str(given):
        raise InvalidSpec(f"expected {what}, got a name with the character NUL: {str(given)!r}")
    return Path(given)


def is_there(path: Path) -> bool:
    """Whether anything lies there; nothing can at a name that is longer than the file system allows."""
    try:
        return path.exists()
    except OSError:
        return False
