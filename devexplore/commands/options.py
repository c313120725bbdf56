"""Options as people type them: numbers, lists, settings; and what several commands begin with."""

import sys
from collections.abc import Sequence
from typing import Any

from devexplore.errors import InvalidSpec


def show_log() -> None:
    """What the engine decides (path, block size) is said on standard error, where somebody watches."""
    import logging

    if not sys.stderr.isatty():
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("devexplore")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)


def numbers(option: str, text: str | None, kind: type) -> list[Any] | None:
    if text is None:
        return None
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise InvalidSpec(f"{option} takes numbers separated by commas, got {text!r}") from None


def patterns(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(pattern.strip() for pattern in text.split(","))


def set_threads(threads: int | None) -> None:
    if threads is None:
        return
    if threads < 1:
        raise InvalidSpec(f"--threads must be at least 1, got {threads}")
    import torch

    torch.set_num_threads(threads)


def overrides(pairs: Sequence[str]) -> dict[str, Any]:
    """``name=value`` pairs as Python values: numbers, true/false/none, comma-separated tuples, else text."""
    return {name.strip(): _value(text) for name, text in (_split(pair) for pair in pairs)}


def _split(pair: str) -> tuple[str, str]:
    name, equals, text = pair.partition("=")
    if not equals:
        raise InvalidSpec(f"settings are given as NAME=VALUE, got {pair!r}")
    return name, text.strip()


def _value(text: str) -> Any:
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    if "," in text:
        return tuple(_value(part) for part in text.split(",") if part)
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
