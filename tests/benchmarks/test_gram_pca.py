"""Gram PCA against scikit-learn's PCA on 120 checkpoints of 100,000 features. Run with --benchmark-only.

The results are asserted to agree; times are reported, never asserted.
"""

import time

import numpy as np
import pytest
from sklearn.decomposition import PCA

from devexplore.stats import gram_matrix, gram_pca


@pytest.fixture(scope="module")
def trajectory() -> np.ndarray:
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(120, 100_000)).astype(np.float32)
    return np.cumsum(steps, axis=0)


def test_gram_pca_agrees_with_sklearn_and_its_time_is_reported(benchmark, trajectory) -> None:
    pca = benchmark.pedantic(lambda: gram_pca(gram_matrix([trajectory]), 4), rounds=3, warmup_rounds=1)
    seconds = {}
    for solver in ("randomized", "full"):
        start = time.perf_counter()
        reference = PCA(4, svd_solver=solver, random_state=0).fit(trajectory.astype(np.float64))
        seconds[solver] = time.perf_counter() - start
    np.testing.assert_allclose(pca.explained_variance_ratio, reference.explained_variance_ratio_, rtol=1e-6)
    ours = benchmark.stats.stats.mean
    benchmark.extra_info["sklearn_seconds"] = seconds
    for solver, theirs in seconds.items():
        print(f"\nGram PCA {ours:.2f} s, sklearn PCA ({solver}) {theirs:.2f} s: ratio {theirs / ours:.1f}")
