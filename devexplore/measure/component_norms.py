"""How long the weights of a network and of each of its parts are."""

from collections.abc import Mapping

import numpy as np
from torch import Tensor, nn

from devexplore.measure.metric import Metric, number


def weight_norm(model: nn.Module) -> Metric:
    """Euclidean norm of all weights, (Σ w²)^½."""
    squares = [float((weights.detach().cpu().double() ** 2).sum()) for weights in model.parameters()]
    return number(sum(squares) ** 0.5, {"long_name": "Euclidean norm of all weights"})


def component_norm(parts: Mapping[str, Mapping[str, Tensor | None]], model: nn.Module) -> Metric:
    """Euclidean norm of the weights of each part, such as ``System.components`` names them: (Σ w²)^½ over the
    part's own entries, so that the squares of disjoint parts add up. LayerNorms belong to no part of a run's
    networks.
    """
    parameters = dict(model.named_parameters())
    norms = {}
    for name, masks in parts.items():
        squares = 0.0
        for parameter, mask in masks.items():
            weights = parameters[parameter].detach().cpu().double()
            squares += float((weights**2 if mask is None else weights[mask] ** 2).sum())
        norms[name] = squares**0.5
    return Metric(
        ("component",),
        np.array(list(norms.values()), dtype=np.float32),
        {"long_name": "Euclidean norm of the weights of each part"},
        coords={"component": np.array(list(norms), dtype=object)},
    )
