"""LLC curves with known critical points; checkpoints and noise are like those of the bundled language run."""

from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicHermiteSpline

STEPS = np.unique(
    np.concatenate([np.linspace(0, 14_000, 71), np.geomspace(1, 14_000, 80)]).round().astype(np.int64)
)
X = np.log1p(STEPS.astype(float))


class Planted(NamedTuple):
    """One curve: its critical points in x = ln(1 + step), values with noise, and their standard errors."""

    boundaries: np.ndarray
    value: np.ndarray
    se: np.ndarray


def noise(value: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Errors as in the run: 1.0 at λ̂ = 10, 2.3 at 110, and another .4 that its standard errors leave out."""
    se = (0.9 + 0.013 * np.clip(value, 0, None)) * rng.uniform(0.7, 1.3, len(value))
    return value + np.hypot(se, 0.4) * rng.standard_normal(len(value)), se


def planted_stages(seed: int) -> Planted:
    """3–6 boundaries at least 1.1 apart in x; between them λ̂ moves by 15–40, up three times in five.

    Between two boundaries the curve is a cubic that is level at both; before the first and behind the last,
    half of one, steepest at the end of the data. Where it climbs (or falls) on both sides of a boundary, it
    pauses: it is level for .3–.7, and the boundary is the middle of that.
    """
    rng = np.random.default_rng([seed, 5])
    count = int(rng.integers(3, 7))
    knots = np.zeros(count)
    while np.diff(knots).min() < 1.1:
        knots = np.sort(rng.uniform(1.5, 9.0, count))
    sign = np.where(rng.random(count + 1) < 0.6, 1, -1)
    levels = np.concatenate([[0.0], np.cumsum(sign * rng.uniform(15, 40, count + 1))])
    levels += 10 - levels.min()
    half = np.where(sign[1:] == sign[:-1], rng.uniform(0.15, 0.35, count), 0.0)
    first, last = knots[0] - half[0], knots[-1] + half[-1]
    at = [2 * X[0] - first, *np.unique([knots - half, knots + half]), 2 * X[-1] - last]
    inner = [level for level, pause in zip(levels[1:-1], half, strict=True) for _ in range(1 + (pause > 0))]
    values = [2 * levels[0] - levels[1], *inner, 2 * levels[-1] - levels[-2]]
    return Planted(knots, *noise(CubicHermiteSpline(at, values, np.zeros(len(at)))(X), rng))


def planted_climb(seed: int) -> Planted:
    """One climb between two levels, short beside the flat stretches around it: a logistic curve. Its
    boundaries are where its slope is .35 of its steep slope (the 95th percentile over the run).
    """
    rng = np.random.default_rng([seed, 7])
    middle, width, height = rng.uniform(3, 6.5), rng.uniform(0.25, 0.6), rng.uniform(40, 100)

    def climb(x: np.ndarray) -> np.ndarray:
        return 10 + height / (1 + np.exp(-(x - middle) / width))

    x = np.linspace(X[0], X[-1], 4000)
    slope = np.gradient(climb(x), x)
    steep = slope > 0.35 * np.quantile(slope, 0.95)
    return Planted(x[1:][np.diff(steep)], *noise(climb(X), rng))


def planted_monotone(seed: int) -> Planted:
    """No boundary: flat, or climbing (falling) all the way with a slope that changes at most 2.5-fold."""
    rng = np.random.default_rng([seed, 6])
    at, bend = X / X[-1], rng.uniform(0.1, 0.75)
    shape = [0 * at, at, at + bend * at**2, np.log1p(2 * bend * at)][seed % 4]
    shape = shape / max(float(shape.max()), 1.0 if seed % 4 == 0 else 1e-9)
    value = 20 + rng.uniform(30, 100) * (shape if rng.random() < 0.7 else 1 - shape)
    return Planted(np.empty(0), *noise(value, rng))
