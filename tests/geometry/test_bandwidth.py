"""The chosen bandwidth follows noise and curve, and predicts what it was not shown."""

import numpy as np
import pytest

from devexplore.geometry import choose_bandwidth, smooth


def noisy_wave(noise: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    t = np.sort(rng.uniform(0, 10, 150))
    truth = np.stack([np.sin(2 * t), np.cos(t)], axis=1)
    return t, truth, truth + noise * rng.normal(size=truth.shape)


def test_more_noise_asks_for_more_smoothing() -> None:
    chosen = []
    for noise in (0.01, 0.3):
        widths = []
        for seed in range(5):
            t, _, points = noisy_wave(noise, seed)
            tried = choose_bandwidth(t, points)
            widths.append(tried.bandwidth[tried.best])
        chosen.append(np.median(widths))
    assert chosen[1] > 1.5 * chosen[0]


def test_the_chosen_bandwidth_is_nearly_as_close_to_the_truth_as_the_best_one() -> None:
    loss = []
    for seed in range(8):
        t, truth, points = noisy_wave(0.1, seed)
        tried = choose_bandwidth(t, points)
        errors = [np.mean((smooth(t, points, h).position - truth) ** 2) for h in tried.bandwidth]
        loss.append(errors[tried.best] / min(errors))
    assert np.median(loss) < 1.15


def test_the_error_estimates_that_of_points_left_out() -> None:
    t, _, points = noisy_wave(0.2, 0)
    tried = choose_bandwidth(t, points, candidates=np.array([0.4]))
    left_out = [
        smooth(np.delete(t, i), np.delete(points, i, axis=0), 0.4, at=t[i : i + 1]).position[0] - points[i]
        for i in range(5, 145)
    ]
    assert tried.error[0] == pytest.approx(np.mean(np.sum(np.square(left_out), axis=1)), rel=0.1)


def test_too_few_points_to_judge_by_take_the_widest() -> None:
    tried = choose_bandwidth(np.arange(4.0), np.eye(4))
    assert np.isinf(tried.error).all()
    assert tried.best == len(tried.bandwidth) - 1
    assert len(choose_bandwidth(np.zeros(3), np.eye(3)).bandwidth) == len(tried.bandwidth)
