"""How the two toy systems are built: k-gons of the superposition model, modes of the deep linear network."""

import torch
from torch import Tensor, nn

from devexplore.measure.metric import Metric
from devexplore.systems.deep_linear import DeepLinear
from devexplore.systems.superposition import Superposition


def superposition_metrics(
    system: Superposition, model: nn.Module, held_out: tuple[Tensor, ...], seed: int
) -> dict[str, Metric]:
    """Length of each column of W, and its angle: the k-gon as numbers."""
    weight = model.get_parameter("weight").detach().cpu()
    return {
        "feature_norm": Metric(
            ("feature",), weight.norm(dim=0).numpy(), {"long_name": "length of W's column"}
        ),
        "feature_angle": Metric(
            ("feature",),
            torch.atan2(weight[1], weight[0]).numpy(),
            {"units": "radian", "long_name": "direction of W's column"},
        ),
        "represented_features": Metric(
            (),
            (weight.norm(dim=0) > 0.5).sum().float().numpy(),
            {"long_name": "features with a column longer than ½ (the k of the k-gon)"},
        ),
    }


def deep_linear_metrics(
    system: DeepLinear, model: nn.Module, held_out: tuple[Tensor, ...], seed: int
) -> dict[str, Metric]:
    """Singular values of the product of all layers."""
    product = model(torch.eye(system.spec.widths[0], device=held_out[0].device))
    values = torch.linalg.svdvals(product).cpu().numpy()
    return {"singular_value": Metric(("mode",), values, {"long_name": "singular values of W_L … W_1"})}
