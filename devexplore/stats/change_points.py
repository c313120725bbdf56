"""Where a curve has steps: levels with changes between them, for staircases rather than turns."""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from devexplore.errors import InvalidSpec
from devexplore.stats.points import numbers, points_in_order

_MOST_POINTS = 500
_FEW = 10.0
_UNSETTLED = 1e9
"""How much less a point between levels weighs than one on a level."""

_MAD = 1.4826
"""A normal distribution's standard deviation over its median absolute deviation."""


class ChangePoints(NamedTuple):
    """Changes in the order of x. ``at`` is the first x of the new level.

    ``lower`` and ``upper`` hold the change with 90 %: it lies between two points, so that a sure one has the
    point before it and ``at`` itself.
    """

    at: Float[np.ndarray, " change"]
    lower: Float[np.ndarray, " change"]
    upper: Float[np.ndarray, " change"]
    before: Float[np.ndarray, " change"]
    """The level before; ``after`` the one behind. ``jump_se`` is the standard error of their difference."""
    after: Float[np.ndarray, " change"]
    jump_se: Float[np.ndarray, " change"]
    noise: float
    """Standard deviation of a value about its level, beyond the standard errors that were given."""
    penalty: float


def change_points(
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " n"],
    y_se: Float[np.ndarray, " n"] | None = None,
    *,
    penalty: float | None = None,
    min_length: int = 3,
    resolution: float = 0.01,
) -> ChangePoints:
    """Fit levels to the values in the order of x (its spacing plays no part) by penalised least squares:

        minimise  Σ_i (y_i − level(i))² / (y_se_i² + noise²)  +  penalty · (number of changes),

    exactly, by PELT (Killick et al. 2012; ``ruptures``). The noise is learned from the differences of
    neighbours (median absolute deviation, which a few steps do not move) beyond the standard errors given; it
    is at least ``resolution`` of the range of y, so that a curve without noise is not cut at every digit.

    A level lasts at least ``min_length`` points. Shorter ones are a transition between the levels on both
    sides (or outliers on one level): the change is put where the values pass from nearer the one to nearer
    the other, and its interval holds the whole transition. Errors are taken as
    independent between points. A curve that climbs steadily has no levels and is cut into many: look at its
    turns instead (``critical_points``).

    Args:
        x, y, y_se: points with a NaN are left out; more than 500 are averaged in even groups of neighbours.
        penalty: what a change must gain, in units of χ². Default 3 ln n · (1 + 10/n): BIC asks for 2 ln n (a
            level and a place each), and the noise level is itself estimated, badly where n is small.
        min_length: at least 1, for steps that one point alone may show.
        resolution: share of the range, at least 0.

    Raises:
        InvalidSpec: for fewer than 2·min_length + 1 points, arrays of different lengths, a negative standard
            error, or settings outside what they may be.
    """
    settings = numbers([min_length, resolution, np.inf if penalty is None else penalty], "settings")
    if not (settings[0] >= 1 and settings[0] % 1 == 0 and settings[1] >= 0 and settings[2] > 0):
        raise InvalidSpec(
            "expected a whole min_length of at least 1, resolution of at least 0 and a positive penalty, got "
            f"{min_length}, {resolution} and {penalty}"
        )
    x, y, y_se, unit = points_in_order(x, y, y_se)
    if len(y) < 2 * min_length + 1:
        raise InvalidSpec(
            f"levels of {min_length} points take at least {2 * min_length + 1} values, got {len(y)}"
        )
    x, y, y_se = _at_most(x, y, y_se)
    noise = max(_noise(y, y_se), resolution * float(np.ptp(y)))
    variance = y_se**2 + noise**2
    limit = 3.0 * np.log(len(y)) * (1 + _FEW / len(y)) if penalty is None else float(penalty)
    if np.ptp(y) <= 1e-12:  # one level, but for rounding
        return _described(x, _Levels(y, np.ones(len(y))), [], noise, limit, unit)
    if np.any(variance == 0):
        raise InvalidSpec("no noise and no resolution: give a resolution above 0, or standard errors")
    levels = _Levels(y, variance)
    settled, edges = _whole_levels(levels, _pelt(levels, limit), min_length, limit)
    return _described(x, settled, edges, noise, limit, unit)


class _Levels:
    """Weighted means and squared deviations of any stretch [start, end), by cumulative sums."""

    def __init__(self, y: Float[np.ndarray, " n"], variance: Float[np.ndarray, " n"]) -> None:
        self.y, self.weight = y, 1 / variance
        self._offset = y.mean()  # sums of squares lose digits far from zero
        powers = (self.weight * (y - self._offset) ** power for power in range(3))
        self._sums = [np.concatenate([[0.0], np.cumsum(power)]) for power in powers]

    def _total(self, power: int, start: Any, end: Any) -> Any:
        return self._sums[power][end] - self._sums[power][start]

    def cost(self, start: Any, end: Any) -> Any:
        """Σ weight · (y − mean)² over the stretch; places may be arrays."""
        weight, first, second = (self._total(power, start, end) for power in range(3))
        return np.maximum(second - first**2 / weight, 0.0)

    def mean(self, start: Any, end: Any) -> Any:
        return self._offset + self._total(1, start, end) / self._total(0, start, end)

    def variance(self, start: Any, end: Any) -> Any:
        """Of the mean."""
        return 1 / self._total(0, start, end)


def _pelt(levels: _Levels, penalty: float) -> list[int]:
    """Ends of the levels, the last being n."""
    from ruptures import Pelt  # slow to import, needed only here
    from ruptures.base import BaseCost

    base: Any = BaseCost  # its methods say that they return None

    class WeightedMean(base):
        model, min_size = "weighted mean", 1

        def fit(self, signal: np.ndarray) -> None:
            self.signal = signal

        def error(self, start: int, end: int) -> float:
            return float(levels.cost(start, end))

    return Pelt(custom_cost=WeightedMean(), min_size=1, jump=1).fit(levels.y).predict(penalty)


class _Edge(NamedTuple):
    """Where one level is cut from the next, and the transition between them (a stretch, mostly empty)."""

    cut: int
    start: int
    end: int


def _whole_levels(
    levels: _Levels, ends: list[int], min_length: int, penalty: float
) -> tuple[_Levels, list[_Edge]]:
    """Levels of at least ``min_length`` points that differ, cleared of what lies between; and their edges,
    0 and n among them."""
    n = len(levels.y)
    long = [stretch for stretch in pairwise([0, *ends]) if stretch[1] - stretch[0] >= min_length]
    variance = _UNSETTLED / levels.weight
    for start, end in long:
        variance[start:end] = 1 / levels.weight[start:end]
    edges = [_Edge(0, 0, 0)]
    for left, right in pairwise(long):
        start, end = left[1], right[0]
        far_left, far_right = (
            np.concatenate([[0], np.cumsum(levels.weight[start:end] * (levels.y[start:end] - mean) ** 2)])
            for mean in (levels.mean(*left), levels.mean(*right))
        )
        edges.append(_Edge(start + int(np.argmin(far_left + far_right[-1] - far_right)), start, end))
    edges.append(_Edge(n, n, n))
    settled = _Levels(levels.y, variance)
    while len(edges) > 2:  # levels that a transition or outliers had kept apart may be one
        cuts = np.array([edge.cut for edge in edges])
        start, at, end = cuts[:-2], cuts[1:-1], cuts[2:]
        gain = settled.cost(start, end) - settled.cost(start, at) - settled.cost(at, end)
        if gain.min() > penalty:
            break
        del edges[int(np.argmin(gain)) + 1]
    return settled, edges


def _described(
    x: Float[np.ndarray, " n"],
    levels: _Levels,
    edges: list[_Edge],
    noise: float,
    penalty: float,
    unit: float,
) -> ChangePoints:
    rows = []
    for left, edge, right in zip(edges, edges[1:], edges[2:], strict=False):
        start, at, end = left.cut, edge.cut, right.cut
        places = np.arange(start + 1, end)
        cost = levels.cost(start, places) + levels.cost(places, end)
        share = np.cumsum(np.exp(-0.5 * (cost - cost.min())))
        low, high = places[np.searchsorted(share, np.array([0.05, 0.95]) * share[-1])]
        lower, upper = x[min(low, edge.start) - 1], x[max(high, edge.end)]
        error = np.sqrt(levels.variance(start, at) + levels.variance(at, end))
        rows.append((x[at], lower, upper, levels.mean(start, at), levels.mean(at, end), error))
    at, lower, upper, before, after, error = np.array(rows, dtype=np.float64).reshape(-1, 6).T
    return ChangePoints(at, lower, upper, unit * before, unit * after, unit * error, unit * noise, penalty)


def _noise(y: np.ndarray, y_se: np.ndarray) -> float:
    """τ for which differences of neighbours, over √(y_se² + y_se'² + 2τ²), have a MAD of one; at least 0."""
    from scipy.optimize import brentq

    difference, known = np.abs(np.diff(y)), y_se[1:] ** 2 + y_se[:-1] ** 2

    def excess(tau: float) -> float:
        total = known + 2 * tau**2
        ratio = np.divide(difference, np.sqrt(total), out=np.zeros_like(difference), where=total > 0)
        return _MAD * float(np.median(ratio)) - 1

    alone = _MAD * float(np.median(difference)) / np.sqrt(2)  # what it is without standard errors
    if alone == 0 or excess(1e-9 * alone) <= 0:
        return 0.0
    root: Any = brentq(excess, 1e-9 * alone, 2 * alone)
    return float(root)


def _at_most(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], y_se: Float[np.ndarray, " n"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """At most so many points as are quick to cut: means of even groups of neighbours."""
    if len(y) <= _MOST_POINTS:
        return x, y, y_se
    first = np.linspace(0, len(y), _MOST_POINTS + 1).astype(int)[:-1]
    count = np.diff([*first, len(y)])
    return x[first], np.add.reduceat(y, first) / count, np.sqrt(np.add.reduceat(y_se**2, first)) / count
