"""Text that a user gives, as token ids of a run: typed text, several texts, or ids."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from devexplore.errors import InvalidSpec
from devexplore.stats.token_classes import PADDING

if TYPE_CHECKING:
    from devexplore.systems.language import Language

Prompt = str | Sequence[str] | Sequence[int] | Int[np.ndarray, "..."]


def token_rows(system: "Language", prompt: Prompt) -> list[list[int]]:
    """Token ids of one or several texts, a row each, of any length but none empty.

    Raises:
        InvalidSpec: for no text, an empty one, ids that the vocabulary has not, or what is neither.
    """
    if isinstance(prompt, str):
        prompt = [prompt]
    if len(prompt) > 0 and all(isinstance(text, str) for text in prompt):
        rows = [encoding.ids for encoding in system.tokenizer.encode_batch([str(text) for text in prompt])]
    else:
        rows = np.atleast_2d(_token_ids(prompt)).tolist()
    if not rows or min(map(len, rows)) == 0:
        raise InvalidSpec("expected a prompt of at least one token, got empty text; type something")
    least, most, vocabulary = min(map(min, rows)), max(map(max, rows)), system.spec.vocabulary
    if least < 0 or most >= vocabulary:
        raise InvalidSpec(f"token ids of this run are 0 … {vocabulary - 1}, got {least} … {most}")
    return rows


def padded(rows: Sequence[Sequence[int]]) -> Int[np.ndarray, "sequence place"]:
    """Rows of equal length, ``PADDING`` behind the shorter ones."""
    ids = np.full((len(rows), max(map(len, rows))), PADDING)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
    return ids


def _token_ids(prompt: Prompt) -> Int[np.ndarray, "..."]:
    """A prompt that is no text, as one or several rows of numbers."""
    wanted = "expected a prompt as text, a list of texts, or whole token ids in one row or rows of one length"
    try:
        ids = np.asarray(prompt)
    except ValueError as error:  # rows of several lengths
        raise InvalidSpec(f"{wanted}; got rows of several lengths") from error
    if ids.ndim > 2 or (ids.size > 0 and ids.dtype.kind not in "iu"):
        raise InvalidSpec(f"{wanted}; got {ids.dtype} values of shape {ids.shape}")
    return ids.astype(np.int64)
