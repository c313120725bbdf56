"""From traces to λ̂: exact means, and error bars that equal the scatter where that is known."""

import numpy as np
import pytest

from devexplore.sampling import llc_from_traces


def estimate(difference: np.ndarray, status: np.ndarray | None = None, n_beta: float = 10.0):
    chains = len(difference)
    return llc_from_traces(
        difference + 2.0,
        np.full_like(difference, 2.0),
        np.zeros(chains, dtype=np.int8) if status is None else status,
        n_beta=n_beta,
        distance=np.arange(1.0, chains + 1),
        anchor_norm=2.0,
        localization=3.0,
        n_parameters=7,
        init_loss=2.5,
    )


def autoregressive(rng: np.random.Generator, chains: int, draws: int, phi: float) -> np.ndarray:
    """Stationary AR(1) with unit variance; its mean over N draws has variance about (1+φ)/((1−φ)N)."""
    x = np.empty((chains, draws))
    x[:, 0] = rng.standard_normal(chains)
    for t in range(1, draws):
        x[:, t] = phi * x[:, t - 1] + np.sqrt(1 - phi**2) * rng.standard_normal(chains)
    return x


def test_llc_is_n_beta_times_the_mean_paired_difference_over_healthy_chains() -> None:
    difference = np.array([[1.0, 2, 3, 4], [2, 3, 4, 5], [np.inf, np.nan, np.nan, np.nan]])
    result = estimate(difference, np.array([0, 0, 1], dtype=np.int8))
    assert result.excess_loss == 3.0
    assert result.llc == 30.0
    assert result.diverged_chains == 1
    assert result.relative_distance == 0.75


def test_the_mean_loss_is_above_l_of_w_star_by_the_excess_and_the_spread_is_in_units_of_free_diffusion() -> (
    None
):
    result = estimate(
        np.array([[1.0, 2, 3, 4], [2, 3, 4, 5], [np.inf, np.nan, np.nan, np.nan]]), np.array([0, 0, 1])
    )
    assert (result.init_loss, result.mean_loss) == (2.5, 5.5)
    assert result.spread == pytest.approx(3.0 * (1 + 4) / 2 / 7)


def test_when_all_chains_diverged_every_value_is_nan_and_the_count_says_so() -> None:
    result = estimate(np.full((3, 5), np.nan), np.ones(3, dtype=np.int8))
    assert result.diverged_chains == 3
    known = {"diverged_chains", "init_loss"}
    assert all(np.isnan(value) for name, value in result._asdict().items() if name not in known)


def test_chains_that_do_not_move_have_no_error_and_no_rhat() -> None:
    result = estimate(np.zeros((2, 8)))
    assert (result.llc, result.llc_se) == (0.0, 0.0)
    assert np.isnan(result.rhat)


@pytest.mark.parametrize("chains", [1, 2, 4, 8])
@pytest.mark.parametrize("phi", [0.0, 0.9])
def test_the_error_bar_of_autocorrelated_chains_is_their_scatter(chains: int, phi: float) -> None:
    rng = np.random.default_rng(0)
    results = [estimate(autoregressive(rng, chains, 500, phi)) for _ in range(100)]
    scatter = np.std([result.llc for result in results], ddof=1)
    quoted = np.sqrt(np.mean([result.llc_se**2 for result in results]))
    assert 0.8 < quoted / scatter < 1.3  # 100 repeats know the scatter to 7 %


def test_a_slow_mode_under_fast_noise_still_enters_the_error_bar() -> None:
    """Here the ESS alone, which stops summing where autocorrelation sinks under the noise, falls short."""
    rng = np.random.default_rng(1)
    results, from_ess = [], []
    for _ in range(100):
        fast, slow = rng.standard_normal((8, 400)), autoregressive(rng, 8, 400, 0.995)
        difference = fast + 0.15 * slow
        results.append(estimate(difference))
        from_ess.append(10 * difference.std() / np.sqrt(results[-1].ess))
    scatter = np.std([result.llc for result in results], ddof=1)
    assert np.sqrt(np.mean(np.square(from_ess))) / scatter < 0.8
    assert 0.8 < np.sqrt(np.mean([result.llc_se**2 for result in results])) / scatter < 1.3


def test_chains_in_different_places_show_in_rhat() -> None:
    rng = np.random.default_rng(0)
    mixed = rng.standard_normal((4, 200))
    assert estimate(mixed).rhat < 1.02
    assert estimate(mixed + 3 * np.arange(4)[:, None]).rhat > 1.5


def test_a_planted_drift_between_halves_is_measured_in_units_of_llc_with_its_standard_error() -> None:
    rng = np.random.default_rng(0)
    ramp = np.repeat([1.0, 1.5], 200)
    result = estimate(ramp + rng.standard_normal((4, 400)))
    assert result.half_drift == pytest.approx(0.5 / 1.25, abs=4 * np.sqrt(2 / 800) / 1.25)
    assert result.half_drift_z == pytest.approx(0.5 / np.sqrt(2 / 800), rel=0.5)


@pytest.mark.parametrize(("chains", "phi"), [(1, 0.0), (2, 0.9), (4, 0.0), (4, 0.9), (8, 0.9)])
def test_without_drift_the_z_of_the_halves_is_about_standard_normal(chains: int, phi: float) -> None:
    rng = np.random.default_rng(2)
    z = [estimate(5 + autoregressive(rng, chains, 400, phi)).half_drift_z for _ in range(200)]
    assert 0.65 < np.sqrt(np.mean(np.square(z))) < 1.15  # 200 repeats know it to 5 %
    assert np.mean(z) == pytest.approx(0, abs=4 / np.sqrt(200))


def test_too_few_draws_have_no_halves_to_compare() -> None:
    rng = np.random.default_rng(0)
    assert np.isnan(estimate(rng.standard_normal((4, 7))).half_drift_z)
    assert np.isfinite(estimate(rng.standard_normal((4, 8))).half_drift_z)
