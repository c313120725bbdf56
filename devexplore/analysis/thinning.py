"""Fewer checkpoints where all of them would cost too much."""

import numpy as np
from jaxtyping import Float, Int

MOST_CHECKPOINTS = 400
"""Surrogates cost the square of their number."""


def spread_rows(time: Float[np.ndarray, " step"], most: int = MOST_CHECKPOINTS) -> Int[np.ndarray, " row"]:
    """Rows of at most ``most`` checkpoints, first and last among them, as even in time as they come."""
    if len(time) <= most:
        return np.arange(len(time))
    wanted = np.linspace(time[0], time[-1], most)
    after = np.clip(np.searchsorted(time, wanted), 1, len(time) - 1)
    nearest = np.where(time[after] - wanted < wanted - time[after - 1], after, after - 1)
    return np.unique(np.concatenate([[0], nearest, [len(time) - 1]]))
