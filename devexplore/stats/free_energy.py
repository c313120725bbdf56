"""Which of several solutions a Bayesian posterior prefers, and at how many samples that changes."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import lambertw

from devexplore.errors import InvalidSpec


def free_energies(
    loss: Float[np.ndarray, "... stage"], llc: Float[np.ndarray, "... stage"], n: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "... stage n"]:
    """F_n = n·L + λ·ln n, the first two terms of Watanabe's expansion of −ln ∫ exp(−n·L(w)) φ(w) dw around a
    solution with loss L and learning coefficient λ (in nats where L is in nats). Terms of order ln ln n and
    constants (the prior, the multiplicity) are left out, so differences of a few nats mean nothing.

    NaN stays NaN. Raises InvalidSpec for n below 1 or not finite.
    """
    if not (np.isfinite(n).all() and (n >= 1).all()):
        raise InvalidSpec("n counts samples: expected finite numbers of at least 1")
    return loss[..., None] * n + llc[..., None] * np.log(n)


def crossing(
    loss: Float[np.ndarray, "*pair 2"], llc: Float[np.ndarray, "*pair 2"]
) -> Float[np.ndarray, "*pair"]:
    """The n at which two free energies are equal, and from which on the solution with the lower loss is
    preferred: the larger root of n/ln n = −Δλ/ΔL = r, in closed form n = −r·W₋₁(−1/r) (Lambert's W).

    NaN where there is none: one solution has both the lower loss and the lower λ, or r < e, where n·|ΔL|
    exceeds |Δλ|·ln n at every n > 1. (The smaller root lies below n = e and is no number of samples.)
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = -np.diff(llc, axis=-1)[..., 0] / np.diff(loss, axis=-1)[..., 0]
    there = np.isfinite(ratio) & (ratio >= np.e)
    safe = np.where(there, ratio, np.e)
    argument = np.maximum(-1 / safe, -np.exp(-1))  # rounding must not leave the branch
    return np.where(there, -safe * lambertw(argument, -1).real, np.nan)


class Preference(NamedTuple):
    """How sure one can be of the preferred solution when the λ are estimates."""

    preferred: Float[np.ndarray, "stage n"]
    """Probability that this one has the lowest free energy; NaN for one without loss or λ."""
    crossing: Float[np.ndarray, " later"]
    """Of each stage with the one before it (one fewer than stages), from the estimates; NaN where none."""
    lower: Float[np.ndarray, " later"]
    upper: Float[np.ndarray, " later"]
    """Central 90 % of the crossing over draws. A draw in which one of the two has both the lower loss and the
    lower λ counts as n = 1: preferred from the first sample on."""
    probability: Float[np.ndarray, " later"]
    """Share of draws in which there is a crossing."""


def preference(
    loss: Float[np.ndarray, " stage"],
    llc: Float[np.ndarray, " stage"],
    llc_se: Float[np.ndarray, " stage"],
    n: Float[np.ndarray, " n"],
    *,
    draws: int = 2000,
    seed: int = 0,
) -> Preference:
    """Draws λ ~ N(λ̂, SE) of each solution, all independent, and looks at each draw which has the lowest free
    energy at each n, and where neighbours cross. SE 0 gives probabilities 0 and 1 (equal free energies: the
    earlier one). A solution whose loss, λ̂ or SE is NaN is left out of the comparison.

    Raises InvalidSpec for a negative SE, for ``draws`` below 1, and for n as ``free_energies``.
    """
    if (llc_se < 0).any() or draws < 1:
        raise InvalidSpec("expected standard errors of at least 0 and at least one draw")
    noise = np.random.default_rng(seed).standard_normal((draws, len(llc)))
    drawn = llc + noise * llc_se
    known = np.isfinite(loss + llc + llc_se)
    preferred = np.full((len(llc), len(n)), np.nan)
    if known.any():
        lowest = free_energies(loss[known], drawn[:, known], n).argmin(axis=1)
        preferred[known] = (lowest[:, None] == np.arange(known.sum())[:, None]).mean(axis=0)
    pairs = np.stack([np.arange(len(llc) - 1), np.arange(1, len(llc))], axis=-1)
    both = known[pairs].all(axis=-1)
    at = crossing(np.broadcast_to(loss, drawn.shape)[:, pairs], drawn[:, pairs])
    lower, upper = np.quantile(np.nan_to_num(at, nan=1.0), [0.05, 0.95], axis=0)
    return Preference(
        preferred=preferred,
        crossing=crossing(loss[pairs], llc[pairs]),
        lower=np.where(both, lower, np.nan),
        upper=np.where(both, upper, np.nan),
        probability=np.where(both, np.isfinite(at).mean(axis=0), np.nan),
    )
