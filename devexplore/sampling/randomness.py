"""The batches and the noise of a chain: functions of (seed, chain) and nothing else."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

_BLOCK_ELEMENTS = 2**18
_BLOCK_STEPS = 64


class RandomBlock(NamedTuple):
    """Random numbers of several consecutive steps."""

    indices: Int[Tensor, "step sample"] | None
    """Data drawn with replacement; None where every step uses all data."""
    noise: Float[Tensor, "step parameter"]


def block_steps(n_parameters: int) -> int:
    """Steps per block, from the network's size alone.

    A generator's numbers depend on how many are asked for at once, so neither the number of chains nor the
    path (vectorized or not) nor the number of draws may enter here.
    """
    return max(1, min(_BLOCK_STEPS, _BLOCK_ELEMENTS // n_parameters))


def random_blocks(
    key: tuple[int, ...], *, n_parameters: int, n_samples: int, batch_size: int, device: torch.device
) -> Iterator[RandomBlock]:
    """Endless blocks of batches and noise for the chain ``key``; two equal keys give equal blocks.

    Batches and noise come from two generators, so the noise of a chain is the same at every batch size.
    Numbers are drawn on ``device``: they repeat on one kind of device, not across kinds.
    """
    batch_seed, noise_seed = np.random.SeedSequence(key).generate_state(2, np.uint32)
    batch_generator = torch.Generator(device).manual_seed(int(batch_seed))
    noise_generator = torch.Generator(device).manual_seed(int(noise_seed))
    steps = block_steps(n_parameters)
    while True:
        indices = None
        if batch_size < n_samples:
            shape = (steps, batch_size)
            indices = torch.randint(n_samples, shape, generator=batch_generator, device=device)
        noise = torch.randn((steps, n_parameters), generator=noise_generator, device=device)
        yield RandomBlock(indices, noise)
