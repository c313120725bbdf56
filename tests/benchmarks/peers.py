"""devinterp as its users call it, so that a benchmark can put it beside devexplore in one process.

Both published lines sample w ← w − (ε/2)·[nβ·∇L_batch + γ(w − w*)] + N(0, ε), which is also ours: ``lr`` is
ε, ``nbeta`` nβ, ``localization`` γ, and no factor of 2 stands between them. What differs is around it: they
take L(w*) from a few minibatches, and walk one chain after the other.

1.3.2 is the last release for any network, 2.0.1 measures language models. They cannot be installed together.
"""

import importlib.metadata
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from devexplore.sampling import LLCSpec, PerSampleLoss


def require_devinterp(version: str, extra: str) -> None:
    """Skip the test, saying how to get it, where this version of devinterp is not installed."""
    try:
        found = importlib.metadata.version("devinterp")
    except importlib.metadata.PackageNotFoundError:
        found = "none"
    if found != version:
        pytest.skip(f'needs devinterp {version}, found {found}: pip install -e ".[{extra}]"')


class PeerLLC(NamedTuple):
    """What devinterp reports."""

    llc: float
    per_chain: np.ndarray
    std: float
    """Standard deviation over chains, the one number it gives as uncertainty."""
    loss: np.ndarray
    """Batch losses, (chain, draw)."""


class TensorBatches(Dataset):
    """Gathers a whole batch in one call, where ``TensorDataset`` gathers sample by sample and stacks."""

    def __init__(self, tensors: tuple[Tensor, ...]) -> None:
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        picked = torch.as_tensor(indices)
        return tuple(tensor[picked] for tensor in self.tensors)


def usual_loader(data: tuple[Tensor, ...], batch_size: int) -> DataLoader:
    """A shuffled ``DataLoader`` over a ``TensorDataset``, as in devinterp's examples."""
    return DataLoader(TensorDataset(*data), batch_size=batch_size, shuffle=True)


def fast_loader(data: tuple[Tensor, ...], batch_size: int) -> DataLoader:
    """The fastest loader that devinterp 1.3.2 takes; half of its time in a small network is the usual one."""
    return DataLoader(
        TensorBatches(data), batch_size=batch_size, shuffle=True, collate_fn=lambda batch: batch
    )


def devinterp_llc(
    model: nn.Module,
    per_sample_loss: PerSampleLoss,
    data: tuple[Tensor, ...],
    spec: LLCSpec,
    *,
    loader: Callable[[tuple[Tensor, ...], int], DataLoader] = usual_loader,
) -> PeerLLC:
    """devinterp 1.3.2 at the settings of ``spec``; its seed is for the batches of L(w*) and the chains."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns at every call: of its own defaults and of deprecation
        from devinterp.slt.sampler import estimate_learning_coeff_with_summary

        torch.manual_seed(spec.seed)
        found = estimate_learning_coeff_with_summary(
            model,
            loader(data, spec.batch_size),
            evaluate=lambda network, batch: per_sample_loss(network, batch).mean(),
            optimizer_kwargs={
                "lr": spec.step_size,
                "nbeta": spec.n_beta_for(len(data[0])),
                "localization": spec.localization,
            },
            num_chains=spec.chains,
            num_draws=spec.draws,
            num_burnin_steps=spec.burn_in,
            num_steps_bw_draws=spec.thinning,
            seed=spec.seed,
            verbose=False,
        )
    return PeerLLC(
        llc=found["llc/mean"],
        per_chain=np.array([found[f"llc-chain/{chain}"] for chain in range(spec.chains)]),
        std=found["llc/std"],
        loss=found["loss/trace"],
    )


def token_dataset(tokens: Tensor) -> Any:
    """Sequences of tokens as devinterp 2.0.1 takes them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from datasets import Dataset as TokenDataset

        return TokenDataset.from_dict({"input_ids": tokens.tolist()}).with_format("torch")


def devinterp_language_llc(
    model: nn.Module,
    token_loss: Callable[[nn.Module, Tensor], Tensor],
    dataset: Any,
    spec: LLCSpec,
    folder: Path,
) -> Mapping[str, Any]:
    """devinterp 2.0.1 at the settings of ``spec`` on a ``token_dataset``; its chains go to ``folder``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from devinterp.slt.llc import llc

        found = llc(
            model,
            dataset,
            {},
            lr=spec.step_size,
            n_beta=spec.n_beta_for(len(dataset)),
            localization=spec.localization,
            loss_fn=token_loss,
            num_chains=spec.chains,
            num_draws=spec.draws,
            num_burnin_steps=spec.burn_in,
            num_steps_bw_draws=spec.thinning,
            batch_size=spec.batch_size,
            init_seed=spec.seed,
            output_path=folder,
        )
    return {str(name): found[name].values for name in found}
