"""Free energies and where they cross: hand-computed crossings, domination, certainty and its lack."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import norm

from devexplore.errors import InvalidSpec
from devexplore.stats.free_energy import crossing, free_energies, preference


def pair(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)


def test_a_free_energy_is_n_times_the_loss_plus_lambda_logarithms_of_n():
    found = free_energies(pair(0.5, 2.0), pair(3.0, 0.0), pair(1.0, np.e**2))
    np.testing.assert_allclose(found, [[0.5, 0.5 * np.e**2 + 6], [2.0, 2 * np.e**2]])


def test_crossings_computed_by_hand():
    """e⁵/5 = r has the root n = e⁵; the published pentagon and hexagon of six features: n = 445."""
    assert crossing(pair(1.0, 0.0), pair(0.0, np.e**5 / 5)) == pytest.approx(np.e**5)
    hexagon = crossing(pair(0.06874, 0.04819), pair(7.0, 8.5))
    assert hexagon == pytest.approx(brentq(lambda n: 0.02055 * n - 1.5 * np.log(n), 10, 1e4))
    assert hexagon == pytest.approx(445.1, abs=0.1)


@given(gain=st.floats(1e-9, 2), exponent=st.floats(1.1, 25), swap=st.booleans())
def test_beyond_the_crossing_the_lower_loss_wins_and_before_it_the_lower_lambda(
    gain: float, exponent: float, swap: bool
):
    order = [1, 0] if swap else [0, 1]
    losses, llcs = pair(0.0, -gain)[order], pair(0.0, gain * np.exp(exponent) / exponent)[order]
    n = crossing(losses, llcs)
    assert n == pytest.approx(np.exp(exponent), rel=1e-5)
    before, after = free_energies(losses, llcs, np.array([n / 1.01, n * 1.01])).T
    assert before.argmin() == np.argmin(llcs)
    assert after.argmin() == np.argmin(losses)


@given(loss=st.floats(-3, 3), llc=st.floats(0, 100))
def test_only_differences_decide(loss: float, llc: float):
    n = crossing(pair(1.0, 0.5), pair(2.0, 7.0))
    assert crossing(pair(1.0, 0.5) + loss, pair(2.0, 7.0) + llc) == pytest.approx(n, rel=1e-9)


@pytest.mark.parametrize(
    ("losses", "llcs"),
    [
        ((1.0, 0.5), (3.0, 2.0)),  # the second has both lower
        ((0.5, 1.0), (2.0, 3.0)),  # the first has
        ((1.0, 0.5), (3.0, 3.0)),  # alike in λ
        ((1.0, 1.0), (2.0, 3.0)),  # alike in loss
        ((1.0, 0.0), (0.0, 2.7)),  # r < e
        ((np.nan, 0.0), (0.0, 9.0)),
    ],
)
def test_where_one_is_better_at_every_n_there_is_no_crossing(losses, llcs):
    assert np.isnan(crossing(pair(*losses), pair(*llcs)))


def test_without_errors_probabilities_are_zero_or_one_and_switch_at_the_crossing():
    loss, llc = pair(1.0, 0.9, 0.89, 2.0), pair(1.0, 5.0, 6.0, 7.0)
    n = np.geomspace(2, 1e6, 200)
    found = preference(loss, llc, np.zeros(4), n)
    assert set(np.unique(found.preferred)) == {0, 1}
    np.testing.assert_array_equal(found.preferred.argmax(axis=0), free_energies(loss, llc, n).argmin(axis=0))
    assert (found.preferred[3] == 0).all()  # worse than all others everywhere
    np.testing.assert_array_equal(found.lower[:2], found.crossing[:2])
    np.testing.assert_array_equal(found.upper[:2], found.crossing[:2])
    np.testing.assert_array_equal(found.probability, [1, 1, 0])
    assert np.isnan(found.crossing[2])


def test_the_probability_is_that_of_the_normal_distribution_of_the_difference():
    """Two solutions: the second is preferred where λ₂ − λ₁ < −n·ΔL / ln n."""
    n = np.array([30.0, 45.0, 60.0])
    found = preference(pair(1.0, 0.9), pair(2.0, 3.0), pair(0.3, 0.4), n, draws=40_000)
    expected = norm.cdf((0.1 * n / np.log(n) - 1.0) / 0.5)
    np.testing.assert_allclose(found.preferred[1], expected, atol=4 * 0.5 / 200)
    np.testing.assert_allclose(found.preferred.sum(axis=0), 1)
    low, high = (
        brentq(lambda n, q=q: 0.1 * n / np.log(n) - 1 - 0.5 * norm.ppf(q), np.e, 1e4) for q in (0.4, 0.95)
    )
    assert found.upper[0] == pytest.approx(high, rel=0.02)
    assert low < found.crossing[0] < high


def test_a_solution_that_nothing_is_known_of_is_left_out_and_the_others_compared():
    n = np.array([10.0, 1e6])
    found = preference(pair(1.0, 0.5, 0.9), pair(1.0, np.nan, 4.0), pair(0.1, 0.1, 0.1), n)
    assert np.isnan(found.preferred[1]).all()
    np.testing.assert_array_equal(found.preferred[[0, 2]], [[1, 0], [0, 1]])
    assert np.isnan([found.crossing, found.lower, found.upper, found.probability]).all()
    nothing = preference(pair(np.nan), pair(1.0), pair(0.0), n)
    assert np.isnan(nothing.preferred).all()
    assert nothing.crossing.shape == (0,)


def test_impossible_numbers_are_refused():
    with pytest.raises(InvalidSpec, match="at least 1"):
        free_energies(pair(1.0), pair(1.0), pair(0.5))
    with pytest.raises(InvalidSpec, match="standard errors"):
        preference(pair(1.0), pair(1.0), pair(-1.0), pair(10.0))
