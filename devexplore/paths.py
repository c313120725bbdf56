"""Paths as they are given to public functions; files that are written whole or not at all."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devexplore.errors import InvalidSpec, NotWritable

_TRIAL = 4096
"""Bytes that a disk with any room holds."""


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


def write_whole(path: Path, text: str, what: str) -> Path:
    """The file is either wholly there or as it was before. Raises ``NotWritable``, naming what it holds."""
    with replacing(path, what) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


@contextmanager
def replacing(path: Path, what: str) -> Iterator[Path]:
    """A name beside the file to write to; what was written takes the file's place at the end, unless the
    work failed. Raises ``NotWritable``, naming what the file holds.
    """
    with _beside(path, what) as temporary:
        yield temporary
        temporary.replace(path)


def check_place(path: Path, what: str) -> None:
    """Make the file's folder and try to write in it, before the work on what the file is to hold.

    Raises ``NotWritable``. What is there already stays as it is.
    """
    with _beside(path, what) as temporary:
        temporary.write_bytes(bytes(_TRIAL))


@contextmanager
def _beside(path: Path, what: str) -> Iterator[Path]:
    """A name that is free again at the end; what the operating system refuses becomes ``NotWritable``."""
    if is_there(path) and not path.is_file():
        raise NotWritable(f"{path}: {what} not written (what is there is no file); choose another file")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)
    except NotWritable:
        raise  # of another file that is written at the same time
    except OSError as error:
        raise NotWritable(
            f"{path}: {what} not written ({error.strerror or error}); choose another file or free some space"
        ) from error
