"""From scores to common cusps: what a run and every random walk beside it go through alike."""

from functools import cached_property

import numpy as np
from jaxtyping import Float

from devexplore.analysis.clock import Clock
from devexplore.analysis.plane_vertices import resampled
from devexplore.geometry import (
    Agreement,
    CommonCusps,
    Smoother,
    angle_between,
    best_of,
    candidate_bandwidths,
    common_cusps,
    extent,
    mean_turning_time,
    prediction_error,
    smoother,
)

SHARPENING = 0.5
"""Smoothing rounds sharp turns first; forms are sought with this share of the bandwidth."""

_DENSE = 600
_RESAMPLES = 100
_NORMAL_90 = 1.645
_SPACING_SHARE = 0.04
"""Where a turn lies between two checkpoints is not known: its standard error in units of their spacing. Such
that 90 % intervals of planted forms are true about nine times in ten (development seeds 1000–1119 of
tests/analysis/planted.py)."""


class Search:
    """The whole way from scores to common cusps; what depends on times alone is computed once."""

    def __init__(self, at: Clock, bandwidth: float | None, agreement: Agreement) -> None:
        self.clock = at
        self.fixed = bandwidth
        self.agreement = agreement
        self.dense = np.linspace(at.time[0], at.time[-1], _DENSE)
        self._dense_smoothers: dict[float, Smoother] = {}

    def with_time(self, at: Clock) -> "Search":
        """The same search in another time; a declared bandwidth keeps its share of the range."""
        span, other = np.ptp(self.clock.time), np.ptp(at.time)
        fixed = self.fixed * other / span if self.fixed is not None and other > 0 else self.fixed
        return Search(at, fixed, self.agreement)

    @cached_property
    def _hats(self) -> list[Float[np.ndarray, "step step"]]:
        return [smoother(self.clock.time, h).weights[0] for h in candidate_bandwidths(self.clock.time)]

    def bandwidth(self, scores: Float[np.ndarray, "step component"]) -> float:
        """As declared, or by cross-validation."""
        if self.fixed is not None:
            return self.fixed
        error = [prediction_error(scores - hat @ scores, float(np.diag(hat).mean())) for hat in self._hats]
        return float(candidate_bandwidths(self.clock.time)[best_of(np.array(error))])

    def _smoother(self, scores: Float[np.ndarray, "step component"]) -> tuple[Smoother, float]:
        sharp = self.bandwidth(scores) * SHARPENING
        if sharp not in self._dense_smoothers:
            self._dense_smoothers[sharp] = smoother(self.clock.time, sharp, at=self.dense)
        return self._dense_smoothers[sharp], sharp

    def cusps(self, scores: Float[np.ndarray, "step component"]) -> CommonCusps:
        smooth, sharp = self._smoother(scores)
        return common_cusps(smooth(scores), self.dense, sharp, self.agreement)

    def extent(self, scores: Float[np.ndarray, "step component"]) -> float:
        return extent(self._smoother(scores)[0](scores).position)

    def path_at(
        self, scores: Float[np.ndarray, "step component"], time: Float[np.ndarray, " cusp"]
    ) -> Float[np.ndarray, "cusp component"]:
        """Points of the smooth path."""
        path = self._smoother(scores)[0](scores).position
        columns = [np.interp(time, self.dense, path[:, k]) for k in range(path.shape[1])]
        return np.stack(columns, axis=1).reshape(len(time), path.shape[1])

    def half_width(
        self,
        scores: Float[np.ndarray, "step component"],
        time: Float[np.ndarray, " cusp"],
        rng: np.random.Generator,
    ) -> Float[np.ndarray, " cusp"]:
        """Half the 90 % interval of each turn's time: fresh noise on the smooth path, and the spacing."""
        if len(time) == 0:
            return np.empty(0)
        _, sharp = self._smoother(scores)
        hat = smoother(self.clock.time, sharp).weights[0]
        path = hat @ scores
        noise = np.broadcast_to(_noise_size(scores - path, hat), path.shape)
        again = resampled(self.clock.time, path, noise, sharp, self.dense, _RESAMPLES, rng)
        angle = angle_between(again[1][:-1], again[1][1:])
        between = (self.dense[1:] + self.dense[:-1]) / 2
        spacing = np.interp(time, self.clock.time[1:], np.diff(self.clock.time))
        spread = [
            np.std([mean_turning_time(angle[:, b], between, one, sharp) for b in range(_RESAMPLES)])
            for one in time
        ]
        return _NORMAL_90 * np.hypot(spread, _SPACING_SHARE * spacing)


def _noise_size(
    residual: Float[np.ndarray, "step component"], hat: Float[np.ndarray, "step step"]
) -> Float[np.ndarray, " component"]:
    """Standard deviation of noise that leaves these residuals behind: some of it went into the fit."""
    left = np.mean(np.sum((np.eye(len(hat)) - hat) ** 2, axis=1))
    return np.sqrt(np.mean(residual**2, axis=0) / left) if left > 0 else np.zeros(residual.shape[1])
