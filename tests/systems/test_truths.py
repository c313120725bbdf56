"""Numbers that theory or another computation gives: ridge, k-gons, teachers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from devexplore import systems
from devexplore.measure.deep_linear_metrics import deep_linear_metrics
from devexplore.measure.superposition_metrics import superposition_metrics
from devexplore.systems.deep_linear import PRESETS as DEEP_LINEAR
from devexplore.systems.deep_linear import DeepLinear
from devexplore.systems.regression import PRESETS as REGRESSION
from devexplore.systems.regression import Regression
from devexplore.systems.regression_ideals import ridge_predictions
from devexplore.systems.superposition import Superposition, SuperpositionSpec

NOWHERE = Path("no-such-run")


def test_ridge_predictions_are_those_of_an_augmented_least_squares_fit():
    """Ridge is least squares with √σ²·I appended to X and zeros to y."""
    system = Regression(REGRESSION["small"], NOWHERE)
    x, y = system.pool(20, 0)
    predictions = ridge_predictions(x, y, 0.125)
    for s in range(20):
        assert predictions[s, 0] == 0
        for k in range(1, 8):
            rows = np.vstack([x[s, :k].double().numpy(), 0.125**0.5 * np.eye(4)])
            answers = np.concatenate([y[s, :k].double().numpy(), np.zeros(4)])
            weights = np.linalg.lstsq(rows, answers, rcond=None)[0]
            assert predictions[s, k] == pytest.approx(x[s, k].double().numpy() @ weights, rel=1e-5, abs=1e-6)


def test_ridge_beats_zero_and_its_loss_falls_with_every_example():
    system = Regression(REGRESSION["small"], NOWHERE)
    x, y = system.pool(8000, 0)
    loss = ((ridge_predictions(x, y, 0.125) - y) ** 2).mean(dim=0)
    assert loss[0] == pytest.approx(system.trivial_loss, rel=0.1)
    assert (loss.diff() < 0).all()
    assert 0.125 < loss[-1] < 0.5


def test_the_probe_of_regression_shows_the_ridge_predictions_of_its_own_pairs():
    probe = Regression(replace(REGRESSION["small"], width=8), NOWHERE).probe(3)
    x, y = probe.batch
    np.testing.assert_array_equal(probe.variables["inputs"].values, x)
    np.testing.assert_array_equal(probe.variables["targets"].values, y)
    np.testing.assert_array_equal(probe.variables["ridge"].values, ridge_predictions(x, y, 0.125))


def gon_loss(features: int, k: int) -> float:
    """Population loss, by our own ``position_loss``, at the critical point next to the regular k-gon."""
    system = Superposition(SuperpositionSpec(features=features), NOWHERE)
    network = system.network().double()
    values = (torch.arange(400, dtype=torch.float64) + 0.5) / 400  # the midpoint rule for μ ~ U[0, 1]
    inputs = (torch.eye(features, dtype=torch.float64)[:, None] * values[:, None]).flatten(0, 1)
    angles = 2 * torch.pi * torch.arange(k, dtype=torch.float64) / k
    weight, bias = network.get_parameter("weight"), network.get_parameter("bias")
    with torch.no_grad():
        weight[:, :k] = 1.1 * torch.stack([angles.cos(), angles.sin()])
        bias[:k], bias[k:] = -0.1, -0.1  # features without a column are dead (the "+"-variants' are not)
    optimizer = torch.optim.LBFGS(
        network.parameters(), max_iter=300, line_search_fn="strong_wolfe", tolerance_change=1e-12
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = system.position_loss(network, (inputs,)).mean()
        loss.backward()
        weight.grad[:, k:] = 0  # features without a column stay without
        return loss

    optimizer.step(closure)
    return system.position_loss(network, (inputs,)).mean().item()


@pytest.mark.parametrize(("features", "k", "loss"), [(5, 5, 0.01583), (6, 5, 0.06874), (6, 6, 0.04819)])
def test_regular_polygons_have_the_published_population_loss(features: int, k: int, loss: float):
    assert gon_loss(features, k) == pytest.approx(loss, abs=1e-5)


def test_training_of_superposition_starts_at_its_polygon():
    spec = SuperpositionSpec(start_noise=0.0, start_gon=4, features=6)
    system = Superposition(spec, NOWHERE)
    network = system.network()
    system.initialise(network, 0)
    found = superposition_metrics(system, network, (), 0)
    np.testing.assert_allclose(found["feature_norm"].values, [1, 1, 1, 1, 0, 0], atol=1e-6)
    turns = np.diff(found["feature_angle"].values[:4]) % (2 * np.pi)
    np.testing.assert_allclose(turns, np.pi / 2, atol=1e-6)
    assert found["represented_features"].values == 4


def test_the_teacher_has_the_stated_singular_values_and_the_probe_its_outputs():
    system = DeepLinear(DEEP_LINEAR["small"], NOWHERE)
    left, values, right = system.teacher(5)
    teacher = (left * values) @ right.T
    found = np.linalg.svd(teacher.numpy(), compute_uv=False)
    np.testing.assert_allclose(found, [4.0, 2.5, 1.5, 0.8, 0, 0], atol=1e-5)
    x, y = system.probe(5).batch
    torch.testing.assert_close(y, x @ teacher.T)
    np.testing.assert_allclose(y.norm(dim=-1)[:, 0], values, rtol=1e-5)


def test_a_student_equal_to_the_teacher_loses_only_the_noise_and_shows_its_singular_values():
    spec = replace(DEEP_LINEAR["small"], widths=(6, 6, 6))
    system = DeepLinear(spec, NOWHERE)
    left, values, right = system.teacher(0)
    network = system.network()
    with torch.no_grad():
        for parameter, matrix in zip(
            network.parameters(), (torch.eye(6), (left * values) @ right.T), strict=True
        ):
            parameter.copy_(matrix)
    losses = system.per_sample_loss(network, system.pool(20_000, 0, held_out=True))
    noise = 0.5 * 6 * 0.1**2
    assert losses.mean().item() == pytest.approx(noise, rel=0.05)
    with torch.no_grad():
        found = deep_linear_metrics(system, network, system.pool(4, 0), 0)["singular_value"].values
    np.testing.assert_allclose(found, [4.0, 2.5, 1.5, 0.8, 0, 0], atol=1e-5)


@pytest.fixture
def language(smallest, tmp_path: Path) -> systems.System:
    return systems.from_preset("language", "small", smallest("language"), tmp_path)


def test_outputs_of_language_are_logits_log_probabilities_and_the_true_tokens_logit(language):
    network, batch = language.network(), language.pool(3, 0)
    language.initialise(network, 0)
    logits = language.outputs(network, batch, "logits")
    log_probs = language.outputs(network, batch, "log_probs")
    true = language.outputs(network, batch, "true_token_logit")
    torch.testing.assert_close(log_probs, logits - logits.logsumexp(dim=-1, keepdim=True))
    torch.testing.assert_close(log_probs.exp().sum(dim=-1), torch.ones(3, 8))
    picked = torch.stack([logits[s, p, batch[0][s, p + 1]] for s in range(3) for p in range(8)])
    torch.testing.assert_close(true.flatten(), picked)
    loss = language.position_loss(network, batch)
    torch.testing.assert_close(loss, logits.logsumexp(dim=-1) - true)


@pytest.mark.parametrize(("context", "kept"), [(8, 8), (64, 64), (128, 64), (100, 64), (1024, 64)])
def test_output_positions_are_even_and_end_at_the_last(context: int, kept: int, smallest, tmp_path: Path):
    system = systems.from_preset("language", "small", smallest("language", context=context), tmp_path)
    positions = system.output_positions("log_probs")
    assert len(positions) == kept
    assert positions[-1] == context - 1
    assert np.ptp(np.diff(positions)) <= 1
    assert system.output_positions("true_token_logit").tolist() == list(range(context))
