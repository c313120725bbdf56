"""What is said of a language model's behaviour, on predictions whose behaviour is known."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from devexplore.measure.behaviour import (
    bigram_metrics,
    bigram_scores,
    icl_positions,
    icl_score,
    ngram_metrics,
    positional_dependence,
    repetition_metrics,
    token_loss,
)
from devexplore.systems.bigrams import count_bigrams
from devexplore.systems.prompts import common_ngrams, half_of, repeated_tokens

LN4 = torch.tensor(4.0).log()
STREAM = np.array([0, 1, 0, 2, 0, 1, 1], dtype=np.uint16)
"""q(1|0) = ⅔, q(2|0) = ⅓, q(0|1) = q(1|1) = ½, q(0|2) = 1; token 3 never occurs."""

TABLE = torch.tensor([[0, 2 / 3, 1 / 3, 0], [0.5, 0.5, 0, 0], [1, 0, 0, 0]])
ENTROPY = torch.tensor([math.log(3) - 2 / 3 * math.log(2), math.log(2), 0])


def test_bigrams_are_the_counted_frequencies() -> None:
    bigrams = count_bigrams(STREAM, 4)
    np.testing.assert_allclose(bigrams.probability.toarray()[:3], TABLE, rtol=1e-6)
    assert bigrams.probability.toarray()[3].sum() == 0
    torch.testing.assert_close(bigrams.entropy[:3], ENTROPY)
    assert bigrams.entropy[3].isnan()


def test_the_bigram_table_itself_has_the_bigrams_entropy_and_no_divergence() -> None:
    tokens = torch.tensor([[0, 1, 2], [1, 1, 0]])
    scores = bigram_scores(TABLE.log()[tokens], tokens, count_bigrams(STREAM, 4))
    torch.testing.assert_close(scores[:, 0], ENTROPY[tokens].mean(dim=1))
    torch.testing.assert_close(scores[:, 1], torch.zeros(2), atol=1e-6, rtol=0)


def test_the_uniform_predictor_has_the_cross_entropy_ln_v() -> None:
    tokens = torch.tensor([[0, 1, 2]])
    scores = bigram_scores(torch.full((1, 3, 4), -math.log(4)), tokens, count_bigrams(STREAM, 4))
    torch.testing.assert_close(scores[0], torch.stack([LN4, LN4 - ENTROPY.mean()]))


def test_tokens_that_the_corpus_never_showed_are_left_out() -> None:
    bigrams = count_bigrams(STREAM, 4)
    log_probs = torch.randn(1, 3, 4).log_softmax(dim=-1)
    with_unseen = bigram_scores(log_probs, torch.tensor([[0, 3, 1]]), bigrams)
    torch.testing.assert_close(
        with_unseen, bigram_scores(log_probs[:, [0, 2]], torch.tensor([[0, 1]]), bigrams)
    )


def test_words_beyond_the_corpus_take_probability_and_nothing_else() -> None:
    """A model's vocabulary may be larger than what the corpus' token ids need."""
    tokens, wide = torch.tensor([[0, 1]]), torch.randn(1, 2, 9).log_softmax(dim=-1)
    bigrams = count_bigrams(STREAM, 4)
    torch.testing.assert_close(
        bigram_scores(wide, tokens, bigrams), bigram_scores(wide[..., :4], tokens, bigrams)
    )


@given(st.floats(0, 10), st.integers(0, 1000))
def test_the_divergence_from_the_bigrams_is_never_negative(scale: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    log_probs = (scale * torch.randn(5, 7, 4, generator=generator)).log_softmax(dim=-1)
    tokens = torch.randint(3, (5, 7), generator=generator)
    assert (bigram_scores(log_probs, tokens, count_bigrams(STREAM, 4))[:, 1] > -1e-5).all()


def test_bigram_metrics_are_named_in_the_order_of_the_scores() -> None:
    found = bigram_metrics(torch.tensor([[3.0, 1.0]]).expand(16, 2))
    assert {name: metric.values.item() for name, metric in found.items()} == {
        "bigram_cross_entropy": 3,
        "bigram_kl": 1,
    }


def test_the_token_loss_is_that_of_the_next_token() -> None:
    log_probs = torch.tensor([[[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]]).log()
    loss = token_loss(log_probs, torch.tensor([[0, 1, 2]]))
    torch.testing.assert_close(loss, -torch.tensor([[0.25, 0.8]]).log())


def test_the_icl_score_is_negative_where_context_helps_by_what_it_helps() -> None:
    context = 32
    loss = torch.full((20, context), 3.0)
    loss[:, 24:] = 1.0
    assert icl_positions(context) == (slice(2, 4), slice(24, 32))
    assert icl_score(loss, icl_positions(context)).values == -2
    assert icl_score(loss.flip(1), icl_positions(context)).values == 2
    assert "positions 24–31 − positions 2–3" in icl_score(loss, icl_positions(context)).attrs["long_name"]


def test_the_ngram_score_is_how_many_times_the_loss_on_text_is_that_on_common_ngrams() -> None:
    loss = torch.tensor([1.0, 2.0, 4.0, 8.0, 9.0]).expand(32, 5)
    found = ngram_metrics(
        {2: torch.full((40,), 0.5), 3: torch.full((25,), 2.0), 4: torch.full((40,), 1.0)}, loss
    )
    np.testing.assert_allclose(found["ngram_loss"].values, [0.5, 2, 1])
    np.testing.assert_allclose(found["ngram_score"].values, [1 / 0.5, 2 / 2, 4 / 1])
    assert found["ngram_score"].blocks is not None
    np.testing.assert_allclose(found["ngram_score"].blocks, np.tile([2, 1, 4], (16, 1)))
    assert found["ngram_score"].coords == {"n": [2, 3, 4]}


def test_few_common_ngrams_have_a_score_but_no_blocks() -> None:
    found = ngram_metrics({2: torch.ones(20), 3: torch.ones(3)}, torch.full((32, 4), 2.0))
    np.testing.assert_allclose(found["ngram_score"].values, [2, 2])
    assert found["ngram_loss"].blocks is found["ngram_score"].blocks is None


def test_positional_dependence_is_what_blindness_to_positions_costs() -> None:
    loss = torch.rand(16, 5)
    assert positional_dependence(loss, loss + 0.25).values == pytest.approx(0.25)
    assert positional_dependence(loss, loss).values == 0


def copies(tokens: Tensor, vocabulary: int, half: int) -> Tensor:
    """Log-probs of a perfect induction head: uniform over the first half, sure of the copy afterwards."""
    log_probs = torch.full((*tokens[:, :-1].shape, vocabulary), -math.log(vocabulary))
    log_probs[:, half:] = torch.nn.functional.one_hot(tokens[:, half + 1 :], vocabulary).float().log()
    return log_probs


@pytest.mark.parametrize("length", [9, 10, 33])
def test_a_perfect_induction_head_has_no_loss_on_the_repetition_and_gains_ln_v(length: int) -> None:
    vocabulary, half = 50, half_of(length, 50)
    tokens = torch.from_numpy(repeated_tokens(np.random.default_rng(0), 32, length, np.arange(vocabulary)))
    loss = token_loss(copies(tokens, vocabulary, half), tokens)
    found = repetition_metrics(loss, half)
    assert found["induction_loss"].values == 0
    assert found["repetition_gain"].values == pytest.approx(math.log(vocabulary))


def test_the_token_on_which_the_repetition_begins_counts_in_neither_half() -> None:
    """Nothing tells which one it is, and what it costs is neither induction's success nor its failure."""
    loss = torch.zeros(16, 8)
    loss[:, 3] = 100  # half = 4: the prediction of token 4
    found = repetition_metrics(loss, 4)
    assert found["induction_loss"].values == found["repetition_gain"].values == 0


@given(st.integers(2, 40), st.integers(2, 60), st.integers(0, 100))
def test_random_tokens_come_again_and_within_a_half_only_once(length: int, tokens: int, seed: int) -> None:
    among = 7 * np.arange(tokens)
    half = half_of(length, tokens)
    rows = repeated_tokens(np.random.default_rng(seed), 3, length, among)
    assert rows.shape == (3, min(length, 2 * half))
    assert np.isin(rows, among).all()
    np.testing.assert_array_equal(rows[:, half:], rows[:, : rows.shape[1] - half])
    assert all(len(set(row[:half])) == half for row in rows.tolist())


@given(st.lists(st.integers(0, 3), min_size=4, max_size=60))
def test_common_ngrams_are_those_counted_most(stream: list[int]) -> None:
    found = common_ngrams(np.array(stream, dtype=np.uint16), (2, 3, 4), 5)
    for n, rows in found.items():
        counts: dict[tuple[int, ...], int] = {}
        for start in range(len(stream) - n + 1):
            ngram = tuple(stream[start : start + n])
            counts[ngram] = counts.get(ngram, 0) + 1
        most = sorted(counts.values(), reverse=True)[:5]
        assert [counts[tuple(row)] for row in rows.tolist()] == most
        assert len(set(map(tuple, rows.tolist()))) == len(rows)
