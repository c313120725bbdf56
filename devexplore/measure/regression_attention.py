"""Where the heads of an in-context regression transformer look."""

from jaxtyping import Float
from torch import Tensor

from devexplore.measure.attention import attention_entropy
from devexplore.measure.metric import Metric, counted
from devexplore.measure.structure import entropy_metric


def attention_metrics(patterns: Float[Tensor, "sequence layer head query key"]) -> dict[str, Metric]:
    """Entropy and variability of every head's attention A, over (layer, head), both counted from 1.

    ``attention_entropy``: −Σ_key A ln A in nats, mean over queries and sequences; 0 where all attention is
    on one token. ``attention_variability``: (Σ_key Var A)^½, the standard deviation of the attention vector
    over sequences, mean over queries; 0 where a head looks at the same positions whatever is there, always
    below 1. (That attention becomes constant is a collapse which Hoogland et al. 2024 describe; this measure
    of it is ours.) The first query, which sees only itself, counts with 0 in both.
    """
    dims = ("layer", "head")
    return {
        "attention_entropy": entropy_metric(attention_entropy(patterns)),
        "attention_variability": Metric(
            dims,
            attention_variability(patterns).cpu().numpy(),
            {"long_name": "standard deviation of attention over sequences"},
            coords=counted(dims, patterns.shape[1:3]),
        ),
    }


def attention_variability(
    patterns: Float[Tensor, "sequence layer head query key"],
) -> Float[Tensor, "layer head"]:
    """Mean over queries of (Σ_key Var A)^½, the variance taken over sequences."""
    return patterns.var(dim=0, correction=0).sum(dim=-1).sqrt().mean(dim=-1)
