"""Small files of the user's work: TOML that is refused where it is odd."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from devexplore.errors import InvalidSpec, SchemaError

_Kind = TypeVar("_Kind")


def toml_lines(table: Mapping[str, Any]) -> str:
    """JSON's strings and integers are TOML's, but for one control character that TOML wants escaped."""
    values = {key: json.dumps(value, ensure_ascii=False) for key, value in table.items()}
    return "".join(f"{key} = {value}\n" for key, value in values.items()).replace("\x7f", "\\u007f")


def toml_text(head: Mapping[str, Any], name: str, tables: Iterable[Mapping[str, Any]]) -> str:
    """A file of one head and any number of tables ``[[name]]``."""
    return "\n".join([toml_lines(head), *(f"[[{name}]]\n{toml_lines(table)}" for table in tables)])


def filled(table: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is empty text."""
    return {key: value for key, value in table.items() if value != ""}


@contextmanager
def reading(file: Path, what: str) -> Iterator[None]:
    """What goes wrong inside becomes a ``SchemaError`` that names the file and what it should hold."""
    try:
        yield
    except OSError as error:
        raise SchemaError(f"{file}: {what} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:  # of the parsers (the line), of UTF-8, and InvalidSpec
        raise SchemaError(f"{file}: no {what} can be read from it: {error}; correct the file") from error


def check_format(content: Any, wanted: str, version: int) -> None:
    """Raise ``InvalidSpec`` unless this is a file of this format and version."""
    if not isinstance(content, dict) or content.get("format") != wanted:
        raise InvalidSpec(f'expected format = "{wanted}" in it')
    if content.get("version") != version:
        raise InvalidSpec(f"expected version = {version}, got {content.get('version')!r}")


def check_keys(where: str, table: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Raise ``InvalidSpec`` for a key that is not among the known ones."""
    unknown = [key for key in table if key not in known]
    if unknown:
        raise InvalidSpec(f"{where}: {unknown[0]!r} is unknown; known are {', '.join(known)}")


def read_tables(content: Mapping[str, Any], name: str, kind: type[_Kind]) -> list[_Kind]:
    """The tables ``[[name]]`` of a file, each a value of this dataclass, which lies at a step.

    Raises ``InvalidSpec`` where they are none, naming the table by its number.
    """
    tables = content.get(name, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InvalidSpec(f"expected each {name} as a table of its own, [[{name}]]")
    made = []
    for number, table in enumerate(tables, 1):
        check_keys(f"{name} {number}", table, tuple(field.name for field in fields(kind)))  # pyright: ignore
        if "step" not in table:
            raise InvalidSpec(f"{name} {number} lacks its step")
        try:
            made.append(kind(**table))
        except InvalidSpec as error:
            raise InvalidSpec(f"{name} {number}: {error}") from None
    return made


def check_texts(where: str, name: Any, *notes: Any, longest: int = 60) -> None:
    """Raise ``InvalidSpec`` unless these are text, and the name one line of at most so many characters."""
    for text in (name, *notes):
        if not isinstance(text, str) or any("\ud800" <= character <= "\udfff" for character in text):
            raise InvalidSpec(f"{where}: names and notes are text that UTF-8 can hold, got {text!r}")
    if len(name) > longest or not (name == "" or name.isprintable()) or name != name.strip():
        raise InvalidSpec(f"{where}: a name is one line of at most {longest} characters, got {name!r}")
