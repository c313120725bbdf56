"""Where in a sweep λ̂ does not depend on the sampler's settings.

Of the three settings, ε is a pure error, whose bias vanishes with ε; nβ and γ say at which scale the loss is
looked at (a direction of curvature h counts by nβh/(nβh + γ)). So a step size can be wrong, while nβ and γ
are a choice: where λ̂ hardly changes with them it hardly matters, and elsewhere one must say how much.
"""

import math
from typing import Final, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float

from devexplore.sampling.thresholds import Thresholds
from devexplore.sampling.trust import NOT_AN_LLC
from devexplore.schema import STEP

AXES: Final = ("rung", "n_beta", "localization")
"""Dimensions of the grid. ``rung`` counts step sizes upwards: ε differs from one (nβ, γ) to the next."""

AGREE: Final = 0.10
"""Relative difference that still counts as agreement (and so does twice its standard error)."""
FACTOR: Final = 3.0
"""Changes along nβ and γ are stated for this factor, whatever the spacing of the grid."""

_DOUBLED: Final = math.log(2) / math.log(1.75 / 1.25)
"""The halves of the draws lie around 1.25 and 1.75 times the burn-in. Times this, the change between them is
that over twice the time, if λ̂ grows with the logarithm of time."""


def plateau_map(sweep: xr.Dataset) -> xr.Dataset:
    """What a sweep says of each of its points, over (rung, n_beta, localization).

    ``sweep`` holds llc, llc_se and verdict over (step, rung, n_beta, localization), step_size over the grid,
    and the attributes h_max and burn_in (half of the updates). Differences between two points are root mean
    squares over the checkpoints at which both give an LLC (``gives_llc``) and are settled, relative to the
    rms of λ̂. They count as agreement up to 10 %, or twice their standard error where that is at most 10 %
    itself: what is not known is no plateau.

    settled: burn-in is long enough for directions held by γ alone (ε·γ·burn_in ≥ 1: their variance has come
        to 1 − 1/e of its final value, that of others further); or the drift between the halves of the draws
        says that twice the time would leave λ̂ as it is, by the same rule of agreement. In chains too short
        to settle λ̂ grows with ε: this looks like a bias of large steps and is the opposite.
    covered: number of checkpoints with an LLC from settled chains (or, if no point is settled, from any).
    trusted: as many as at any point, and at least one.
    relative_se: rms standard error ÷ rms λ̂. From 10 % on a point is too noisy to lie on a plateau.
    step_bias, step_bias_se: how much of λ̂ comes from ε (signed, relative), by a line in ε through all step
        sizes that give an LLC; NaN where only one does.
    step_bound: the bias of the steepest direction, full-batch, exact on quadratics: 1/(1 − s/4) − 1 with
        s = ε(nβ·h_max + γ); infinite from s = 4 on.
    step_plateau: trusted, not too noisy, and step_bias agrees with 0 (if it is unknown: step_bound ≤ 10 %).
    sensitivity, sensitivity_se: relative change of λ̂ for a factor of 3 in nβ or γ, the largest over the
        neighbours that give an LLC, and its standard error; NaN without any.
    plateau: on the step plateau, and agreeing with every neighbour in nβ and γ that gives an LLC, of which
        there is at least one on each axis of more than one value.
    """
    ordered = sweep.transpose(STEP, ..., *AXES)
    settled = _settled(ordered)
    grid = _grid(ordered, settled)
    covered = grid.valid.sum(axis=0) if gives_llc(ordered).any() else np.zeros(settled.shape, dtype=int)
    trusted = covered == max(covered.max(), 1)
    relative_se = grid.relative(grid.se, grid.valid)
    step_size = ordered["step_size"].transpose(*AXES).values
    held = _stability(ordered).transpose(*AXES).values
    bound = np.where(held < 4, 1 / (1 - np.minimum(held, 3.999) / 4) - 1, np.inf)
    bias, bias_se, unbiased = _step_bias(grid, step_size, held)
    sensitivity, sensitivity_se = np.full((2, *covered.shape), np.nan)
    steady = np.ones(covered.shape, dtype=bool)
    for axis, name in enumerate(AXES[1:], start=1):
        if ordered.sizes[name] > 1:
            change, noise, agrees = _changes(grid, axis, np.log(ordered[name].values) / math.log(FACTOR))
            larger = ~(change <= sensitivity)
            sensitivity, sensitivity_se = (
                np.where(larger & np.isfinite(change), new, old)
                for new, old in ((change, sensitivity), (noise, sensitivity_se))
            )
            steady &= agrees
    step_plateau = (
        trusted & settled & (relative_se <= AGREE) & np.where(np.isnan(bias), bound <= AGREE, unbiased)
    )
    values = {
        "settled": settled,
        "covered": covered,
        "trusted": trusted,
        "relative_se": relative_se,
        "step_size": step_size,
        "step_bias": bias,
        "step_bias_se": bias_se,
        "step_bound": bound,
        "step_plateau": step_plateau,
        "sensitivity": sensitivity,
        "sensitivity_se": sensitivity_se,
        "plateau": step_plateau & steady,
    }
    coords = {name: ordered[name].values for name in AXES if name in ordered.coords}
    return xr.Dataset({name: (AXES, value) for name, value in values.items()}, coords)


def gives_llc(sweep: xr.Dataset) -> xr.DataArray:
    """Where λ̂ has a value, is not judged "not an LLC", is not below zero by more than its standard error, and
    all this holds at every larger step size too, up to those near their limit (ε(nβ·h_max + γ) ≥ 2).

    The last, because a smaller step takes longer to get anywhere: where the chains of a larger one left w*,
    those of a smaller one have only not left it yet.
    """
    known = sweep["llc"].notnull() & sweep["llc_se"].notnull()
    alone = known & (sweep["verdict"] != NOT_AN_LLC) & (sweep["llc"] + sweep["llc_se"] > 0)
    near_limit = (_stability(sweep) >= Thresholds().stability).broadcast_like(alone).transpose(*alone.dims)
    axis = alone.dims.index("rung")
    lasting = np.flip(np.logical_and.accumulate(np.flip((alone | near_limit).values, axis), axis=axis), axis)
    return alone & lasting


def _stability(sweep: xr.Dataset) -> xr.DataArray:
    return sweep["step_size"] * (sweep["n_beta"] * sweep.attrs["h_max"] + sweep["localization"])


class _Grid(NamedTuple):
    llc: Float[np.ndarray, "step rung n_beta localization"]
    se: Float[np.ndarray, "step rung n_beta localization"]
    valid: Bool[np.ndarray, "step rung n_beta localization"]
    """What is compared: LLCs of settled chains; if there are none, other LLCs; if none, all finite values."""

    def relative(
        self, what: Float[np.ndarray, "step rung n_beta localization"], over: Bool[np.ndarray, "..."]
    ) -> Float[np.ndarray, "rung n_beta localization"]:
        """rms of ``what`` over the checkpoints ``over``, relative to the rms of λ̂; NaN without any."""
        size, scale = (np.where(over, value, 0) ** 2 for value in (what, self.llc))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.sqrt(size.sum(axis=0) / scale.sum(axis=0))

    def neighbour(self, axis: int, side: int) -> "_Grid":
        """The values at the next place along a grid axis; beyond the edge nothing is valid."""
        index = np.arange(self.llc.shape[axis + 1]) + side
        inside = (index >= 0) & (index < len(index))
        llc, se, valid = (
            np.take(values, np.clip(index, 0, len(index) - 1), axis=axis + 1) for values in self
        )
        return _Grid(llc, se, valid & inside.reshape([-1 if i == axis + 1 else 1 for i in range(4)]))


def _grid(sweep: xr.Dataset, settled: Bool[np.ndarray, "rung n_beta localization"]) -> _Grid:
    llc, se = (sweep[name].values.astype(float) for name in ("llc", "llc_se"))
    good, finite = gives_llc(sweep).values, np.isfinite(llc) & np.isfinite(se)
    return _Grid(llc, se, next(valid for valid in (good & settled, good, finite) if valid.any()))


def _settled(sweep: xr.Dataset) -> Bool[np.ndarray, "rung n_beta localization"]:
    """Which points had the time to settle (see ``plateau_map``). Where no drift was recorded, all."""
    relaxed = sweep["step_size"] * sweep["localization"] * sweep.attrs["burn_in"] >= 1
    if "half_drift" not in sweep:
        return np.ones_like(relaxed.transpose(*AXES).values)
    llc = sweep["llc"].where(gives_llc(sweep))
    drift = sweep["half_drift"] * abs(llc)
    # chains share their noise between checkpoints, so that errors do not average out over them
    error = abs(drift / sweep["half_drift_z"]).fillna(2 * sweep["llc_se"])
    size = (llc**2).sum(STEP)
    drift, error = (((part * abs(llc)).sum(STEP) / size).transpose(*AXES).values for part in (drift, error))
    calm = np.abs(drift) * _DOUBLED <= _tolerance(error * _DOUBLED)
    return relaxed.transpose(*AXES).values | calm


def _tolerance(noise: np.ndarray) -> np.ndarray:
    """How large a relative difference of this standard error may be and still count as none."""
    return np.where(noise <= AGREE, np.maximum(AGREE, 2 * noise), -np.inf)


def _step_bias(
    grid: _Grid, step_size: np.ndarray, stability: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Signed relative bias by a line in ε, its standard error, and whether it agrees with 0.

    The line is fitted at each checkpoint and (nβ, γ) to the step sizes that give an LLC, weighted by their
    errors; those near their limit join in only where there are no two others. The true bias rises more
    steeply than a line, so that at small ε the line is on the safe side, by up to a third.
    """
    within = grid.valid & (stability < Thresholds().stability)
    use = np.where((within.sum(axis=1) >= 2)[:, None], within, grid.valid)
    scale = step_size.max(axis=0)
    x = step_size / scale
    weight = np.where(use, 1 / np.maximum(grid.se, 1e-12 * np.abs(grid.llc) + 1e-300) ** 2, 0)
    y = np.where(use, grid.llc, 0)
    total, at, square = (np.sum(weight * x**power, axis=1) for power in range(3))
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = at / total
        spread = square - at * centre
        slope = np.sum(weight * (x - centre[:, None]) * y, axis=1) / spread
        slope_se = 1 / np.sqrt(spread)
        fitted = grid.valid & (use.sum(axis=1) >= 2)[:, None]
        bias = np.where(fitted, slope[:, None] * x, 0)
        llc = np.where(fitted, grid.llc, 0)
        signed = (bias * llc).sum(axis=0) / (llc**2).sum(axis=0)
    noise = grid.relative(np.where(fitted, slope_se[:, None] * x, 0), fitted)
    return signed, noise, grid.relative(bias, fitted) <= _tolerance(noise)


def _changes(
    grid: _Grid, axis: int, coordinate: Float[np.ndarray, " value"]
) -> tuple[
    Float[np.ndarray, "rung n_beta localization"],
    Float[np.ndarray, "rung n_beta localization"],
    Bool[np.ndarray, "rung n_beta localization"],
]:
    """Largest relative change per unit of ``coordinate`` towards a neighbour along ``axis``, its standard
    error, and whether there is a neighbour and every one agrees.
    """
    shape = grid.llc.shape[1:]
    largest, error = np.full((2, *shape), np.nan)
    agree = np.ones(shape, dtype=bool)
    for side in (-1, 1):
        other = grid.neighbour(axis, side)
        shared = grid.valid & other.valid
        gap = np.abs(np.diff(coordinate))
        gap = np.append(gap, np.inf) if side == 1 else np.insert(gap, 0, np.inf)
        gap = gap.reshape([-1 if i == axis else 1 for i in range(3)])
        change = grid.relative((grid.llc - other.llc) / gap, shared)
        noise = grid.relative(np.hypot(grid.se, other.se) / gap, shared)
        known = shared.any(axis=0)
        larger = known & ~(change <= largest)
        largest, error = np.where(larger, change, largest), np.where(larger, noise, error)
        agree &= ~known | (change <= _tolerance(noise))
    return largest, error, agree & np.isfinite(largest)
