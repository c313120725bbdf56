"""Means of clustered values: by hand, and errors that cover."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from devexplore.stats.clustered_mean import clustered_mean


def test_mean_and_error_are_those_of_the_formula() -> None:
    values = np.array([[1.0], [3.0], [8.0], [5.0]])
    found = clustered_mean(values, np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), 3)
    np.testing.assert_allclose(found.mean[:, 0], [4.0, 5.0, np.nan])
    # residuals −3 − 1 = −4 and 4; G = 2, N = 3: se² = 2 · (16 + 16) / 9
    np.testing.assert_allclose(found.se[:, 0], [8 / 3, np.nan, np.nan])
    assert found.size.tolist() == [3, 1, 0]
    assert found.clusters.tolist() == [2, 1, 0]


@given(arrays(np.float64, (9, 2), elements=st.floats(-100, 100)))
def test_one_value_a_cluster_is_the_usual_standard_error(values: np.ndarray) -> None:
    found = clustered_mean(values, np.zeros(9, int), np.arange(9), 1)
    np.testing.assert_allclose(found.mean[0], values.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(found.se[0], values.std(axis=0, ddof=1) / 3, atol=1e-9)


def test_repeating_every_value_within_its_cluster_tells_nothing_new() -> None:
    values, label, cluster = np.random.default_rng(0).normal(size=(8, 1)), np.zeros(8, int), np.arange(8)
    once = clustered_mean(values, label, cluster, 1)
    again = clustered_mean(np.tile(values, (5, 1)), np.tile(label, 5), np.tile(cluster, 5), 1)
    np.testing.assert_allclose(again.se, once.se)


def test_errors_know_that_tokens_of_a_text_are_not_independent() -> None:
    """Texts differ by sd 1, their tokens by sd 1 more: 90 % intervals with 29 degrees of freedom must cover
    the true mean in 90 % ± 3 standard errors of 600 trials; errors that take tokens as independent do not.
    """
    rng, t29 = np.random.default_rng(1), 1.699
    texts, tokens, trials = 30, 20, 600
    values = rng.normal(size=(texts, 1, trials)) + rng.normal(size=(texts, tokens, trials))
    flat = values.reshape(-1, trials)
    found = clustered_mean(flat, np.zeros(len(flat), int), np.repeat(np.arange(texts), tokens), 1)
    covered = (np.abs(found.mean[0]) < t29 * found.se[0]).mean()
    naive = (np.abs(flat.mean(axis=0)) < t29 * flat.std(axis=0, ddof=1) / np.sqrt(len(flat))).mean()
    assert abs(covered - 0.9) < 3 * np.sqrt(0.09 / trials)
    assert naive < 0.6
