"""How a language model's heads are built: what they attend to, and which feed which."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from devexplore.measure.attention import HeadWeights
from devexplore.measure.metric import Metric, averaged, counted

_Patterns = Float[Tensor, "sample layer head query key"]
_Scores = Float[Tensor, "sample layer head"]


def previous_token_score(patterns: _Patterns, half: int) -> _Scores:
    """Mean attention from a position to the one before it, over the positions 1 … half − 1 of ``half`` random
    tokens. Even attention scores (H_half − 1)/(half − 1) (H: harmonic number), .059 for 65 tokens.
    """
    return patterns.diagonal(offset=-1, dim1=-2, dim2=-1)[..., : half - 1].mean(dim=-1)


def current_token_score(patterns: _Patterns, half: int) -> _Scores:
    """Mean attention from a position to itself, over the positions 1 … half − 1 (the first has no choice)."""
    return patterns.diagonal(dim1=-2, dim2=-1)[..., 1:half].mean(dim=-1)


def prefix_matching_score(patterns: _Patterns, half: int) -> _Scores:
    """Mean attention from a token's second occurrence i to the token after its first, i − half + 1, over
    ``half`` random tokens and the same again: what an induction head does (Olsson et al. 2022, whose tokens
    occur four times). Even attention scores about ln 2/half, .011 for 65 tokens.
    """
    return patterns.diagonal(offset=1 - half, dim1=-2, dim2=-1)[..., 1:].mean(dim=-1)


def head_scores(patterns: _Patterns, half: int) -> Float[Tensor, "sample layer head score"]:
    """The three scores above of every head, each between 0 and 1, from the attention on random tokens that
    are repeated after ``half``.
    """
    scores = (previous_token_score, prefix_matching_score, current_token_score)
    return torch.stack([score(patterns, half) for score in scores], dim=-1)


def head_metrics(scores: Float[Tensor, "sample layer head score"]) -> dict[str, Metric]:
    """Averages of ``head_scores`` over sequences."""
    names = {
        "previous_token_score": "attention to the token before",
        "prefix_matching_score": "attention from a repeated token to what followed it before",
        "current_token_score": "attention to the token itself",
    }
    return {
        name: averaged(scores[..., column], ("layer", "head"), {"long_name": words})._replace(
            coords=counted(("layer", "head"), scores.shape[1:3])
        )
        for column, (name, words) in enumerate(names.items())
    }


def entropy_metric(entropy: _Scores) -> Metric:
    """Average of ``attention_entropy`` over texts, without blocks: texts hardly differ in it."""
    found = averaged(
        entropy, ("layer", "head"), {"units": "nats", "long_name": "entropy of attention on held-out text"}
    )
    return found._replace(blocks=None, coords=counted(("layer", "head"), entropy.shape[1:]))


def composition(weights: HeadWeights) -> dict[str, Metric]:
    """How much of what a head reads is what an earlier head writes (Elhage et al. 2021): ‖W_OV·M‖ / (‖W_OV‖
    ‖M‖), Frobenius norms, with W_OV = W_V·W_O of the earlier head and M of the later one

    - ``q_composition``: W_QK = W_Q·W_Kᵀ, what its queries read
    - ``k_composition``: W_QKᵀ, what its keys read
    - ``v_composition``: its own W_OV, what its values read.

    Between 0 (orthogonal) and 1; two heads turned at random against each other have 1/√width (root mean
    square), which is named in ``long_name`` and not subtracted. Dimensions (layer, head, earlier_layer,
    earlier_head), NaN where that layer is not earlier, and in float64 until the end. Nothing for a single
    layer. A head without weights has NaN. Biases, and rotations of queries and keys by position (rotary), are
    left out.
    """
    layers, heads, width, _ = weights.query.shape
    if layers == 1:
        return {}
    reads_and_writes = weights.value @ weights.out
    matches = weights.query @ weights.key.mT
    dims = ("layer", "head", "earlier_layer", "earlier_head")
    coords = counted(dims, (layers, heads, layers - 1, heads))
    earlier = torch.arange(layers)[:, None] > torch.arange(layers - 1)
    found = {}
    for kind, read in (("k", matches.mT), ("q", matches), ("v", reads_and_writes)):
        scores = torch.where(earlier[:, None, :, None], _composed(reads_and_writes[:-1], read), torch.nan)
        words = f"{kind.upper()}-composition with an earlier head (unrelated heads: {width**-0.5:.2g})"
        found[f"{kind}_composition"] = Metric(
            dims, scores.numpy().astype(np.float32), {"long_name": words}, coords=coords
        )
    return found


def _composed(writes: Tensor, read: Tensor) -> Float[Tensor, "layer head earlier_layer earlier_head"]:
    """‖W·M‖² = ⟨WᵀW, MMᵀ⟩ for all pairs at once, without their products."""
    written, wanted = (writes.mT @ writes).flatten(2), (read @ read.mT).flatten(2)
    products = torch.einsum("lhx,mgx->lhmg", wanted, written).clamp_min(0).sqrt()
    norms = torch.einsum("lh,mg->lhmg", read.norm(dim=(-2, -1)), writes.norm(dim=(-2, -1)))
    return products / norms
