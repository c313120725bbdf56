"""Which of its teacher's modes a deep linear network has learned."""

import torch
from torch import Tensor, nn

from devexplore.measure.metric import Metric
from devexplore.systems.deep_linear import DeepLinear


def deep_linear_metrics(
    system: DeepLinear, model: nn.Module, held_out: tuple[Tensor, ...], seed: int
) -> dict[str, Metric]:
    """``singular_value`` (mode): of the product W = W_L … W_1 of all layers, largest first.

    ``mode_strength`` (teacher_mode): u_iᵀ W v_i for each pair of singular vectors of the teacher; s_i where
    mode i is learned, near 0 and of either sign where it is not. ``analysis.saddle_times`` says when theory
    expects that.
    """
    weights = [parameter.detach().cpu().double() for parameter in model.parameters()]
    product = weights[0]
    for weight in weights[1:]:
        product = weight @ product
    left, _, right = system.teacher(seed)
    strength = torch.einsum("om,oi,im->m", left.double(), product, right.double())
    return {
        "singular_value": Metric(
            ("mode",),
            torch.linalg.svdvals(product).float().numpy(),
            {"long_name": "singular values of W_L … W_1"},
        ),
        "mode_strength": Metric(
            ("teacher_mode",),
            strength.float().numpy(),
            {"long_name": "strength of the teacher's modes in W_L … W_1"},
        ),
    }
