"""The chains of one checkpoint, as arrays."""

import hashlib
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int8
from torch import Tensor

from devexplore.sampling.network import FlatNetwork, Gradient
from devexplore.sampling.rows import Progress, Rows, RowTraces, run_rows
from devexplore.sampling.spec import LLCSpec
from devexplore.schema import CHAIN_DIVERGED, CHAIN_OK

_VECTORIZE_BELOW = 16_384
_BUFFER_ELEMENTS = 2**25


class ChainTraces(NamedTuple):
    """Recorded chains of one checkpoint. Losses are means over a batch, in the loss's own unit."""

    loss: Float[np.ndarray, "chain draw"]
    """Batch loss at each draw; NaN where a diverged chain had been retired."""
    baseline: Float[np.ndarray, "chain draw"]
    """The same batch's loss at w*."""
    status: Int8[np.ndarray, " chain"]
    """0 ok, 1 diverged."""
    distance: Float[np.ndarray, " chain"]
    """Final ‖w − w*‖ (of a diverged chain: when it was last looked at; NaN if not finite)."""
    init_loss: float
    """L(w*) on all data."""
    anchor_norm: float
    """‖w*‖ over the sampled parameters."""


def baseline_losses(
    network: FlatNetwork, data: tuple[Tensor, ...], batch_size: int
) -> Float[Tensor, " sample"]:
    """The loss of every sample at w*, in one pass of batches of ``batch_size``."""
    batches = zip(*(tensor.split(batch_size) for tensor in data), strict=True)
    return torch.cat([network.losses(network.anchor, batch) for batch in batches])


def run_chains(
    network: FlatNetwork,
    data: tuple[Tensor, ...],
    baseline: Float[Tensor, " sample"],
    spec: LLCSpec,
    *,
    vectorize: bool | None = None,
    rows_per_block: int | None = None,
    progress: Progress | None = None,
) -> ChainTraces:
    """Run ``spec.chains`` chains from the network's w*.

    vectorize: all chains in one call (True), one after the other (False), or by the network's size (None:
        vectorized below 16,384 parameters if the loss allows it). The walks are the same to float tolerance.
    rows_per_block: chains held at once; None keeps a buffer of weights below 128 MiB.
    """
    gradient = _choose_gradient(network, data, vectorize)
    per_block = rows_per_block or max(1, _BUFFER_ELEMENTS // network.n_parameters)
    checkpoint = () if spec.shared_noise else (_digest(network.anchor),)
    keys = [(spec.seed, chain, *checkpoint) for chain in range(spec.chains)]
    n_beta = spec.n_beta_for(len(baseline))
    blocks: list[RowTraces] = []
    for first in range(0, spec.chains, per_block):
        block_keys = keys[first : first + per_block]
        columns = torch.tensor([spec.step_size, n_beta, spec.localization], device=network.device)
        rows = Rows(
            torch.zeros(len(block_keys), dtype=torch.long, device=network.device),
            *columns[:, None].expand(3, len(block_keys)),
            keys=block_keys,
        )
        report = None if progress is None else _offset(progress, first * spec.updates, spec)
        blocks.append(run_rows(gradient, data, network.anchor[None], baseline[None], rows, spec, report))
    loss, trace_baseline, diverged, distance = (
        torch.cat(field).cpu().numpy() for field in zip(*blocks, strict=True)
    )
    return ChainTraces(
        loss=loss,
        baseline=trace_baseline,
        status=np.where(diverged, CHAIN_DIVERGED, CHAIN_OK).astype(np.int8),
        distance=distance,
        init_loss=float(baseline.cpu().double().mean()),
        anchor_norm=float(network.anchor.norm()),
    )


def _choose_gradient(network: FlatNetwork, data: tuple[Tensor, ...], vectorize: bool | None) -> Gradient:
    if vectorize is None and network.n_parameters < _VECTORIZE_BELOW:
        try:  # some layers know no vectorized form, and only a trial tells
            network.vectorized(network.anchor[None], tuple(tensor[None, :1] for tensor in data), False)
        except RuntimeError:
            return network.sequential
        return network.vectorized
    return network.vectorized if vectorize else network.sequential


def _digest(weights: Float[Tensor, " parameter"]) -> int:
    return int.from_bytes(hashlib.sha256(weights.cpu().numpy().tobytes()).digest()[:8], "big")


def _offset(progress: Progress, before: int, spec: LLCSpec) -> Progress:
    return lambda done, _: progress(before + done, spec.chains * spec.updates)
