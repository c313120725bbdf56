"""Numbers given as arguments: what passes, and what is told of what does not."""

import numpy as np
import pytest
import xarray as xr

from devexplore.checks import finite_number, whole_number
from devexplore.errors import InvalidSpec


@pytest.mark.parametrize("value", [3, np.int64(3), np.array(3), xr.DataArray(3)])
def test_whole_numbers_of_any_kind_are_ints(value) -> None:
    assert whole_number("n", value, 3) == 3
    assert type(whole_number("n", value)) is int


@pytest.mark.parametrize("value", [2, -1, 3.0, np.float64(3), "3", None, True, np.True_, [3], np.array([3])])
def test_what_is_no_whole_number_is_named_with_what_was_expected(value) -> None:
    with pytest.raises(InvalidSpec, match=r"^n must be a whole number of at least 3, got "):
        whole_number("n", value, 3)


@pytest.mark.parametrize("value", [0, 0.0, np.float32(0), xr.DataArray(0.0)])
def test_a_least_number_may_be_reached_and_one_to_be_above_not(value) -> None:
    assert finite_number("x", value, 0) == 0.0
    with pytest.raises(InvalidSpec, match=r"^x must be a finite number above 0, got "):
        finite_number("x", value, above=0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, "1", None, True, 1j, [1.0]])
def test_what_is_no_finite_number_is_named(value) -> None:
    with pytest.raises(InvalidSpec, match=r"^x must be a finite number, got "):
        finite_number("x", value)
