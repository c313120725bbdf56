"""How an in-context regression transformer is built, from its weights alone: what has collapsed."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from devexplore.measure.component_norms import component_norm
from devexplore.measure.metric import Metric
from devexplore.systems.regression import Regression, RegressionTransformer

SMALL_SCALE = 0.1
"""LayerNorm weights below this in size count as collapsed (Hoogland et al. 2024)."""


def regression_structure(system: Regression, model: nn.Module) -> dict[str, Metric]:
    """Collapse and size of the parts of the network.

    ``embedding_share``, ``unembedding_share`` (dimension ``singular``) and ``position_share``
    (``position_singular``): σᵢ²/Σσ² of the singular values, largest first; all equal where every direction is
    used alike, 1 0 0 … where one is left. The unembedding is taken with the weights γ of the LayerNorm
    before it, W·diag(γ), as it acts. A matrix of zeros has NaN. ``norm_collapse``: share of |γ| < 0.1 of each
    LayerNorm (the last, before the unembedding, is what "unembedding collapse" counts in Hoogland et al.
    2024). ``component_norm``: Euclidean norm of each part.
    """
    if not isinstance(model, RegressionTransformer):
        return {}
    norms = _norms(model)
    return {
        "embedding_share": _shares(model.embed.weight, "singular", "embedding"),
        "unembedding_share": _shares(
            model.unembed.weight * model.norm.weight, "singular", "unembedding with its LayerNorm"
        ),
        "position_share": _shares(model.position, "position_singular", "position vectors"),
        "norm_collapse": Metric(
            ("norm",),
            np.array(
                [(norm.weight.abs() < SMALL_SCALE).double().mean().item() for norm in norms.values()]
            ).astype(np.float32),
            {"long_name": f"share of the LayerNorm's weights below {SMALL_SCALE} in size"},
            coords={"norm": np.array(list(norms), dtype=object)},
        ),
        "component_norm": component_norm(system.components(model), model),
    }


def _norms(model: RegressionTransformer) -> dict[str, nn.LayerNorm]:
    """Every LayerNorm, by the name of what reads it."""
    found: dict[str, nn.LayerNorm] = {}
    blocks: Any = model.blocks
    for layer, block in enumerate(blocks, start=1):
        found[f"layer {layer} attention"] = block.norm_attention
        found[f"layer {layer} MLP"] = block.norm_mlp
    return {**found, "unembedding": model.norm}


def _shares(matrix: Tensor, dim: str, name: str) -> Metric:
    squares = torch.linalg.svdvals(matrix.detach().cpu().double()) ** 2
    return Metric(
        (dim,),
        (squares / squares.sum()).numpy().astype(np.float32),
        {"long_name": f"share of each singular value in the {name}"},
    )
