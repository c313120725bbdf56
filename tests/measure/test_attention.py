"""Attention is seen as the network pays it, in the pass that gives its outputs."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from devexplore.errors import InvalidSpec
from devexplore.measure.attention import attention_entropy, head_weights, see, without_positions
from devexplore.systems.attention_only import AttentionOnlyTransformer, ShortformerAttention
from devexplore.systems.base import causal_pattern
from devexplore.systems.language import LanguageSpec

SPEC = LanguageSpec(vocabulary=270, context=12, width=16, layers=2, heads=4)


@pytest.fixture
def network() -> AttentionOnlyTransformer:
    generator = torch.Generator().manual_seed(0)
    model = AttentionOnlyTransformer(SPEC)
    for parameter in model.parameters():
        nn.init.normal_(parameter, generator=generator)
    return model


@pytest.fixture
def tokens() -> Tensor:
    return torch.randint(270, (5, 12), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_a_causal_pattern_is_the_softmax_of_scaled_products_with_what_came_before() -> None:
    queries, keys = torch.randn(2, 3, 4, 6, 8)
    pattern = causal_pattern(queries, keys)
    for i in range(6):
        expected = torch.softmax(
            (queries[..., i : i + 1, :] * keys[..., : i + 1, :]).sum(-1) / 8**0.5, dim=-1
        )
        torch.testing.assert_close(pattern[..., i, : i + 1], expected)
        assert (pattern[..., i, i + 1 :] == 0).all()


@torch.no_grad()
def test_values_mixed_by_the_pattern_are_what_the_layer_gives() -> None:
    layer, x, position = ShortformerAttention(width=16, heads=4), torch.randn(3, 7, 16), torch.randn(7, 16)
    values = layer.value(x).view(3, 7, 4, 4)
    mixed = torch.einsum("nhqk,nkhd->nqhd", layer.pattern(x, position), values).reshape(3, 7, 16)
    torch.testing.assert_close(layer.out(mixed), layer(x, position))


@torch.no_grad()
def test_outputs_are_those_of_an_ordinary_pass_and_nothing_is_left_behind(network, tokens) -> None:
    seen = see(network, tokens)
    assert torch.equal(seen.outputs, network(tokens))
    assert seen.patterns.shape == (5, 2, 4, 12, 12)
    torch.testing.assert_close(seen.patterns.sum(dim=-1), torch.ones(5, 2, 4, 12))
    assert not any(module._forward_hooks for module in network.modules())


@torch.no_grad()
def test_layers_are_in_their_order(network, tokens) -> None:
    first = network.attention[0].pattern(network.norms[0](network.embed(tokens)), network.position)
    torch.testing.assert_close(see(network, tokens).patterns[:, 0], first)


def test_a_pass_that_fails_leaves_nothing_behind(network) -> None:
    with pytest.raises(IndexError):
        see(network, torch.full((1, 4), 270))
    assert not any(module._forward_hooks for module in network.modules())


def test_a_network_without_attention_is_told_what_is_missing() -> None:
    with pytest.raises(InvalidSpec, match=r"Linear shows no attention: expected run_with_cache"):
        see(nn.Linear(2, 2), torch.zeros(1, 2))


@given(st.integers(1, 40))
def test_even_attention_has_the_entropy_of_what_is_seen_and_a_single_place_none(length: int) -> None:
    even = torch.ones(length, length).tril() / torch.arange(1, length + 1)[:, None]
    assert attention_entropy(even).item() == pytest.approx(math.lgamma(length + 1) / length, abs=1e-5)
    assert attention_entropy(torch.eye(length)).item() == 0


@torch.no_grad()
def test_without_positions_one_layer_does_not_see_the_order_of_what_came_before(tokens) -> None:
    model = AttentionOnlyTransformer(LanguageSpec(vocabulary=270, context=12, width=16, layers=1, heads=4))
    nn.init.normal_(model.position)
    stirred = torch.cat([tokens[:, :-1].flip(1), tokens[:, -1:]], dim=1)
    blind, stirred_blind = without_positions(model, tokens), without_positions(model, stirred)
    torch.testing.assert_close(blind[:, -1], stirred_blind[:, -1])
    assert (model(tokens)[:, -1] - model(stirred)[:, -1]).abs().max() > 1e-3
    assert model.position.abs().min() > 0  # the network keeps its own


def test_a_network_without_position_vectors_has_nothing_to_lose(tokens) -> None:
    assert without_positions(nn.Embedding(270, 4), tokens) is None


@torch.no_grad()
def test_head_weights_give_the_queries_keys_values_and_outputs_of_the_layer(network) -> None:
    """Up to biases: what W_Q, W_K, W_V make of the normalised stream before its gains are applied."""
    weights = head_weights(network)
    assert weights is not None
    plain = torch.randn(7, 16, dtype=torch.float64)
    for number, (norm, layer) in enumerate(zip(network.norms, network.attention, strict=True)):
        stream = plain * norm.weight.double()
        for part, own in (
            (layer.query, weights.query),
            (layer.key, weights.key),
            (layer.value, weights.value),
        ):
            expected = (stream @ part.weight.T.double()).view(7, 4, 4).transpose(0, 1)
            torch.testing.assert_close(plain @ own[number], expected)
        mixed = torch.randn(7, 4, 4, dtype=torch.float64)
        out = torch.einsum("phd,hdw->pw", mixed, weights.out[number])
        torch.testing.assert_close(out, mixed.reshape(7, 16) @ layer.out.weight.T.double())


def test_weights_that_are_not_shown_are_none() -> None:
    assert head_weights(nn.Linear(2, 2)) is None
