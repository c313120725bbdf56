"""The nearest of measured steps, in ln(1 + step)."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from devexplore.geometry import nearest_in_log_time

MEASURED = np.array([0, 10, 100, 1000])


def test_half_way_is_the_geometric_mean_and_beyond_the_ends_lie_the_ends() -> None:
    half = math.sqrt(11 * 101) - 1
    asked = np.array([0, half - 0.1, half + 0.1, 1e9])
    assert nearest_in_log_time(MEASURED, asked)[:, 0].tolist() == [0, 1, 2, 3]
    assert nearest_in_log_time(MEASURED, half + 0.1).tolist() == [2, 1, 3, 0]


def test_of_two_as_near_the_first_is_taken() -> None:
    assert nearest_in_log_time(np.array([5, 5]), 5).tolist() == [0, 1]


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=20, unique=True), st.floats(0, 1e12))
def test_farther_ones_follow_nearer_ones(measured: list[int], asked: float) -> None:
    order = nearest_in_log_time(np.array(measured), asked)
    far = np.abs(np.log1p(np.array(measured)) - np.log1p(asked))[order]
    assert sorted(order.tolist()) == list(range(len(measured)))
    assert (np.diff(far) >= 0).all()
