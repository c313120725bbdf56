"""Inputs that are made to ask a language model one thing: random tokens twice over, common n-grams."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from devexplore.systems.base import require


def repeated_tokens(
    generator: np.random.Generator, n: int, length: int, among: Int[np.ndarray, " token"]
) -> Int[np.ndarray, "n length"]:
    """Random tokens of ``among`` and then the same again: token i is token i − half, half = ⌈length/2⌉ (or
    all tokens there are, if that is less). All that can be predicted is the second half from its second
    token on, and only by induction.

    Within a half no token occurs twice, so that it is clear what each one was followed by.
    """
    half = half_of(length, len(among))
    rows = [generator.choice(among, half, replace=False) for _ in range(n)]
    return np.tile(np.stack(rows), 2)[:, :length].astype(np.int64)


def half_of(length: int, tokens: int) -> int:
    """After how many of ``length`` repeated tokens the repetition begins."""
    return min(-(-length // 2), tokens)


NGRAM_LENGTHS = (2, 3, 4)
COMMON = 512
"""n-grams of each length."""


def common_ngrams(
    stream: Int[np.ndarray, " token"], lengths: Sequence[int] = NGRAM_LENGTHS, count: int = COMMON
) -> dict[int, Int[np.ndarray, "ngram n"]]:
    """The ``count`` n-grams that the stream shows most often (or as many as there are), most frequent first,
    for each n of ``lengths``.

    Raises InvalidSpec for a stream shorter than the longest.
    """
    longest = max(lengths)
    require(
        len(stream) >= longest,
        f"n-grams of {longest} tokens need a text of at least as many, got {len(stream)}",
    )
    tokens = stream.astype(np.int64)
    names, found = tokens, {}  # names: which (n−1)-gram begins here, as a number
    for n in range(2, longest + 1):
        keys = names[: len(tokens) - n + 1] * (tokens.max() + 1) + tokens[n - 1 :]
        _, first, names, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        starts = first[np.argsort(-counts, kind="stable")[:count]]
        found[n] = tokens[starts[:, None] + np.arange(n)]
    return {n: found[n] for n in lengths}
