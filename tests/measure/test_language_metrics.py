"""Metrics of a language model end to end: which passes feed them, known models, foreign models."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import devexplore as dx
from devexplore import systems
from devexplore.errors import InvalidSpec, NonFiniteWeights
from devexplore.measure.attention import head_weights
from devexplore.measure.language_metrics import CLOSER_LOOK, language_run_metrics
from devexplore.systems.attention_only import AttentionOnlyTransformer
from devexplore.systems.language import Language
from devexplore.systems.prompts import common_ngrams

CONTEXT, VOCABULARY = 16, 270


class Lens(nn.Module):
    """Our network under TransformerLens's names, reckoned anew."""

    def __init__(self, own: AttentionOnlyTransformer) -> None:
        super().__init__()
        heads = own.attention[0].heads

        def split(weight: Tensor) -> nn.Parameter:
            return nn.Parameter(weight.detach().T.unflatten(1, (heads, -1)).movedim(1, 0))

        self.cfg = SimpleNamespace(d_vocab=own.embed.num_embeddings, n_ctx=len(own.position))
        self.blocks = nn.ModuleList()
        for norm, layer in zip(own.norms, own.attention, strict=True):
            block = nn.Module()
            block.ln1, block.attn = nn.Module(), nn.Module()
            block.ln1.w, block.ln1.b = nn.Parameter(norm.weight), nn.Parameter(norm.bias)
            for name, part in (("Q", layer.query), ("K", layer.key), ("V", layer.value)):
                setattr(block.attn, f"W_{name}", split(part.weight))
                setattr(block.attn, f"b_{name}", nn.Parameter(part.bias.view(heads, 1, -1)))
            block.attn.W_O = nn.Parameter(layer.out.weight.detach().T.unflatten(0, (heads, -1)))
            block.attn.b_O = nn.Parameter(layer.out.bias)
            self.blocks.append(block)
        self.pos_embed = nn.Module()
        self.pos_embed.W_pos = nn.Parameter(own.position)
        self.embed, self.norm, self.unembed = own.embed, own.norm, own.unembed

    def forward(self, tokens: Tensor) -> Tensor:
        return self.run_with_cache(tokens, names_filter=lambda name: False)[0]

    def run_with_cache(self, tokens: Tensor, names_filter: Any) -> tuple[Tensor, dict[str, Tensor]]:
        x, cache = self.embed(tokens), {}
        length = tokens.shape[1]
        later = torch.ones(length, length, dtype=torch.bool).triu(1)
        for number, block in enumerate(self.blocks):
            plain = F.layer_norm(x, x.shape[-1:], block.ln1.w, block.ln1.b)
            located, attn = plain + self.pos_embed.W_pos[:length], block.attn
            q, k, v = (
                inputs[:, None] @ getattr(attn, f"W_{name}") + getattr(attn, f"b_{name}")
                for name, inputs in (("Q", located), ("K", located), ("V", plain))
            )
            scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(later, -torch.inf)
            name = f"blocks.{number}.attn.hook_pattern"
            pattern = scores.softmax(dim=-1)
            cache |= {name: pattern} if names_filter(name) else {}
            x = x + (pattern @ v @ attn.W_O).sum(dim=1) + attn.b_O
        return self.unembed(self.norm(x)), cache


class Copier(nn.Module):
    """A perfect induction circuit, built by hand: head 1 of layer 1 attends to the token before, head 1 of
    layer 2 to what followed the last token's earlier occurrence, and that is what is predicted. What occurs
    for the first time attends to itself; after it every token is equally likely.
    """

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.vocabulary = vocabulary

    def forward(self, tokens: Tensor) -> Tensor:
        return self.run_with_cache(tokens)[0]

    def run_with_cache(self, tokens: Tensor, names_filter: Any = None) -> tuple[Tensor, dict[str, Tensor]]:
        length = tokens.shape[1]
        before = F.pad(torch.eye(length)[:-1], (0, 0, 1, 0)).expand(len(tokens), -1, -1).clone()
        before[:, 0, 0] = 1
        same = (tokens[:, :, None] == tokens[:, None]).float().tril(-1)  # (query, earlier occurrence)
        followed = F.pad(same, (1, 0))[..., :-1]
        known = followed.sum(dim=-1) > 0
        induction = torch.where(known[..., None], followed, torch.eye(length))
        induction = induction / induction.sum(dim=-1, keepdim=True)
        copied = 100.0 * (induction @ F.one_hot(tokens, self.vocabulary).float()) * known[..., None]
        patterns = (before[:, None], induction[:, None])
        return copied, {f"blocks.{n}.attn.hook_pattern": pattern for n, pattern in enumerate(patterns)}


@pytest.fixture
def language(smallest, tmp_path: Path) -> Language:
    settings = smallest("language", layers=2, context=CONTEXT, vocabulary=VOCABULARY)
    system = systems.from_preset("language", "small", settings, tmp_path)
    assert isinstance(system, Language)
    return system


@pytest.fixture
def network(language: Language) -> AttentionOnlyTransformer:
    model = language.network()
    assert isinstance(model, AttentionOnlyTransformer)
    language.initialise(model, 0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    return model


@pytest.fixture
def held_out(language: Language) -> tuple[Tensor, ...]:
    return language.pool(200, 0, held_out=True)


@torch.no_grad()
def found_in(language: Language, model: nn.Module, held_out: tuple[Tensor, ...]) -> dict[str, Any]:
    return language_run_metrics(language, model, held_out, 0)


def test_every_metric_is_there_with_its_dimensions(language, network, held_out) -> None:
    found = found_in(language, network, held_out)
    heads, pairs = ("layer", "head"), ("layer", "head", "earlier_layer", "earlier_head")
    assert {name: metric.dims for name, metric in found.items()} == {
        "position_loss": ("position",),
        "icl_score": (),
        "bigram_cross_entropy": (),
        "bigram_kl": (),
        "ngram_loss": ("n",),
        "ngram_score": ("n",),
        "positional_dependence": (),
        "induction_loss": (),
        "repetition_gain": (),
        "previous_token_score": heads,
        "prefix_matching_score": heads,
        "current_token_score": heads,
        "attention_entropy": heads,
        "k_composition": pairs,
        "q_composition": pairs,
        "v_composition": pairs,
        "component_norm": ("component",),
    }
    for metric in found.values():
        assert metric.values.shape == tuple(
            len(metric.coords[dim]) if dim in metric.coords else CONTEXT for dim in metric.dims
        )
        assert metric.blocks is None or metric.blocks.shape == (16, *metric.values.shape)


def test_each_text_goes_through_the_network_once_and_once_more_without_positions(
    language, network, held_out
) -> None:
    passed = []
    network.register_forward_pre_hook(lambda module, given: passed.append(given[0].shape))
    found_in(language, network, held_out)
    texts = sum(n for n, length in passed if length == CONTEXT)
    assert texts == 200 + CLOSER_LOOK + CLOSER_LOOK  # once, without positions, and random tokens
    ngrams = sum(n for n, length in passed if length == 3)
    assert ngrams == sum(map(len, language.common_ngrams.values()))
    assert {length for _, length in passed} == {CONTEXT, 3}


def test_losses_are_those_of_the_system_and_positions_at_zero_mean_no_dependence(
    language, network, held_out
) -> None:
    with torch.no_grad():
        loss = language.position_loss(network, held_out).mean(dim=0)
        np.testing.assert_allclose(
            found_in(language, network, held_out)["position_loss"].values, loss, rtol=1e-4
        )
        assert found_in(language, network, held_out)["positional_dependence"].values != 0
        network.position.zero_()
    assert found_in(language, network, held_out)["positional_dependence"].values == 0


def test_the_same_checkpoint_has_the_same_metrics_every_time(language, network, held_out) -> None:
    first, second = found_in(language, network, held_out), found_in(language, network, held_out)
    for name, metric in first.items():
        np.testing.assert_array_equal(metric.values, second[name].values)


def test_a_network_under_transformer_lens_names_has_the_metrics_of_ours(language, network, held_out) -> None:
    ours = found_in(language, network, held_out)
    theirs = dx.language_metrics(Lens(network), held_out[0], language.train_tokens)
    for name in ours.keys() - {"component_norm"}:
        np.testing.assert_allclose(theirs[name], ours[name].values, rtol=1e-3, atol=1e-5, err_msg=name)
        if ours[name].blocks is not None:
            error = ours[name].blocks.std(axis=0, ddof=1) / 4
            np.testing.assert_allclose(theirs[f"{name}_se"], error, rtol=1e-2, atol=1e-5, err_msg=name)
    assert float(theirs["weight_norm"]) == pytest.approx(
        torch.cat([p.detach().flatten() for p in network.parameters()]).norm().item(), rel=1e-5
    )
    assert float((theirs["component_norm"] ** 2).sum()) == pytest.approx(float(theirs["weight_norm"]) ** 2)


def test_a_network_in_half_precision_has_the_metrics_of_its_weights(language, network, held_out) -> None:
    halves = network.bfloat16()
    half = dx.language_metrics(Lens(halves), held_out[0], language.train_tokens)
    whole = dx.language_metrics(Lens(halves.float()), held_out[0], language.train_tokens)
    for name in whole:
        np.testing.assert_allclose(half[name], whole[name], rtol=0.03, atol=0.02, err_msg=str(name))


@pytest.fixture
def text() -> np.ndarray:
    return np.random.default_rng(0).integers(VOCABULARY, size=(20, CONTEXT + 1))


@pytest.fixture
def corpus() -> np.ndarray:
    return np.random.default_rng(1).integers(VOCABULARY, size=3000)


def test_a_perfect_induction_circuit_is_recognised(text, corpus) -> None:
    found = dx.language_metrics(Copier(VOCABULARY), text, corpus)
    assert float(found["induction_loss"]) == pytest.approx(0, abs=1e-4)
    assert float(found["repetition_gain"]) == pytest.approx(math.log(VOCABULARY), rel=1e-4)
    np.testing.assert_allclose(found["prefix_matching_score"], [[0], [1]])
    np.testing.assert_allclose(found["previous_token_score"], [[1], [0]])
    assert float(found["induction_loss_se"]) == pytest.approx(0, abs=1e-4)
    assert not {"positional_dependence", "k_composition"} & set(
        found
    )  # it shows neither weights nor positions


class BigramTable(Copier):
    """Predicts with a table and attends as a perfect induction circuit does, which changes nothing."""

    def __init__(self, table: Tensor) -> None:
        super().__init__(len(table))
        self.table = nn.Parameter(table)

    def run_with_cache(self, tokens: Tensor, names_filter: Any = None) -> tuple[Tensor, dict[str, Tensor]]:
        return self.table[tokens], super().run_with_cache(tokens)[1]


def test_a_model_that_is_exactly_the_bigram_table_scores_so(text, corpus) -> None:
    counts = np.zeros((VOCABULARY, VOCABULARY))
    np.add.at(counts, (corpus[:-1], corpus[1:]), 1)
    q = torch.from_numpy(counts / counts.sum(axis=1, keepdims=True)).float()
    found = dx.language_metrics(BigramTable(q.log().clamp_min(-40)), text, corpus)
    assert float(found["bigram_kl"]) == pytest.approx(0, abs=1e-6)
    entropy = -torch.special.xlogy(q, q).sum(dim=1)[text[:, :-1]].mean()
    assert float(found["bigram_cross_entropy"]) == pytest.approx(float(entropy), rel=1e-5)
    # bigrams are all it knows of n-grams, and it knows those exactly
    for n, rows in common_ngrams(corpus, (2, 3, 4), 512).items():
        expected = -q[rows[:, -2], rows[:, -1]].log().mean()
        assert float(found["ngram_loss"].sel(n=n)) == pytest.approx(float(expected), rel=1e-5)


def test_dropout_is_off_meanwhile_and_the_model_left_as_it_was(text, corpus) -> None:
    class Forgetful(Copier):
        def forward(self, tokens: Tensor) -> Tensor:
            assert not self.training
            return super().forward(tokens)

    model = Forgetful(VOCABULARY)
    dx.language_metrics(model, text, corpus)
    assert model.training


def test_the_positions_of_the_icl_score_can_be_declared(text, corpus) -> None:
    found = dx.language_metrics(Copier(VOCABULARY), text, corpus, positions=(slice(0, 2), slice(-3, None)))
    assert "positions 13–15 − positions 0–1" in found["icl_score"].attrs["long_name"]
    loss = found["position_loss"].values
    assert float(found["icl_score"]) == pytest.approx(loss[13:].mean() - loss[:2].mean(), abs=1e-4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"text": []}, "text is empty"),
        ({"text": [[1]]}, r"at least 16 windows of at least 9 tokens.*got shape \(1, 1\)"),
        ({"text": np.ones((20, 8), dtype=int)}, r"at least 9 tokens.*got shape \(20, 8\)"),
        ({"text": np.ones((15, 20), dtype=int)}, r"at least 16 windows.*got shape \(15, 20\)"),
        ({"text": np.ones(400, dtype=int)}, r"got shape \(400,\); cut a long stream into windows"),
        ({"text": [[1, 2], [3]]}, "rows of one length"),
        ({"text": np.ones((20, 17))}, "whole numbers from 0 up, got float64"),
        ({"text": np.full((20, 17), -1)}, "whole numbers from 0 up, got int64 such as -1"),
        (
            {"text": "to be or not to be"},
            "whole numbers from 0 up, got <U18 such as to be.*tokenise it first",
        ),
        ({"corpus": []}, "corpus is empty"),
        ({"corpus": [7]}, "n-grams of 4 tokens need a text of at least as many, got 1"),
        ({"corpus": [7] * 100}, "1 different n-grams of a length, fewer than the 16"),
        ({"corpus": np.ones((3, 50), dtype=int)}, r"one stream of token ids, got shape \(3, 50\)"),
        ({"positions": (slice(0, 4), slice(400, 500))}, r"within the context of 16, got slice\(400, 500"),
        (
            {"positions": (slice(0, 4),)},
            r"must be two slices of whole numbers, early and late, such as \(slice",
        ),
        ({"positions": (slice(0, 4, 2), slice(8, 16))}, "must be two slices of whole numbers"),
        ({"positions": (slice(0, "4"), slice(8, 16))}, "must be two slices of whole numbers"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ({"batch_size": 2.0}, "batch_size must be a whole number of at least 1, got 2.0"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"text": np.full((20, 17), 2**63, dtype=np.uint64)}, "whole numbers from 0 up, got uint64"),
        ({"corpus": np.arange(100) + VOCABULARY}, "token ids of this model are below 270, got 369"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_what_was_expected(change, said, text, corpus) -> None:
    with pytest.raises(InvalidSpec, match=said) as refused:
        dx.language_metrics(Copier(VOCABULARY), **{"text": text, "corpus": corpus, **change})
    assert "\n" not in str(refused.value)


def test_tokens_and_windows_that_the_model_does_not_know_are_refused(language, network, corpus) -> None:
    model = Lens(network)
    with pytest.raises(InvalidSpec, match="token ids of this model are below 270, got 270"):
        dx.language_metrics(model, np.full((20, 9), VOCABULARY), corpus)
    with pytest.raises(InvalidSpec, match="this model sees 16 tokens, got windows of 17 and a target"):
        dx.language_metrics(model, np.ones((20, 18), dtype=int), corpus)


OF_ATTENTION = "attention_entropy, previous_token_score, prefix_matching_score, current_token_score"
OF_WEIGHTS = "k_composition, q_composition, v_composition"


class Without(nn.Module):
    """A model that gives its logits and nothing else."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        return self.model(tokens)


def test_a_model_that_shows_no_attention_has_all_the_other_metrics(language, network, held_out) -> None:
    """The same numbers; what is left out is named with the reason."""
    whole = dx.language_metrics(Lens(network), held_out[0], language.train_tokens)
    assert whole.attrs["left_out"] == ""
    rest = dx.language_metrics(Without(Lens(network)), held_out[0], language.train_tokens)
    assert rest.attrs["left_out"].startswith(f"{OF_ATTENTION}: Without shows no attention: expected run_with")
    alike = {"position_loss", "icl_score", "bigram_kl", "ngram_loss", "ngram_score", "induction_loss"}
    assert alike | {"bigram_cross_entropy", "repetition_gain", "weight_norm", "component_norm"} <= set(rest)
    assert not set(OF_ATTENTION.split(", ")) & set(rest)
    for name in alike:
        np.testing.assert_allclose(rest[name], whole[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_attention_that_cannot_be_read_is_left_out_with_the_reason(text, corpus) -> None:
    class Silent(Copier):
        def run_with_cache(
            self, tokens: Tensor, names_filter: Any = None
        ) -> tuple[Tensor, dict[str, Tensor]]:
            return super().run_with_cache(tokens)[0], {}

    class Deaf(Copier):
        def forward(self, tokens: Tensor) -> Tensor:
            return super().run_with_cache(tokens)[0]

        def run_with_cache(self, tokens: Tensor) -> tuple[Tensor, dict[str, Tensor]]:  # no names_filter
            return super().run_with_cache(tokens)

    class Partial(Copier):
        def run_with_cache(
            self, tokens: Tensor, names_filter: Any = None
        ) -> tuple[Tensor, dict[str, Tensor]]:
            logits, cache = super().run_with_cache(tokens)
            return logits, {name: pattern[..., :-1] for name, pattern in cache.items()}

    for model, reason in (
        (Silent, "the cache of Silent holds no attention: expected blocks.0.attn.hook_pattern"),
        (Deaf, "reading the attention of Deaf failed with TypeError"),
        (Partial, "expected attention (1, layer, head, 16, 16) on one text, got (1, 2, 1, 16, 15)"),
    ):
        found = dx.language_metrics(model(VOCABULARY), text, corpus)
        assert f"{OF_ATTENTION}: {reason}" in found.attrs["left_out"]
        assert float(found["induction_loss"]) == pytest.approx(0, abs=1e-4)


def test_attention_without_its_weights_leaves_out_composition_alone(language, network, held_out) -> None:
    class Watched(Without):
        def run_with_cache(self, tokens: Tensor, names_filter: Any) -> tuple[Tensor, dict[str, Tensor]]:
            return self.model.run_with_cache(tokens, names_filter)

    whole = dx.language_metrics(Lens(network), held_out[0], language.train_tokens)
    found = dx.language_metrics(Watched(Lens(network)), held_out[0], language.train_tokens)
    reason, _, position = found.attrs["left_out"].partition("; ")
    assert reason.startswith(f"{OF_WEIGHTS}: needs W_Q, W_K, W_V and W_O of every blocks[layer].attn")
    assert position.startswith("positional_dependence: needs position vectors")
    for name in OF_ATTENTION.split(", "):
        np.testing.assert_allclose(found[name], whole[name], rtol=1e-5)


def test_weights_of_other_shapes_under_those_names_are_no_heads(network) -> None:
    model = Lens(network)
    assert head_weights(model) is not None
    model.blocks[1].attn.W_K = nn.Parameter(torch.zeros(16, 16))
    assert head_weights(model) is None
    model.blocks[1].attn.W_K = None
    assert head_weights(model) is None


@pytest.mark.parametrize(
    ("model", "error", "said"),
    [
        ("gpt2", InvalidSpec, r"expected a language model as a torch.nn.Module, got str; .* dx.measure\(run"),
        (
            nn.Linear(2, 2),
            InvalidSpec,
            r"expected of Linear\(token ids\) logits .*; it failed with RuntimeError",
        ),
        (nn.Identity(), InvalidSpec, r"here \(1, 16, …\), got \(1, 16\); wrap it"),
        (nn.Embedding(9, 9), InvalidSpec, "token ids of this model are below 9, got 269"),
    ],
)
def test_what_is_no_language_model_is_refused(model, error, said, text, corpus) -> None:
    with pytest.raises(error, match=said):
        dx.language_metrics(model, text, corpus)


def test_a_model_that_is_or_says_nan_is_refused_and_not_averaged(text, corpus) -> None:
    table = torch.zeros(VOCABULARY, VOCABULARY)
    table[text[3, 4], 7] = torch.inf
    with pytest.raises(NonFiniteWeights, match="table of this BigramTable holds NaN or infinite weights"):
        dx.language_metrics(BigramTable(table), text, corpus)
    large = nn.Sequential(nn.Embedding(VOCABULARY, VOCABULARY), nn.Hardtanh(-1e38, 1e38), nn.Flatten(2))
    with torch.no_grad():
        large[0].weight[text[3, 4]] = 3e38
    large.append(nn.Linear(VOCABULARY, VOCABULARY))
    nn.init.ones_(large[3].weight)
    with pytest.raises(InvalidSpec, match="this model predicts NaN"):
        dx.language_metrics(large, text, corpus)


def test_a_stored_run_has_its_language_metrics_with_blocks(trained_run) -> None:
    run = dx.measure(dx.open(trained_run("language")), [dx.Metrics()], progress=False)
    metrics, blocks = run.dataset("metrics"), run.dataset("metric_blocks")
    assert metrics["prefix_matching_score"].dims == ("step", "layer", "head")
    assert metrics["layer"].values.tolist() == [1]
    assert metrics["n"].values.tolist() == [2, 3, 4]
    assert "k_composition" not in metrics  # one layer
    assert blocks.sizes["block"] == 16
    assert not {"position_loss", "attention_entropy", "component_norm"} & set(blocks.data_vars)
    np.testing.assert_allclose(blocks["icl_score"].mean("block"), metrics["icl_score"], rtol=1e-4, atol=1e-6)
