"""Small files of the user's work: TOML that is refused where it is odd."""

import json
from collections.abc import Mapping
from typing import Any

from devexplore.errors import InvalidSpec


def toml_lines(table: Mapping[str, Any]) -> str:
    """JSON's strings and integers are TOML's, but for one control character that TOML wants escaped."""
    values = {key: json.dumps(value, ensure_ascii=False) for key, value in table.items()}
    return "".join(f"{key} = {value}\n" for key, value in values.items()).replace("\x7f", "\\u007f")


def filled(table: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is empty text."""
    return {key: value for key, value in table.items() if value != ""}


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


def check_tables(content: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The tables ``[[name]]`` of a file. Raises ``InvalidSpec`` where they are none."""
    tables = content.get(name, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InvalidSpec(f"expected each {name} as a table of its own, [[{name}]]")
    return tables


def check_texts(where: str, name: Any, *notes: Any, longest: int = 60) -> None:
    """Raise ``InvalidSpec`` unless these are text, and the name one line of at most so many characters."""
    for text in (name, *notes):
        if not isinstance(text, str) or any("\ud800" <= character <= "\udfff" for character in text):
            raise InvalidSpec(f"{where}: names and notes are text that UTF-8 can hold, got {text!r}")
    if len(name) > longest or not (name == "" or name.isprintable()) or name != name.strip():
        raise InvalidSpec(f"{where}: a name is one line of at most {longest} characters, got {name!r}")
