"""Cusps common to all planes: there where the curve turns back, not where one projection does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devexplore.geometry import Agreement, Smoothed, common_cusps

TIME = np.linspace(-1, 1, 801)
DEGREES = Agreement(place=0.05, turn=np.deg2rad(30))


def exact(coefficients: np.ndarray, time: np.ndarray = TIME) -> Smoothed:
    """A polynomial curve with its exact derivatives; coefficients (power, coordinate)."""
    derivatives = []
    for _ in range(4):
        derivatives.append(np.stack([np.polynomial.polynomial.polyval(time, c) for c in coefficients.T], 1))
        coefficients = np.atleast_2d(np.polynomial.polynomial.polyder(coefficients))
    return Smoothed(*derivatives, bandwidth=np.zeros(len(time)), gain=np.zeros((len(time), 4)))


def singular(rng: np.random.Generator, place: np.ndarray) -> Smoothed:
    """place + aτ² + bτ³ in four coordinates."""
    across = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    return exact(np.stack([place, np.zeros(4), across[0], 0.6 * across[1]]))


@settings(max_examples=30)
@given(st.integers(0, 10_000))
def test_a_cusp_singularity_is_found_in_place_and_time_whatever_the_basis(seed) -> None:
    rng = np.random.default_rng(seed)
    place = rng.normal(size=4)
    found = common_cusps(singular(rng, place), TIME, 0.03, DEGREES)
    assert len(found.time) == 1
    assert found.time[0] == pytest.approx(0, abs=0.002)
    np.testing.assert_allclose(found.center[0], place, atol=0.01)
    assert found.residual[0] < 0.005
    assert np.rad2deg(found.angle[0]) > 150
    assert found.strength[0] > 0.5
    np.testing.assert_allclose(found.plane_radius, 0, atol=0.01)


def test_a_smooth_curve_whose_planes_have_cusps_at_different_times_has_none() -> None:
    t = np.linspace(0, np.pi, 801)
    k = np.arange(1, 5)
    curve = [np.cos(t[:, None] * k), -k * np.sin(t[:, None] * k), -(k**2) * np.cos(t[:, None] * k)]
    smooth = Smoothed(*curve, jerk=curve[0], bandwidth=np.zeros(801), gain=np.zeros((801, 4)))
    found = common_cusps(smooth, t, 0.05, Agreement(place=0.05, turn=0))
    assert len(found.time) == 0
    assert len(found.turns.time) > 0
    worst = found.turns.residual[~np.isnan(found.turns.angle)]
    assert (np.isnan(worst) | (worst > 0.05)).all()


def test_straight_and_evenly_bent_curves_have_none() -> None:
    line = exact(np.stack([np.zeros(4), np.ones(4)]))
    arc = exact(np.stack([np.zeros(4), np.array([1.0, 0, 0, 0]), np.array([0, 1.0, 0, 0])]))
    for curve in (line, arc):
        assert len(common_cusps(curve, TIME, 0.05, DEGREES).time) == 0


def test_a_tiny_wiggle_of_a_curve_at_rest_is_no_cusp() -> None:
    across = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    path = np.where(TIME[:, None] < 0, TIME[:, None] * across[0], 0.004 * (TIME**2)[:, None] * across[1])
    velocity = np.gradient(path, TIME, axis=0)
    acceleration = np.gradient(velocity, TIME, axis=0)
    smooth = Smoothed(path, velocity, acceleration, velocity, np.zeros(801), np.zeros((801, 4)))
    assert len(common_cusps(smooth, TIME, 0.03, DEGREES).time) == 0


def test_two_cusps_at_different_places_are_both_found_strongest_first() -> None:
    rng = np.random.default_rng(3)
    across = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    # dγ/dτ = (τ² − ¼)(a + bτ + cτ²): zero, with a change of sign, at ±½.
    speed = np.array([-0.25, 0, 1])
    velocity = sum(np.outer(np.convolve(speed, np.eye(3)[i]), across[i] * (1, 0.9, 0.8)[i]) for i in range(3))
    found = common_cusps(exact(np.polynomial.polynomial.polyint(velocity)), TIME, 0.03, DEGREES)
    np.testing.assert_allclose(np.sort(found.time), [-0.5, 0.5], atol=0.01)
    assert (np.diff(found.strength) <= 0).all()
