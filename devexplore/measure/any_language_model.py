"""Language metrics of a model that is no run of ours: one checkpoint, the user's own tokens."""

from collections.abc import Mapping

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from devexplore.checks import whole_number
from devexplore.measure.behaviour import icl_positions
from devexplore.measure.component_norms import component_norm, weight_norm
from devexplore.measure.given_model import (
    Tokens,
    early_and_late,
    look_at,
    require_known,
    require_model,
    stream_of,
    windows_of,
)
from devexplore.measure.language_metrics import CLOSER_LOOK, Shown, metrics_of
from devexplore.measure.metric import BLOCKS, Metric
from devexplore.systems.base import require, rng
from devexplore.systems.bigrams import count_bigrams
from devexplore.systems.prompts import common_ngrams, half_of, repeated_tokens

_OF_ATTENTION = (
    "attention_entropy",
    "previous_token_score",
    "prefix_matching_score",
    "current_token_score",
)
_OF_WEIGHTS = ("k_composition", "q_composition", "v_composition")


def language_metrics(
    model: nn.Module,
    text: Tokens,
    corpus: Tokens,
    *,
    positions: tuple[slice, slice] | None = None,
    batch_size: int = 8,
    seed: int = 0,
) -> xr.Dataset:
    """Every language metric that can be told of one checkpoint of any model.

    >>> model = HookedTransformer.from_pretrained("gpt2")  # doctest: +SKIP
    >>> dx.language_metrics(model, text=windows, corpus=stream)  # doctest: +SKIP

    Args:
        model: gives logits (text, position, vocabulary) when called with token ids (text, position), each
            position's from it and those before it. For metrics of attention also
            ``run_with_cache(tokens, names_filter=…)`` → (logits, cache with
            ``blocks.{layer}.attn.hook_pattern``), as in TransformerLens; for composition
            ``blocks[layer].attn.W_Q, W_K, W_V, W_O`` of more than one layer; for positional dependence a
            parameter ``pos_embed.W_pos``. Without these, those metrics are left out. Dropout is off
            meanwhile.
        text: token ids of windows of held-out text, (text, context + 1): at least 16 of at least 9 tokens.
            Losses are of all tokens but the first; a beginning-of-text token is the user's to put in front.
        corpus: one stream of token ids in whose bigrams and n-grams the model is examined, best its training
            text; random tokens are drawn from those that occur in it.
        positions: early and late positions of the ICL score; by default the second sixteenth of the context
            and its last quarter.
        batch_size: texts at a time (an eighth as many where attention is read). The log-probabilities and the
            bigrams of a batch are in memory together, some 12 · texts · context · vocabulary bytes.
        seed: of the random tokens and of the order of n-grams.

    Returns:
        The metrics that ``metrics_of`` lists, ``weight_norm``, and ``component_norm`` of every parameter. Of
        each metric that averages over texts also its standard error ``…_se``, from 16 disjoint groups of
        texts (of n-grams, of random sequences). ``attrs`` ``left_out``: the metrics that this model does not
        allow, each group with the reason; empty where all are there.

    Raises:
        InvalidSpec: for a model that is no module or does not give such logits, empty or short text, too few
            texts, ids that are no whole numbers or not in the model's vocabulary, a context longer than the
            model's, positions outside the context, a batch_size below 1, a seed below 0, a corpus too small
            for n-grams, or predictions that are NaN.
        NonFiniteWeights: for a model with a weight that is NaN or infinite.
    """
    batch_size, seed = whole_number("batch_size", batch_size, 1), whole_number("seed", seed, 0)
    require_model(model)
    windows, stream = windows_of(text), stream_of(corpus)
    context = windows.shape[1] - 1
    early_late = icl_positions(context) if positions is None else early_and_late(positions, context)
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))

    training = model.training
    model.eval()
    try:
        look = look_at(model, context, device)
        require_known(np.concatenate([windows.ravel(), stream]), look.vocabulary)
        shown = _shown(windows, stream, early_late, device, batch_size, seed)
        with torch.no_grad():
            found = metrics_of(model, shown._replace(attention=not look.no_attention))
            parts = {name: {name: None} for name, _ in model.named_parameters()}
            norms = {"weight_norm": weight_norm(model), "component_norm": component_norm(parts, model)}
    finally:
        model.train(training)
    return _dataset({**found, **norms}).assign_attrs(left_out=_left_out(found, look.no_attention))


def _shown(
    windows: np.ndarray,
    stream: np.ndarray,
    early_late: tuple[slice, slice],
    device: torch.device,
    batch_size: int,
    seed: int,
) -> Shown:
    """What the model is shown, on its device. Raises InvalidSpec for a corpus of too few n-grams."""
    generator = rng(seed, "ngrams")
    ngrams = {n: generator.permutation(rows) for n, rows in common_ngrams(stream).items()}
    fewest = min(map(len, ngrams.values()))
    require(
        fewest >= BLOCKS,
        f"corpus has {fewest} different n-grams of a length, fewer than the {BLOCKS} that errors are told "
        "from; give more text",
    )
    among, length = np.unique(stream), windows.shape[1]
    repeated = repeated_tokens(rng(seed, "repeated"), min(CLOSER_LOOK, len(windows)), length, among)

    def placed(ids: np.ndarray) -> Tensor:
        return torch.from_numpy(ids).to(device)

    return Shown(
        placed(windows),
        early_late,
        count_bigrams(stream, int(max(stream.max(), windows.max())) + 1),
        {n: placed(rows) for n, rows in ngrams.items()},
        placed(repeated),
        half_of(length, len(among)),
        batch_size,
    )


def _left_out(found: Mapping[str, Metric], no_attention: str) -> str:
    reasons = {
        _OF_ATTENTION: no_attention,
        _OF_WEIGHTS: "needs W_Q, W_K, W_V and W_O of every blocks[layer].attn, as in TransformerLens, and "
        "more than one layer",
        ("positional_dependence",): "needs position vectors, a parameter pos_embed.W_pos or position",
    }
    return "; ".join(
        f"{', '.join(names)}: {reason}" for names, reason in reasons.items() if not set(names) <= found.keys()
    )


def _dataset(found: Mapping[str, Metric]) -> xr.Dataset:
    variables, coords = {}, {}
    for name, metric in found.items():
        variables[name] = xr.Variable(metric.dims, metric.values, dict(metric.attrs))
        coords |= metric.coords
        if metric.blocks is not None:
            error = metric.blocks.std(axis=0, ddof=1) / len(metric.blocks) ** 0.5
            attrs = {"long_name": f"standard error of {name}"}
            variables[f"{name}_se"] = xr.Variable(metric.dims, error, attrs)
    return xr.Dataset(variables, coords)
