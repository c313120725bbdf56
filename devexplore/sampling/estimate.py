"""The whole measurement of one checkpoint."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from devexplore.errors import InvalidSpec
from devexplore.sampling.chains import ChainTraces, baseline_losses, run_chains
from devexplore.sampling.estimator import LLCEstimate, llc_from_traces
from devexplore.sampling.network import FlatNetwork, PerSampleLoss, evaluating
from devexplore.sampling.rows import Progress
from devexplore.sampling.spec import LLCSpec


class LLCResult(NamedTuple):
    traces: ChainTraces
    estimate: LLCEstimate


def estimate_llc(
    model: nn.Module,
    per_sample_loss: PerSampleLoss,
    data: tuple[Tensor, ...],
    spec: LLCSpec,
    *,
    w_star: Mapping[str, Tensor] | None = None,
    baseline_batch: int = 256,
    vectorize: bool | None = None,
    progress: Progress | None = None,
) -> LLCResult:
    """Local learning coefficient λ̂(w*) = nβ·(E[L] − L(w*)) of any network, by SGLD at ``spec``.

    per_sample_loss: (model, batch) → the loss of each sample, shape (batch,); called with other weights
        in the model, in evaluation mode. Each sample weighs the same.
    data: tensors indexed along dimension 0 (say inputs and targets). L is the mean over all of them, and
        L(w*) comes from one pass over all of them. They move to the model's device; floats become float32.
    w_star: named weights (a ``state_dict``); None takes the model's own. The model itself is left as it was.
    baseline_batch: samples at a time in the pass at w* (memory only; the result does not depend on it).
    vectorize: see ``run_chains``.
    progress: called with (updates done, updates in all) every few dozen updates.

    Chains that diverge are marked in ``traces.status`` and left out of the estimate; they raise nothing.

    Raises InvalidSpec (data or loss of the wrong shape), NonFiniteWeights, CheckpointMismatch.
    """
    sizes = {len(tensor) for tensor in data}
    if not isinstance(data, tuple) or len(sizes) != 1 or 0 in sizes:
        raise InvalidSpec(
            f"data must be a tuple of tensors with the same number of samples, got {sorted(sizes)}."
        )
    if baseline_batch < 1:
        raise InvalidSpec(f"baseline_batch must be at least 1, got {baseline_batch}.")
    network = FlatNetwork(model, per_sample_loss, w_star)
    data = tuple(_on_device(tensor, network.device) for tensor in data)
    with evaluating(model):
        baseline = baseline_losses(network, data, baseline_batch)
        traces = run_chains(network, data, baseline, spec, vectorize=vectorize, progress=progress)
    estimate = llc_from_traces(
        traces.loss,
        traces.baseline,
        traces.status,
        n_beta=spec.n_beta_for(len(baseline)),
        distance=traces.distance,
        anchor_norm=traces.anchor_norm,
    )
    return LLCResult(traces, estimate)


def _on_device(tensor: Tensor, device: torch.device) -> Tensor:
    return tensor.to(device, torch.float32 if tensor.is_floating_point() else tensor.dtype)
