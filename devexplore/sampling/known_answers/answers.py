"""Models whose learning coefficient is known, with the settings at which it is measured, openly.

The settings follow four rules, and are not tuned to the numbers: halving or doubling ε, nβ or γ leaves every
estimate within its tolerance (a test does it).

- ε(nβ·h + γ) is about 0.1 in the stiffest direction usually met: the step size alone then raises λ̂ by 2–3 %.
  Networks of three layers need a tenth of that, since the stiffness grows as the weights of other layers do.
- The chains walk about as long as the flattest direction that matters takes to relax.
- γ is so weak that theory expects little off λ at this nβ; where a multiplicity above 1 makes the limit too
  slow for that, the tolerance holds for the value at this nβ.
- Chains enough for a standard error of 1–2 %; rows cost little.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from devexplore.sampling.known_answers.linear import half_squared_error, linear_problem
from devexplore.sampling.known_answers.potentials import (
    NO_DATA,
    Crossings,
    Quadratic,
    crossings_loss,
    quadratic_loss,
)
from devexplore.sampling.known_answers.superposition import curvatures, features, k_gon, superposition_loss
from devexplore.sampling.network import PerSampleLoss
from devexplore.sampling.spec import LLCSpec
from devexplore.stats.learning_coefficient import (
    deep_linear,
    normal_crossing,
    quadratic_discretised,
    superposition_gon,
)
from devexplore.stats.tempered import TemperedValue, linear_network_tempered, normal_crossing_tempered

_COPIES = 64


@dataclass(frozen=True, kw_only=True)
class KnownAnswer:
    """A model at a w* whose learning coefficient is known, and how to measure it."""

    name: str
    model: nn.Module
    loss: PerSampleLoss
    data: tuple[Tensor, ...]
    spec: LLCSpec
    truth: float
    """λ, the limit nβ → ∞ (of the quadratic: the exact value at its ε)."""
    expected: TemperedValue
    """What theory expects at the nβ and γ of ``spec``."""
    tolerance: float
    """Largest |λ̂/expected − 1| that agrees. 0 where ``expected`` is exact at any ε: the error bar decides."""
    trivial_loss: float | None = None
    """Loss of a predictor that ignores its input."""
    note: str = ""
    """What a reader of the table should know."""


def known_answers() -> Iterator[KnownAnswer]:
    """Every model of ``devexplore check-llc``, made one at a time."""
    for step_size in (3e-3, 1e-2, 3e-2):
        yield quadratic(step_size)
    yield crossings("w⁶", [(3,)], n_beta=1e4, step_size=1e-4, updates=6000)
    yield crossings("w₁² + w₂⁴", [(1,), (2,)], n_beta=1e3, step_size=5e-5, updates=6000)
    yield crossings("w₁²w₂⁴", [(1, 2)], n_beta=1e4, step_size=1e-4, updates=12_000)
    yield crossings(
        "w₁²w₂²",
        [(1, 1)],
        n_beta=1e4,
        step_size=2e-5,
        updates=24_000,
        note="multiplicity 2, so theory itself nears λ only as 1/ln nβ",
    )
    yield linear_network((8, 4, 8), (1.5, 1.0), step_size=1e-4, batch_size=128, updates=4000)
    yield linear_network((4, 4, 4, 4), (1.5, 1.0), step_size=5e-5, batch_size=128, updates=6000)
    yield linear_network(
        (10, 10, 10, 10), (2.0, 1.5, 1.2, 1.0), step_size=5e-5, batch_size=256, updates=6000, chains=20
    )
    yield superposition(6, 5)
    yield superposition(6, 6)
    yield superposition(5, 5)


def quadratic(step_size: float) -> KnownAnswer:
    """Ten directions of curvature ½ … 5, exact at any stable ε; at ε = 0.03, ε(nβh + γ) = 3.2 of 4."""
    curvature = torch.linspace(0.5, 5, 10)
    n_beta, localization = 20.0, 5.0
    exact = quadratic_discretised(curvature.double().numpy(), n_beta, localization, step_size)
    return KnownAnswer(
        name=f"quadratic, ε = {step_size:g}",
        model=Quadratic(curvature),
        loss=quadratic_loss,
        data=NO_DATA,
        spec=LLCSpec(
            step_size=step_size,
            n_beta=n_beta,
            localization=localization,
            batch_size=1,
            chains=64,
            draws=500,
            burn_in=int(6 / (step_size * 15)) + 50,  # six relaxation times 2/(εa) of the slowest direction
            thinning=2,
        ),
        truth=exact,
        expected=TemperedValue(exact, 0.0),
        tolerance=0.0,
    )


def crossings(
    name: str,
    terms: Sequence[Sequence[int]],
    *,
    n_beta: float,
    step_size: float,
    updates: int,
    chains: int = 16,
    note: str = "",
) -> KnownAnswer:
    """Normal crossings at the origin, γ = 1, 64 copies a chain: λ of the 64 together."""
    one = sum(normal_crossing_tempered(term, n_beta, 1.0).value for term in terms)
    thinning = 8
    draws = (2 * updates) // (3 * thinning)
    return KnownAnswer(
        name=f"{_COPIES} × ({name})",
        model=Crossings(terms, _COPIES),
        loss=crossings_loss,
        data=NO_DATA,
        spec=LLCSpec(
            step_size=step_size,
            n_beta=n_beta,
            localization=1.0,
            batch_size=1,
            chains=chains,
            draws=draws,
            burn_in=updates - draws * thinning,
            thinning=thinning,
        ),
        truth=_COPIES * sum(normal_crossing(term) for term in terms),
        expected=TemperedValue(_COPIES * one, 0.0),
        tolerance=0.15,
        note=note,
    )


def linear_network(
    widths: Sequence[int],
    singular_values: Sequence[float],
    *,
    step_size: float,
    batch_size: int,
    updates: int,
    chains: int = 32,
) -> KnownAnswer:
    """Reduced-rank regression and deep linear networks on 10,000 samples with unit label noise; nβ = 200."""
    n_beta, localization = 200.0, 1.0
    problem = linear_problem(widths, singular_values)
    rank = len(singular_values)
    return KnownAnswer(
        name=f"linear {'-'.join(map(str, widths))}, rank {rank}",
        model=problem.model,
        loss=half_squared_error,
        data=problem.data,
        spec=LLCSpec(
            step_size=step_size,
            n_beta=n_beta,
            localization=localization,
            batch_size=batch_size,
            chains=chains,
            draws=updates // 2,
            burn_in=updates - updates // 2,
        ),
        truth=deep_linear(widths, rank),
        expected=linear_network_tempered(
            problem.layers, problem.least_squares, problem.second_moment, n_beta, localization
        ),
        tolerance=0.1,
        trivial_loss=float(0.5 * (problem.data[1] ** 2).sum(dim=1).mean()),
    )


def superposition(n_features: int, corners: int) -> KnownAnswer:
    """k-gons under the exact population loss: regular but for one rotation, idle features in a flat region.

    At nβ = 10⁵ the loss is quadratic as far as chains go, and γ = 100 keeps idle features in their region.
    """
    n_beta, localization, step_size = 1e5, 100.0, 2e-6
    model = k_gon(n_features, corners)
    # rounding leaves the eigenvalues of flat directions a little off zero
    h = np.clip(curvatures(model).numpy(), 0, None)
    return KnownAnswer(
        name=f"superposition, {n_features} features, {corners}-gon",
        model=model,
        loss=superposition_loss,
        data=features(n_features),
        spec=LLCSpec(
            step_size=step_size,
            n_beta=n_beta,
            localization=localization,
            batch_size=n_features,
            chains=128,
            draws=400,
            burn_in=600,
            thinning=2,
        ),
        truth=superposition_gon(corners),
        expected=TemperedValue(quadratic_discretised(h, n_beta, localization, step_size), 0.0),
        tolerance=0.1,
        trivial_loss=1 / 3 - 1 / (4 * n_features),
    )
