"""The bootstrap over blocks: Student's width, and intervals that hold the truth as often as they say."""

import numpy as np
import pytest
from scipy.stats import t

from devexplore.errors import InvalidSpec
from devexplore.stats.blocks import resampled_means


def intervals(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    lower, upper = np.quantile(resampled_means(blocks, 1000), [0.05, 0.95], axis=0)
    return lower, upper


@pytest.mark.parametrize("count", [8, 16, 40])
def test_the_central_ninety_percent_is_students_interval_and_holds_the_mean_nine_times_in_ten(count: int):
    blocks = np.random.default_rng(count).normal(size=(count, 2000))
    lower, upper = intervals(blocks)
    student = 2 * t.ppf(0.95, count - 1) * blocks.std(axis=0, ddof=1) / count**0.5
    assert np.mean((upper - lower) / student) == pytest.approx(1, abs=0.03)
    held = ((lower <= 0) & (upper >= 0)).mean()
    assert held == pytest.approx(0.9, abs=4 * (0.09 / 2000) ** 0.5)


def test_the_same_blocks_are_drawn_for_everything():
    blocks = np.random.default_rng(0).normal(size=(16, 1))
    both = resampled_means(np.concatenate([blocks, 3 * blocks + 1], axis=1), 50)
    np.testing.assert_allclose(both[:, 1], 3 * both[:, 0] + 1)


def test_equal_blocks_have_no_error_and_one_block_tells_none():
    np.testing.assert_array_equal(resampled_means(np.full((16, 3), 2.0), 10), np.full((10, 3), 2.0))
    with pytest.raises(InvalidSpec, match="two blocks"):
        resampled_means(np.ones((1, 3)), 10)
