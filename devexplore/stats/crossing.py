"""When a noisy curve falls below a level, for many curves at once."""

import numpy as np
from jaxtyping import Float


def falling_crossing(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, "n curve"], level: Float[np.ndarray, " curve"]
) -> Float[np.ndarray, " curve"]:
    """Where each curve goes from above its level to below it, in units of x.

    The one place that best parts a time above from a time below, argmax_τ ∫^τ (y − level) dx: a dip that is
    soon made up for is no crossing, nor is a late excursion. It is where the best never-rising curve
    (isotonic regression with weights dx) crosses the level, so no bandwidth is chosen. Between the two points
    around it, linear in x. The first x for a curve that is never above long enough, the last for one that is
    never below; NaN where a value is NaN.

    ``x`` rises strictly; dx of a point is half the way between its neighbours, at an end the way to the next.

    Source: the level sets of isotonic regression, Robertson, Wright & Dykstra 1988, "Order Restricted
    Statistical Inference", ch. 1.
    """
    above = y - level
    spans = np.gradient(x) if len(x) > 1 else np.ones(1)
    area = np.concatenate([np.zeros((1, y.shape[1])), np.cumsum(above * spans[:, None], axis=0)])
    before = np.argmax(area, axis=0)  # so many points are above
    left, right = np.clip(before - 1, 0, len(x) - 1), np.clip(before, 0, len(x) - 1)
    high, low = (np.take_along_axis(above, at[None], axis=0)[0] for at in (left, right))
    drop = np.where(high > low, high - low, 1.0)
    share = np.where((left < right) & (high > low), high / drop, 0.0)
    return np.where(np.isnan(above).any(axis=0), np.nan, x[left] + share * (x[right] - x[left]))
