"""Text that a user gives, as token ids of a run: typed text, several texts, or ids."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int

from devexplore.errors import InvalidSpec
from devexplore.stats.token_classes import PADDING

if TYPE_CHECKING:
    from devexplore.systems.language import Language

_WANTED = "expected a prompt as text, a list of texts, or whole token ids in one row or rows of one length"

Prompt = str | Sequence[str] | Sequence[int] | Int[np.ndarray, "..."]


def token_rows(system: "Language", prompt: Prompt) -> list[list[int]]:
    """Token ids of one or several texts, a row each, of any length but none empty.

    Raises:
        InvalidSpec: for no text, an empty one, ids that the vocabulary has not, or what is neither.
    """
    given = [prompt] if isinstance(prompt, str) else prompt
    if hasattr(given, "__array__"):
        given = np.asarray(given).tolist()
    if not isinstance(given, Sequence):
        raise InvalidSpec(f"{_WANTED}; got {type(prompt).__name__}")
    if len(given) > 0 and all(isinstance(text, str) for text in given):
        texts = [_encodable(str(text)) for text in given]
        rows = [encoding.ids for encoding in system.tokenizer.encode_batch(texts)]
    else:
        rows = np.atleast_2d(_token_ids(given)).tolist()
    if not rows or min(map(len, rows)) == 0:
        raise InvalidSpec("expected a prompt of at least one token, got empty text; type something")
    least, most, vocabulary = min(map(min, rows)), max(map(max, rows)), system.spec.vocabulary
    if least < 0 or most >= vocabulary:
        raise InvalidSpec(f"token ids of this run are 0 … {vocabulary - 1}, got {least} … {most}")
    return rows


def _encodable(text: str) -> str:
    """The text. Raises InvalidSpec for half a surrogate pair, for which no bytes stand."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidSpec(
            f"expected text that UTF-8 can hold, got half a surrogate pair, {text[error.start]!a}, at "
            f"character {error.start}; take it out, or read the file anew with errors='replace'"
        ) from error
    return text


def padded(rows: Sequence[Sequence[int]]) -> Int[np.ndarray, "sequence place"]:
    """Rows of equal length, ``PADDING`` behind the shorter ones."""
    ids = np.full((len(rows), max(map(len, rows))), PADDING)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
    return ids


def _token_ids(prompt: Sequence[Any]) -> Int[np.ndarray, "..."]:
    """A prompt that is no text, as one or several rows of numbers."""
    try:
        ids = np.asarray(prompt)
    except ValueError as error:  # rows of several lengths
        raise InvalidSpec(f"{_WANTED}; got rows of several lengths") from error
    if ids.ndim > 2 or (ids.size > 0 and ids.dtype.kind not in "iu"):
        raise InvalidSpec(f"{_WANTED}; got {ids.dtype} values of shape {ids.shape}")
    return ids.astype(np.int64)
