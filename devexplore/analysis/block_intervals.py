"""Intervals of metrics from the groups of samples they were also measured on."""

import numpy as np
import xarray as xr

from devexplore.errors import InvalidSpec
from devexplore.stats.blocks import resampled_means


def block_intervals(
    value: xr.DataArray, blocks: xr.DataArray, *, level: float = 0.9, draws: int = 400, seed: int = 0
) -> xr.Dataset:
    """``lower`` and ``upper`` of a metric at every checkpoint: the central ``level`` of a bootstrap.

    The bootstrap is that of ``stats.blocks``, the same blocks at all checkpoints; a mean's distance from that
    of all blocks is added to ``value``. So a metric that is no mean (a ratio of two) keeps its own value in
    the middle, and its spread is that of the mean of its blocks. It tells how the held-out samples vary, not
    how trainings do.

    ``value`` (step, …), ``blocks`` (step, block, …) at the same steps. NaN where any block is NaN.
    Raises InvalidSpec for fewer than two blocks or other steps.
    """
    if blocks.sizes["block"] < 2 or not np.array_equal(blocks["step"].values, value["step"].values):
        raise InvalidSpec("expected at least two blocks, at the steps of the values")
    each = blocks.transpose("block", *value.dims).values.astype(np.float64)
    off = resampled_means(each, draws, seed) - each.mean(axis=0)
    lower, upper = np.quantile(off, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return xr.Dataset({"lower": value + lower, "upper": value + upper})
