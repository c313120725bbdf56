"""Text of other people's among the words of a figure."""

import re
from html import escape


def plain(text: str) -> str:
    """The text as a figure shows it letter by letter.

    In titles, labels and hover texts Plotly takes ``<b>``, ``<a href=…>`` and ``&amp;`` for markup, and in
    hover templates ``%{x}`` for a value: names of stages, runs and metrics hold them as what they are.
    """
    return escape(text, quote=False).replace("%{", "&#37;{")


def with_minus(text: str) -> str:
    """Numbers below zero with the sign that belongs to them: −0.3 for -0.3."""
    return re.sub(r"(?<![\w.-])-(?=[\d.])", "−", text)
