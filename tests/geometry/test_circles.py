"""Ground truths of method.md §3 and laws. Points are spaced evenly, logarithmically, and at random.

Tolerances: circles are exact up to rounding, which three points at distance h turn into ε·(offset)/h² of
curvature. Elsewhere curvature is second order: it errs by C·h² with h the widest gap.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devexplore.errors import InvalidSpec
from devexplore.geometry import circles_from_derivatives, curvature_slope, evolute, osculating_circles

SPACINGS = ("even", "log", "jittered")


def parameter(spacing: str, low: float, high: float, count: int) -> np.ndarray:
    """Increasing parameters from low to high with the named spacing."""
    if spacing == "even":
        share = np.linspace(0, 1, count)
    elif spacing == "log":
        share = (np.geomspace(1, 50, count) - 1) / 49
    else:
        gaps = np.random.default_rng(0).uniform(0.3, 1.7, count - 1)
        share = np.concatenate([[0], np.cumsum(gaps)]) / gaps.sum()
    return low + (high - low) * share


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("sign", [1, -1])
def test_the_evolute_of_a_circle_is_its_centre_at_any_spacing(spacing: str, sign: int) -> None:
    t = sign * parameter(spacing, 0.3, 5.0, 200)
    circles = osculating_circles(np.stack([3 + 2 * np.cos(t), -1 + 2 * np.sin(t)], axis=1))
    np.testing.assert_allclose(circles.center, np.broadcast_to([3, -1], (200, 2)), atol=1e-7)
    np.testing.assert_allclose(circles.radius, 2, atol=1e-7)
    np.testing.assert_allclose(circles.curvature, sign / 2, atol=1e-7)


@pytest.mark.parametrize("ratio", [1.5, 3.0, 10.0])
def test_gaps_that_grow_by_a_fixed_ratio_do_not_change_a_circles_curvature(ratio: float) -> None:
    t = 1e-3 * ratio ** np.arange(5)
    circles = osculating_circles(np.stack([np.cos(t), np.sin(t)], axis=1))
    np.testing.assert_allclose(circles.curvature, 1, atol=1e-8)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_tilted_circle_in_five_dimensions_has_its_centre_and_radius(spacing: str) -> None:
    t = parameter(spacing, 0.0, 5.0, 150)
    frame = np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)))[0][:, :2]
    center = np.arange(5.0)
    circles = osculating_circles(center + 1.5 * np.stack([np.cos(t), np.sin(t)], axis=1) @ frame.T)
    np.testing.assert_allclose(circles.center, np.broadcast_to(center, (150, 5)), atol=1e-6)
    np.testing.assert_allclose(circles.curvature, 1 / 1.5, atol=1e-6)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_curvature_of_an_ellipse_is_second_order_in_the_spacing(spacing: str) -> None:
    def worst(count: int) -> float:
        t = parameter(spacing, 0.3, 5.0, count)
        circles = osculating_circles(np.stack([2 * np.cos(t), np.sin(t)], axis=1))
        truth = 2 / (4 * np.sin(t) ** 2 + np.cos(t) ** 2) ** 1.5
        return float(np.abs(circles.curvature - truth)[2:-2].max())

    coarse, fine = worst(200), worst(1600)
    assert fine < 1e-3
    # Eight times finer is 64 times better; jitter varies the widest gap, so ask for two thirds of it.
    assert coarse / fine > 64 ** (2 / 3)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_the_evolute_of_a_cycloid_is_a_shifted_cycloid(spacing: str) -> None:
    t = parameter(spacing, 0.5, 2 * np.pi - 0.5, 2000)
    points = np.stack([t - np.sin(t), 1 - np.cos(t)], axis=1)
    truth = np.stack([t + np.sin(t), np.cos(t) - 1], axis=1)
    assert np.abs(evolute(points) - truth)[2:-2].max() < 2e-3


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("dimension", [2, 4])
def test_a_straight_line_has_infinite_radius_and_no_centre(spacing: str, dimension: int) -> None:
    direction = np.array([0.3, -1.7, 0.9, 2.1])[:dimension]
    points = 5 + np.outer(parameter(spacing, 0, 3, 50), direction)
    circles = osculating_circles(points)
    assert np.isinf(circles.radius).all()
    assert (circles.curvature == 0).all()
    assert np.isnan(circles.center).all()


def test_repeated_points_count_once() -> None:
    t = np.linspace(0, 3, 40)
    points = np.stack([np.cos(t), np.sin(t)], axis=1)
    circles = osculating_circles(np.repeat(points, 3, axis=0))
    np.testing.assert_allclose(circles.center, 0, atol=1e-9)
    assert len(circles.radius) == 120


def test_a_curve_that_never_moves_has_no_circle_and_two_points_are_a_line() -> None:
    resting = osculating_circles(np.ones((4, 2)))
    assert np.isnan(resting.curvature).all()
    assert np.isnan(resting.radius).all()
    assert np.isinf(osculating_circles(np.array([[0.0, 0], [1, 2]])).radius).all()


def test_circles_from_exact_derivatives_are_exact_in_any_parameter() -> None:
    t = np.linspace(0.1, 2, 50)
    u, du, ddu = t**2, 2 * t, np.full_like(t, 2.0)
    position = np.stack([np.cos(u), np.sin(u)], axis=1)
    left = np.stack([-np.sin(u), np.cos(u)], axis=1)
    velocity = left * du[:, None]
    acceleration = left * ddu[:, None] - position * du[:, None] ** 2
    circles = circles_from_derivatives(3 * position, 3 * velocity, 3 * acceleration)
    np.testing.assert_allclose(circles.center, 0, atol=1e-12)
    np.testing.assert_allclose(circles.curvature, 1 / 3, rtol=1e-12)


def test_circles_from_derivatives_know_lines_and_resting_points() -> None:
    velocity = np.array([[1.0, 2.0], [0.0, 0.0]])
    circles = circles_from_derivatives(np.zeros((2, 2)), velocity, np.array([[0.5, 1.0], [1.0, 0.0]]))
    assert circles.radius[0] == np.inf
    assert np.isnan(circles.radius[1])


def test_the_slope_of_the_curvature_vanishes_at_the_vertices_of_an_ellipse_and_only_there() -> None:
    t = np.arange(0.0, 2 * np.pi, np.pi / 8)
    velocity = np.stack([-2 * np.sin(t), np.cos(t)], axis=1)
    acceleration = np.stack([-2 * np.cos(t), -np.sin(t)], axis=1)
    slope = curvature_slope(velocity, acceleration, -velocity)
    np.testing.assert_allclose(slope[::4], 0, atol=1e-14)
    assert (np.abs(slope.reshape(4, 4)[:, 1:]) > 0.1).all()


def test_bad_points_are_refused_with_the_rows() -> None:
    with pytest.raises(InvalidSpec, match=r"\(step, v\)"):
        osculating_circles(np.zeros(5))
    points = np.zeros((5, 2))
    points[3, 0] = np.nan
    with pytest.raises(InvalidSpec, match=r"rows \[3\]"):
        osculating_circles(points)


def wiggly(seed: int) -> np.ndarray:
    """A smooth curve without straight stretches, unevenly sampled."""
    rng = np.random.default_rng(seed)
    t = np.cumsum(rng.uniform(0.02, 0.08, 60))
    phase = rng.uniform(0, 6, 2)
    return np.stack([3 * np.cos(t) + 0.3 * np.cos(2 * t + phase[0]), 2 * np.sin(t + 0.1 * phase[1])], axis=1)


SEEDS = st.integers(0, 200)


@settings(max_examples=30)
@given(SEEDS, st.floats(-3, 3), st.floats(-5, 5), st.floats(-5, 5))
def test_rotation_and_translation_move_centres_and_keep_radii(seed, angle, x, y) -> None:
    points = wiggly(seed)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    before, after = osculating_circles(points), osculating_circles(points @ turn.T + [x, y])
    np.testing.assert_allclose(after.curvature, before.curvature, atol=1e-9)
    np.testing.assert_allclose(after.center, before.center @ turn.T + [x, y], rtol=1e-6, atol=1e-6)


@settings(max_examples=30)
@given(SEEDS, st.floats(1e-6, 1e6))
def test_scaling_scales_radii_and_centres(seed, scale) -> None:
    points = wiggly(seed)
    before, after = osculating_circles(points), osculating_circles(scale * points)
    np.testing.assert_allclose(after.radius, scale * before.radius, rtol=1e-7)
    np.testing.assert_allclose(after.center, scale * before.center, rtol=1e-6, atol=1e-6 * scale)


@settings(max_examples=30)
@given(SEEDS)
def test_time_reversal_only_flips_the_sign_of_the_curvature(seed) -> None:
    points = wiggly(seed)
    forth, back = osculating_circles(points), osculating_circles(points[::-1])
    np.testing.assert_allclose(back.curvature[::-1], -forth.curvature, atol=1e-9)
    np.testing.assert_allclose(back.center[::-1], forth.center, rtol=1e-6, atol=1e-6)


@settings(max_examples=30)
@given(SEEDS)
def test_in_the_plane_and_in_space_the_same_curve_has_the_same_circles(seed) -> None:
    points = wiggly(seed)
    plane = osculating_circles(points)
    space = osculating_circles(np.pad(points, ((0, 0), (0, 1))))
    np.testing.assert_allclose(space.curvature, np.abs(plane.curvature), atol=1e-9)
    np.testing.assert_allclose(space.center[:, :2], plane.center, rtol=1e-6, atol=1e-6)
