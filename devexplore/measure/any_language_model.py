"""Language metrics of a model that is no run of ours: one checkpoint, the user's own tokens."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import xarray as xr
from jaxtyping import Int
from torch import Tensor, nn

from devexplore.errors import InvalidSpec
from devexplore.measure.behaviour import icl_positions
from devexplore.measure.component_norms import component_norm, weight_norm
from devexplore.measure.language_metrics import CLOSER_LOOK, Shown, metrics_of
from devexplore.measure.metric import BLOCKS, Metric
from devexplore.systems.base import require, rng
from devexplore.systems.bigrams import count_bigrams
from devexplore.systems.prompts import common_ngrams, half_of, repeated_tokens

SHORTEST = 9
"""Tokens of a text: eight positions with a target each."""

COMMON = 512
"""n-grams of each length."""

Tokens = Int[np.ndarray, "..."] | Int[Tensor, "..."] | Sequence[int] | Sequence[Sequence[int]]


def language_metrics(
    model: nn.Module,
    text: Tokens,
    corpus: Tokens,
    *,
    positions: tuple[slice, slice] | None = None,
    batch_size: int = 8,
    seed: int = 0,
) -> xr.Dataset:
    """Every language metric of one checkpoint of any model that follows TransformerLens.

    >>> model = HookedTransformer.from_pretrained("gpt2")  # doctest: +SKIP
    >>> dx.language_metrics(model, text=windows, corpus=stream)  # doctest: +SKIP

    Parameters
    ----------
    model: needs ``run_with_cache(tokens, names_filter=…)`` → (logits, cache with
        ``blocks.{layer}.attn.hook_pattern``), and gives logits (text, position, vocabulary) when called.
        Composition also needs ``blocks[layer].attn.W_Q, W_K, W_V, W_O``, positional dependence a parameter
        ``pos_embed.W_pos``; without these, those metrics are left out. Dropout is off meanwhile.
    text: token ids of windows of held-out text, (text, context + 1): at least 16 of at least 9 tokens. Losses
        are of all tokens but the first; a beginning-of-text token is the user's to put in front.
    corpus: one stream of token ids in whose bigrams and n-grams the model is examined, best its training
        text; random tokens are drawn from those that occur in it.
    positions: early and late positions of the ICL score; by default the second sixteenth of the context and
        its last quarter.
    batch_size: texts at a time (an eighth as many where attention is read). The log-probabilities and the
        bigrams of a batch are in memory together, some 12 · texts · context · vocabulary bytes.
    seed: of the random tokens and of the order of n-grams.

    Returns
    -------
    Dataset of the metrics that ``metrics_of`` lists, ``weight_norm``, and ``component_norm`` of every
    parameter. Of each metric that averages over texts also its standard error ``…_se``, from 16 disjoint
    groups of texts (of n-grams, of random sequences).

    Raises
    ------
    InvalidSpec: for empty or short text, too few texts, ids that are no whole numbers or not in the model's
        vocabulary, a context longer than the model's, positions outside the context, a corpus too small for
        n-grams, or a model that shows no attention.
    """
    windows, stream = _windows(text), _stream(corpus)
    context = windows.shape[1] - 1
    _check_fits(model, np.concatenate([windows.ravel(), stream]), context)
    early_late = icl_positions(context) if positions is None else _within(positions, context)
    among = np.unique(stream)
    generator = rng(seed, "ngrams")
    ngrams = {n: generator.permutation(rows) for n, rows in common_ngrams(stream, (2, 3, 4), COMMON).items()}
    fewest = min(map(len, ngrams.values()))
    require(
        fewest >= BLOCKS,
        f"corpus has {fewest} different n-grams of a length, fewer than the {BLOCKS} that errors are told "
        "from; give more text",
    )
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    repeated = repeated_tokens(rng(seed, "repeated"), min(CLOSER_LOOK, len(windows)), windows.shape[1], among)

    def placed(ids: np.ndarray) -> Tensor:
        return torch.from_numpy(ids).to(device)

    shown = Shown(
        placed(windows),
        early_late,
        count_bigrams(stream, int(max(stream.max(), windows.max())) + 1),
        {n: placed(rows) for n, rows in ngrams.items()},
        placed(repeated),
        half_of(windows.shape[1], len(among)),
        batch_size,
    )
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            found = metrics_of(model, shown)
            parts = {name: {name: None} for name, _ in model.named_parameters()}
            norms = {"weight_norm": weight_norm(model), "component_norm": component_norm(parts, model)}
    finally:
        model.train(training)
    return _dataset({**found, **norms})


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


def _windows(text: Tokens) -> Int[np.ndarray, "text place"]:
    ids = _whole_numbers(text, "text")
    require(
        ids.ndim == 2 and len(ids) >= BLOCKS and ids.shape[1] >= SHORTEST,
        f"text must be at least {BLOCKS} windows of at least {SHORTEST} tokens, an array (text, token), got "
        f"shape {ids.shape}; cut a long stream into windows",
    )
    return ids


def _stream(corpus: Tokens) -> Int[np.ndarray, " token"]:
    ids = _whole_numbers(corpus, "corpus")
    require(
        ids.ndim == 1 and len(ids) > 0,
        f"corpus must be one stream of token ids, got shape {ids.shape}; join its texts",
    )
    return ids


def _whole_numbers(tokens: Tokens, name: str) -> Int[np.ndarray, "..."]:
    try:
        ids = tokens.cpu().numpy() if isinstance(tokens, Tensor) else np.asarray(tokens)
    except ValueError:
        raise InvalidSpec(
            f"{name} must be rows of one length, got rows of several; cut them to one"
        ) from None
    require(ids.size > 0, f"{name} is empty; give token ids")
    require(
        ids.dtype.kind in "iu" and bool((ids >= 0).all()),
        f"{name} must be token ids, whole numbers from 0 up, got {ids.dtype} such as {ids.flat[0]}; tokenise "
        "it first",
    )
    return ids.astype(np.int64)


def _check_fits(model: nn.Module, ids: Int[np.ndarray, " token"], context: int) -> None:
    """Against what a TransformerLens model says of itself in ``cfg``; any other is taken at its word."""
    config = getattr(model, "cfg", None)
    vocabulary, longest = getattr(config, "d_vocab", None), getattr(config, "n_ctx", None)
    require(
        vocabulary is None or int(ids.max()) < vocabulary,
        f"token ids of this model are below {vocabulary}, got {ids.max()}; use its own tokenizer",
    )
    require(
        longest is None or context <= longest,
        f"this model sees {longest} tokens, got windows of {context} and a target; cut shorter ones",
    )


def _within(positions: tuple[slice, slice], context: int) -> tuple[slice, slice]:
    for stretch in positions:
        require(
            len(range(context)[stretch]) > 0,
            f"positions of the ICL score must lie within the context of {context}, got {stretch}",
        )
    early, late = (slice(*stretch.indices(context)) for stretch in positions)
    return early, late
