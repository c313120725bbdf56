"""Classes of tokens, so that a prediction can be named: by what a token reads as, and by what came before.

By text: leading space, newline, digit, word piece, punctuation. By context: a token already seen in this
context; the *induction* continuation (A B … A → B: a token that followed an earlier occurrence of the current
one); and its foil, a current token seen before but followed by something else this time.
"""

import functools
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from jaxtyping import Bool, Int

PADDING: Final = -1
"""Id of a place beyond the end of a shorter text."""

_BY_TEXT: Final[Mapping[str, Callable[[str], bool]]] = {
    "leading space": lambda text: text.startswith(" "),
    "newline": lambda text: "\n" in text,
    "digit": lambda text: any(character.isdigit() for character in text),
    "word piece": str.isalpha,
    "punctuation": lambda text: text.strip() != "" and all(map(_is_mark, text.strip())),
}

TEXT_CLASSES: Final = tuple(_BY_TEXT)
SEEN, INDUCTION, FOILED = "seen before", "induction", "induction would mislead"
START: Final = "start of context"
PREDICTED_CLASSES: Final = (*TEXT_CLASSES, SEEN, INDUCTION)
"""Classes that a predictor can put probability mass on."""

TARGET_CLASSES: Final = (*PREDICTED_CLASSES, FOILED, START)
"""Classes that a position's true next token can be in."""

_START_SHARE: Final = 1 / 16


def vocabulary_classes(texts: Sequence[str]) -> Bool[np.ndarray, "vocab text_class"]:
    """Which tokens are in which of ``TEXT_CLASSES``; one token may be in several, or in none.

    ``leading space``: begins with a blank. ``newline``: holds one. ``digit``: holds one. ``word piece``:
    letters alone, so it goes on with a word or begins one without a blank. ``punctuation``: marks and
    symbols, blanks around them aside (bytes that are no whole character read as � and are none).
    """
    return _classes_of(tuple(texts))


@functools.lru_cache(maxsize=1)
def _classes_of(texts: tuple[str, ...]) -> Bool[np.ndarray, "vocab text_class"]:
    """Kept for the last vocabulary: a large one takes a while, and is asked for with every block of text."""
    classes = np.array([[belongs(text) for belongs in _BY_TEXT.values()] for text in texts], dtype=bool)
    classes = classes.reshape(len(texts), len(_BY_TEXT))
    classes.flags.writeable = False
    return classes


def seen_before(
    ids: Int[np.ndarray, "sequence place"], positions: Int[np.ndarray, " position"], vocabulary: int
) -> Bool[np.ndarray, "sequence position vocab"]:
    """The tokens that each position has seen: those at places 0 … position of its context."""
    seen = np.zeros((len(ids), len(positions), vocabulary), dtype=bool)
    for sequence, row in enumerate(ids):
        for index, position in enumerate(positions):
            past = row[: position + 1]
            seen[sequence, index, past[past != PADDING]] = True
    return seen


def continuations(
    ids: Int[np.ndarray, "sequence place"], positions: Int[np.ndarray, " position"], vocabulary: int
) -> Bool[np.ndarray, "sequence position vocab"]:
    """The tokens that followed earlier occurrences of the current one: what induction would predict.

    For position p, every B at a place q + 1 ≤ p with the token at q that is at p. All False where the current
    token is new.
    """
    found = np.zeros((len(ids), len(positions), vocabulary), dtype=bool)
    for sequence, row in enumerate(ids):
        for index, position in enumerate(positions):
            if row[position] != PADDING:
                earlier = np.flatnonzero(row[:position] == row[position])
                found[sequence, index, row[earlier + 1]] = True
    return found


def target_classes(
    ids: Int[np.ndarray, "sequence place"], positions: Int[np.ndarray, " position"], texts: Sequence[str]
) -> Bool[np.ndarray, "sequence position target_class"]:
    """Which of ``TARGET_CLASSES`` the true next token of each position is in.

    The token at place p + 1 is the target of position p; where there is none (the last place, padding), no
    class holds. ``induction``: it followed an earlier occurrence of the token at p. ``induction would
    mislead``: the token at p occurred before, but never with this target. ``start of context``: the first
    sixteenth of the places (at least one).
    """
    positions = np.asarray(positions)
    following = np.concatenate([ids, np.full((len(ids), 1), PADDING)], axis=1)[:, positions + 1]
    there = following != PADDING
    target = np.where(there, following, 0)

    def held(members: Bool[np.ndarray, "sequence position vocab"]) -> Bool[np.ndarray, "sequence position"]:
        return np.take_along_axis(members, target[..., None], axis=-1)[..., 0]

    continued = continuations(ids, positions, len(texts))
    induction = held(continued)
    classes = [
        *np.moveaxis(vocabulary_classes(texts)[target], -1, 0),
        held(seen_before(ids, positions, len(texts))),
        induction,
        continued.any(axis=-1) & ~induction,
        np.broadcast_to(positions < max(1, int(ids.shape[1] * _START_SHARE)), target.shape),
    ]
    return np.stack(classes, axis=-1) & there[..., None]


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] in "PS" and character != "�"
