"""Local polynomial smoothing in a declared time coordinate: position and three derivatives together."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from devexplore.errors import InvalidSpec

_ROWS_AT_ONCE = 64
_REACH = 9.0
"""Bandwidths beyond which a weight, exp(−40), is below rounding."""

_MEDIAN_OF_NORMAL = 0.6745  # of |N(0, 1)|


class Smoothed(NamedTuple):
    """A smoothed curve and its derivatives in the time coordinate (units of the points over time^k).

    ``bandwidth`` is the one used at each place: the declared one, or wider where the points are too sparse
    for it. ``gain[i, k]`` is the standard error of the k-th derivative at place i for independent noise of
    size one.
    """

    position: Float[np.ndarray, "at v"]
    velocity: Float[np.ndarray, "at v"]
    acceleration: Float[np.ndarray, "at v"]
    jerk: Float[np.ndarray, "at v"]
    bandwidth: Float[np.ndarray, " at"]
    gain: Float[np.ndarray, "at 4"]


def smooth(
    t: Float[np.ndarray, " step"],
    points: Float[np.ndarray, "step v"],
    bandwidth: float,
    degree: int = 3,
    at: Float[np.ndarray, " at"] | None = None,
) -> Smoothed:
    """Local polynomial regression with weights exp(−(t−t₀)²/2h²), at the places ``at`` (default ``t``).

    Each place t₀ gets the least-squares polynomial of the given degree, and k! times its k-th coefficient is
    the k-th derivative. Exact on polynomials up to the degree, at any spacing. Otherwise, with degree 3 and
    away from the ends, position errs by O(h⁴), velocity by O(h⁴), acceleration and jerk by O(h²). At the ends
    the fit is one-sided: same formulae, lower order, more noise.

    ``bandwidth`` h is in units of ``t``. Where fewer than degree + 1 points lie within h, it widens to the
    distance of the (degree + 1)-th nearest. With fewer distinct times than degree + 1 the degree falls
    accordingly (two points: a line), and the derivatives above it are zero.

    Raises:
        InvalidSpec: for times that decrease, a bandwidth that is not positive, or arrays that do not match.
    """
    t, points = np.asarray(t, dtype=np.float64), np.asarray(points, dtype=np.float64)
    if t.ndim != 1 or points.ndim != 2 or len(t) != len(points) or len(t) == 0:
        raise InvalidSpec(f"expected times (step,) and points (step, v), got {t.shape} and {points.shape}")
    at = t if at is None else np.asarray(at, dtype=np.float64)
    width, degree = _widths(t, at, bandwidth, degree)
    derivatives, gain = np.zeros((4, len(at), points.shape[1])), np.zeros((len(at), 4))
    for rows, near, weights in _blocks(t, at, width, degree):
        derivatives[:, rows] = weights @ points[near]
        gain[rows] = np.linalg.norm(weights, axis=2).T
    return Smoothed(*derivatives, bandwidth=width, gain=gain)


class Smoother(NamedTuple):
    """``smooth`` for many curves over the same times: ``weights`` (derivative, at, step) times the points."""

    weights: Float[np.ndarray, "4 at step"]
    bandwidth: Float[np.ndarray, " at"]

    def __call__(self, points: Float[np.ndarray, "step v"]) -> Smoothed:
        gain = np.linalg.norm(self.weights, axis=2).T
        return Smoothed(*(self.weights @ points), bandwidth=self.bandwidth, gain=gain)


def fit_and_leverage(
    t: Float[np.ndarray, " step"],
    points: Float[np.ndarray, "step v"],
    bandwidth: float,
    places: Int[np.ndarray, " place"],
    degree: int = 3,
) -> tuple[Float[np.ndarray, "place v"], Float[np.ndarray, " place"]]:
    """Smoothed points at some of their own times, and how much each fit there leans on its own point."""
    width, degree = _widths(t, t[places], bandwidth, degree)
    position, leverage = np.empty((len(places), points.shape[1])), np.empty(len(places))
    for rows, near, weights in _blocks(t, t[places], width, degree):
        position[rows] = weights[0] @ points[near]
        leverage[rows] = weights[0][np.arange(len(weights[0])), places[rows] - near.start]
    return position, leverage


def smoother(
    t: Float[np.ndarray, " step"],
    bandwidth: float,
    degree: int = 3,
    at: Float[np.ndarray, " at"] | None = None,
) -> Smoother:
    """The weights of ``smooth``, same conventions and errors; they take 32·at·step bytes."""
    t = np.asarray(t, dtype=np.float64)
    at = t if at is None else np.asarray(at, dtype=np.float64)
    width, degree = _widths(t, at, bandwidth, degree)
    weights = np.zeros((4, len(at), len(t)))
    for rows, near, some in _blocks(t, at, width, degree):
        weights[:, rows, near] = some
    return Smoother(weights, width)


def noise_size(t: Float[np.ndarray, " step"], points: Float[np.ndarray, "step v"]) -> Float[np.ndarray, " v"]:
    """Standard deviation of each coordinate's noise: how far points lie from the line between neighbours.

    The median over points, so that the curve's own bends, where points are sparse, do not count as noise.
    Zero with fewer than three points. Source: Gasser, Sroka & Jennen-Steinmetz 1986, "Residual variance and
    residual pattern in nonlinear regression", with a median for their mean.
    """
    _, off = _pseudo_residuals(t, points)
    if len(off) == 0:
        return np.zeros(points.shape[1])
    return np.median(off, axis=0) / _MEDIAN_OF_NORMAL


def local_noise(
    t: Float[np.ndarray, " step"], points: Float[np.ndarray, "step v"], neighbours: int = 15
) -> Float[np.ndarray, "step v"]:
    """``noise_size`` around each point, from so many neighbours: noise may grow or fall in training."""
    rows, off = _pseudo_residuals(t, points)
    if len(rows) == 0:
        return np.zeros_like(points)
    count = min(neighbours, len(rows))
    first = np.clip(np.searchsorted(rows, np.arange(len(t))) - count // 2, 0, len(rows) - count)
    windows = np.lib.stride_tricks.sliding_window_view(off, count, axis=0)
    return np.median(windows, axis=-1)[first] / _MEDIAN_OF_NORMAL


def _pseudo_residuals(
    t: Float[np.ndarray, " step"], points: Float[np.ndarray, "step v"]
) -> tuple[np.ndarray, Float[np.ndarray, "inner v"]]:
    """Inner rows, and how far each lies from the line between its neighbours, scaled to the noise's size."""
    rows = 1 + np.flatnonzero(t[2:] > t[:-2])
    share = ((t[rows + 1] - t[rows]) / (t[rows + 1] - t[rows - 1]))[:, None]
    off = points[rows] - share * points[rows - 1] - (1 - share) * points[rows + 1]
    return rows, np.abs(off) / np.sqrt(1 + share**2 + (1 - share) ** 2)


def _widths(
    t: Float[np.ndarray, " step"], at: Float[np.ndarray, " at"], bandwidth: float, degree: int
) -> tuple[Float[np.ndarray, " at"], int]:
    """The bandwidth at each place, wide enough for the degree, and the degree that the times allow."""
    if not np.all(np.diff(t) >= 0):
        raise InvalidSpec("expected times in increasing order; sort the checkpoints by step first")
    if not bandwidth > 0 or not math.isfinite(bandwidth):
        raise InvalidSpec(
            f"bandwidth must be a positive number in units of the time coordinate, got {bandwidth}"
        )
    if degree < 1:
        raise InvalidSpec(f"degree must be at least 1, got {degree}")
    distinct = np.unique(t)
    degree = min(degree, len(distinct) - 1)
    return np.maximum(bandwidth, _reach(distinct, at, degree + 1)), degree


def _blocks(
    t: Float[np.ndarray, " step"],
    at: Float[np.ndarray, " at"],
    width: Float[np.ndarray, " at"],
    degree: int,
) -> Iterator[tuple[slice, slice, Float[np.ndarray, "4 row near"]]]:
    """Some places at a time: which places, which points are near enough to count, their weights."""
    for first in range(0, len(at), _ROWS_AT_ONCE):
        rows = slice(first, min(first + _ROWS_AT_ONCE, len(at)))
        reach = _REACH * width[rows].max()
        start = int(np.searchsorted(t, at[rows].min() - reach))
        stop = int(np.searchsorted(t, at[rows].max() + reach, side="right"))
        yield rows, slice(start, stop), _derivative_weights(t[start:stop], at[rows], width[rows], degree)


def _derivative_weights(
    t: Float[np.ndarray, " step"],
    at: Float[np.ndarray, " rows"],
    width: Float[np.ndarray, " rows"],
    degree: int,
) -> Float[np.ndarray, "4 rows step"]:
    """The fit is linear: derivative k at a place is Σ_t weights[k, place, t]·points[t]."""
    scaled = (t[None] - at[:, None]) / width[:, None]  # in bandwidths, so that the basis is well conditioned
    root_weight = np.exp(-(scaled**2) / 4)
    basis = root_weight[..., None] * scaled[..., None] ** np.arange(degree + 1)
    orthogonal, triangle = np.linalg.qr(basis)
    solution = np.linalg.solve(triangle, np.swapaxes(orthogonal * root_weight[..., None], 1, 2))
    weights = np.zeros((4, len(at), len(t)))
    for order in range(min(degree, 3) + 1):
        weights[order] = solution[:, order] * (math.factorial(order) / width**order)[:, None]
    return weights


def _reach(
    t: Float[np.ndarray, " step"], at: Float[np.ndarray, " at"], count: int
) -> Float[np.ndarray, " at"]:
    """Distance from each place to the ``count``-th nearest of the times."""
    reach = np.empty(len(at))
    for first in range(0, len(at), _ROWS_AT_ONCE):
        rows = slice(first, first + _ROWS_AT_ONCE)
        distance = np.abs(t[None] - at[rows, None])
        reach[rows] = np.partition(distance, count - 1, axis=1)[:, count - 1]
    return reach
