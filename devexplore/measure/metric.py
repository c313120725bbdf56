"""One thing that says what a network does or how it is built, with what its error can be told from."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

BLOCKS = 16
"""Disjoint groups of samples in which averages are also kept: a bootstrap resamples these."""


class Metric(NamedTuple):
    """Values of one checkpoint. ``blocks`` has one more dimension in front: the same quantity on each of
    ``BLOCKS`` disjoint groups of samples, where it averages over samples; None where it does not (weights).
    """

    dims: tuple[str, ...]
    values: np.ndarray
    attrs: Mapping[str, str]
    blocks: np.ndarray | None = None
    coords: Mapping[str, Any] = {}
    """Labels of dimensions, such as {"component": names}; the same at every checkpoint."""


def averaged(samples: Tensor, dims: tuple[str, ...], attrs: Mapping[str, str]) -> Metric:
    """Mean over the samples (dimension 0) of any shape behind it, NaN left out, and its blocks: runs of
    samples as equal as can be.
    """
    values = samples.detach().cpu().double().numpy()
    groups = np.array_split(values, min(BLOCKS, len(values)))
    blocks = np.stack([np.nanmean(group, axis=0) for group in groups])
    return Metric(dims, np.nanmean(values, axis=0).astype(np.float32), attrs, blocks.astype(np.float32))


def counted(dims: Sequence[str], sizes: Sequence[int]) -> dict[str, np.ndarray]:
    """Labels 1, 2, … of each of these dimensions, as layers and heads are counted."""
    return {dim: np.arange(1, size + 1) for dim, size in zip(dims, sizes, strict=True)}


def number(value: float, attrs: Mapping[str, str]) -> Metric:
    """One number without blocks."""
    return Metric((), np.array(value, dtype=np.float32), attrs)
