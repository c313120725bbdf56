"""Tokens, places and changes as words that can be read: white space in sight, nothing that a figure would
take for markup, places counted from 1."""

from collections.abc import Mapping
from html import escape
from typing import Any, Final

MARKS: Final = {" ": "␣", "\n": "↵", "\t": "⇥", "\r": "␍"}
"""What stands for white space in a token."""


def word(token: str) -> str:
    """A token for the labels of a figure: ␣ blank, ↵ line break, ⇥ tab; escaped."""
    return escape("".join(MARKS.get(character, character) for character in token), quote=False)


def end_of(text: str, width: int) -> str:
    """The last ``width`` characters as ``word`` has them, … before them where something is cut."""
    return word(text) if len(text) <= width else "…" + word(text[-width:])


def called(attrs: Mapping[Any, Any], dim: str) -> str:
    """What people call a sequence or a position: "text", "mode", "value"."""
    return str(attrs.get(f"{dim}_name", dim)).replace("_", " ")


def place_words(
    attrs: Mapping[Any, Any],
    sequence: int,
    position: int,
    labels: Mapping[str, Mapping[int, str]] | None = None,
) -> str:
    """One prediction's place: "text 10 of 32, position 61". Counted from 1 unless ``labels`` (by dimension
    and label) says otherwise."""
    many = attrs.get("sequences", 1)
    row, column = (
        label_words(at, (labels or {}).get(dim))
        for dim, at in (("sequence", sequence), ("position", position))
    )
    of = f" of {many}" if many > 1 and row == str(sequence + 1) else ""
    return f"{called(attrs, 'sequence')} {row}{of}, {called(attrs, 'position')} {column}"


def label_words(at: int, labels: Mapping[int, str] | None = None) -> str:
    """One sequence or position: its label, or its number from 1."""
    return labels[at] if labels else str(at + 1)


def change_words(attrs: Mapping[Any, Any]) -> str:
    """Between which steps a change of loss is: "S3, step 400 → 11,200 (checkpoints nearest to 388 and
    11,181)"."""
    if "step_from" not in attrs:
        return ""
    used = [attrs["step_from"], attrs["step_to"]]
    words = " → ".join(f"{step:,}" for step in used)
    asked = [attrs.get(f"asked_{end}", step) for end, step in zip(("from", "to"), used, strict=True)]
    near = " and ".join(f"{step:,.0f}" for step in asked)
    beside = any(abs(a - b) >= 0.5 for a, b in zip(asked, used, strict=True))
    stage = f"{attrs['stage']}, " if "stage" in attrs else ""
    return f"{stage}step {words}" + (f" (checkpoints nearest to {near})" if beside else "")
