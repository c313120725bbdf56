"""The change of the LLC between checkpoints, from chains that shared their randomness."""

from typing import NamedTuple

import numpy as np
import xarray as xr

from devexplore.arguments import require_dataset
from devexplore.errors import InvalidSpec
from devexplore.sampling.estimator import standard_error
from devexplore.schema import CHAIN_OK, STEP


class LLCChange(NamedTuple):
    """λ̂(last) − λ̂(first)."""

    change: float
    standard_error: float
    """From paired chains: draw by draw the same batches and noise at both checkpoints."""
    unpaired_error: float
    """What the standard error would be had the two been measured independently."""


def llc_change(chains: xr.Dataset, first: int, last: int) -> LLCChange:
    """Change of λ̂ between two steps of the group /chains, with an error that knows of common random numbers.

    Chain c walks on the same batches and noise at every checkpoint (attribute ``shared_noise``), so the two
    chains err alike, and their difference much less. d = nβ·(loss − baseline)(last) − the same(first) is
    taken draw by draw, with the standard error of ``sampling.estimator``: the larger of sd/√ESS and of the
    scatter of the chains' own means. Chains that diverged at either step are left out of both.

    Raises InvalidSpec: no chains, a step that was not measured, chains without shared noise, none left.
    """
    require_dataset(chains, ("loss", "baseline", "status"), "chains, as run.dataset('chains') gives them")
    missing = [step for step in (first, last) if step not in chains[STEP].values]
    if missing:
        raise InvalidSpec(f"no chains at step {', '.join(map(str, missing))}; choose steps of chains['step']")
    if not bool(chains.attrs.get("shared_noise", False)):
        raise InvalidSpec(
            "these chains had shared_noise=False: their errors are independent, add the squares"
        )
    both = chains.sel({STEP: [first, last]})
    healthy = (both["status"] == CHAIN_OK).all(STEP).values
    if not healthy.any():
        raise InvalidSpec(f"every chain diverged at step {first} or {last}")
    excess = (both["loss"].astype(np.float64) - both["baseline"]).transpose(STEP, "chain", "draw").values
    excess = float(chains.attrs["n_beta"]) * excess[:, healthy]
    before, after = excess
    return LLCChange(
        change=float((after - before).mean()),
        standard_error=standard_error(after - before),
        unpaired_error=float(np.hypot(standard_error(before), standard_error(after))),
    )


def llc_change_errors(chains: xr.Dataset, first: int) -> xr.DataArray:
    """Standard error of λ̂(step) − λ̂(first) for every step of the chains, as ``llc_change`` gives it.

    0 at ``first`` itself; NaN where every chain diverged. Raises InvalidSpec as ``llc_change`` does.
    """
    diverged = (chains["status"] != CHAIN_OK).transpose(STEP, "chain").values
    steps = chains[STEP].values
    if first not in steps:
        raise InvalidSpec(f"no chains at step {first}; choose a step of chains['step']")
    lost = np.atleast_1d((diverged | diverged[steps == first]).all(axis=1))
    errors = [
        np.nan if none else llc_change(chains, first, int(step)).standard_error
        for step, none in zip(steps, lost, strict=True)
    ]
    return xr.DataArray(np.array(errors), dims=STEP, coords={STEP: steps}, name="llc_change_error")
