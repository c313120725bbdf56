"""How long the weights of each part of a network are."""

import numpy as np
from torch import nn

from devexplore.measure.metric import Metric
from devexplore.systems import System


def component_norm(system: System, model: nn.Module) -> Metric:
    """Euclidean norm of the weights of each of ``system.components``: (Σ w²)^½ over the part's own entries,
    so that the squares of disjoint parts add up. LayerNorms belong to no part.
    """
    parameters = dict(model.named_parameters())
    norms = {}
    for name, masks in system.components(model).items():
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
