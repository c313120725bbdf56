"""Bands of metrics: as wide as the mean of the blocks scatters, around the metric's own value."""

import numpy as np
import pytest
import xarray as xr

from devexplore.analysis.block_intervals import block_intervals
from devexplore.errors import InvalidSpec


def metric(blocks):
    held = xr.DataArray(
        blocks, dims=("step", "block", "head")[: blocks.ndim], coords={"step": np.arange(len(blocks))}
    )
    return held.mean("block"), held


def test_the_band_is_that_of_a_mean_of_sixteen_blocks():
    value, blocks = metric(np.random.default_rng(0).normal(3, 2, (400, 16)))
    band = block_intervals(value, blocks, draws=1000)
    width = float((band["upper"] - band["lower"]).mean())
    student, spread = 1.753, 2 / 4 * 0.983  # 95 % with 15 degrees of freedom; E[s] = .983 σ of 16 values
    assert width == pytest.approx(2 * student * spread, rel=0.03)
    inside = (band["lower"] < 3) & (band["upper"] > 3)
    assert float(inside.mean()) == pytest.approx(0.9, abs=0.05)


def test_a_ratio_keeps_its_own_value_in_the_middle():
    value, blocks = metric(np.random.default_rng(1).normal(0, 1, (3, 16, 2)))
    moved = block_intervals(value + 10, blocks)
    assert moved["lower"].dims == ("step", "head")
    plain = block_intervals(value, blocks)
    assert np.allclose(moved["lower"], plain["lower"] + 10)


def test_equal_blocks_have_a_band_of_no_width_and_nan_stays_nan():
    value, blocks = metric(np.full((2, 4), 7.0))
    blocks[1, 2] = np.nan
    band = block_intervals(value, blocks)
    assert float(band["lower"][0]) == float(band["upper"][0]) == 7.0
    assert np.isnan(float(band["lower"][1]))


def test_one_block_or_other_steps_are_refused():
    value, blocks = metric(np.ones((2, 1)))
    with pytest.raises(InvalidSpec, match="at least two blocks"):
        block_intervals(value, blocks)
    value, blocks = metric(np.ones((2, 3)))
    with pytest.raises(InvalidSpec, match="at the steps of the values"):
        block_intervals(value.isel(step=[0]), blocks)
