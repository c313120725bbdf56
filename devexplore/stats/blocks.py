"""Errors of averages from groups of samples: a bootstrap whose intervals are as wide as Student's."""

import numpy as np
from jaxtyping import Float

from devexplore.errors import InvalidSpec

_Blocks = Float[np.ndarray, "block ..."]


def resampled_means(blocks: _Blocks, resamples: int, seed: int = 0) -> Float[np.ndarray, "resample ..."]:
    """Means of blocks drawn with replacement, the same blocks for everything behind the first dimension.

    With few blocks a plain bootstrap is too sure of itself: its quantiles are a normal distribution's, with
    the variance divided by B, not B − 1. The means' distances from the mean of all blocks are therefore
    multiplied by √(B/(B − 1)) · t/z, the 95 % quantiles of Student's (B − 1 degrees of freedom) and of the
    normal distribution (1.10 with 16 blocks): the central 90 % of a mean of normal blocks is then Student's
    interval.

    Raises InvalidSpec for fewer than two blocks. NaN where any block is NaN.
    """
    from scipy.stats import norm, t  # slow to import, needed only here

    count = len(blocks)
    if count < 2:
        raise InvalidSpec(f"errors are told from at least two blocks of samples, got {count}")
    chosen = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples) / count
    mean = blocks.mean(axis=0)
    wider = (count / (count - 1)) ** 0.5 * float(t.ppf(0.95, count - 1) / norm.ppf(0.95))
    return mean + wider * np.tensordot(chosen - 1 / count, blocks, axes=1)
