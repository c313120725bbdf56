"""Which tokens' losses rise and fall together around a checkpoint."""

import numpy as np
import xarray as xr

from devexplore.arguments import require_dataset
from devexplore.errors import InvalidSpec
from devexplore.schema import CHAIN_OK


def loss_covariance(traces: xr.Dataset) -> xr.DataArray:
    """Covariance over chains and draws of every two tokens' losses, at one checkpoint of /token_traces.

    Under p(w) ∝ exp(−nβ·L(w) − (γ/2)‖w − w*‖²) it is, times nβ, how much the expected loss of one token falls
    when another is given more weight (a Bayesian influence; Baker et al. 2025, arXiv 2504.18274).

    Dims: sequence, position, other_sequence, other_position; units: those of the loss, squared. Chains that
    diverged are left out. Raises InvalidSpec: more than one checkpoint, or fewer than two draws left.
    """
    require_dataset(traces, ("loss", "status"), "token traces, as run.dataset('token_traces') gives them")
    loss = traces["loss"].astype(np.float64)
    if "step" in loss.dims:
        raise InvalidSpec("a covariance is of one checkpoint: choose it, as in traces.sel(step=1000)")
    chains = loss.transpose("chain", "draw", "sequence", "position").values
    healthy = chains[(traces["status"] == CHAIN_OK).values]
    samples = healthy.reshape(-1, *healthy.shape[2:])
    if len(samples) < 2:
        raise InvalidSpec(
            f"a covariance takes at least two draws of chains that did not diverge, got {len(samples)}"
        )
    centred = samples - samples.mean(axis=0)
    values = np.einsum("dsp,dtq->sptq", centred, centred) / (len(samples) - 1)
    return xr.DataArray(
        values,
        dims=("sequence", "position", "other_sequence", "other_position"),
        name="loss_covariance",
        attrs={"long_name": "covariance of token losses along the chains", "draws": len(samples)},
    )
