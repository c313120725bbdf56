"""Theory against theory: the published examples, and the two formulae against each other."""

import itertools

import numpy as np
import pytest

from devexplore.errors import InvalidSpec
from devexplore.stats.learning_coefficient import (
    deep_linear,
    deep_linear_multiplicity,
    normal_crossing,
    quadratic_discretised,
    reduced_rank,
    regular,
    superposition_gon,
)


@pytest.mark.parametrize(
    ("widths", "rank", "expected"),
    [
        ((2, 2, 2), 0, 1.5),
        ((2, 2, 2), 1, 2),
        ((2, 2, 2), 2, 2),
        ((5, 3, 5), 0, 6.5),
        ((4, 3, 8), 0, 6),
        ((10, 3, 10), 1, 18),
        ((3, 3, 3, 3), 0, 3),
        ((3, 3, 3, 3), 1, 4),
        ((4, 4, 4, 4), 2, 7.5),
        ((10, 10, 10, 10), 3, 42),
        ((10, 10, 10, 10), 4, 44),
    ],
)
def test_deep_linear_gives_the_known_examples(widths, rank, expected) -> None:
    assert deep_linear(widths, rank) == pytest.approx(expected)


def test_reduced_rank_gives_the_8_4_8_example() -> None:
    assert reduced_rank(8, 8, 4, 2) == 19.5


def test_a_deep_linear_network_with_one_hidden_layer_is_reduced_rank_regression() -> None:
    for m in range(1, 8):
        for h in range(1, 8):
            for n in range(1, 8):
                for rank in range(min(m, h, n) + 1):
                    assert deep_linear((m, h, n), rank) == pytest.approx(reduced_rank(m, n, h, rank))


def test_a_deep_linear_network_without_hidden_layer_is_regular() -> None:
    for rank in range(4):
        assert deep_linear((3, 4), rank) == pytest.approx(regular(12))


def test_lambda_is_at_most_half_the_parameters_and_the_order_of_layers_does_not_matter_inside() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        widths = rng.integers(1, 9, size=5).tolist()
        rank = int(rng.integers(0, min(widths) + 1))
        value = deep_linear(widths, rank)
        assert 0 <= value <= sum(a * b for a, b in itertools.pairwise(widths)) / 2
        swapped = [widths[0], *rng.permutation(widths[1:-1]).tolist(), widths[-1]]
        assert deep_linear(swapped, rank) == pytest.approx(value)


def test_multiplicity_of_two_by_two_at_rank_zero_is_one_and_of_three_ones_three() -> None:
    # w₁·w₂·w₃ (all widths one, rank 0) is a normal crossing of three lines: λ = 1/2 with multiplicity 3.
    assert deep_linear((1, 1, 1, 1), 0) == 0.5
    assert deep_linear_multiplicity((1, 1, 1), 0) == 2
    assert deep_linear_multiplicity((2, 2), 1) == 1


@pytest.mark.parametrize(
    ("exponents", "expected"), [((1, 1), 0.5), ((1, 2), 0.25), ((3,), 1 / 6), ((0, 2), 0.25)]
)
def test_normal_crossings_are_half_over_the_largest_exponent(exponents, expected) -> None:
    assert normal_crossing(exponents) == pytest.approx(expected)


def test_separate_coordinates_add_up() -> None:
    assert normal_crossing([1]) + normal_crossing([2]) == 0.75


def test_sgld_on_a_quadratic_has_the_variance_that_the_formula_takes() -> None:
    # The stationary variance of w ← (1 − εa/2)w + N(0, ε) solves v = (1 − εa/2)²v + ε; iterate it out.
    h, n_beta, gamma, step_size = np.array([1.0, 5.0, 20.0]), 30.0, 2.0, 4e-3
    variance = np.zeros(3)
    for _ in range(20_000):
        variance = (1 - step_size * (n_beta * h + gamma) / 2) ** 2 * variance + step_size
    expected = n_beta * 0.5 * np.sum(h * variance)
    assert quadratic_discretised(h, n_beta, gamma, step_size) == pytest.approx(expected, rel=1e-10)


def test_a_small_step_without_localization_gives_half_the_parameters_and_a_large_one_is_unstable() -> None:
    h = np.array([0.5, 2.0, 3.0])
    assert quadratic_discretised(h, 100.0, 0.0, 1e-9) == pytest.approx(1.5)
    assert quadratic_discretised(h, 100.0, 0.0, 4 / 300) == np.inf
    assert quadratic_discretised(np.zeros(2), 100.0, 0.0, 1e-3) == 0


def test_k_gons_have_their_published_values() -> None:
    assert superposition_gon(5) == 7
    assert superposition_gon(6) == 8.5


def test_impossible_ranks_widths_and_exponents_are_refused() -> None:
    with pytest.raises(InvalidSpec, match="rank"):
        deep_linear((3, 2, 3), 3)
    with pytest.raises(InvalidSpec, match="widths"):
        deep_linear((3,), 0)
    with pytest.raises(InvalidSpec, match="rank"):
        reduced_rank(3, 3, 2, -1)
    with pytest.raises(InvalidSpec, match="exponents"):
        normal_crossing([0, 0])
    with pytest.raises(InvalidSpec, match="k = 4"):
        superposition_gon(4)
