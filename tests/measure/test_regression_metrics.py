"""Metrics of in-context regression: predictors, attention and weights whose numbers are known."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from devexplore.errors import InvalidSpec
from devexplore.measure.attention import see
from devexplore.measure.regression_attention import attention_metrics
from devexplore.measure.regression_metrics import (
    OOD_SCALES,
    out_of_distribution,
    regression_behaviour,
    regression_metrics,
)
from devexplore.measure.regression_structure import regression_structure
from devexplore.systems.regression import PRESETS, Regression, RegressionTransformer
from devexplore.systems.regression_ideals import ridge_predictions

NOWHERE = Path("no-such-run")


def system_of(**changes) -> Regression:
    return Regression(replace(PRESETS["small"], **changes), NOWHERE)


def network_of(system: Regression) -> RegressionTransformer:
    network = RegressionTransformer(system.spec)
    system.initialise(network, 0)
    return network.requires_grad_(False)


class Ridge(nn.Module):
    """The Bayes-optimal predictor as a network on tokens."""

    def forward(self, tokens: Tensor) -> Tensor:
        x, y = tokens[:, 0::2, 1:], tokens[:, 1::2, 0]
        out = torch.zeros_like(tokens)
        out[:, 0::2, 0] = ridge_predictions(x, y, 0.125)
        return out


def test_ridge_itself_has_no_distance_to_ridge_and_learns_from_its_context():
    system = system_of()
    held_out = system.pool(4000, 0, held_out=True)
    found = regression_behaviour(system, ridge_predictions(*held_out, 0.125), held_out, 0)
    assert found["distance_to_ridge"].values == 0
    assert found["squared_prediction"].values[0] == 0
    assert -4.2 < found["icl_score"].values < -3.4
    loss = found["position_loss"].values
    assert found["icl_score"].values == pytest.approx(loss[7] - loss[0], abs=1e-5)
    assert found["icl_score_early"].values == pytest.approx(loss[3] - loss[0], abs=1e-5)
    assert found["icl_score_late"].values == pytest.approx(loss[7] - loss[3], abs=1e-5)


def test_a_predictor_of_zero_is_the_task_prior_and_its_distance_to_ridge_is_ridges_own_square():
    system = system_of()
    held_out = x, y = system.pool(4000, 0, held_out=True)
    found = regression_behaviour(system, torch.zeros_like(y), held_out, 0)
    assert found["distance_to_zero"].values == 0
    np.testing.assert_array_equal(found["squared_prediction"].values, 0)
    standard_error = (y**2).std(dim=0) / 4000**0.5
    assert (abs(found["position_loss"].values - 4.125) < 4 * standard_error.numpy()).all()
    ridge = ridge_predictions(x, y, 0.125)
    assert found["distance_to_ridge"].values == pytest.approx((ridge**2).mean().item(), rel=1e-5)


def test_dmmse_is_an_ideal_only_of_a_finite_pool_of_tasks():
    system = system_of(tasks=3)
    held_out = system.pool(200, 5, held_out=True)
    predicted = system.reference("dmmse", held_out, "predictions", 5)
    found = regression_behaviour(system, predicted, held_out, 5)
    assert found["distance_to_dmmse"].values == 0
    assert found["distance_to_ridge"].values > 0.1
    assert "distance_to_dmmse" not in regression_behaviour(system_of(), predicted, held_out, 5)


def test_ideals_are_those_of_the_run_and_the_samples_that_are_asked_about():
    """Whatever was asked before: two pools of tasks, two seeds, two sets of samples, and the first again."""
    few, many = system_of(tasks=2), system_of(tasks=50)
    first, second = (few.pool(100, seed, held_out=True) for seed in (0, 1))
    for system, held_out, seed in (
        (few, first, 0),
        (many, first, 0),
        (few, second, 0),
        (few, first, 1),
        (few, first, 0),
    ):
        predicted = system.reference("dmmse", held_out, "predictions", seed)
        assert regression_behaviour(system, predicted, held_out, seed)["distance_to_dmmse"].values == 0


def test_a_score_of_the_middle_is_there_even_with_a_single_example():
    system = system_of(examples=1)
    held_out = system.pool(10, 0, held_out=True)
    found = regression_behaviour(system, torch.zeros(10, 1), held_out, 0)
    assert [float(found[name].values) for name in ("icl_score", "icl_score_early", "icl_score_late")] == [
        0
    ] * 3


def test_blocks_are_disjoint_groups_whose_mean_is_the_value():
    system = system_of()
    held_out = system.pool(64, 0, held_out=True)
    found = regression_metrics(system, network_of(system), held_out, 0)
    for name in (
        "squared_prediction",
        "icl_score",
        "distance_to_ridge",
        "ood_task_loss",
    ):
        metric = found[name]
        assert metric.blocks is not None
        assert metric.blocks.shape == (16, *metric.values.shape)
        np.testing.assert_allclose(metric.blocks.mean(axis=0), metric.values, rtol=1e-4, atol=1e-6)
    without = {
        "position_loss",
        "attention_entropy",
        "attention_variability",
        "ood_input_ridge_loss",
        "ood_task_ridge_loss",
        "embedding_share",
        "unembedding_share",
        "position_share",
        "norm_collapse",
        "component_norm",
    }
    assert {name for name, metric in found.items() if metric.blocks is None} == without


def test_out_of_distribution_ridge_loses_what_is_stored_beside_it_and_zero_loses_all_that_is_there():
    system = system_of()
    cpu = torch.device("cpu")
    found = out_of_distribution(system, Ridge(), cpu, 0)
    for kind in ("input", "task"):
        np.testing.assert_allclose(
            found[f"ood_{kind}_loss"].values, found[f"ood_{kind}_ridge_loss"].values, rtol=1e-5
        )
        assert found[f"ood_{kind}_loss"].coords["scale"] == list(OOD_SCALES)
    silent = network_of(system)
    silent.unembed.weight.zero_()
    zero = out_of_distribution(system, silent, cpu, 0)
    expected = 4 * np.array(OOD_SCALES) ** 2 + 0.125
    for kind in ("input", "task"):
        standard_error = zero[f"ood_{kind}_loss"].blocks.std(axis=0, ddof=1) / 4
        assert (abs(zero[f"ood_{kind}_loss"].values - expected) < 4 * standard_error).all()
        assert (standard_error < 0.1 * expected).all()


def test_scaled_inputs_and_scaled_tasks_share_their_draws():
    """Without noise, t·(g·x) = (g·t)·x: the same answers to other questions."""
    system = system_of(noise_variance=0.0)
    x, y = system.restricted_pool("inputs:2", 50, 0)
    other_x, other_y = system.restricted_pool("tasks:2", 50, 0)
    torch.testing.assert_close(x, 2 * other_x)
    torch.testing.assert_close(y, other_y)
    pooled = system_of(noise_variance=0.0, tasks=2)
    x, y = pooled.restricted_pool("inputs:3", 50, 0)
    torch.testing.assert_close(
        (x @ pooled.task_pool(0).T - y[..., None]).abs().amin(dim=2), torch.zeros(50, 8)
    )
    for wrong in ("inputs:-1", "inputs", "outputs:2"):
        with pytest.raises(InvalidSpec, match="inputs:SCALE"):
            system.restricted_pool(wrong, 5, 0)


def test_the_pattern_is_the_attention_that_the_forward_pass_pays():
    attention = network_of(system_of()).blocks[0].attention
    x = torch.randn(3, 16, 64, generator=torch.Generator().manual_seed(0))
    pattern = attention.pattern(x)
    values = attention.qkv(x)[..., 128:].view(3, 16, 4, 16).transpose(1, 2)
    mixed = (pattern @ values).transpose(1, 2).reshape(3, 16, 64)
    torch.testing.assert_close(attention.out(mixed), attention(x))
    torch.testing.assert_close(pattern.sum(dim=-1), torch.ones(3, 4, 16))
    assert (pattern.triu(1) == 0).all()


def test_heads_without_queries_attend_evenly_and_alike():
    system = system_of()
    network = network_of(system)
    for block in network.blocks:
        block.attention.qkv.weight[:64] = 0
    seen = see(network, system.tokens(*system.pool(32, 0)))
    found = attention_metrics(seen.patterns)
    np.testing.assert_allclose(found["attention_entropy"].values, math.lgamma(17) / 16, rtol=1e-5)
    np.testing.assert_allclose(found["attention_variability"].values, 0, atol=1e-6)
    assert found["attention_entropy"].coords["layer"].tolist() == [1, 2]
    assert found["attention_entropy"].coords["head"].tolist() == [1, 2, 3, 4]


def test_hand_built_attention_has_the_variability_computed_by_hand():
    """Head 1 always looks at key 1; head 2 at key 1 in half of the sequences, at key 2 in the others:
    Var = ¼ in both, (¼ + ¼)^½ for the second query, 0 for the first, whose choice is none."""
    patterns = torch.zeros(64, 1, 2, 2, 2)
    patterns[..., 0, 0] = 1
    patterns[:, 0, 0, 1, 0] = 1
    patterns[0::2, 0, 1, 1, 0] = 1
    patterns[1::2, 0, 1, 1, 1] = 1
    found = attention_metrics(patterns)
    np.testing.assert_allclose(found["attention_variability"].values, [[0, 0.5**0.5 / 2]], atol=1e-6)
    np.testing.assert_allclose(found["attention_entropy"].values, 0, atol=1e-6)


def test_collapse_is_read_from_hand_set_weights():
    system = system_of()
    network = network_of(system)
    network.embed.weight.copy_(torch.linalg.qr(torch.randn(64, 5))[0])
    network.position.copy_(torch.outer(torch.arange(1.0, 17), torch.ones(64)))
    network.unembed.weight.copy_(torch.eye(5, 64))
    network.norm.weight.fill_(0.0)
    network.norm.weight[:2] = torch.tensor([2.0, -1.0])
    network.blocks[1].norm_mlp.weight[:16] = torch.linspace(-0.099, 0.099, 16)
    found = regression_structure(system, network)
    np.testing.assert_allclose(found["embedding_share"].values, 0.2, rtol=1e-5)
    np.testing.assert_allclose(found["position_share"].values, [1, *[0] * 15], atol=1e-6)
    np.testing.assert_allclose(found["unembedding_share"].values, [0.8, 0.2, 0, 0, 0], atol=1e-6)
    collapse = dict(zip(found["norm_collapse"].coords["norm"], found["norm_collapse"].values, strict=True))
    assert collapse == {
        "layer 1 attention": 0,
        "layer 1 MLP": 0,
        "layer 2 attention": 0,
        "layer 2 MLP": 0.25,
        "unembedding": pytest.approx(62 / 64),
    }


def test_the_squares_of_the_parts_norms_add_up_to_all_weights_but_the_layer_norms():
    system = system_of()
    network = network_of(system)
    found = regression_structure(system, network)["component_norm"]
    all_but_norms = sum((p**2).sum() for name, p in network.named_parameters() if "norm" not in name)
    assert (found.values**2).sum() == pytest.approx(float(all_but_norms), rel=1e-5)
    by_name = dict(zip(found.coords["component"], found.values, strict=True))
    assert by_name["positions"] == pytest.approx(network.position.norm().item(), rel=1e-5)


def test_one_forward_pass_serves_all_metrics_of_the_same_samples():
    system = system_of()
    network = network_of(system)
    read: list[int] = []
    network.register_forward_hook(lambda module, inputs, output: read.append(len(inputs[0])))
    regression_metrics(system, network, system.pool(100, 0, held_out=True), 0)
    assert read == [100] + [512] * (2 * len(OOD_SCALES))
