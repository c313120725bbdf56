"""Token classes on texts short enough to classify by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from devexplore.stats.token_classes import (
    PADDING,
    TARGET_CLASSES,
    TEXT_CLASSES,
    continuations,
    seen_before,
    target_classes,
    vocabulary_classes,
)

IDS = arrays.arrays(
    np.int64, st.tuples(st.integers(1, 3), st.integers(2, 12)), elements=st.integers(PADDING, 4)
)


def classes_of(text: str) -> set[str]:
    return {name for name, held in zip(TEXT_CLASSES, vocabulary_classes([text])[0], strict=True) if held}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" the", {"leading space"}),
        ("the", {"word piece"}),
        ("\n", {"newline"}),
        ("\n    ", {"newline"}),
        (" ", {"leading space"}),
        ("2", {"digit"}),
        (" 12", {"leading space", "digit"}),
        ("):\n", {"punctuation", "newline"}),
        (" ==", {"punctuation", "leading space"}),
        ("_", {"punctuation"}),
        ("über", {"word piece"}),
        ("x1", {"digit"}),
        ("�", set()),
        ("", set()),
    ],
)
def test_a_token_is_classed_by_what_it_reads_as(text: str, expected: set[str]) -> None:
    assert classes_of(text) == expected


def test_induction_is_told_from_a_repetition_that_goes_on_differently() -> None:
    a, b, c = 0, 1, 2
    ids = np.array([[a, b, c, a, b, a, c]])
    held = dict(zip(TARGET_CLASSES, target_classes(ids, np.arange(6), ["a", "b", "c"]).T, strict=True))
    #         position: 0 a→b, 1 b→c, 2 c→a, 3 a→b (seen ab), 4 b→a (only bc seen), 5 a→c (only ab seen)
    np.testing.assert_array_equal(held["induction"][:, 0], [0, 0, 0, 1, 0, 0])
    np.testing.assert_array_equal(held["induction would mislead"][:, 0], [0, 0, 0, 0, 1, 1])
    np.testing.assert_array_equal(held["seen before"][:, 0], [0, 0, 1, 1, 1, 1])
    np.testing.assert_array_equal(held["start of context"][:, 0], [1, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(held["word piece"][:, 0], np.ones(6))


def test_a_position_without_a_target_is_in_no_class() -> None:
    ids = np.array([[0, 1, 0, 1], [0, 1, PADDING, PADDING]])
    held = target_classes(ids, np.arange(4), ["a", " b"])
    assert not held[0, 3].any()
    assert not held[1, 1:].any()
    assert held[0, 0].any()


@given(IDS)
def test_what_induction_would_predict_was_seen_and_never_depends_on_the_future(ids: np.ndarray) -> None:
    ids = np.where(np.cumprod(ids != PADDING, axis=1) > 0, ids, PADDING)  # padding only at the end
    positions = np.arange(ids.shape[1])
    continued, seen = continuations(ids, positions, 5), seen_before(ids, positions, 5)
    assert not (continued & ~seen).any()
    half = len(positions) // 2
    other = ids.copy()
    other[:, half + 1 :] = PADDING
    np.testing.assert_array_equal(continuations(other, positions[: half + 1], 5), continued[:, : half + 1])


@given(IDS, st.permutations(range(5)))
def test_renaming_tokens_changes_no_class_of_context(ids: np.ndarray, names: list[int]) -> None:
    ids = np.where(np.cumprod(ids != PADDING, axis=1) > 0, ids, PADDING)
    renamed = np.where(ids == PADDING, PADDING, np.array(names)[ids])
    positions, texts = np.arange(ids.shape[1]), ["a"] * 5
    np.testing.assert_array_equal(
        target_classes(renamed, positions, texts), target_classes(ids, positions, texts)
    )
