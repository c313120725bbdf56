"""When a noisy curve falls below a level: exact on known curves, blind to dips and excursions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.isotonic import IsotonicRegression

from devexplore.stats.crossing import falling_crossing

X = np.log1p(np.concatenate([np.arange(10), np.geomspace(10, 10_000, 120)]))


def crossing(y: np.ndarray, level: float = 0.5) -> float:
    return float(falling_crossing(X, y[:, None], np.array([level]))[0])


@pytest.mark.parametrize("center", [1.0, 3.3, 5.0, 8.2])
@pytest.mark.parametrize("width", [0.05, 0.3, 0.6])
def test_a_fall_is_found_where_it_is_half_way(center: float, width: float) -> None:
    y = 1 / (1 + np.exp((X - center) / width))
    right = int(np.searchsorted(X, center))
    assert abs(crossing(y) - center) <= (X[right] - X[right - 1]) / 2  # as near as points let it be told


def test_a_straight_fall_between_two_points_is_read_off_exactly() -> None:
    assert (
        falling_crossing(np.array([0.0, 1.0, 3.0]), np.array([[4.0], [3.0], [0.0]]), np.array([1.5])) == 2.0
    )


def test_an_early_dip_and_a_late_excursion_are_no_crossing() -> None:
    y = (X < 6).astype(float)
    dip, excursion = y.copy(), y.copy()
    dip[(X > 3) & (X < 3.5)] = 0.0
    excursion[(X > 8) & (X < 8.5)] = 1.0
    assert crossing(dip) == crossing(excursion) == crossing(y)


def test_noise_moves_the_crossing_by_little() -> None:
    y = 1 / (1 + np.exp((X - 5) / 0.3))
    noisy = y[:, None] + np.random.default_rng(0).normal(scale=0.2, size=(len(X), 400))
    found = falling_crossing(X, noisy, np.full(400, 0.5))
    # Slope at the level 1/(4·0.3), noise 0.2 at a spacing of 0.058: of the order 0.1 in x, centred.
    assert abs(np.mean(found) - 5) < 3 * found.std() / 20
    assert found.std() < 0.2


@given(arrays(np.float64, (12, 3), elements=st.floats(-4, 4)), st.floats(-3, 3))
def test_it_is_the_crossing_of_the_best_never_rising_curve(y: np.ndarray, level: float) -> None:
    x = np.cumsum(np.linspace(0.2, 1.3, 12))
    found = falling_crossing(x, y, np.full(3, level))
    for place, column in zip(found, y.T, strict=True):
        best = IsotonicRegression(increasing=False).fit_transform(x, column, sample_weight=np.gradient(x))
        if np.abs(best - level).min() < 1e-9:
            continue  # at the level itself any point of the flat stretch will do
        above = int((best > level).sum())
        low, high = x[max(above - 1, 0)], x[min(above, 11)]
        assert low - 1e-12 <= place <= high + 1e-12


@given(arrays(np.float64, 12, elements=st.floats(-4, 4)), st.floats(0.1, 9), st.floats(-5, 5))
def test_scale_and_offset_of_the_loss_do_not_matter(y: np.ndarray, scale: float, offset: float) -> None:
    y = np.round(y, 3)  # ties stay ties
    x, level = np.arange(12.0), 0.3333333
    moved = falling_crossing(x, (scale * y + offset)[:, None], np.array([scale * level + offset]))
    np.testing.assert_allclose(moved, falling_crossing(x, y[:, None], np.array([level])), atol=1e-6)


def test_curves_that_never_cross_give_an_end_and_missing_values_none() -> None:
    flat = np.ones((len(X), 3))
    flat[4, 2] = np.nan
    found = falling_crossing(X, flat, np.array([2.0, 0.5, 0.5]))
    assert found[0] == X[0]
    assert found[1] == X[-1]
    assert np.isnan(found[2])
    assert falling_crossing(np.zeros(1), np.ones((1, 1)), np.zeros(1)) == 0.0
