"""Tokens as words that can be read: white space in sight, nothing that a figure would take for markup."""

from html import escape
from typing import Final

MARKS: Final = {" ": "␣", "\n": "↵", "\t": "⇥", "\r": "␍"}
"""What stands for white space in a token."""


def word(token: str) -> str:
    """A token for the labels of a figure: ␣ blank, ↵ line break, ⇥ tab; escaped."""
    return escape("".join(MARKS.get(character, character) for character in token), quote=False)


def end_of(text: str, width: int) -> str:
    """The last ``width`` characters as ``word`` has them, … before them where something is cut."""
    return word(text) if len(text) <= width else "…" + word(text[-width:])
