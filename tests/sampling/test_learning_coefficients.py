"""What an error bar is worth: it equals the scatter over seeds, and pairing and shared noise shrink it.

Whether λ̂ is *right* is in test_known_answers.py.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from devexplore.sampling import LLCEstimate, LLCSpec, estimate_llc, llc_from_traces
from devexplore.sampling.known_answers import linear_network
from devexplore.sampling.known_answers.potentials import NO_DATA, Quadratic, quadratic_loss
from devexplore.stats.tempered import linear_network_tempered


class Product(nn.Module):
    """A 6-2-6 linear network at w* = 0."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.zeros(2, 6))
        self.second = nn.Parameter(torch.zeros(6, 2))


def product_loss(model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    return 0.5 * ((model.second @ model.first) ** 2).sum().expand(len(batch[0]))


@pytest.mark.slow
def test_a_singular_network_gives_its_exact_finite_temperature_value_as_the_step_shrinks() -> None:
    """The bias is linear in ε, so extrapolating from ε = 3e-3 and 1e-3 must land on the exact value."""
    n_beta, localization = 200.0, 10.0

    def estimate(step_size: float) -> LLCEstimate:
        spec = LLCSpec(
            step_size=step_size,
            n_beta=n_beta,
            localization=localization,
            batch_size=1,
            chains=256,
            draws=600,
            burn_in=1000,
            thinning=4,
        )
        return estimate_llc(Product(), product_loss, NO_DATA, spec).estimate

    coarse, fine = estimate(3e-3), estimate(1e-3)
    extrapolated = 1.5 * fine.llc - 0.5 * coarse.llc
    layers = [np.zeros((2, 6)), np.zeros((6, 2))]
    truth, truth_error = linear_network_tempered(
        layers, np.zeros((6, 6)), np.eye(6), n_beta, localization, sweeps=3000
    )
    error = np.hypot(np.hypot(1.5 * fine.llc_se, 0.5 * coarse.llc_se), truth_error)
    assert error < 0.01 * truth
    assert abs(extrapolated - truth) < 4 * error
    assert coarse.llc - truth > 10 * coarse.llc_se  # a small error bar is not accuracy


@pytest.mark.slow
def test_the_error_bar_of_reduced_rank_regression_equals_the_scatter_over_independent_chains() -> None:
    """8-4-8 at rank 2, nβ = 200: 24 sets of 8 chains scatter as much as each set says, and little."""
    sets, chains = 24, 8
    known = linear_network((8, 4, 8), (1.5, 1.0), step_size=3e-4, batch_size=128, updates=2500)
    spec = replace(known.spec, chains=sets * chains, draws=1000, burn_in=1500)
    result = estimate_llc(known.model, known.loss, known.data, spec)
    traces = result.traces

    estimates = []
    for first in range(0, sets * chains, chains):
        one_set = slice(first, first + chains)
        estimates.append(
            llc_from_traces(
                traces.loss[one_set],
                traces.baseline[one_set],
                traces.status[one_set],
                n_beta=200,
                distance=traces.distance[one_set],
                anchor_norm=traces.anchor_norm,
            )
        )
    scatter = np.std([estimate.llc for estimate in estimates], ddof=1)
    quoted = np.sqrt(np.mean([estimate.llc_se**2 for estimate in estimates]))
    assert 0.7 < quoted / scatter < 1.3
    assert scatter < 0.03 * known.truth
    assert result.estimate.llc_se < 0.01 * known.truth
    assert result.estimate.llc == pytest.approx(known.truth, rel=0.1)


def noisy_quadratic(model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    """½Σh(w − x)² − ½Σhx²: minima scatter over the data, the mean loss is ½Σhw² up to the data's mean."""
    return 0.5 * (model.curvature * (model.w**2 - 2 * model.w * batch[0])).sum(dim=-1)


@pytest.mark.slow
def test_common_random_numbers_sharpen_the_difference_of_neighbouring_checkpoints() -> None:
    generator = torch.Generator().manual_seed(0)
    data = (torch.randn(500, 6, generator=generator),)
    data[0].sub_(data[0].mean(dim=0))

    def difference(seed: int, shared_noise: bool) -> float:
        spec = LLCSpec(
            step_size=5e-3,
            n_beta=50,
            localization=5,
            batch_size=32,
            chains=2,
            draws=100,
            burn_in=30,
            seed=seed,
            shared_noise=shared_noise,
        )
        neighbours = (Quadratic(scale * torch.linspace(1, 2, 6)) for scale in (1.0, 1.1))
        # unshared noise tells checkpoints apart by their weights
        weights = ({"w": torch.full((6,), value)} for value in (0.0, 1e-6))
        before, after = (
            estimate_llc(model, noisy_quadratic, data, spec, w_star=w_star).estimate.llc
            for model, w_star in zip(neighbours, weights, strict=True)
        )
        return after - before

    seeds = range(12)
    shared = np.std([difference(seed, True) for seed in seeds], ddof=1)
    independent = np.std([difference(seed, False) for seed in seeds], ddof=1)
    assert shared < independent / 4


def test_pairing_each_batch_with_its_own_loss_at_w_star_sharpens_the_estimate() -> None:
    generator = torch.Generator().manual_seed(0)
    offset = torch.randn(500, generator=generator) * 3

    def loss_with_offsets(model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        return quadratic_loss(model, batch) + batch[0]

    spec = LLCSpec(step_size=1e-2, n_beta=50, localization=5, batch_size=32, chains=8, draws=300, burn_in=50)
    model = Quadratic(torch.linspace(1, 2, 6))
    result = estimate_llc(model, loss_with_offsets, (offset,), spec)
    traces, paired = result.traces, result.estimate
    unpaired = llc_from_traces(
        traces.loss,
        np.full_like(traces.loss, traces.init_loss),
        traces.status,
        n_beta=50,
        distance=traces.distance,
        anchor_norm=traces.anchor_norm,
    )
    exact = estimate_llc(model, quadratic_loss, (offset,), spec).estimate
    assert paired.llc == pytest.approx(exact.llc, rel=1e-3)
    assert paired.llc_se < unpaired.llc_se / 4
