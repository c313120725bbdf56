"""Paths as they are given to public functions."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from devexplore.errors import InvalidSpec


def as_path(given: object, what: str) -> Path:
    """A path; ``what`` says in words what lies there. Raises ``InvalidSpec`` for what can be none."""
    if not isinstance(given, str | os.PathLike):
        raise InvalidSpec(f"expected {what} as text or a pathlib.Path, got {type(given).__name__}")
    if "\0" in str(given):
        raise InvalidSpec(f"expected {what}, got a name with the character NUL: {str(given)!r}")
    return Path(given)


def as_argument(path: str | os.PathLike[str]) -> str:
    """A path as it is typed after a command: in quotes where it holds blanks or what a shell reads."""
    if sys.platform == "win32":
        return subprocess.list2cmdline([os.fspath(path)])
    return shlex.quote(os.fspath(path))


def is_there(path: Path) -> bool:
    """Whether anything lies there; nothing can at a name that is longer than the file system allows."""
    try:
        return path.exists()
    except OSError:
        return False
