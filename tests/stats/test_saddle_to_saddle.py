"""Growth of a mode: against integration of its equation and against gradient descent itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from devexplore.errors import InvalidSpec
from devexplore.stats.saddle_to_saddle import growth_time


@given(
    layers=st.integers(2, 7), value=st.floats(0.3, 8), start=st.floats(1e-4, 0.9), stop=st.floats(1e-4, 0.95)
)
def test_the_closed_form_is_the_integral_of_the_growth_equation(
    layers: int, value: float, start: float, stop: float
):
    first, last = (start * value) ** (1 / layers), (stop * value) ** (1 / layers)
    expected = quad(lambda c: 1 / (c ** (layers - 1) * (value - c**layers)), first, last)[0]
    found = growth_time(start * value, stop * value, value, layers)
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("layers", [2, 3, 4])
def test_small_steps_of_gradient_descent_on_aligned_layers_take_that_many_steps(layers: int):
    """Diagonal layers, ½‖T − W_L…W_1‖²: the modes learn one by one at the predicted steps."""
    values, rate, start = np.array([2.0, 1.0]), 1e-3, 0.2
    weights = [np.diag([start, start]) for _ in range(layers)]
    predicted = growth_time(start**layers, values / 2, values, layers) / rate
    crossed = np.full(2, np.nan)
    for step in range(int(predicted.max() * 1.1)):
        product = np.linalg.multi_dot(weights)
        crossed = np.where(np.isnan(crossed) & (np.diag(product) >= values / 2), step, crossed)
        error = np.diag(values) - product
        slopes = []
        for place in range(layers):
            above, below = np.eye(2), np.eye(2)
            for weight in weights[place + 1 :]:
                above = weight @ above
            for weight in weights[:place]:
                below = weight @ below
            slopes.append(above.T @ error @ below.T)
        weights = [weight + rate * slope for weight, slope in zip(weights, slopes, strict=True)]
    np.testing.assert_allclose(crossed, predicted, rtol=5e-3)


def test_the_plateau_lasts_as_the_docstring_says_and_strong_modes_go_first():
    times = growth_time(1e-3**3, np.array([2.0, 1.0]), np.array([4.0, 2.0]), 3)
    np.testing.assert_allclose(times, 1 / (np.array([4, 2]) * 1e-3), rtol=2e-3)
    two = growth_time(1e-4**2, 0.5, 1.0, 2)
    assert two == pytest.approx(np.log(1e4), rel=1e-6)


def test_from_nothing_beyond_the_teacher_or_with_the_wrong_sign_there_is_no_time():
    assert np.isnan(
        growth_time(np.array([0.0, -0.1, 0.1, 3.0]), np.array([1.0, 1.0, 2.0, 1.0]), 2.0, 3)
    ).all()
    assert growth_time(1.0, 0.5, 2.0, 3) == -growth_time(0.5, 1.0, 2.0, 3)
    with pytest.raises(InvalidSpec, match="at least 2 layers"):
        growth_time(0.1, 0.5, 1.0, 1)
