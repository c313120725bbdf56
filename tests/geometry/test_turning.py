"""Turning at a scale: corners, lines, circles, and wiggles that do not count."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devexplore.geometry import angle_between, extent, turning


def corner(degrees: float, points: int = 201) -> np.ndarray:
    """Two straight arms of length one that meet in the middle."""
    turn = np.deg2rad(degrees)
    arm = np.linspace(0, 1, points // 2 + 1)[1:, None]
    return np.concatenate([arm[::-1] * [-1, 0, 0], [[0, 0, 0]], arm * [np.cos(turn), np.sin(turn), 0]])


@pytest.mark.parametrize("degrees", [0, 30, 90, 150, 180])
def test_a_corner_turns_by_its_angle_at_every_scale(degrees: float) -> None:
    for scale in (0.05, 0.2, 0.6):
        seen = turning(corner(degrees), scale)
        assert np.rad2deg(seen.angle[100]) == pytest.approx(degrees, abs=1e-5)


def test_ends_nearer_than_the_scale_have_no_turn() -> None:
    seen = turning(corner(90), 0.2)
    assert np.isnan(seen.angle[:20]).all()
    assert np.isnan(seen.angle[-20:]).all()
    assert (seen.before[:20] == -1).all()


def test_a_full_circle_turns_once_around_less_the_first_and_last_chord() -> None:
    angle = np.linspace(0, 2 * np.pi, 4001)
    seen = turning(np.stack([np.cos(angle), np.sin(angle)], axis=1), 0.1)
    chord = 2 * np.arcsin(0.05)
    assert 2 * np.pi - 2.1 * chord < seen.total <= 2 * np.pi
    np.testing.assert_allclose(seen.angle[500:-500], chord, rtol=0.02)


def test_wiggles_below_the_scale_do_not_turn_the_curve() -> None:
    x = np.linspace(0, 1, 2001)
    wiggly = np.stack([x, 0.002 * np.sin(400 * x)], axis=1)
    assert turning(wiggly, 0.0005).total > 20
    assert turning(wiggly, 0.2).total < 0.1


@settings(max_examples=30)
@given(st.integers(0, 1000), st.floats(0.01, 100))
def test_rotation_translation_and_scaling_with_the_curve_change_nothing(seed, factor) -> None:
    rng = np.random.default_rng(seed)
    curve = np.cumsum(rng.normal(size=(60, 3)), axis=0)
    moved = factor * curve @ np.linalg.qr(rng.normal(size=(3, 3)))[0] + rng.normal(size=3)
    scale = 0.3123 * extent(curve)
    a, b = turning(curve, scale), turning(moved, factor * scale)
    np.testing.assert_array_equal(a.after, b.after)
    np.testing.assert_allclose(a.angle, b.angle, atol=1e-6)
    assert a.total == pytest.approx(b.total, abs=1e-6)


def test_angles_with_a_zero_vector_are_right_angles() -> None:
    assert angle_between(np.zeros(3), np.ones(3)) == pytest.approx(np.pi / 2)


def test_a_curve_that_never_moves_does_not_turn_and_an_offset_changes_nothing() -> None:
    still = turning(np.zeros((10, 3)), 0.0)
    assert still.total == 0
    assert np.isnan(still.angle).all()
    curve = np.cumsum(np.random.default_rng(0).normal(size=(60, 3)), axis=0)
    curve /= extent(curve)
    assert turning(curve + 1e5, 0.05).total == pytest.approx(turning(curve, 0.05).total, rel=1e-4)
