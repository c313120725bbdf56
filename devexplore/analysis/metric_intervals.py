"""Intervals of all metrics of a run that were also measured on groups of samples."""

from collections.abc import Mapping

import xarray as xr

from devexplore.analysis.block_intervals import block_intervals


def metric_intervals(
    metrics: xr.Dataset, blocks: xr.Dataset, over: Mapping[str, str] | None = None
) -> dict[str, xr.Dataset]:
    """``block_intervals`` of each metric that is in both Datasets, by its name.

    ``over`` names, for some metrics, another that both value and groups are divided by (the loss of ridge);
    where that one is not measured, the metric has no interval.
    """
    found = {}
    for name in map(str, blocks.data_vars):
        divisor = (over or {}).get(name, "")
        if name not in metrics or (divisor and divisor not in metrics):
            continue
        value, each = metrics[name], blocks[name]
        found[name] = (
            block_intervals(value / metrics[divisor], each / metrics[divisor])
            if divisor
            else block_intervals(value, each)
        )
    return found
