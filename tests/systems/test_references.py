"""Idealised predictors: the Bayes optima of regression, counted n-grams of text, teachers and means."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from devexplore import systems
from devexplore.errors import InvalidSpec, MissingText
from devexplore.systems.bigrams import PRIOR_PAIRS, bigram_log_probs, unigram_log_probs
from devexplore.systems.deep_linear import PRESETS as DEEP_LINEAR
from devexplore.systems.deep_linear import DeepLinear
from devexplore.systems.regression import PRESETS as REGRESSION
from devexplore.systems.regression import Regression
from devexplore.systems.regression_ideals import dmmse_predictions, ridge_predictions
from devexplore.systems.superposition import Superposition, SuperpositionSpec

NOWHERE = Path("no-such-run")


def pairs(sequences: int = 30, tasks: int | None = None, seed: int = 0):
    return Regression(replace(REGRESSION["small"], tasks=tasks), NOWHERE).pool(sequences, seed)


def test_unigrams_are_the_counted_tokens_with_one_more_of_each():
    stream = np.array([0, 1, 0, 2, 0, 1], dtype=np.uint16)
    np.testing.assert_allclose(np.exp(unigram_log_probs(stream, 4)), np.array([4, 3, 2, 1]) / 10)


def test_bigrams_are_the_counted_table_drawn_towards_the_unigrams():
    stream = np.random.default_rng(0).integers(7, size=5000).astype(np.uint16)
    counts, first = Counter(zip(stream[:-1].tolist(), stream[1:].tolist(), strict=True)), np.array([1, 4, 6])
    prior = PRIOR_PAIRS * np.exp(unigram_log_probs(stream, 9))
    table = bigram_log_probs(stream, 9, first)
    for row, a in enumerate(first.tolist()):
        seen = np.array([counts[a, b] for b in range(9)])
        np.testing.assert_allclose(
            np.exp(table[row]), (seen + prior) / (seen.sum() + PRIOR_PAIRS), rtol=1e-12
        )


def test_a_token_never_followed_by_anything_is_predicted_by_the_unigrams():
    stream = np.array([0, 1, 0, 2, 0, 1], dtype=np.uint16)
    np.testing.assert_allclose(bigram_log_probs(stream, 4, np.array([3]))[0], unigram_log_probs(stream, 4))


@settings(max_examples=20)
@given(st.integers(0, 1000), st.integers(2, 40))
def test_n_grams_are_finite_log_probabilities_whatever_was_counted(seed, vocabulary):
    stream = np.random.default_rng(seed).integers(vocabulary, size=50).astype(np.uint16)
    table = bigram_log_probs(stream, vocabulary, np.unique(stream))
    for log_probs in (unigram_log_probs(stream, vocabulary), table):
        assert np.isfinite(log_probs).all()
        np.testing.assert_allclose(np.exp(log_probs).sum(axis=-1), 1)


def test_dmmse_of_one_task_is_that_task():
    x, y = pairs()
    task = torch.tensor([[0.5, -1.0, 2.0, 0.1]])
    torch.testing.assert_close(dmmse_predictions(x, y, task, 0.125), x @ task[0])


def test_dmmse_is_the_posterior_mean_by_the_published_formula():
    x, y = pairs(5)
    tasks = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    predictions = dmmse_predictions(x, y, tasks, 0.125)
    for s in range(5):
        for k in range(8):
            error = np.array([float(((y[s, :k] - x[s, :k] @ task) ** 2).sum()) for task in tasks])
            weight = np.exp(-(error - error.min()) / (2 * 0.125))
            mean = (weight / weight.sum()) @ tasks.numpy()
            assert predictions[s, k] == pytest.approx(x[s, k].numpy() @ mean, rel=1e-4, abs=1e-5)


def test_dmmse_of_very_many_tasks_comes_near_ridge_and_does_so_as_one_over_root_m():
    # A posterior mean over M tasks drawn from the prior is importance sampling of the Bayes optimum.
    x, y = pairs(40)
    ridge = ridge_predictions(x, y, 0.125)
    distance = []
    for count in (2**8, 2**12, 2**16):
        tasks = torch.randn(count, 4, generator=torch.Generator().manual_seed(1))
        distance.append(float((dmmse_predictions(x, y, tasks, 0.125) - ridge).square().mean().sqrt()))
    assert distance[0] > 2 * distance[1] > 4 * distance[2]
    assert distance[2] < 0.1 * float(ridge.square().mean().sqrt())


def test_dmmse_beats_ridge_on_a_small_pool_of_tasks():
    system = Regression(replace(REGRESSION["small"], tasks=8), NOWHERE)
    x, y = system.pool(2000, 3)
    found = system.references((x, y), "predictions", 3)
    loss = {name: float(((f - y) ** 2)[:, 2:].mean()) for name, f in found.items()}
    assert list(loss) == ["zero", "ridge", "dmmse"]
    assert loss["dmmse"] < loss["ridge"] < loss["zero"]


def test_ridge_is_what_the_probe_holds_and_zero_costs_the_trivial_loss():
    system = Regression(REGRESSION["small"], NOWHERE)
    probe = system.probe(3)
    found = system.references(probe.batch, "predictions", 3)
    np.testing.assert_array_equal(found["ridge"], probe.variables["ridge"].values)
    assert list(found) == ["zero", "ridge"]
    assert float(((found["zero"] - probe.batch[1]) ** 2).mean()) == pytest.approx(
        system.trivial_loss, rel=0.1
    )


def test_the_teacher_gives_the_probes_targets():
    system = DeepLinear(DEEP_LINEAR["small"], NOWHERE)
    probe = system.probe(5)
    found = system.references(probe.batch, "predictions", 5)
    np.testing.assert_allclose(found["teacher"], probe.variables["targets"].values, atol=1e-5)
    assert found["teacher"].shape == found["zero"].shape


def test_of_all_constants_ours_costs_the_trivial_loss_and_the_identity_costs_nothing():
    system = Superposition(SuperpositionSpec(features=5), NOWHERE)
    (x,) = system.pool(200_000, 0)
    found = system.references((x,), "predictions", 0)
    assert float(((found["constant"] - x) ** 2).sum(dim=-1).mean()) == pytest.approx(
        system.trivial_loss, rel=0.02
    )
    assert torch.equal(found["identity"], x)


@pytest.mark.parametrize("name", systems.NAMES)
def test_references_have_the_shape_of_the_networks_outputs(name, smallest):
    system = systems.from_preset(name, "small", smallest(name), NOWHERE)
    batch, kind = system.probe(0).batch, system.output_kinds[0]
    with torch.no_grad():
        shape = system.outputs(system.network(), batch, kind).shape
    found = system.references(batch, kind, 0)
    assert len(found) >= 2
    for reference in found.values():
        assert reference.shape == shape
        assert reference.dtype == torch.float32


def test_language_references_follow_the_token_at_each_kept_position(smallest):
    system = systems.from_preset("language", "small", smallest("language"), NOWHERE)
    batch = system.probe(0).batch
    found = system.references(batch, "log_probs", 0)
    tokens = batch[0][:, :-1][:, system.output_positions("log_probs")]
    table = bigram_log_probs(system.train_tokens, 270, np.arange(270))
    np.testing.assert_allclose(found["bigram"], table[tokens], rtol=1e-6)
    np.testing.assert_allclose(found["unigram"][0, 0], unigram_log_probs(system.train_tokens, 270), rtol=1e-6)
    np.testing.assert_allclose(found["uniform"], -np.log(270), rtol=1e-6)


def test_a_missing_text_is_told_by_what_is_counted_in_it_and_by_nothing_else(smallest, tmp_path):
    system = systems.from_preset("language", "small", smallest("language"), NOWHERE)
    batch = system.probe(0).batch
    lost = systems.from_preset(
        "language", "small", smallest("language", text=f"folder:{tmp_path}/x"), NOWHERE
    )
    assert lost.reference("uniform", batch, "log_probs", 0).shape[-1] == 270
    with pytest.raises(MissingText, match="no such folder"):
        lost.reference("bigram", batch, "log_probs", 0)


def test_kinds_that_an_ideal_does_not_fix_are_refused():
    system = Regression(REGRESSION["small"], NOWHERE)
    batch = system.probe(0).batch
    assert system.references(batch, "logits", 0) == {}
    with pytest.raises(InvalidSpec, match="'ridge' with outputs of kind 'logits'; it has none"):
        system.reference("ridge", batch, "logits", 0)
    with pytest.raises(InvalidSpec, match="it has zero, ridge"):
        system.reference("dmmse", batch, "predictions", 0)
    with pytest.raises(InvalidSpec, match="no outputs of kind"):
        system.references(batch, "log_probs", 0)
    with pytest.raises(InvalidSpec, match="no pool of tasks"):
        system.task_pool(0)
