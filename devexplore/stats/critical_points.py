"""Where a noisy curve turns or goes flat: candidate boundaries between stages, with their probability."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from devexplore.stats.noisy_curve import NoisyCurve, noisy_curve


class CriticalPoints(NamedTuple):
    """Candidates in the order of x, and the curve they were read from.

    ``lower`` and ``upper`` hold the middle 90 % of the posterior of ``location`` (of a plateau between two
    rises: its two ends). ``persistence`` is in the
    units of y: the smaller of the curve's moves on the two sides (for an extremum its prominence), so weak
    wiggles rank last.
    """

    location: Float[np.ndarray, " point"]
    lower: Float[np.ndarray, " point"]
    upper: Float[np.ndarray, " point"]
    kind: np.ndarray
    """"maximum", "minimum" (the slope changes sign) or "plateau" (it falls below ``plateau_slope``)."""
    probability: Float[np.ndarray, " point"]
    persistence: Float[np.ndarray, " point"]
    plateau_slope: float
    curve: NoisyCurve


_FLAT_SHARE = 0.35
"""A stretch is flat below this share of the curve's own steep slope (the 95th percentile of |slope|): curves
that climb in bursts are flat between them, though never level."""


class _Candidate(NamedTuple):
    location: float
    lower: float
    upper: float
    kind: str
    probability: float
    persistence: float
    at: int


def critical_points(
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " n"],
    y_se: Float[np.ndarray, " n"] | None = None,
    plateau_slope: float | None = None,
    min_persistence: float | None = None,
    min_probability: float = 0.8,
    rng: np.random.Generator | None = None,
) -> CriticalPoints:
    """Points where a smooth curve through noisy values changes direction or is flat, from its posterior.

    The curve is ``noisy_curve(x, y, y_se)``. Its posterior mean proposes, its draws decide:

    - *extremum* c with bases a < c < b (the ends of its prominence): the share of draws in which f(c) lies
      beyond both f(a) and f(b) by more than ``min_persistence`` (units of y; default 5 % of the curve's
      range; 0 for any sign change). Each such draw has a sign change of its slope between a and b. Without
      the threshold a smooth curve's small wiggles on a flat stretch would be turns, and likely ones.
    - *plateau*: a stretch where the curve is flatter than ``plateau_slope`` (default: 0.35 of the curve's
      steep slope, the 95th percentile of |slope|) and every neighbouring stretch is steeper. The share of
      draws whose average slope over the stretch is below it, and over its neighbours above. Its place is
      the middle of the stretch; for one that reaches an end of the data, where it begins or ends.

    The draws are shared with a straight line as far as that is probable, so noise without a curve has no
    turns. Kept: those of at least ``min_probability``; of a plateau and an extremum on it, the extremum.
    """
    curve = noisy_curve(x, y, y_se, rng)
    height = float(np.ptp(curve.mean))
    steep = float(np.quantile(np.abs(np.diff(curve.mean) / np.diff(curve.x)), 0.95))
    limit = _FLAT_SHARE * steep if plateau_slope is None else plateau_slope
    least = 0.05 * height if min_persistence is None else min_persistence
    extrema = [c for c in _extrema(curve, least) if c.probability >= min_probability]
    plateaus = [
        c for c in _plateaus(curve, limit, least, [e.at for e in extrema]) if c.probability >= min_probability
    ]
    found = sorted(extrema + plateaus)
    columns = zip(*found, strict=True) if found else ((),) * 7
    location, lower, upper, kind, probability, persistence, _ = (np.array(column) for column in columns)
    return CriticalPoints(
        location.astype(float), lower.astype(float), upper.astype(float), kind.astype(str),
        probability.astype(float), persistence.astype(float), limit, curve,
    )  # fmt: skip


def _extrema(curve: NoisyCurve, least: float) -> list[_Candidate]:
    from scipy.signal import find_peaks  # slow to import, needed only here

    found = []
    for kind, sign in (("maximum", 1), ("minimum", -1)):
        draws = sign * curve.draws
        peaks, about = find_peaks(sign * curve.mean, prominence=0)
        for at, left, right, prominence in zip(
            peaks, about["left_bases"], about["right_bases"], about["prominences"], strict=True
        ):
            turns = draws[:, at] - np.maximum(draws[:, left], draws[:, right]) > least
            if not turns.any():
                continue
            places = curve.x[left + np.argmax(draws[turns, left : right + 1], axis=1)]
            lower, upper = np.quantile(places, [0.05, 0.95])
            share = float(turns.mean())
            found.append(
                _Candidate(float(curve.x[at]), lower, upper, kind, share, float(prominence), int(at))
            )
    return found


def _plateaus(curve: NoisyCurve, limit: float, least: float, extrema: list[int]) -> list[_Candidate]:
    """Stretches of the mean flatter than the limit, beside steeper ones; none with a sure extremum on it."""
    slope = np.diff(curve.mean) / np.diff(curve.x)
    # Stretches of grid points first … last: all pieces flat, or all steep in one direction.
    label = np.where(np.abs(slope) < limit, 0, np.sign(slope))
    start, end = _runs(label)
    for first, last in zip(start, end, strict=True):
        # Steep but going nowhere: a wiggle on a flat stretch.
        if abs(curve.mean[last] - curve.mean[first]) < least:
            label[first:last] = 0
    start, end = _runs(label)
    found = []
    for which, (first, last) in enumerate(zip(start, end, strict=True)):
        if label[first] != 0 or len(start) == 1 or any(first <= at <= last for at in extrema):
            continue
        beside = [(start[k], end[k]) for k in (which - 1, which + 1) if 0 <= k < len(start)]
        holds = np.abs(_mean_slope(curve, first, last)) < limit
        for other in beside:
            holds &= np.abs(_mean_slope(curve, *other)) > limit
        if not holds.any():
            continue
        place, lower, upper = _plateau_place(curve, limit, first, last, holds)
        moves = [abs(curve.mean[b] - curve.mean[a]) for a, b in beside]
        share = float(holds.mean())
        found.append(_Candidate(place, lower, upper, "plateau", share, float(min(moves)), int(first)))
    return found


def _runs(label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last grid point of each run of equal labels; neighbouring runs share a point."""
    start = np.concatenate([[0], np.flatnonzero(np.diff(label)) + 1])
    return start, np.concatenate([start[1:], [len(label)]])


def _mean_slope(
    curve: NoisyCurve, first: int | np.integer, last: int | np.integer
) -> Float[np.ndarray, " draw"]:
    return (curve.draws[:, last] - curve.draws[:, first]) / (curve.x[last] - curve.x[first])


def _plateau_place(
    curve: NoisyCurve, limit: float, first: int | np.integer, last: int | np.integer, holds: np.ndarray
) -> tuple[float, float, float]:
    """Middle, lower and upper end of the stretch; at an end of the data, where the draws cross the limit."""
    if first > 0 and last < len(curve.x) - 1:
        return (curve.x[first] + curve.x[last]) / 2, curve.x[first], curve.x[last]
    width = max(2, (last - first) // 2)
    edge = last if first == 0 else first
    near = slice(max(edge - width, 0), min(edge + width + 1, len(curve.x)))
    steep = np.abs(np.diff(curve.draws[holds, near], axis=1)) >= limit * np.diff(curve.x[near])
    # A draw is steep on one side of the edge and flat on the other; count how many pieces are steep.
    count = steep.sum(axis=1)
    place = curve.x[near][-1 - count] if first == 0 else curve.x[near][count]
    lower, middle, upper = np.quantile(place, [0.05, 0.5, 0.95])
    return float(middle), float(lower), float(upper)
