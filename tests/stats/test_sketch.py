"""Count sketches: linear, the same everywhere, and inner products with exactly the stated error."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devexplore.errors import InvalidSpec
from devexplore.stats.sketch import count_sketch, sketch_error


def test_the_hashes_are_those_of_always() -> None:
    # Stored sketches are compared with new ones: were this to change, that would be silently wrong.
    np.testing.assert_array_equal(count_sketch(np.arange(1.0, 9.0), 4, seed=0), [2, 6, 1, -1])


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.integers(2, 300), st.integers(0, 2**40), st.data())
def test_parts_add_up_to_the_whole_wherever_they_are_cut(seed, size, first, data) -> None:
    values = np.random.default_rng(seed).normal(size=1000)
    cut = data.draw(st.integers(0, 1000))
    whole = count_sketch(values, size, seed, first)
    parts = count_sketch(values[:cut], size, seed, first) + count_sketch(
        values[cut:], size, seed, first + cut
    )
    np.testing.assert_allclose(parts, whole, atol=1e-12)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.floats(-100, 100), st.floats(-100, 100))
def test_combinations_of_checkpoints_commute_with_sketching(seed, a, b) -> None:
    x, y = np.random.default_rng(seed).normal(size=(2, 500))
    combined = a * count_sketch(x, 64, seed) + b * count_sketch(y, 64, seed)
    np.testing.assert_allclose(count_sketch(a * x + b * y, 64, seed), combined, atol=1e-10)


def test_more_features_than_are_taken_at_once_are_one_vector() -> None:
    values = np.random.default_rng(0).normal(size=200_001)
    by_hand = sum(count_sketch(values[k : k + 999], 50, 3, k) for k in range(0, len(values), 999))
    np.testing.assert_allclose(count_sketch(values, 50, 3), by_hand, atol=1e-10)


@pytest.mark.parametrize("overlap", [0.0, 0.7, 1.0])
def test_inner_products_are_right_on_average_and_spread_as_the_formula_says(overlap: float) -> None:
    rng = np.random.default_rng(1)
    x, other = rng.normal(size=(2, 400)) * np.geomspace(3, 0.1, 400)
    y = overlap * x + (1 - overlap) * other
    size, seeds = 32, 2000
    found = np.array([count_sketch(x, size, seed) @ count_sketch(y, size, seed) for seed in range(seeds)])
    variance = (x @ x * (y @ y) + (x @ y) ** 2 - 2 * (x**2 @ y**2)) / size
    assert abs(found.mean() - x @ y) < 4 * np.sqrt(variance / seeds)
    squares = (found - x @ y) ** 2
    se = squares.std() / np.sqrt(seeds)
    assert se < 0.1 * variance
    assert abs(squares.mean() - variance) < 4 * se
    assert np.sqrt(variance) <= sketch_error(size) * np.linalg.norm(x) * np.linalg.norm(y)


def test_features_fall_evenly_and_with_either_sign() -> None:
    # Ones: every place gets the sum of its signs, of variance features/size; a chi-square over the places.
    size, features = 1000, 100_000
    sums = count_sketch(np.ones(features), size, 5)
    assert np.sum(sums**2) * size / features == pytest.approx(size, abs=5 * np.sqrt(2 * size))


def test_wrong_sizes_are_refused() -> None:
    for size in (0, 2**31 + 1):
        with pytest.raises(InvalidSpec, match="1 … 2³¹"):
            count_sketch(np.ones(3), size, 0)
    with pytest.raises(InvalidSpec, match="negative"):
        count_sketch(np.ones(3), 4, -1)
