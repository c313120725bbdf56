"""Which measured steps lie nearest, as time is drawn: in ln(1 + step)."""

import numpy as np
from jaxtyping import Int, Real


def nearest_in_log_time(
    measured: Real[np.ndarray, " step"], asked: Real[np.ndarray, "*asked"] | float
) -> Int[np.ndarray, "*asked step"]:
    """Indices of the measured steps, for each one asked for the nearest first (of two as near, the one that
    comes first). Steps are at least 0.
    """
    far = np.abs(np.log1p(measured.astype(np.float64)) - np.log1p(np.asarray(asked, np.float64))[..., None])
    return np.argsort(far, axis=-1, kind="stable")
