"""How much to smooth: the bandwidth that predicts left-out points best, by generalised cross-validation."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from devexplore.geometry.smoothing import fit_and_trace

SHARES = np.geomspace(0.006, 0.1, 10)
"""Default candidates, as shares of the range of time."""

_MOST_PARAMETERS = 0.9
"""Share of the points above which a fit leaves nothing to be judged by."""


class CrossValidation(NamedTuple):
    """Candidates, widest last, with their error; ``best`` is the index of the smallest.

    The error estimates the squared prediction error of a left-out point, summed over coordinates (units of
    the points, squared); infinite where the fit has nearly as many parameters as there are points.
    """

    bandwidth: Float[np.ndarray, " candidate"]
    error: Float[np.ndarray, " candidate"]
    best: int


def candidate_bandwidths(t: Float[np.ndarray, " step"]) -> Float[np.ndarray, " candidate"]:
    """``SHARES`` of the range of time; of one, where all times are the same."""
    span = float(np.ptp(t))
    return SHARES * (span if span > 0 else 1.0)


def choose_bandwidth(
    t: Float[np.ndarray, " step"],
    points: Float[np.ndarray, "step v"],
    candidates: Float[np.ndarray, " candidate"] | None = None,
) -> CrossValidation:
    """The bandwidth of ``smooth`` by generalised cross-validation, GCV(h) = T·Σ|residual|² / (T − tr H)².

    H is the matrix that takes points to the fit. Noise that hangs together from one point to the next is
    followed, not smoothed away. Where no candidate leaves enough points to judge by, the widest is best.
    Source: Craven & Wahba 1979, "Smoothing noisy data with spline functions".
    """
    bandwidths = candidate_bandwidths(t) if candidates is None else np.asarray(candidates, dtype=np.float64)
    error = np.empty(len(bandwidths))
    for i, bandwidth in enumerate(bandwidths):
        fit, parameters = fit_and_trace(t, points, float(bandwidth))
        error[i] = prediction_error(points, fit, parameters)
    return CrossValidation(bandwidths, error, best_of(error))


def prediction_error(
    points: Float[np.ndarray, "step v"], fit: Float[np.ndarray, "step v"], parameters: float
) -> float:
    """GCV of one fit with so many parameters (the trace of its hat matrix)."""
    count = len(points)
    if parameters > _MOST_PARAMETERS * count:
        return np.inf
    return float(count * np.sum((points - fit) ** 2) / (count - parameters) ** 2)


def best_of(error: Float[np.ndarray, " candidate"]) -> int:
    """Index of the smallest error; the last, where none is finite."""
    return int(np.argmin(error)) if np.isfinite(error).any() else len(error) - 1
