"""How much to smooth: the bandwidth that predicts left-out points best, by generalised cross-validation."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from devexplore.geometry.smoothing import fit_and_leverage

SHARES = np.geomspace(0.006, 0.1, 10)
"""Default candidates, as shares of the range of time."""

MOST_PLACES = 400
"""Points at which a fit is judged; more would cost the square of their number."""

_MOST_LEVERAGE = 0.9
"""A fit with more parameters than this share of the points leaves nothing to be judged by."""


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
    """The bandwidth of ``smooth`` with the least mean |residual|² / (1 − mean H_tt)².

    That is generalised cross-validation; H is the matrix that takes points to the fit. Both means are over
    at most ``MOST_PLACES`` points, evenly chosen. Noise that hangs together from one point to the next is
    followed, not smoothed away. Where no candidate leaves enough points to judge by, the widest is best.
    Source: Craven & Wahba 1979, "Smoothing noisy data with spline functions".
    """
    bandwidths = candidate_bandwidths(t) if candidates is None else np.asarray(candidates, dtype=np.float64)
    places = np.unique(np.linspace(0, len(t) - 1, MOST_PLACES).round().astype(int))
    error = np.empty(len(bandwidths))
    for i, bandwidth in enumerate(bandwidths):
        fit, leverage = fit_and_leverage(t, points, float(bandwidth), places)
        error[i] = prediction_error(points[places] - fit, float(leverage.mean()))
    return CrossValidation(bandwidths, error, best_of(error))


def prediction_error(residual: Float[np.ndarray, "place v"], leverage: float) -> float:
    """GCV of one fit, from residuals and the mean diagonal element of its hat matrix."""
    if leverage > _MOST_LEVERAGE:
        return np.inf
    return float(np.mean(np.sum(residual**2, axis=1)) / (1 - leverage) ** 2)


def best_of(error: Float[np.ndarray, " candidate"]) -> int:
    """Index of the smallest error; the last, where none is finite."""
    return int(np.argmin(error)) if np.isfinite(error).any() else len(error) - 1
