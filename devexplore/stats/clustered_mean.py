"""Means over groups of values that come in clusters, with errors that know of the clusters."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


class ClusteredMean(NamedTuple):
    """Means of each label, and how sure they are."""

    mean: Float[np.ndarray, "label column"]
    """NaN for a label without values."""
    se: Float[np.ndarray, "label column"]
    """NaN for a label in fewer than two clusters."""
    size: Int[np.ndarray, " label"]
    """How many values."""
    clusters: Int[np.ndarray, " label"]
    """In how many clusters the label occurs."""


def clustered_mean(
    values: Float[np.ndarray, "pair column"],
    label: Int[np.ndarray, " pair"],
    cluster: Int[np.ndarray, " pair"],
    n_labels: int,
) -> ClusteredMean:
    """Mean of the values of each label, with the standard error of the mean over other clusters of the kind.

    Values of one cluster (tokens of one text) are not independent, so clusters are the units. With residual
    sums r_c = Σ_{i in c} (v_i − v̄) over the G clusters that hold the label, and N values in all,

        se² = G/(G − 1) · Σ_c r_c² / N²

    With one value a cluster this is the usual sd/√G. With few clusters (below about ten) it is too small by
    chance more often than not. Source: Liang & Zeger 1986, "Longitudinal data analysis using generalized
    linear models", for a mean.
    """
    count = np.bincount(label, minlength=n_labels)
    mean = _sums(values, label, n_labels) / np.where(count > 0, count, np.nan)[:, None]
    cell, of_pair = np.unique(np.stack([label, cluster]), axis=1, return_inverse=True)
    residual = _sums(values - mean[label], of_pair.ravel(), cell.shape[1])
    clusters = np.bincount(cell[0], minlength=n_labels)
    several = np.where(clusters > 1, clusters, np.nan)[:, None]
    spread = _sums(residual**2, cell[0], n_labels)
    se = np.sqrt(several / (several - 1) * spread) / np.maximum(count, 1)[:, None]
    return ClusteredMean(mean, se, count, clusters)


def _sums(
    values: Float[np.ndarray, "row column"], group: Int[np.ndarray, " row"], n: int
) -> Float[np.ndarray, "group column"]:
    sums = np.zeros((n, values.shape[1]))
    np.add.at(sums, group, values)
    return sums
