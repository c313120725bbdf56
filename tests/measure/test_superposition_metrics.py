"""The k-gon that columns form: recognised at perfect ones, through noise, and with the published loss."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from devexplore.measure.superposition_metrics import (
    kgon_loss,
    population_loss,
    recognise,
    superposition_metrics,
)
from devexplore.sampling.known_answers.superposition import k_gon
from devexplore.systems.superposition import Superposition, SuperpositionSpec


def columns(features: int, corners: int, radius: float = 1.0, turn: float = 0.0) -> torch.Tensor:
    angles = turn + 2 * math.pi * torch.arange(corners, dtype=torch.float64) / corners
    weight = torch.zeros(2, features, dtype=torch.float64)
    weight[:, :corners] = radius * torch.stack([angles.cos(), angles.sin()])
    return weight


@given(
    features=st.integers(1, 9),
    corners=st.integers(0, 9),
    radius=st.floats(0.6, 2),
    turn=st.floats(-7, 7),
    seed=st.integers(0, 99),
)
def test_every_perfect_k_gon_is_recognised_in_any_order_radius_and_rotation(
    features: int, corners: int, radius: float, turn: float, seed: int
):
    corners = min(corners, features)
    order = torch.randperm(features, generator=torch.Generator().manual_seed(seed))
    found = recognise(columns(features, corners, radius, turn)[:, order], torch.full((features,), -0.1))
    assert found[:3] == (corners, 0, 0)
    assert math.isnan(found.irregularity) if corners == 0 else found.irregularity < 1e-9


def test_the_variants_are_told_by_their_biases():
    bias = torch.tensor([-0.1, -0.1, -1.5, 0.0, 1 / 12, -0.3])
    found = recognise(columns(6, 4), bias)
    assert found[:3] == (4, 1, 1)


def test_irregularity_is_the_share_of_the_columns_that_no_k_gon_explains():
    weight = columns(5, 4)
    weight[:, 4] = torch.tensor([0.24, 0.32])  # too short for a corner
    assert recognise(weight, torch.zeros(5)).irregularity == pytest.approx(0.4 / (4 + 0.16) ** 0.5, rel=1e-6)
    two = torch.tensor([[1.0, 0.0], [0.0, 1.0]])  # a 2-gon has its corners opposite each other
    assert recognise(two, torch.zeros(2)).irregularity == pytest.approx(0.5**0.5)


@pytest.mark.parametrize(
    ("features", "corners", "published"), [(5, 5, 0.01583), (6, 5, 0.06874), (6, 6, 0.04819)]
)
def test_levels_are_the_published_ones(features: int, corners: int, published: float):
    assert kgon_loss(features, corners) == pytest.approx(published, abs=5e-6)


def test_up_to_four_corners_cost_what_their_weights_do_and_each_variant_its_own():
    """Perfect corners of length 1 with bias 0, computed by the loss itself instead of by counting."""
    for corners in range(5):
        bias = torch.where(torch.arange(6) < corners, 0.0, -0.1)
        assert kgon_loss(6, corners) == pytest.approx(population_loss(columns(6, corners), bias), abs=1e-12)
    bias = torch.tensor([0, 0, -2, 0, 1 / 12, 1 / 12], dtype=torch.float64)  # 4++-
    assert kgon_loss(6, 4, 1, 2) == pytest.approx(population_loss(columns(6, 4), bias), abs=1e-12)
    five_plus = k_gon(6, 5)
    bias = torch.cat([five_plus.bias[:5].detach(), torch.tensor([1 / 12])])
    assert kgon_loss(6, 5, 0, 1) == pytest.approx(population_loss(five_plus.weight, bias), abs=1e-6)


@pytest.mark.parametrize("corners", [7, 8])
def test_no_radius_and_bias_are_better_than_the_level_of_a_large_k_gon(corners: int):
    scanned = min(
        population_loss(columns(corners, corners, radius), torch.full((corners,), bias))
        for radius in np.linspace(1.2, 1.8, 13)
        for bias in np.linspace(-2, -0.5, 16)
    )
    assert scanned - 0.002 < kgon_loss(corners, corners) < scanned


def test_silent_corners_of_a_large_k_gon_have_no_level():
    assert math.isnan(kgon_loss(6, 5, silent_corners=1))


def test_the_population_loss_is_the_mean_over_many_samples():
    system = Superposition(SuperpositionSpec(features=5), Path("no-such-run"))
    model = system.network()
    system.initialise(model, 3)
    losses = system.per_sample_loss(model, system.pool(200_000, 0)).detach()
    standard_error = losses.std().item() / 200_000**0.5
    exact = population_loss(model.get_parameter("weight"), model.get_parameter("bias"))
    assert abs(losses.mean().item() - exact) < 4 * standard_error
    assert standard_error < 0.005 * exact


def test_at_a_perfect_pentagon_energy_and_level_are_one():
    system = Superposition(SuperpositionSpec(features=6), Path("no-such-run"))
    model, pentagon = system.network(), k_gon(6, 5)
    model.load_state_dict(pentagon.state_dict())
    found = {name: metric.values for name, metric in superposition_metrics(system, model, (), 0).items()}
    assert found["represented_features"] == 5
    assert found["irregularity"] < 1e-6
    assert found["population_loss"] == pytest.approx(found["kgon_loss"], abs=1e-6)
    np.testing.assert_allclose(np.diff(np.sort(found["feature_angle"][:5])), 2 * np.pi / 5, atol=1e-5)
