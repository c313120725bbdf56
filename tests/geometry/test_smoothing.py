"""Local polynomials: exact on polynomials, of the stated order elsewhere, and honest about noise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devexplore.errors import InvalidSpec
from devexplore.geometry import curvature_se, noise_size, smooth


@settings(max_examples=30)
@given(st.integers(0, 1000), st.floats(0.05, 5.0))
def test_a_cubic_and_its_three_derivatives_are_exact_at_any_spacing_and_bandwidth(seed, bandwidth) -> None:
    rng = np.random.default_rng(seed)
    t = np.sort(rng.uniform(0, 5, 40))
    cubic = np.polynomial.Polynomial(rng.normal(size=4))
    fit = smooth(t, cubic(t)[:, None], bandwidth)
    for k, estimate in enumerate((fit.position, fit.velocity, fit.acceleration, fit.jerk)):
        truth = cubic.deriv(k)(t) if k else cubic(t)
        # Rounding of the data grows by the gain of the k-th derivative.
        assert (
            np.abs(estimate[:, 0] - truth) <= 1e-11 * (1 + fit.gain[:, k]) * (1 + np.abs(cubic(t)).max())
        ).all()


def test_position_is_fourth_order_and_acceleration_second_order_in_the_bandwidth() -> None:
    t = np.linspace(0, 10, 2001)
    inside = slice(600, -600)

    def errors(bandwidth: float) -> tuple[float, float]:
        fit = smooth(t, np.sin(t)[:, None], bandwidth)
        return (
            float(np.abs(fit.position[:, 0] - np.sin(t))[inside].max()),
            float(np.abs(fit.acceleration[:, 0] + np.sin(t))[inside].max()),
        )

    wide, narrow = errors(0.4), errors(0.2)
    assert 13 < wide[0] / narrow[0] < 19  # 2⁴
    assert 3.3 < wide[1] / narrow[1] < 4.7  # 2²


def test_the_gain_is_the_standard_error_for_unit_noise() -> None:
    t = np.sort(np.random.default_rng(0).uniform(0, 5, 60))
    noise = np.random.default_rng(1).normal(size=(60, 4000))
    fit = smooth(t, noise, bandwidth=0.5, at=np.array([0.0, 2.5]))
    for k, estimate in enumerate((fit.position, fit.velocity, fit.acceleration, fit.jerk)):
        np.testing.assert_allclose(
            estimate.std(axis=1), fit.gain[:, k], rtol=0.05
        )  # 4.5 standard errors of 4000 draws


def test_the_bandwidth_widens_where_points_are_sparse_and_says_so() -> None:
    t = np.array([0, 0.1, 0.2, 0.3, 0.4, 0.5, 5.0, 10.0])
    fit = smooth(t, t[:, None] ** 2, bandwidth=0.3)
    assert fit.bandwidth[2] == 0.3
    assert fit.bandwidth[-1] == pytest.approx(9.6)  # to the fourth nearest of t, itself included
    np.testing.assert_allclose(fit.position[:, 0], t**2, atol=1e-9)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_one_two_or_three_points_are_passed_through_by_a_lower_degree(count: int) -> None:
    t = np.arange(count, dtype=float)
    points = np.array([[1.0, 2.0], [3.0, -1.0], [0.0, 0.5]])[:count]
    fit = smooth(t, points, bandwidth=0.1)
    np.testing.assert_allclose(fit.position, points, atol=1e-12)
    assert (fit.jerk == 0).all()


def test_noise_is_measured_within_ten_percent_beside_a_curve() -> None:
    t = np.log1p(np.arange(0, 4000, 10.0))
    noise = np.random.default_rng(0).normal(size=(400, 1))
    assert noise_size(t, 20 * np.sin(t)[:, None] + 0.3 * noise)[0] == pytest.approx(0.3, rel=0.1)


def test_the_standard_error_of_the_curvature_is_its_scatter() -> None:
    t = np.linspace(0, 3, 150)
    clean = np.stack([3 * np.cos(t), 2 * np.sin(t)], axis=1)
    sizes = np.array([0.02, 0.01])
    rng = np.random.default_rng(0)
    values = []
    for _ in range(300):
        fit = smooth(t, clean + sizes * rng.normal(size=clean.shape), bandwidth=0.3)
        cross = fit.velocity[:, 0] * fit.acceleration[:, 1] - fit.velocity[:, 1] * fit.acceleration[:, 0]
        values.append(cross / np.linalg.norm(fit.velocity, axis=1) ** 3)
    truth = smooth(t, clean, bandwidth=0.3)
    quoted = curvature_se(truth.velocity, truth.acceleration, sizes, truth.gain)
    ratio = (np.std(values, axis=0) / quoted)[40:-40]
    assert ratio.min() > 0.85
    assert ratio.max() < 1.15


@pytest.mark.parametrize(
    ("t", "bandwidth", "degree", "message"),
    [
        ([0, 2, 1], 1.0, 3, "increasing"),
        ([0, 1, 2], 0.0, 3, "bandwidth"),
        ([0, 1, 2], 1.0, 0, "degree"),
        ([0, 1], 1.0, 3, "step"),
    ],
)
def test_bad_times_bandwidths_and_degrees_are_refused(t, bandwidth, degree, message) -> None:
    with pytest.raises(InvalidSpec, match=message):
        smooth(np.array(t, dtype=float), np.zeros((3, 2)), bandwidth, degree)
