"""Values at finite nβ: against closed forms, against each other, and against their limits λ."""

import itertools

import numpy as np
import pytest

from devexplore.errors import InvalidSpec
from devexplore.stats.learning_coefficient import deep_linear, normal_crossing, reduced_rank
from devexplore.stats.tempered import linear_network_tempered, normal_crossing_tempered


def test_one_square_is_the_regular_value_half_times_curvature_over_pull() -> None:
    # L = w² has curvature 2: nβ·E[w²] = nβ/(2nβ + γ)
    for n_beta, localization in [(3.0, 1.0), (50.0, 7.0), (1e6, 0.1)]:
        value = normal_crossing_tempered((1,), n_beta, localization).value
        assert value == pytest.approx(n_beta / (2 * n_beta + localization), rel=1e-6)


@pytest.mark.parametrize("exponents", [(1, 1), (1, 2), (2, 1), (3,)])
def test_only_n_beta_over_localization_to_the_sum_of_exponents_matters(exponents: tuple[int, ...]) -> None:
    one = normal_crossing_tempered(exponents, 1e3, 1.0).value
    other = normal_crossing_tempered(exponents, 1e3 * 2.5 ** sum(exponents), 2.5).value
    assert other == pytest.approx(one, rel=1e-6)


@pytest.mark.parametrize(("exponents", "rel"), [((1, 2), 2e-3), ((3,), 1e-3), ((2,), 1e-4)])
def test_without_multiplicity_the_value_tends_to_lambda(exponents: tuple[int, ...], rel: float) -> None:
    at = [normal_crossing_tempered(exponents, n_beta, 1.0).value for n_beta in (1e2, 1e4, 1e10)]
    assert at == sorted(at)
    assert at[-1] == pytest.approx(normal_crossing(exponents), rel=rel)


def test_a_crossing_of_two_equal_lines_falls_short_by_one_over_the_logarithm() -> None:
    """Multiplicity 2: ½ − value → 1/(ln nβ + constant), so its inverse grows by ln 100 per factor of 100."""
    inverse = [1 / (0.5 - normal_crossing_tempered((1, 1), n_beta, 1.0).value) for n_beta in (1e6, 1e8, 1e10)]
    np.testing.assert_allclose(np.diff(inverse), np.log(100), rtol=0.01)


def test_gibbs_sampling_of_two_one_by_one_layers_meets_the_quadrature_of_a_crossing() -> None:
    """½·2·(w₁w₂)² is w₁²w₂²: two methods with nothing in common."""
    layers = [np.zeros((1, 1)), np.zeros((1, 1))]
    value, error = linear_network_tempered(
        layers, np.zeros((1, 1)), np.array([[2.0]]), 1e3, 1.0, chains=512, sweeps=1500, burn_in=300
    )
    assert error < 0.005
    assert abs(value - normal_crossing_tempered((1, 1), 1e3, 1.0).value) < 4 * error


def product_of_eigenvalues(n_beta: float, localization: float) -> float:
    """nβ·E[½‖BA‖²] of a 6-2-6 network at zero, by quadrature over the eigenvalues of AAᵀ.

    Given A, B is Gaussian and integrates out; what is left depends on the two eigenvalues alone, whose
    density (Wishart) is ∏ l^{(6−2−1)/2} e^{−γl/2} · |l₁ − l₂|.
    """
    log_eigenvalue = np.linspace(-25, 6, 1200) - np.log(localization)
    l1, l2 = np.meshgrid(np.exp(log_eigenvalue), np.exp(log_eigenvalue), indexing="ij")
    ratios = [n_beta * eigenvalue / (n_beta * eigenvalue + localization) for eigenvalue in (l1, l2)]
    density = (l1 * l2) ** 2.5 * np.exp(-localization * (l1 + l2) / 2) * np.abs(l1 - l2)
    density *= ((1 - ratios[0]) * (1 - ratios[1])) ** 3  # ∝ (nβl + γ)⁻³ each: the Gaussian integral over B
    return float((density * 3 * (ratios[0] + ratios[1])).sum() / density.sum())


def test_gibbs_sampling_of_a_product_of_matrices_meets_its_quadrature() -> None:
    layers = [np.zeros((2, 6)), np.zeros((6, 2))]
    value, error = linear_network_tempered(layers, np.zeros((6, 6)), np.eye(6), 200.0, 10.0, sweeps=600)
    assert product_of_eigenvalues(1e9, 1.0) == pytest.approx(reduced_rank(6, 6, 2, 0), rel=1e-3)
    assert error < 0.01 * value
    assert abs(value - product_of_eigenvalues(200.0, 10.0)) < 4 * error


def test_a_network_without_hidden_layer_is_a_gaussian_whatever_its_inputs_and_optimum() -> None:
    """At w* = Ŵ: ½Σ nβhᵢ/(nβhᵢ + γ) over outputs and eigenvalues h of the inputs' second moment."""
    rng = np.random.default_rng(0)
    best, root = rng.standard_normal((2, 3)), rng.standard_normal((3, 3))
    moment = root @ root.T
    value, error = linear_network_tempered([best], best, moment, 5.0, 2.0, chains=256)
    h = np.linalg.eigvalsh(moment)
    assert error < 0.01 * value
    assert abs(value - 2 * 0.5 * (5 * h / (5 * h + 2)).sum()) < 4 * error


@pytest.mark.parametrize(("widths", "rank"), [((3, 3, 3, 3), 0), ((5, 3, 5), 0), ((4, 2, 4), 1)])
def test_cold_networks_with_weak_localization_come_near_aoyagis_lambda(
    widths: tuple[int, ...], rank: int
) -> None:
    layers = [np.zeros((b, a)) for a, b in itertools.pairwise(widths)]
    for layer in layers:
        layer[:rank, :rank] = np.eye(rank)
    best = np.linalg.multi_dot(layers[::-1])
    value, error = linear_network_tempered(layers, best, np.eye(widths[0]), 1e5, 0.1, sweeps=600)
    assert error < 0.01 * value
    assert value == pytest.approx(deep_linear(widths, rank), rel=0.05)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(InvalidSpec, match="one or two exponents"):
        normal_crossing_tempered((1, 1, 1), 10, 1)
    with pytest.raises(InvalidSpec, match="above 0"):
        normal_crossing_tempered((1,), 10, 0)
    square = np.eye(2)
    with pytest.raises(InvalidSpec, match="do not make"):
        linear_network_tempered([np.zeros((3, 2)), square], square, square, 10, 1)
    with pytest.raises(InvalidSpec, match="sweeps > burn_in"):
        linear_network_tempered([square], square, square, 10, 1, sweeps=5, burn_in=5)
