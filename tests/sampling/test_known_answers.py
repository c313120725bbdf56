"""The estimator against models whose learning coefficient is known, and those models against theory."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from devexplore.sampling import LLCSpec, estimate_llcs
from devexplore.sampling.known_answers import (
    KnownAnswer,
    check_answer,
    check_llc,
    crossings,
    known_answers,
    linear_network,
    quadratic,
    superposition,
)
from devexplore.sampling.known_answers.linear import half_squared_error, linear_problem
from devexplore.sampling.known_answers.potentials import NO_DATA, Crossings, crossings_loss
from devexplore.sampling.known_answers.superposition import (
    Superposition,
    curvatures,
    expected_loss,
    features,
    k_gon,
    superposition_loss,
)


def singular() -> Iterator[KnownAnswer]:
    """All but the quadratics, whose answers are exact."""
    return (known for known in known_answers() if known.tolerance > 0)


def fast() -> list[KnownAnswer]:
    """Three models in a second: two exact ones, and one singular."""
    return [
        quadratic(1e-2),
        quadratic(3e-2),
        crossings("w⁶", [(3,)], n_beta=1e4, step_size=2e-4, updates=1200),
    ]


# --- what the issue promises -----------------------------------------------------------------------------


@pytest.mark.parametrize("step_size", [3e-3, 1e-2, 3e-2])
def test_the_discretised_quadratic_is_met_exactly_at_any_stable_step_size(step_size: float) -> None:
    """E[λ̂] = ½Σ nβhᵢ/(aᵢ(1 − εaᵢ/4)), aᵢ = nβhᵢ + γ; the largest step has εa = 3.2 of 4."""
    answer = check_answer(quadratic(step_size))
    assert answer.llc_se < 0.01 * answer.llc
    assert abs(answer.z) < 4
    assert answer.agrees


def test_a_step_near_the_limit_is_met_exactly_and_not_trusted() -> None:
    """The estimate is what theory says it is at this ε, and it is twice ½d: the verdict says so."""
    answer = check_answer(quadratic(3e-2))
    assert answer.agrees
    assert answer.verdict == 1
    assert "near its limit" in answer.reasons[0]


@pytest.mark.slow
def test_every_singular_model_agrees_with_theory_at_its_n_beta_and_is_trusted() -> None:
    """Twice as sharply as the report asks: within 5 % of the value at this nβ, and errors below 2.5 %."""
    answers = [check_answer(known) for known in singular()]
    assert len(answers) == 10
    assert [a for a in answers if not a.agrees or a.verdict != 0] == []
    assert [a for a in answers if a.llc_se > 0.025 * a.llc] == []
    assert [a for a in answers if abs(a.llc - a.expected) > 0.05 * a.expected] == []


@pytest.mark.slow
def test_halving_or_doubling_any_setting_leaves_lambda_within_its_tolerance() -> None:
    """15 % of λ itself for normal crossings, 10 % for networks, so no setting is tuned to its number.

    Left out is what its note says is far from λ by theory: the crossing of multiplicity 2.
    """
    missed = []
    for known in (known for known in singular() if not known.note):
        grid = [known.spec] + [
            replace(known.spec, **{setting: getattr(known.spec, setting) * factor})
            for setting in ("step_size", "n_beta", "localization")
            for factor in (0.5, 2)
        ]
        w_star = dict(known.model.state_dict())
        results = estimate_llcs(known.model, known.loss, known.data, known.spec, [w_star], grid=grid)
        values = np.array([result.estimate.llc for result in results])
        if np.any(np.abs(values / known.truth - 1) > known.tolerance):
            missed.append((known.name, values / known.truth))
    assert missed == []


@pytest.mark.slow
def test_long_chains_bring_the_crossing_of_multiplicity_two_within_15_percent_of_one_half() -> None:
    """Theory expects ½ − 1/(ln(2nβ/γ²) + 1.5), which takes about nβ/γ² updates to reach: hence 150,000."""
    known = crossings("w₁²w₂²", [(1, 1)], n_beta=1e5, step_size=5e-6, updates=150_000)
    answer = check_answer(known)
    assert answer.llc_se < 0.02 * answer.llc
    assert answer.llc == pytest.approx(known.truth, rel=0.15)
    assert answer.llc == pytest.approx(answer.expected, rel=0.15)


# --- the report ------------------------------------------------------------------------------------------


def test_the_report_has_a_line_for_each_model_and_counts_those_that_agree() -> None:
    lines: list[str] = []
    answers = check_llc(lines.append, fast())
    assert [line.split("  ")[0] for line in lines[1:-1]] == [answer.name for answer in answers]
    assert lines[-1].startswith("3 of 3 agree with theory")
    assert "λ" in lines[0]


def test_a_wrong_theory_is_named_as_disagreeing() -> None:
    exact, _, singular = fast()
    wrong = [
        replace(exact, expected=exact.expected._replace(value=1.1 * exact.expected.value)),
        replace(singular, expected=singular.expected._replace(value=1.5 * singular.expected.value)),
    ]
    lines: list[str] = []
    answers = check_llc(lines.append, wrong)
    assert [answer.agrees for answer in answers] == [False, False]
    assert "0 of 2" in lines[-1]
    assert exact.name in lines[-1]
    assert singular.name in lines[-1]


def test_an_exact_value_met_with_a_wide_error_bar_does_not_count() -> None:
    known = quadratic(1e-2)
    few = replace(known, spec=replace(known.spec, chains=2, draws=20))
    answer = check_answer(few)
    assert answer.llc_se > 0.01 * answer.llc
    assert not answer.agrees


def test_diverged_chains_agree_with_nothing() -> None:
    known = quadratic(1e-2)
    answer = check_answer(replace(known, spec=replace(known.spec, step_size=0.1)))
    assert np.isnan(answer.llc)
    assert not answer.agrees
    assert answer.verdict == 2


# --- the models ------------------------------------------------------------------------------------------


def loss_of(model: Crossings, *weights: float) -> float:
    with torch.no_grad():
        for parameter, value in zip(model.w, weights, strict=True):
            parameter.fill_(value)
        return float(crossings_loss(model, NO_DATA)[0])


@pytest.mark.parametrize(
    ("terms", "weights", "loss"),
    [
        ([(1, 1)], (3.0, 2.0), lambda a, b: a**2 * b**2),
        ([(1, 2)], (3.0, 2.0), lambda a, b: a**2 * b**4),
        ([(1,), (2,)], (3.0, 2.0), lambda a, b: a**2 + b**4),
        ([(3,)], (2.0,), lambda a: a**6),
    ],
)
def test_crossings_are_the_polynomials_they_are_named_after(
    terms: list[tuple[int, ...]], weights: tuple[float, ...], loss: Callable[..., float]
) -> None:
    assert loss_of(Crossings(terms, copies=5), *weights) == pytest.approx(5 * loss(*weights))


@pytest.mark.parametrize(
    ("n_features", "corners", "loss"), [(6, 5, 0.06874), (6, 6, 0.04819), (5, 5, 0.01583)]
)
def test_k_gons_have_the_published_loss_and_half_the_rank_of_their_hessian_is_lambda(
    n_features: int, corners: int, loss: float
) -> None:
    model = k_gon(n_features, corners)
    losses = superposition_loss(model, features(n_features))
    assert float(losses.detach().mean()) == pytest.approx(loss, abs=5e-6)
    h = curvatures(model)
    assert h.min() > -1e-6
    assert int((h > 1e-3).sum()) / 2 == superposition(n_features, corners).truth
    losses.mean().backward()
    assert max(float(parameter.grad.abs().max()) for parameter in model.parameters()) < 1e-6


def test_the_expected_loss_is_the_average_over_input_sizes() -> None:
    """Against the midpoint rule over single inputs, so fine that kinks do no harm."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    weight, bias, x = normal(2, 6), 0.5 * normal(6), torch.eye(6, dtype=torch.float64)
    mu = ((torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000)[:, None, None]
    outputs = torch.relu(mu * (x @ weight.T @ weight) + bias)
    by_hand = ((mu * x - outputs) ** 2).sum(dim=-1).mean(dim=0)
    torch.testing.assert_close(expected_loss(weight, bias, x), by_hand, rtol=1e-6, atol=1e-8)


def test_columns_at_zero_leave_finite_gradients() -> None:
    model = Superposition(torch.zeros(2, 4), torch.tensor([-0.5, 0.5, 0.0, 0.1]))
    superposition_loss(model, features(4)).sum().backward()
    assert all(bool(torch.isfinite(parameter.grad).all()) for parameter in model.parameters())


@pytest.mark.parametrize(
    ("widths", "values"), [((8, 4, 8), (1.5, 1.0)), ((3, 5, 4, 2), (2.0,)), ((3, 2, 3), ())]
)
def test_a_linear_network_starts_at_a_critical_point_that_no_map_of_its_rank_betters(
    widths: tuple[int, ...], values: tuple[float, ...]
) -> None:
    problem = linear_problem(widths, values, samples=2000)
    loss = half_squared_error(problem.model, problem.data).mean()
    loss.backward()
    assert max(float(parameter.grad.abs().max()) for parameter in problem.model.parameters()) < 1e-5
    product = np.linalg.multi_dot(problem.layers[::-1])
    assert np.linalg.matrix_rank(product, tol=1e-8) == len(values)

    def miss(linear_map: np.ndarray) -> float:
        difference = linear_map - problem.least_squares
        return float(np.trace(difference @ problem.second_moment @ difference.T))

    rng = np.random.default_rng(0)
    u, s, vt = np.linalg.svd(product)
    for _ in range(50):
        tilt_left, tilt_right = (0.05 * rng.standard_normal((n, n)) for n in (widths[-1], widths[0]))
        rank = len(values)
        other = (
            (np.eye(widths[-1]) + tilt_left)
            @ u[:, :rank]
            * s[:rank]
            @ vt[:rank]
            @ (np.eye(widths[0]) + tilt_right)
        )
        assert miss(other) >= miss(product)


def test_the_networks_loss_is_what_the_exact_sampler_takes_it_for() -> None:
    """Loss differences of the network on its data equal ½ tr (W − Ŵ)S(W − Ŵ)ᵀ differences."""
    problem = linear_problem((4, 3, 5), (1.0,), samples=500)
    rng = np.random.default_rng(1)

    def both(layers: list[np.ndarray]) -> tuple[float, float]:
        with torch.no_grad():
            for parameter, layer in zip(problem.model.parameters(), layers, strict=True):
                parameter.copy_(torch.from_numpy(layer))
            loss = float(half_squared_error(problem.model, problem.data).double().mean())
        difference = layers[1] @ layers[0] - problem.least_squares
        return loss, 0.5 * float(np.trace(difference @ problem.second_moment @ difference.T))

    here = both(problem.layers)
    there = both([layer + 0.3 * rng.standard_normal(layer.shape) for layer in problem.layers])
    assert there[0] - here[0] == pytest.approx(there[1] - here[1], rel=1e-4)


def test_the_settings_are_those_of_the_network_they_are_named_after() -> None:
    known = linear_network((3, 2, 3), (1.0,), step_size=1e-4, batch_size=32, updates=10)
    assert isinstance(known.spec, LLCSpec)
    assert known.spec.updates == 10
    assert known.trivial_loss == pytest.approx(0.5 * (1 + 3), rel=0.05)  # ½(s² + outputs·σ²)
