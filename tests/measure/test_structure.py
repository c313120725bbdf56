"""Heads whose attention and weights are built by hand have the scores they were built for."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import special_ortho_group
from torch import Tensor

from devexplore.measure.attention import HeadWeights
from devexplore.measure.structure import composition, entropy_metric, head_metrics, head_scores

HALF = 9


def attention(kind: str, length: int = 2 * HALF) -> Tensor:
    """One pattern (query, key); where a head has nothing to attend to as built, it attends to itself."""
    pattern = torch.eye(length)
    if kind == "even":
        return torch.ones(length, length).tril() / torch.arange(1, length + 1)[:, None]
    if kind == "previous":
        pattern[1:] = torch.eye(length)[:-1]
    if kind == "induction":
        pattern[HALF:] = torch.eye(length)[1 : length - HALF + 1]
    return pattern


EVEN = sum(1 / n for n in range(2, HALF + 1)) / (HALF - 1)
EVEN_AGAIN = np.mean([1 / (i + 1) for i in range(HALF, 2 * HALF)])


@pytest.mark.parametrize(
    ("kind", "previous", "prefix", "current"),
    [
        ("even", EVEN, EVEN_AGAIN, EVEN),
        ("previous", 1, 0, 0),
        ("current", 0, 0, 1),
        ("induction", 0, 1, 1),  # before anything is repeated it attends to itself
    ],
)
def test_heads_have_the_scores_they_are_built_for(kind, previous, prefix, current) -> None:
    scores = head_scores(attention(kind)[None, None, None], HALF)
    torch.testing.assert_close(
        scores[0, 0, 0], torch.tensor([previous, prefix, current], dtype=torch.float32)
    )


def test_the_repetition_may_be_cut_short() -> None:
    scores = head_scores(attention("induction", length=2 * HALF - 4)[None, None, None], HALF)
    assert scores[..., 1].item() == 1


def test_scores_keep_their_layer_and_head_both_counted_from_1() -> None:
    heads = [["previous", "even", "even"], ["even", "induction", "current"]]
    patterns = torch.stack([torch.stack([attention(kind) for kind in layer]) for layer in heads])
    found = head_metrics(head_scores(patterns.expand(20, -1, -1, -1, -1), HALF))
    best = {name: np.unravel_index(np.argmax(metric.values), (2, 3)) for name, metric in found.items()}
    assert best == {
        "previous_token_score": (0, 0),
        "prefix_matching_score": (1, 1),
        "current_token_score": (1, 1),
    }
    for metric in found.values():
        assert metric.dims == ("layer", "head")
        assert {name: list(labels) for name, labels in metric.coords.items()} == {
            "layer": [1, 2],
            "head": [1, 2, 3],
        }
        np.testing.assert_allclose(metric.blocks, np.tile(metric.values, (16, 1, 1)), rtol=1e-6)


def test_the_entropy_of_attention_is_averaged_over_texts_and_has_no_blocks() -> None:
    found = entropy_metric(torch.arange(4.0)[:, None, None].expand(4, 2, 3))
    np.testing.assert_array_equal(found.values, np.full((2, 3), 1.5))
    assert found.blocks is None
    assert list(found.coords["head"]) == [1, 2, 3]


def rank_one(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Two factors (width, 1) and (1, width) of the matrix left·rightᵀ."""
    return left[:, None].double(), right[None].double()


def two_layers(written: Tensor, read: dict[str, Tensor]) -> HeadWeights:
    """One head a layer; the first writes ``written``, the second reads ``read`` of each kind and else what
    nobody writes.
    """
    axes = torch.eye(len(written))
    nothing = axes[-1]
    value, out = rank_one(nothing, written)
    query, key = rank_one(read.get("q", nothing), read.get("k", nothing))
    own_value, own_out = rank_one(read.get("v", nothing), nothing)
    first = (nothing[:, None].double(), nothing[:, None].double(), value, out)
    second = (query, key.mT, own_value, own_out)
    return HeadWeights(*(torch.stack(parts)[:, None] for parts in zip(first, second, strict=True)))


@pytest.mark.parametrize("kind", ["k", "q", "v"])
def test_heads_compose_fully_where_one_reads_what_the_other_writes_and_not_at_all_elsewhere(kind) -> None:
    written = torch.tensor([0.6, 0.8, 0, 0])
    aligned = composition(two_layers(written, {kind: 5 * written}))
    crossed = composition(two_layers(written, {kind: torch.tensor([0.8, -0.6, 0, 0])}))
    for name, metric in aligned.items():
        expected = 1 if name == f"{kind}_composition" else 0
        assert metric.values[1, 0, 0, 0] == pytest.approx(expected, abs=1e-6), name
        assert np.isnan(metric.values[0]).all()
    for metric in crossed.values():
        assert metric.values[1, 0, 0, 0] == pytest.approx(0, abs=1e-6)


def random_weights(layers: int, heads: int, width: int, size: int, seed: int) -> HeadWeights:
    generator = torch.Generator().manual_seed(seed)
    reads = torch.randn(3, layers, heads, width, size, generator=generator, dtype=torch.float64)
    out = torch.randn(layers, heads, size, width, generator=generator, dtype=torch.float64)
    return HeadWeights(*reads, out)


@given(st.integers(2, 4), st.integers(1, 3), st.integers(0, 100))
def test_composition_is_the_norm_of_the_product_over_the_product_of_norms(layers, heads, seed) -> None:
    weights = random_weights(layers, heads, 6, 2, seed)
    found = composition(weights)
    for layer in range(layers):
        for earlier in range(layers - 1):
            values = [found[f"{kind}_composition"].values[layer, -1, earlier, 0] for kind in "kqv"]
            if earlier >= layer:
                assert np.isnan(values).all()
                continue
            writes = weights.value[earlier, 0] @ weights.out[earlier, 0]
            match = weights.query[layer, -1] @ weights.key[layer, -1].T
            moves = weights.value[layer, -1] @ weights.out[layer, -1]
            expected = [(writes @ m).norm() / writes.norm() / m.norm() for m in (match.T, match, moves)]
            np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_heads_that_are_turned_at_random_have_the_composition_that_is_named() -> None:
    """Mean square 1/width over rotations, whatever the heads are (here of rank 1 and 3)."""
    width, turns = 8, special_ortho_group(8, seed=0).rvs(2000)
    generator = np.random.default_rng(0)
    writes = np.outer(generator.normal(size=width), generator.normal(size=width))
    reads = generator.normal(size=(width, 3)) @ generator.normal(size=(3, width))
    squares = np.linalg.norm(writes @ turns @ reads, axis=(1, 2)) ** 2
    share = squares / np.linalg.norm(writes) ** 2 / np.linalg.norm(reads) ** 2
    assert share.mean() == pytest.approx(1 / width, abs=4 * share.std() / len(turns) ** 0.5)
    assert (
        "unrelated heads: 0.35"
        in composition(random_weights(2, 1, 8, 2, 0))["k_composition"].attrs["long_name"]
    )


def test_a_single_layer_composes_with_nothing() -> None:
    assert composition(random_weights(1, 4, 6, 2, 0)) == {}


def test_composition_counts_layers_and_heads_from_1() -> None:
    found = composition(random_weights(3, 2, 6, 2, 0))["v_composition"]
    assert found.dims == ("layer", "head", "earlier_layer", "earlier_head")
    assert [list(found.coords[dim]) for dim in found.dims] == [[1, 2, 3], [1, 2], [1, 2], [1, 2]]
    assert found.blocks is None
