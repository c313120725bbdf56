"""Planted steps are found where they are, and noise has none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devexplore.errors import InvalidSpec
from devexplore.stats.change_points import change_points

PLACES = np.array([15, 30, 55, 90])
LEVELS = np.array([0.0, 6.0, 2.0, 9.0, 5.0])
STAIRS = LEVELS[np.searchsorted(PLACES, np.arange(120), side="right")]
X = np.arange(120) * 10.0


def noise(seed: int, n: int = 120) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=n)


def test_steps_without_noise_are_found_at_the_exact_sample() -> None:
    found = change_points(X, STAIRS)
    np.testing.assert_array_equal(found.at, X[PLACES])
    np.testing.assert_array_equal(found.lower, X[PLACES - 1])
    np.testing.assert_array_equal(found.upper, X[PLACES])
    np.testing.assert_allclose(found.before, LEVELS[:-1], atol=1e-12)
    np.testing.assert_allclose(found.after, LEVELS[1:])


def test_steps_of_eight_standard_deviations_are_each_at_their_sample() -> None:
    """One sample in 30,000 lies nearer to the other level."""
    for seed in range(30):
        found = change_points(X, 2 * STAIRS + noise(seed))
        np.testing.assert_array_equal(found.at, X[PLACES])
        errors = (found.after - found.before - 2 * np.diff(LEVELS)) / found.jump_se
        assert np.abs(errors).max() < 5
        assert found.jump_se.max() < 0.5


def test_the_learned_noise_is_that_beyond_the_errors_given() -> None:
    learned = [change_points(X, 2 * STAIRS + 1.25 * noise(seed)).noise for seed in range(40)]
    assert np.mean(learned) == pytest.approx(1.25, rel=0.08)
    error = np.full(120, 0.75)
    beyond = [change_points(X, 2 * STAIRS + 1.25 * noise(seed), error).noise for seed in range(40)]
    assert np.mean(beyond) == pytest.approx(1.0, rel=0.12)
    steep = 10 * STAIRS + noise(0)
    assert change_points(X, steep, np.full(120, 2.0)).noise == pytest.approx(0.01 * np.ptp(steep))


@pytest.mark.parametrize("known", [True, False], ids=["errors given", "noise learned"])
@pytest.mark.parametrize("n", [20, 60])
def test_pure_noise_has_no_changes_in_95_of_100_seeds(n: int, known: bool) -> None:
    error = np.ones(n) if known else None
    alarms = sum(len(change_points(np.arange(n), noise(seed, n), error).at) > 0 for seed in range(200))
    assert alarms <= 0.05 * 200


def test_intervals_hold_a_weak_step_at_least_as_often_as_they_say() -> None:
    """Of 1.75 standard deviations: its place is uncertain by some samples."""
    held, widths = [], []
    for seed in range(150):
        found = change_points(np.arange(60), 1.75 * (np.arange(60) >= 30) + noise(seed, 60))
        if len(found.at) == 1:
            held.append(found.lower[0] <= 29 and found.upper[0] >= 30)
            widths.append(found.upper[0] - found.lower[0])
    assert len(held) > 100
    assert np.mean(held) >= 0.85
    assert 2 < np.mean(widths) < 15


def test_errors_weigh_the_values() -> None:
    """A stretch that is ten times noisier, and says so, is no level of its own."""
    error = np.where((np.arange(120) > 60) & (np.arange(120) < 80), 10.0, 1.0)
    for seed in range(20):
        found = change_points(X, 12.0 * (X >= 400) + error * noise(seed), error)
        assert found.at.tolist() == [400]


def test_a_transition_of_a_few_points_is_one_change_half_way_and_its_interval_holds_it() -> None:
    ramp = np.concatenate([np.zeros(40), [2, 4, 6, 8], np.full(40, 10.0)])
    found = change_points(np.arange(84), ramp, min_length=5)
    assert found.at.tolist() == [42]
    assert (found.lower[0], found.upper[0]) == (39, 44)


def test_outliers_on_one_level_are_no_changes() -> None:
    values = noise(0)
    values[[20, 60, 61]] += 40
    assert len(change_points(X, values).at) == 0
    assert len(change_points(X, values, min_length=1).at) > 0


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.floats(0.01, 100), st.floats(-1000, 1000))
def test_scale_offset_and_the_order_of_rows_change_nothing(seed: int, scale: float, offset: float) -> None:
    y = STAIRS + noise(seed)
    there, moved = change_points(X, y), change_points(X, scale * y + offset)
    np.testing.assert_array_equal(there.at, moved.at)
    np.testing.assert_allclose(moved.after, scale * there.after + offset, rtol=1e-6, atol=1e-6)
    shuffled = np.random.default_rng(seed).permutation(120)
    np.testing.assert_array_equal(there.at, change_points(X[shuffled], y[shuffled]).at)
    np.testing.assert_allclose(change_points(-X, y).before[::-1], there.after)


def test_points_without_values_are_left_out_and_constants_have_no_changes() -> None:
    y = STAIRS.copy()
    y[[3, 57]] = np.nan
    np.testing.assert_array_equal(change_points(X, y).at, X[PLACES])
    assert len(change_points(X, np.full(120, 7.3)).at) == 0
    assert len(change_points(X, np.zeros(120)).at) == 0


def test_many_points_are_averaged_and_their_steps_found_among_the_groups() -> None:
    x = np.arange(3000)
    found = change_points(x, 5.0 * (x >= 1200) + np.random.default_rng(0).normal(size=3000))
    assert found.at.tolist() == [1200]
    assert found.noise < 0.6


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((X[:6], X[:6]), "at least 7 values, got 6"),
        ((X, STAIRS[:-1]), "as long as each other"),
        ((X, STAIRS, np.full(120, -1.0)), "not be negative"),
    ],
)
def test_what_is_no_curve_is_refused(arguments, says: str) -> None:
    with pytest.raises(InvalidSpec, match=says):
        change_points(*arguments)


@pytest.mark.parametrize("setting", [{"min_length": 0}, {"penalty": 0.0}, {"resolution": -0.1}])
def test_settings_that_cannot_be_are_refused(setting) -> None:
    with pytest.raises(InvalidSpec, match="expected a whole min_length of at least 1"):
        change_points(X, STAIRS, **setting)
    with pytest.raises(InvalidSpec, match="resolution above 0"):
        change_points(X, STAIRS, resolution=0.0)


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_units_far_from_one_lose_nothing(unit: float) -> None:
    y = STAIRS + noise(0)
    there, far = change_points(X, y), change_points(X, unit * y)
    np.testing.assert_array_equal(far.at, there.at)
    np.testing.assert_allclose(far.jump_se, unit * there.jump_se)
