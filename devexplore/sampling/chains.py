"""Recorded chains, and the loss at w* that they are measured against."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int8
from torch import Tensor

from devexplore.sampling.network import FlatNetwork, Gradient, Placed


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
    """‖w*‖ over the weights that move."""


def baseline_losses(
    network: FlatNetwork, placed: Placed, data: tuple[Tensor, ...], batch_size: int
) -> Float[Tensor, " sample"]:
    """The loss of every sample at w*, in one pass of batches of ``batch_size``."""
    batches = zip(*(tensor.split(batch_size) for tensor in data), strict=True)
    return torch.cat([network.losses(placed, batch) for batch in batches])


def mean_gradient(
    gradient: Gradient, weights: Float[Tensor, "row parameter"], data: tuple[Tensor, ...], batch_size: int
) -> Float[Tensor, "row parameter"]:
    """∇L at each row of weights, over all data in batches of ``batch_size``."""
    total = torch.zeros_like(weights)
    for start in range(0, len(data[0]), batch_size):
        batch = tuple(tensor[start : start + batch_size] for tensor in data)
        total += gradient(weights, batch, True)[1] * (len(batch[0]) / len(data[0]))
    return total
