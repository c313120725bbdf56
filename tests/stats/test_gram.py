"""Gram PCA against numpy's SVD of the centred data."""

import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from devexplore.errors import InvalidSpec, SchemaError
from devexplore.stats import affine_weights, gram_matrix, gram_pca
from devexplore.stats.gram import centred, products_from


def trajectory(count: int = 40, features: int = 3000, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    strength = np.geomspace(30, 0.3, 8)
    return (rng.normal(size=(count, 8)) * strength) @ rng.normal(size=(8, features)) + 7


def blocks(data: np.ndarray, width: int) -> list[np.ndarray]:
    return [data[:, first : first + width] for first in range(0, data.shape[1], width)]


def svd_scores(data: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    left, size, _ = np.linalg.svd(data - data.mean(axis=0), full_matrices=False)
    scores = left * size * np.where(left[-1] < 0, -1, 1)
    return scores[:, :n], (size**2 / np.sum(size**2))[:n]


@pytest.mark.parametrize("width", [1, 777, 3000])
def test_scores_and_variances_equal_the_svd_to_1e_6_for_any_blocks(width: int) -> None:
    data = trajectory()
    scores, ratio = svd_scores(data, 8)
    pca = gram_pca(gram_matrix(blocks(data, width)), 8)
    np.testing.assert_array_less(relative_error(pca.scores, scores), 1e-6)
    np.testing.assert_allclose(pca.explained_variance_ratio, ratio, rtol=1e-6)


def relative_error(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Of each component, relative to its own size: the weakest counts as much as the strongest."""
    return np.abs(found - expected).max(axis=0) / np.abs(expected).max(axis=0)


@pytest.mark.parametrize(
    ("dtype", "weakest", "offset"),
    [
        (np.float16, 1e-2, 0.0),
        (np.float16, 1e-2, 1.0),  # seven times the differences between checkpoints, at 11 binary digits
        (np.float32, 1e-3, 0.0),
        (np.float32, 1e-3, 1e2),
        (np.float64, 1e-3, 0.0),
        (np.float64, 1e-3, 1e6),
    ],
)
def test_the_tenth_component_equals_the_svd_to_1e_6_however_weak_and_at_any_offset(dtype, weakest, offset):
    rng = np.random.default_rng(1)
    left, right = np.linalg.qr(rng.normal(size=(60, 10)))[0], np.linalg.qr(rng.normal(size=(9000, 10)))[0]
    data = (100 * (left * np.geomspace(1, weakest, 10)) @ right.T + offset).astype(dtype)
    scores, _ = svd_scores(data.astype(np.float64), 10)
    found = gram_pca(gram_matrix(blocks(data, 2500)), 10).scores
    np.testing.assert_array_less(relative_error(found, scores), 1e-6)


def test_float16_blocks_are_accumulated_as_if_they_were_float64() -> None:
    data = trajectory(features=20_000).astype(np.float16)
    np.testing.assert_array_equal(gram_matrix([data]), gram_matrix([data.astype(np.float64)]))


def test_the_last_score_of_every_component_is_not_negative() -> None:
    for seed in range(5):
        assert (gram_pca(gram_matrix([trajectory(seed=seed)]), 6).scores[-1] >= 0).all()


def test_weights_give_every_point_of_the_subspace_as_an_affine_combination_of_checkpoints() -> None:
    data = trajectory()
    pca = gram_pca(gram_matrix([data]), 3)
    alpha = affine_weights(pca.weights, pca.scores)  # the coordinates of the checkpoints themselves
    np.testing.assert_allclose(alpha.sum(axis=1), 1, atol=1e-12)
    _, _, directions = np.linalg.svd(data - data.mean(axis=0), full_matrices=False)
    projected = data.mean(axis=0) + (data - data.mean(axis=0)) @ directions[:3].T @ directions[:3]
    np.testing.assert_allclose(alpha @ data, projected, atol=1e-7 * np.abs(data).max())


def test_components_beyond_the_rank_are_zero_not_noise() -> None:
    rng = np.random.default_rng(0)
    data = rng.normal(size=(20, 2)) @ rng.normal(size=(2, 500))
    pca = gram_pca(gram_matrix([data]), 5)
    assert (pca.scores[:, 2:] == 0).all()
    assert (pca.weights[:, 2:] == 0).all()
    assert pca.explained_variance_ratio[:2].sum() == pytest.approx(1)


def test_checkpoints_that_are_all_alike_have_zero_scores() -> None:
    pca = gram_pca(gram_matrix([np.full((4, 10), 3.0)]), 2)
    assert (pca.scores == 0).all()
    assert (pca.explained_variance_ratio == 0).all()


@settings(max_examples=20)
@given(st.integers(0, 1000), st.floats(1e-3, 1e3))
def test_scaling_the_outputs_scales_the_scores_and_shifting_them_does_nothing(seed, scale) -> None:
    data = trajectory(count=12, features=50, seed=seed)
    shift = np.random.default_rng(seed).normal(size=50)
    before, after = gram_pca(gram_matrix([data]), 3), gram_pca(gram_matrix([scale * (data + shift)]), 3)
    np.testing.assert_allclose(
        after.scores, scale * before.scores, atol=1e-7 * scale * np.abs(before.scores).max()
    )
    np.testing.assert_allclose(after.explained_variance_ratio, before.explained_variance_ratio, rtol=1e-8)


def test_a_random_walk_in_many_dimensions_has_the_explained_variances_of_theory() -> None:
    walk = np.cumsum(np.random.default_rng(0).normal(size=(400, 4000)), axis=0)
    pca = gram_pca(gram_matrix([walk]), 4)
    np.testing.assert_allclose(pca.explained_variance_ratio, 6 / (np.pi * np.arange(1, 5)) ** 2, rtol=0.05)


@settings(max_examples=20)
@given(st.integers(1, 11), st.integers(0, 11), st.integers(1, 5), st.integers(1, 400))
def test_a_gram_matrix_grows_by_the_products_of_the_new_checkpoints_alone(
    old, reference, threads, width
) -> None:
    data = trajectory(count=12, features=300) + 1e3
    order = np.r_[reference, np.delete(np.arange(12), reference)]  # the reference is among the old ones
    whole = products_from(0, blocks(data[order], width))
    before = products_from(0, blocks(data[order[:old]], width), threads=threads)
    new = products_from(0, blocks(data[order], width), rows=np.arange(old, 12), threads=threads)
    grown = np.block([[before, new[:, :old].T], [new[:, :old], new[:, old:]]])
    np.testing.assert_allclose(grown, whole, rtol=0, atol=1e-13 * np.abs(whole).max())


def test_the_reference_does_not_matter_once_the_matrix_is_centred() -> None:
    data = trajectory()
    first, last = (centred(products_from(row, [data])) for row in (0, 39))
    about_mean = (data - data.mean(axis=0)) @ (data - data.mean(axis=0)).T
    for gram in (first, last):
        np.testing.assert_allclose(gram, about_mean, rtol=0, atol=1e-13 * np.abs(about_mean).max())


def test_no_more_than_two_blocks_are_held() -> None:
    alive: list[weakref.ref] = []

    def stream():
        for _ in range(6):
            block = trajectory(count=5, features=4000)
            alive.append(weakref.ref(block))
            assert sum(reference() is not None for reference in alive) <= 2 + 1  # and the one being made
            yield block

    gram_matrix(stream(), threads=2)


def test_blas_gets_its_threads_back() -> None:
    with threadpool_limits(2, user_api="blas"):
        gram_matrix([trajectory()])
        with pytest.raises(SchemaError, match="NaN or infinity"):
            gram_matrix([np.full((2, 2), np.nan)])
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {2}


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 2])
def test_a_checkpoint_that_is_not_finite_is_named_wherever_it_is(wrong, row) -> None:
    data = trajectory(count=4, features=2000)
    data[row, 1500] = wrong
    with pytest.raises(SchemaError, match=rf"rows \[{row}\]"):
        gram_matrix([data])
    with pytest.raises(SchemaError, match=rf"rows \[{row}\]"):
        products_from(1, [data], rows=np.array([3]))


def test_numbers_whose_squares_overflow_are_told_from_infinity() -> None:
    with pytest.raises(SchemaError, match="scale them down"):
        gram_matrix([np.array([[1e200, 0.0], [0.0, 1.0]])])


def test_wrong_input_is_refused() -> None:
    with pytest.raises(InvalidSpec, match="at least one block"):
        gram_matrix([])
    with pytest.raises(InvalidSpec, match="same 4 checkpoints"):
        gram_matrix([np.zeros((4, 2)), np.zeros((3, 2))])
    with pytest.raises(SchemaError, match=r"rows \[1\]"):
        gram_matrix([np.array([[1.0], [np.nan], [2.0]])])
    with pytest.raises(InvalidSpec, match="threads"):
        gram_matrix([np.eye(3)], threads=0)
    with pytest.raises(InvalidSpec, match="n_components"):
        gram_pca(np.eye(3), 4)
    with pytest.raises(InvalidSpec, match="square"):
        gram_pca(np.zeros((3, 2)), 1)
