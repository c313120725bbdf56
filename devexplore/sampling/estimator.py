"""From recorded chains to a local learning coefficient with an honest error bar."""

from typing import NamedTuple

import numpy as np
from arviz_stats.base import array_stats
from jaxtyping import Float, Int

from devexplore.schema import CHAIN_OK


class LLCEstimate(NamedTuple):
    """A local learning coefficient and what is needed to judge it. NaN means that there is no value."""

    llc: float
    """λ̂ = nβ·(E[L] − L(w*)), dimensionless."""
    llc_se: float
    """Standard error of λ̂ over seeds, given data and w* (not its accuracy: see ``llc_from_traces``)."""
    rhat: float
    """Rank-normalized split R̂ over chains; NaN with fewer than two chains."""
    ess: float
    """Effective number of independent draws behind the mean."""
    excess_loss: float
    """E[L] − L(w*), in the loss's unit."""
    diverged_chains: int
    relative_distance: float
    """Mean final ‖w − w*‖/‖w*‖; NaN where w* = 0."""


def llc_from_traces(
    loss: Float[np.ndarray, "chain draw"],
    baseline: Float[np.ndarray, "chain draw"],
    status: Int[np.ndarray, " chain"],
    *,
    n_beta: float,
    distance: Float[np.ndarray, " chain"],
    anchor_norm: float,
) -> LLCEstimate:
    """λ̂ = nβ·mean(loss − baseline) over the chains that did not diverge.

    Each batch loss is paired with the same batch's loss at w*, so that most of the noise of choosing batches
    cancels. The standard error is sd/√ESS of those differences; the ESS (Vehtari et al. 2021, split chains) counts
    autocorrelation within chains and spread between chains. It does not hold what is the same for every seed:
    the bias of step size and batch noise, chains that have not reached equilibrium, the choice of nβ and γ.

    All chains diverged: every value NaN, ``diverged_chains`` says how many.
    """
    healthy = status == CHAIN_OK
    diverged_chains = int((~healthy).sum())
    if not healthy.any():
        return LLCEstimate(*[float("nan")] * 5, diverged_chains, float("nan"))
    difference = loss[healthy].astype(np.float64) - baseline[healthy]
    excess_loss = float(difference.mean())
    ess = float(array_stats.ess(difference, method="mean"))
    # R̂ divides by the spread within chains
    moves = len(difference) > 1 and bool(np.ptp(difference) > 0)
    rhat = float(array_stats.rhat(difference, method="rank")) if moves else float("nan")
    return LLCEstimate(
        llc=n_beta * excess_loss,
        llc_se=float(n_beta * difference.std(ddof=1) / np.sqrt(ess)),
        rhat=rhat,
        ess=ess,
        excess_loss=excess_loss,
        diverged_chains=diverged_chains,
        relative_distance=float(distance[healthy].mean() / anchor_norm) if anchor_norm > 0 else float("nan"),
    )
