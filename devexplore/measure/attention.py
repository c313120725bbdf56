"""What every head attends to, from the very forward pass that gives a network's outputs.

Networks of ours, and any that follow TransformerLens: ``run_with_cache(tokens)`` with the hooks
``blocks.{layer}.attn.hook_pattern``, weights ``blocks[layer].attn.W_Q`` and so on.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from devexplore.errors import InvalidSpec
from devexplore.systems.attention_only import AttentionOnlyTransformer


class Seen(NamedTuple):
    """``outputs``: what the network gives. ``patterns`` (sample, layer, head, query, key): attention, in
    single precision."""

    outputs: Tensor
    patterns: Tensor


def see(model: nn.Module, inputs: Tensor) -> Seen:
    """Outputs and attention patterns of one forward pass.

    A network of TransformerLens's kind is asked with ``run_with_cache``. Of any other, every module that has
    a method ``pattern`` (of ``forward``'s arguments) is a layer; it is asked while the pass goes through it,
    so that forward passes elsewhere pay nothing for it.

    Raises InvalidSpec for a network without either.
    """
    if hasattr(model, "run_with_cache"):
        return _through_cache(model, inputs)
    layers = [module for module in model.modules() if hasattr(module, "pattern")]
    if not layers:
        raise InvalidSpec(
            f"{type(model).__name__} shows no attention: expected run_with_cache(tokens) as in "
            "TransformerLens, or attention modules with a method pattern"
        )
    patterns: list[Tensor] = []

    def keep(layer: Any, given: tuple[Any, ...], _: Tensor) -> None:
        patterns.append(layer.pattern(*given))

    hooks = [layer.register_forward_hook(keep) for layer in layers]
    try:
        outputs = model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return Seen(outputs, torch.stack(patterns, dim=1).float())


def attention_entropy(patterns: Tensor) -> Tensor:
    """−Σ_key A ln A in nats, mean over queries: (…, query, key) → (…).

    0 where every position attends to a single one; attending evenly to all T positions seen so far gives
    ln(T!)/T, the most there is. It is not divided by that most.
    """
    logs = patterns.clamp_min(torch.finfo(patterns.dtype).tiny).log()  # 0·ln 0 = 0
    return -(patterns * logs).sum(dim=-1).mean(dim=-1)


def _through_cache(model: Any, tokens: Tensor) -> Seen:
    logits, cache = model.run_with_cache(tokens, names_filter=lambda name: name.endswith("attn.hook_pattern"))
    patterns: list[Tensor] = []
    while (name := f"blocks.{len(patterns)}.attn.hook_pattern") in cache:
        patterns.append(cache[name])
    if not patterns:
        raise InvalidSpec(
            f"the cache of {type(model).__name__} holds no attention: expected {name}, as in TransformerLens"
        )
    return Seen(logits, torch.stack(patterns, dim=1).float())


POSITIONS = ("position", "pos_embed.W_pos")
"""Names of the parameter that holds the vectors of positions, here and in TransformerLens."""


def without_positions(model: nn.Module, tokens: Tensor) -> Tensor | None:
    """Outputs with every position vector at zero; None where the network has none (rotary positions)."""
    parameters = dict(model.named_parameters())
    for name in POSITIONS:
        if name in parameters:
            return functional_call(model, {name: torch.zeros_like(parameters[name])}, tokens)
    return None


class HeadWeights(NamedTuple):
    """What heads read and write, for row vectors x of the residual stream: queries x·W_Q, keys, values of
    shape (layer, head, width, size), and ``out`` (layer, head, size, width).

    The gains of the LayerNorm in front of a layer are multiplied into what its heads read.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    out: Tensor


def head_weights(model: nn.Module) -> HeadWeights | None:
    """Weights of all heads, in float64 on the CPU; None for a network that does not show them, of one shape
    in all layers, under TransformerLens's names: ``W_Q``, ``W_K``, ``W_V`` and ``W_O`` of every
    ``blocks[layer].attn`` (which expands grouped keys and values itself) and, where its gains are apart,
    ``w`` of ``blocks[layer].ln1``.
    """
    layers = list(_own(model) if isinstance(model, AttentionOnlyTransformer) else _named(model))
    if not layers or not _alike(layers):
        return None
    gains, *weights = (
        torch.stack([part.detach().cpu().double() for part in parts]) for parts in zip(*layers, strict=True)
    )
    query, key, value, out = weights
    gains = gains[:, None, :, None]
    return HeadWeights(gains * query, gains * key, gains * value, out)


def _own(model: AttentionOnlyTransformer) -> Iterator[tuple[Any, ...]]:
    for norm, layer in zip(model.norms, model.attention, strict=True):
        attention: Any = layer
        split = (attention.heads, -1)
        reads = [
            part.weight.T.unflatten(1, split) for part in (attention.query, attention.key, attention.value)
        ]
        out = attention.out.weight.T.unflatten(0, split)
        yield norm.weight, *(weight.movedim(1, 0) for weight in reads), out


def _alike(layers: list[tuple[Any, ...]]) -> bool:
    """Whether all layers have heads of the same shapes, which queries, keys and values share."""
    shapes = {tuple(tuple(weight.shape) for weight in layer) for layer in layers}
    if len(shapes) > 1:
        return False
    ((gains, query, key, value, out),) = shapes
    if len(query) != 3 or gains != query[1:2]:
        return False
    return query == key == value and out == (query[0], query[2], query[1])


def _named(model: Any) -> Iterator[tuple[Any, ...]]:
    names = ("W_Q", "W_K", "W_V", "W_O")
    blocks = list(getattr(model, "blocks", ()))
    shown: list[list[Any]] = [
        [getattr(getattr(block, "attn", None), name, None) for name in names] for block in blocks
    ]
    if all(isinstance(weight, Tensor) for weights in shown for weight in weights):
        for block, weights in zip(blocks, shown, strict=True):
            gains = getattr(getattr(block, "ln1", None), "w", torch.ones(weights[0].shape[1:2]))
            yield gains, *weights
