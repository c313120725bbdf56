"""Surrogate walks share the run's steps, directions and noise, and have the shape theory says."""

import numpy as np
import pytest

from devexplore.geometry import smoother
from devexplore.stats.surrogates import WalkModel, draw_walk, fit_walk

T = np.arange(160.0)
SMOOTHER = smoother(T, 2.0)


def fitted(points: np.ndarray) -> WalkModel:
    centred = points - points.mean(axis=0)
    return fit_walk(centred @ centred.T, velocity=SMOOTHER.weights[1], hat=SMOOTHER.weights[0])


@pytest.mark.parametrize("directions", [4, 20, 200])
def test_a_walk_is_recognised_steps_directions_and_absence_of_noise(directions: int) -> None:
    models = []
    for seed in range(12):
        steps = np.random.default_rng(seed).normal(size=(160, directions)) / np.sqrt(directions)
        models.append(fitted(np.cumsum(3 * steps, axis=0)))
    assert np.median([m.step_variance.mean() for m in models]) == pytest.approx(9, rel=0.15)
    assert np.median([m.directions for m in models]) == pytest.approx(directions, rel=0.25)
    assert np.median([np.median(m.noise_variance) for m in models]) < 1


def test_noise_is_told_from_steps() -> None:
    models = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        walk = np.cumsum(rng.normal(size=(160, 50)), axis=0)
        models.append(fitted(walk + 4 * rng.normal(size=walk.shape)))
    assert np.median([m.noise_variance.mean() for m in models]) == pytest.approx(16 * 50, rel=0.1)
    assert np.median([m.step_variance.mean() for m in models]) == pytest.approx(50, rel=0.25)
    assert np.median([m.noise_directions for m in models]) == pytest.approx(50, rel=0.2)


def test_uneven_steps_keep_their_profile() -> None:
    size = np.where(np.arange(160) < 80, 1.0, 5.0)
    profiles = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        walk = np.cumsum(size[:, None] * rng.normal(size=(160, 30)), axis=0)
        model = fitted(walk)
        profiles.append(model.step_variance[100:150].mean() / model.step_variance[10:60].mean())
    assert np.median(profiles) == pytest.approx(25, rel=0.3)


def test_surrogates_of_a_high_dimensional_walk_have_the_explained_variances_of_theory() -> None:
    model = WalkModel(np.ones(200), np.zeros(200), directions=400, noise_directions=1)
    shares = [draw_walk(model, 4, np.random.default_rng(s)).explained_variance_ratio for s in range(10)]
    np.testing.assert_allclose(np.mean(shares, axis=0), 6 / (np.pi * np.arange(1, 5)) ** 2, rtol=0.1)


def test_surrogates_repeat_with_their_seed() -> None:
    model = WalkModel(np.ones(40), np.full(40, 0.1), directions=5, noise_directions=30)
    a, b, c = (draw_walk(model, 3, np.random.default_rng(s)).scores for s in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - c).max() > 0.1


def test_a_run_that_never_moves_or_never_scatters_has_a_model() -> None:
    still = fitted(np.zeros((160, 3)))
    assert (still.step_variance == 0).all()
    assert (draw_walk(still, 2, np.random.default_rng(0)).scores == 0).all()
    line = fitted(np.outer(T, [1.0, 2.0]))
    assert np.isfinite(line.step_variance).all()
    assert line.directions == pytest.approx(1, abs=0.01)
