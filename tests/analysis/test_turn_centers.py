"""A circle's centre as a point of function space: where it is, of what, and where there is none."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from devexplore.analysis import essential_dynamics
from devexplore.analysis.turn_centers import circle_center
from devexplore.errors import InvalidSpec
from devexplore.measure.mixture import mixture

STEPS = np.unique(np.geomspace(10, 10_000, 80).astype(int))
FRAME = np.linalg.qr(np.random.default_rng(0).normal(size=(50, 2)))[0]


def outputs(curve: np.ndarray) -> xr.DataArray:
    return xr.DataArray(5 + curve @ FRAME.T, dims=("step", "feature"), coords={"step": STEPS})


def arc(radius: float = 7.0) -> xr.DataArray:
    """A piece of a circle whose centre has all features 5."""
    angle = 0.8 * np.log(STEPS)
    return outputs(radius * np.stack([np.cos(angle), np.sin(angle)], axis=1))


@settings(max_examples=20)
@given(st.floats(30, 5_000), st.floats(0.1, 100))
def test_the_weights_of_a_circles_center_combine_its_points_to_the_center(step: float, radius: float) -> None:
    output = arc(radius)
    center = circle_center(essential_dynamics(output), step)
    np.testing.assert_allclose(center.weights.sum(), 1.0)
    # Local cubics flatten a circle a little: by less than 2 % at this bandwidth.
    np.testing.assert_allclose(center.weights.values @ output.values, 5.0, atol=0.01 * radius)
    np.testing.assert_allclose(center.radius, radius, rtol=0.02)
    gap = np.linalg.norm(center.coordinates - center.path_coordinates)
    np.testing.assert_allclose(gap, center.radius)


def test_it_is_taken_at_the_nearest_checkpoint_with_the_paths_own_point() -> None:
    output = arc()
    center = circle_center(essential_dynamics(output), 297.0)
    nearest = STEPS[np.argmin(np.abs(np.log1p(STEPS) - np.log1p(297)))]
    assert int(center.step) == nearest
    here = output.sel(step=nearest).values
    np.testing.assert_allclose(center.path_weights.values @ output.values, here, atol=1e-3)


def test_it_can_be_lifted_as_a_form_is() -> None:
    center = circle_center(essential_dynamics(arc()), 300)
    mix = mixture(center)
    assert mix.names == ("lifted", "path", "nearest", "start", "end")
    assert mix.step[0] == mix.step[1] == mix.step[2] == float(center.step)


def test_a_straight_trajectory_has_no_center() -> None:
    line = np.log(STEPS)[:, None] * np.array([[1.0, 2.0]])
    with pytest.raises(InvalidSpec, match="no circle"):
        circle_center(essential_dynamics(outputs(line)), 300)


@pytest.mark.parametrize("step", [9, 10_001, np.nan])
def test_a_step_outside_the_run_is_refused(step: float) -> None:
    with pytest.raises(InvalidSpec, match="10 … 10,000"):
        circle_center(essential_dynamics(arc()), step)
