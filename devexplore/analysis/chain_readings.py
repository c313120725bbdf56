"""What the chains of every checkpoint did: how λ̂ came about draw by draw, and what was known of it then."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float

from devexplore.errors import InvalidSpec
from devexplore.schema import CHAIN_OK, STEP

NOT_JUDGED: Final = -1
"""The verdict where chains ran but no LLC was kept."""

CHECKS: Final = (
    "llc",
    "llc_se",
    "rhat",
    "ess",
    "excess_loss",
    "init_loss",
    "relative_distance",
    "stability",
    "diverged_chains",
)


def chain_readings(
    chains: xr.Dataset | None, llc: xr.Dataset | None, judged: xr.Dataset | None
) -> xr.Dataset:
    """Chains, estimates and verdicts at every step at which any of them is known.

    chains: the group /chains; llc: /llc; judged: ``trust(llc)``. Any of them may be None, but not all.

    Of the chains (absent without them; NaN at steps without):
        excess(step, chain, draw): batch loss − the same batch's loss at w*, in the loss's unit; NaN once a
            diverged chain was retired.
        running_llc, running_se(step, draw): λ̂ and its standard error, had all chains ended at this draw. The
            last are those of /llc (``running_estimate``).
        chain_llc(step, chain): λ̂ of each chain alone; NaN of a diverged one.
        distance(step, chain): final ‖w − w*‖. diverged(step, chain).
        trivial_excess(step): loss of the trivial predictor − L(w*). Chains that reach it know nothing.
    Of the estimates: those of ``CHECKS`` that were recorded, and forgotten(step), the share
        (E[L] − L*)/(L_trivial − L*) of what w* learned that the chains forget (NaN where L* is no better).
    Of the verdicts: verdict(step) (−1 where there is none), reason(step).

    Raises InvalidSpec if nothing is given.
    """
    held = [one for one in (chains, llc) if one is not None]
    if not held:
        raise InvalidSpec("readings of chains are of the groups chains, llc or both; neither was given")
    steps = np.unique(np.concatenate([one[STEP].values for one in held]))
    readings = xr.Dataset(coords={STEP: steps})
    if llc is not None:
        known = [name for name in CHECKS if name in llc]
        readings = readings.merge(llc[known].reset_coords(drop=True).reindex({STEP: steps}))
    if judged is not None:
        bare = judged.reset_coords(drop=True)
        readings["verdict"] = bare["verdict"].reindex({STEP: steps}).fillna(NOT_JUDGED).astype(np.int8)
        readings["reason"] = bare["reason"].reindex({STEP: steps}).fillna("")
        readings.attrs["by_sign_alone"] = bool(judged.attrs.get("by_sign_alone", False))
    if chains is not None:
        readings = readings.merge(_of_chains(chains, llc).reindex({STEP: steps}))
    trivial = _trivial_loss(held)
    start = next((one["init_loss"] for one in held if "init_loss" in one), None)
    if trivial is not None and start is not None:
        gap = (trivial - start.reset_coords(drop=True)).reindex({STEP: steps})
        readings["trivial_excess"] = gap
        if "excess_loss" in readings:
            readings["forgotten"] = (readings["excess_loss"] / gap).where(gap > 0)
    readings.attrs |= held[0].attrs
    return readings


def _of_chains(chains: xr.Dataset, llc: xr.Dataset | None) -> xr.Dataset:
    each_draw, each_chain = (STEP, "chain", "draw"), (STEP, "chain")
    loss, baseline = (
        chains[name].transpose(*each_draw).values.astype(float) for name in ("loss", "baseline")
    )
    healthy = chains["status"].transpose(*each_chain).values == CHAIN_OK
    excess = loss - baseline
    ess = np.full(len(excess), np.nan)
    if llc is not None and "ess" in llc:
        ess = llc["ess"].reindex({STEP: chains[STEP]}).values.astype(float)
    n_beta = _number(chains.attrs, "n_beta")
    mean, error = running_estimate(excess, healthy, ess)
    unit = {"units": str(chains["loss"].attrs.get("units", ""))}
    return xr.Dataset(
        {
            "excess": (each_draw, excess, unit),
            "running_llc": ((STEP, "draw"), n_beta * mean),
            "running_se": ((STEP, "draw"), n_beta * error),
            "chain_llc": (each_chain, np.where(healthy, n_beta * excess.mean(axis=2), np.nan)),
            "distance": (each_chain, chains["distance"].transpose(*each_chain).values.astype(float)),
            "diverged": (each_chain, (~healthy).astype(float)),
        },
        coords={STEP: chains[STEP].values, **({"draw": chains["draw"].values} if "draw" in chains else {})},
    )


def running_estimate(
    excess: Float[np.ndarray, "step chain draw"],
    healthy: Bool[np.ndarray, "step chain"],
    ess: Float[np.ndarray, " step"],
) -> tuple[Float[np.ndarray, "step draw"], Float[np.ndarray, "step draw"]]:
    """Mean excess over the first d draws of the healthy chains, and its standard error, for every d.

    The error is, as that of λ̂ itself (``sampling.estimator``), the larger of two: the scatter of the chains'
    own running means over √chains, and sd/√ESS, where both sd and the effective draws per draw are those of
    the whole chains (``ess`` is of all draws), so that the last is λ̂'s own. Without an ESS, or with one
    chain, only the other is left; NaN with neither, and without a healthy chain.
    """
    draws = excess.shape[2]
    count = np.arange(1, draws + 1)
    chains = healthy.sum(axis=1).astype(float)[:, None]
    kept = np.where(healthy[..., None], excess, 0.0)  # a NaN of a healthy chain stays one
    with np.errstate(divide="ignore", invalid="ignore"):
        own = np.cumsum(kept, axis=2) / count
        mean = own.sum(axis=1) / chains
        apart = np.where(healthy[..., None], own - mean[:, None], 0.0)
        scatter = np.sqrt((apart**2).sum(axis=1) / (chains - 1) / chains)  # of one chain: 0/0
        spread = np.where(healthy[..., None], excess - mean[:, None, -1:], 0.0)
        variance = (spread**2).sum(axis=(1, 2))[:, None] / (chains * draws - 1)
        within = np.sqrt(variance / (ess[:, None] * count / draws))
    return mean, np.fmax(scatter, within)


def _trivial_loss(held: list[xr.Dataset]) -> float | None:
    found = [value for one in held if np.isfinite(value := _number(one.attrs, "trivial_loss"))]
    return found[0] if found else None


def _number(attrs: Mapping[str, object], name: str) -> float:
    value = attrs.get(name)
    return float(value) if isinstance(value, int | float | np.number) else float("nan")
