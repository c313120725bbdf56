"""Vertices and cusps of known curves at even, log and jittered spacing.

Curvature is second order in the spacing h, so cusps lie within C·h² of the truth; with h ≤ 0.06 and the third
derivatives of these curves, 0.02 is a bound with room.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import fresnel

from devexplore.errors import InvalidSpec
from devexplore.geometry import at_index, evolute, smooth, vertices

SPACINGS = ("even", "log", "jittered")
TOLERANCE = 0.02


def parameter(spacing: str, low: float, high: float, count: int = 600) -> np.ndarray:
    if spacing == "even":
        share = np.linspace(0, 1, count)
    elif spacing == "log":
        share = (np.geomspace(1, 20, count) - 1) / 19
    else:
        gaps = np.random.default_rng(3).uniform(0.3, 1.7, count - 1)
        share = np.concatenate([[0], np.cumsum(gaps)]) / gaps.sum()
    return low + (high - low) * share


def cusps(points: np.ndarray) -> np.ndarray:
    return at_index(evolute(points), vertices(points).index)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize(("a", "b"), [(2.0, 1.0), (1.0, 2.0), (3.0, 2.0), (1.0, 0.9)])
def test_an_ellipse_has_exactly_four_cusps(spacing: str, a: float, b: float) -> None:
    t = parameter(spacing, 0.4, 0.4 + 2 * np.pi + 0.3)
    found = cusps(np.stack([a * np.cos(t), b * np.sin(t)], axis=1))
    along, across = (a * a - b * b) / a, (a * a - b * b) / b
    truth = np.array([[0, -across], [-along, 0], [0, across], [along, 0]])
    np.testing.assert_allclose(found, truth, atol=TOLERANCE)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_closed_ellipse_has_four_vertices_wherever_it_starts(spacing: str) -> None:
    t = parameter(spacing, 0.0, 2 * np.pi)
    found = vertices(np.stack([2 * np.cos(t), np.sin(t)], axis=1))
    np.testing.assert_allclose(np.sort(found.curvature), [0.25, 0.25, 2, 2], rtol=0.02)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_the_parabola_has_one_cusp_at_one_half(spacing: str) -> None:
    x = parameter(spacing, -1.5, 2.0)
    found = cusps(np.stack([x, x**2], axis=1))
    np.testing.assert_allclose(found, [[0, 0.5]], atol=TOLERANCE)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_logarithmic_spiral_and_a_clothoid_have_no_cusp(spacing: str) -> None:
    t = parameter(spacing, 0.0, 12.0)
    spiral = np.exp(0.15 * t)[:, None] * np.stack([np.cos(t), np.sin(t)], axis=1)
    assert len(vertices(spiral).index) == 0
    s = parameter(spacing, -2.0, 2.5)
    clothoid = np.stack(fresnel(s)[::-1], axis=1)
    assert len(vertices(clothoid).index) == 0


@pytest.mark.parametrize("spacing", SPACINGS)
def test_circles_and_straight_lines_have_no_vertex(spacing: str) -> None:
    t = parameter(spacing, 0.0, 2 * np.pi)
    assert len(vertices(np.stack([np.cos(t), np.sin(t)], axis=1)).index) == 0
    assert len(vertices(np.stack([t, 3 * t], axis=1)).index) == 0


def test_few_or_resting_points_have_no_vertex() -> None:
    for count in range(5):
        assert len(vertices(np.random.default_rng(0).normal(size=(count, 2))).index) == 0
    assert len(vertices(np.ones((20, 2))).index) == 0


def test_vertices_err_by_the_square_of_the_spacing() -> None:
    def error(count: int) -> float:
        t = parameter("jittered", 0.4, 0.4 + 2 * np.pi + 0.3, count)
        found = vertices(np.stack([2 * np.cos(t), np.sin(t)], axis=1))
        return float(np.abs(found.curvature - [0.25, 2, 0.25, 2]).max())

    assert error(1600) < error(200) / 16


def test_a_stronger_bend_stands_out_more_and_weak_ones_are_left_out_on_request() -> None:
    t = np.linspace(0, 12, 2000)
    bends = np.exp(-((t - 3) ** 2) / 0.1) + 3 * np.exp(-((t - 8) ** 2) / 0.1)
    heading = np.cumsum(bends) * (t[1] - t[0])
    points = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=1), axis=0) * (t[1] - t[0])
    found = vertices(points)
    at = {
        round(value): strength
        for value, strength in zip(t[found.index.astype(int)], found.persistence, strict=True)
    }
    assert at[8] > at[3]
    assert len(vertices(points, min_persistence=(at[8] + at[3]) / 2).index) < len(found.index)


def test_noise_on_a_smoothed_ellipse_adds_no_vertices() -> None:
    counts = []
    for seed in range(10):
        t = parameter("log", 0.4, 0.4 + 2 * np.pi + 0.3, 400)
        noise = 0.003 * np.random.default_rng(seed).normal(size=(400, 2))
        fit = smooth(t, np.stack([2 * np.cos(t), np.sin(t)], axis=1) + noise, bandwidth=0.3)
        counts.append(len(vertices(fit.position, min_persistence=0.1).index))
    assert counts == [4] * 10


def test_points_in_space_are_refused() -> None:
    with pytest.raises(InvalidSpec, match="plane"):
        vertices(np.zeros((10, 3)))


@settings(max_examples=25)
@given(st.floats(-3, 3), st.floats(1e-3, 1e3), st.floats(-2, 2))
def test_rotation_scaling_translation_and_reversal_keep_the_vertices(angle, scale, shift) -> None:
    t = parameter("jittered", 0.4, 7.0)
    points = np.stack([2 * np.cos(t), np.sin(t) + 0.2 * np.cos(2 * t)], axis=1)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    before, after = vertices(points), vertices(scale * (points @ turn.T + shift))
    np.testing.assert_allclose(after.index, before.index, atol=1e-3)
    np.testing.assert_allclose(after.persistence, before.persistence, atol=1e-5)
    np.testing.assert_allclose(after.curvature * scale, before.curvature, rtol=1e-5)
    back = vertices(points[::-1])
    np.testing.assert_allclose(len(t) - 1 - back.index[::-1], before.index, atol=1e-3)
    np.testing.assert_allclose(-back.curvature[::-1], before.curvature, rtol=1e-5)
