"""Sweeps planted from the exact discretised quadratic: what each ε, nβ, γ gives is known in closed form."""

import numpy as np
import pytest
import xarray as xr

from devexplore.analysis.calibration import recommend
from devexplore.analysis.plateau import plateau_map
from devexplore.errors import InvalidSpec, SchemaError

H_MAX = 20.0
STEPS = [100, 1000, 10_000]
DIRECTIONS = [8, 16, 24]
"""Curved directions at each checkpoint: λ is half their number."""
STABILITIES = [0.08, 0.2, 0.5, 1.25]
N_BETAS = [30.0, 100.0, 300.0]
LOCALIZATIONS = [1.0, 10.0, 100.0, 1000.0]
AXES = ("rung", "n_beta", "localization")


def exact_llc(h: np.ndarray, step_size: float, n_beta: float, localization: float) -> float:
    """E[λ̂] of SGLD with the full gradient on ½Σhw²: ½Σ nβh/(a(1 − εa/4)), a = nβh + γ; NaN if unstable."""
    a = n_beta * h + localization
    return (
        float("nan")
        if (step_size * a >= 4).any()
        else float((n_beta * h / (a * (1 - step_size * a / 4))).sum() / 2)
    )


def planted(
    *,
    relative_se: float = 0.01,
    noise: float = 1.0,
    seed: int = 0,
    low: float = 2.0,
    stabilities=STABILITIES,
    n_betas=N_BETAS,
    localizations=LOCALIZATIONS,
) -> xr.Dataset:
    """A sweep over bowls of curvatures between ``low`` and H_MAX; estimates scatter by their standard error
    times ``noise``, which falls with ε as the effective sample size of a fixed number of updates does.
    """
    rng = np.random.default_rng(seed)
    shape = (len(STEPS), len(stabilities), len(n_betas), len(localizations))
    llc, se, step_size = np.empty(shape), np.empty(shape), np.empty(shape[1:])
    for rung, i, j in np.ndindex(*shape[1:]):
        held = n_betas[i] * H_MAX + localizations[j]
        step_size[rung, i, j] = stabilities[rung] / held
        for t, count in enumerate(DIRECTIONS):
            h = np.geomspace(low, H_MAX, count)
            value = exact_llc(h, step_size[rung, i, j], n_betas[i], localizations[j])
            llc[t, rung, i, j] = value
            se[t, rung, i, j] = relative_se * abs(value) / np.sqrt(stabilities[rung])
    llc = llc + noise * se * rng.normal(size=shape)
    dims = ("step", *AXES)
    return xr.Dataset(
        {
            "llc": (dims, llc),
            "llc_se": (dims, se),
            "verdict": (dims, np.where(np.isfinite(llc), 0, 2).astype(np.int8)),
            "reason": (dims, np.where(np.isfinite(llc), "", "every chain diverged").astype(object)),
            "step_size": (AXES, step_size),
        },
        coords={
            "step": STEPS,
            "rung": np.arange(len(stabilities)),
            "n_beta": n_betas,
            "localization": localizations,
        },
        attrs={"h_max": H_MAX, "batch_size": 64, "chains": 4, "draws": 100, "burn_in": 500, "thinning": 5},
    )


def unsettled(burn_in: int, low: float) -> xr.Dataset:
    """The exact sweep of short chains: after k updates a variance has come to 1 − (1 − εa/2)²ᵏ of its end."""
    sweep = planted(noise=0, relative_se=0.003, low=low)
    llc, drift = sweep["llc"].values.copy(), np.zeros(sweep["llc"].shape)

    def mean_left(a: np.ndarray, step_size: float, first: int, last: int) -> np.ndarray:
        q = (1 - step_size * a / 2) ** 2
        return (q**first - q**last) / ((last - first) * (1 - q))

    for t, rung, i, j in np.ndindex(*llc.shape):
        step_size, n_beta = float(sweep["step_size"][rung, i, j]), N_BETAS[i]
        h = np.geomspace(low, H_MAX, DIRECTIONS[t])
        a = n_beta * h + LOCALIZATIONS[j]
        final = n_beta * h / (a * (1 - step_size * a / 4)) / 2
        early, late = (
            (final * (1 - mean_left(a, step_size, first * burn_in // 2, (first + 1) * burn_in // 2))).sum()
            for first in (2, 3)
        )
        llc[t, rung, i, j] = (early + late) / 2
        drift[t, rung, i, j] = (late - early) / llc[t, rung, i, j]
    dims = sweep["llc"].dims
    short = {"llc": (dims, llc), "half_drift": (dims, drift), "half_drift_z": (dims, drift / 0.006)}
    return sweep.assign(short).assign_attrs(burn_in=burn_in)


def blame(sweep: xr.Dataset, where, reason: str = "chains left the basin") -> xr.Dataset:
    """The same sweep with some estimates judged to be no LLC."""
    return sweep.assign(
        verdict=xr.where(where, np.int8(2), sweep["verdict"]).transpose(*sweep["verdict"].dims),
        reason=xr.where(where, reason, sweep["reason"]).transpose(*sweep["verdict"].dims),
    )


@pytest.mark.parametrize("seed", range(20))
def test_the_recommended_point_is_within_a_tenth_of_the_known_coefficient(seed: int) -> None:
    sweep = planted(seed=seed, low=5.0, noise=1.0)
    advice = recommend(sweep)
    assert advice.found
    h = np.geomspace(5.0, H_MAX, DIRECTIONS[-1])
    settings = advice.settings
    value = exact_llc(h, settings["step_size"], settings["n_beta"], settings["localization"])
    assert value == pytest.approx(DIRECTIONS[-1] / 2, rel=0.10)


def test_the_bias_of_the_step_size_is_that_of_the_closed_form() -> None:
    sweep = planted(noise=0)
    found = plateau_map(sweep)
    for rung, i, j in [(1, 1, 0), (2, 0, 1), (1, 2, 2)]:
        step_size = float(sweep["step_size"][rung, i, j])
        exact, unbiased = (
            np.array(
                [exact_llc(np.geomspace(2, H_MAX, n), eps, N_BETAS[i], LOCALIZATIONS[j]) for n in DIRECTIONS]
            )
            for eps in (step_size, 1e-12)
        )
        truth = ((exact - unbiased) * exact).sum() / (exact**2).sum()
        # the bias rises more steeply than the line that is fitted to it, which errs on the safe side
        assert truth <= float(found["step_bias"][rung, i, j]) <= 1.35 * truth
        assert truth <= float(found["step_bound"][rung, i, j])


def test_the_sensitivity_is_the_change_of_the_closed_form_for_a_factor_of_three() -> None:
    sweep = planted(noise=0, n_betas=[100.0, 300.0], localizations=[100.0])
    change = sweep["llc"].isel(n_beta=0) - sweep["llc"].isel(n_beta=1)
    relative = np.sqrt((change**2).sum("step") / (sweep["llc"].isel(n_beta=0) ** 2).sum("step"))
    found = plateau_map(sweep)["sensitivity"].isel(n_beta=0)
    np.testing.assert_allclose(found, relative, rtol=1e-12)


def test_a_plateau_holds_no_point_where_localization_or_step_size_decides() -> None:
    """At γ ≥ nβh directions no longer count, and at ε(nβh + γ) = 1.25 the steepest is 45 % too wide."""
    plateau = plateau_map(planted(noise=0, relative_se=0.001))["plateau"]
    assert bool(plateau.any())
    assert not bool(plateau.sel(localization=1000).any())
    assert not bool(plateau.isel(rung=3).any())


def test_the_order_of_dimensions_does_not_matter() -> None:
    sweep = planted()
    turned = sweep.transpose("localization", "step", "n_beta", "rung")
    assert recommend(turned).settings == recommend(sweep).settings
    xr.testing.assert_identical(plateau_map(turned), plateau_map(sweep))


def total_error(found: xr.Dataset) -> xr.DataArray:
    """What is off for the same work: the bias of the step size and the standard error."""
    return np.sqrt(found["step_bias"] ** 2 + found["relative_se"] ** 2)


def test_of_a_plateau_the_point_of_least_bias_and_standard_error_is_chosen() -> None:
    advice = recommend(planted(low=5.0))
    on = total_error(advice.map).where(advice.map["plateau"])
    assert float(on.isel(advice.point)) == float(on.min())


def test_noisier_sweeps_choose_larger_steps() -> None:
    """The standard error falls with the step size, its bias rises."""
    steps = [recommend(planted(low=5.0, relative_se=se, noise=0)).point["rung"] for se in (1e-4, 0.01, 0.03)]
    assert steps == sorted(steps)
    assert steps[0] < steps[-1]


def test_where_no_plateau_is_the_advice_says_so_and_names_the_least_bad() -> None:
    """Curvatures over six decades: whatever γ and nβ are, some directions lie on the edge of being held."""
    advice = recommend(planted(low=1e-5, relative_se=0.003, noise=0))
    assert not advice.found
    assert advice.reasons[0].startswith("no plateau found: λ̂ depends on nβ and γ")
    assert "the least bad is ε" in advice.reasons[0]
    found = advice.map
    names = ["step_bias", "step_bias_se", "sensitivity", "sensitivity_se", "relative_se"]
    error = np.sqrt(xr.concat([found[name] ** 2 for name in names], "term").sum("term"))
    about_equal = total_error(found).where(error <= 1.1 * error.min())
    assert float(about_equal.isel(advice.point)) == float(about_equal.min())


def test_without_a_common_plateau_that_of_the_last_checkpoint_is_told() -> None:
    """Small γ serves the last checkpoint alone; where all three are served, λ̂ depends on γ."""
    sweep = planted(low=2.0, relative_se=0.003, noise=0)
    served = (sweep["step"] == STEPS[-1]) | (sweep["localization"] > 500)
    advice = recommend(blame(sweep, ~served))
    assert not advice.found
    (words,) = (reason for reason in advice.reasons if reason.startswith("step 10,000 alone has a plateau"))
    alone = recommend(sweep.sel(step=[STEPS[-1]]))
    assert alone.found
    assert f"ε {alone.settings['step_size']:.3g}, nβ {alone.settings['n_beta']:.4g}" in words


@pytest.mark.parametrize("seed", range(20))
def test_no_plateau_is_claimed_where_there_is_none(seed: int) -> None:
    assert not recommend(planted(low=1e-5, relative_se=0.01, seed=seed)).found


def test_a_step_size_that_is_too_large_everywhere_is_no_plateau() -> None:
    advice = recommend(planted(stabilities=[1.2, 2.0, 3.0], relative_se=0.002, noise=0, low=15.0))
    assert not advice.found
    assert "changes with ε" in advice.reasons[0]


def test_noise_is_no_plateau() -> None:
    advice = recommend(planted(relative_se=0.5))
    assert not advice.found
    assert "no plateau found: λ̂ is known to ±" in advice.reasons[0]
    assert advice.reasons[0].count("give the sweep more minutes") == 1


@pytest.mark.parametrize("seed", range(20))
def test_a_noisy_sweep_claims_no_plateau_that_is_not_there(seed: int) -> None:
    """λ̂ changes by 30 % from one γ to the next, within two of its large standard errors."""
    sweep = planted(low=1e-5, relative_se=0.06, seed=seed)
    assert not recommend(sweep).found


def test_a_diverged_corner_is_left_out_and_the_rest_is_judged() -> None:
    sweep = planted(stabilities=[0.08, 0.2, 0.5, 5.0], low=5.0)
    assert bool(np.isnan(sweep["llc"].isel(rung=3)).all())
    advice = recommend(sweep)
    assert advice.found
    assert advice.point["rung"] < 3
    assert not bool(advice.map["trusted"].isel(rung=3).any())


def test_one_diverged_corner_costs_only_itself() -> None:
    sweep = planted(low=5.0)
    for name in ("llc", "llc_se"):
        sweep[name][:, -1, -1, 0] = np.nan
    sweep["verdict"][:, -1, -1, 0] = 2
    found, before = plateau_map(sweep), plateau_map(planted(low=5.0))
    assert not bool(found["trusted"].isel(n_beta=-1, localization=0).any())
    elsewhere = ~((found["n_beta"] == N_BETAS[-1]) & (found["localization"] == LOCALIZATIONS[0]))
    assert bool((found["trusted"] == before["trusted"]).where(elsewhere, True).all())
    assert recommend(sweep).found


@pytest.mark.parametrize("burn_in", [4, 20, 60, 200])
@pytest.mark.parametrize("low", [2.0, 0.2, 0.02])
def test_short_chains_are_not_taken_for_an_unbiased_step(burn_in: int, low: float) -> None:
    """λ̂ of short chains grows with ε; what is called settled is within a sixth of where it will end."""
    sweep, final = unsettled(burn_in, low), planted(noise=0, low=low)
    settled = plateau_map(sweep)["settled"]
    short_of = 1 - sweep["llc"] / final["llc"]
    assert int(settled.sum()) > 0
    assert float(short_of.where(settled).max()) < 1 / 6
    assert settled.all() or float(short_of.where(~settled).max()) > 1 / 6
    advice = recommend(sweep)
    assert bool(settled.isel(advice.point))


def test_where_no_chains_settle_the_advice_is_more_time_and_a_longer_burn_in() -> None:
    advice = recommend(unsettled(2, 0.02).sel(localization=[1.0, 10.0]))
    assert not advice.found
    assert "chains are too short to settle" in advice.reasons[0]
    assert advice.settings["burn_in"] == 8


def test_an_unknown_drift_does_not_count_as_settled() -> None:
    sweep = planted(noise=0, localizations=[0.1], low=15.0)
    dims = sweep["llc"].dims
    noisy = sweep.assign(
        half_drift=(dims, np.full(sweep["llc"].shape, 0.2)), half_drift_z=(dims, np.ones(sweep["llc"].shape))
    )
    assert bool(plateau_map(sweep)["settled"].all())
    assert not bool(plateau_map(noisy)["settled"].any())


def test_where_chains_leave_at_a_larger_step_a_smaller_one_is_not_believed() -> None:
    """They have only not left yet. (What a step near its limit throws out says nothing of smaller ones.)"""
    sweep = planted(low=5.0)
    leaves = (sweep["localization"] < 5) & (sweep["rung"] == 2)
    found = plateau_map(blame(sweep, leaves))
    assert not bool(found["trusted"].sel(localization=1.0).isel(rung=[0, 1, 2]).any())
    assert not bool(found["plateau"].sel(localization=1.0).any())
    thrown = planted(low=5.0, stabilities=[0.08, 0.2, 0.5, 3.0])
    assert bool(plateau_map(blame(thrown, thrown["rung"] == 3))["trusted"].isel(rung=[0, 1, 2]).all())


def test_points_that_serve_fewer_checkpoints_are_no_candidates() -> None:
    """Small γ loses the first checkpoint, a saddle: the choice falls where all three have an LLC."""
    sweep = planted(low=5.0)
    loses = (sweep["step"] == STEPS[0]) & (sweep["localization"] < 50)
    advice = recommend(blame(sweep, loses))
    assert advice.settings["localization"] == 100
    assert not bool(advice.map["plateau"].sel(localization=[1, 10]).any())
    assert recommend(sweep.sel(step=STEPS[1:])).settings["localization"] < 50


def test_a_checkpoint_without_an_llc_at_any_setting_is_set_aside_and_named_with_its_reason() -> None:
    sweep = planted(low=5.0)
    advice = recommend(blame(sweep, sweep["step"] == STEPS[0], "w* is no local minimum"))
    assert advice.found
    assert "no setting of the sweep gives an LLC at step 100: w* is no local minimum" in advice.reasons
    assert advice.settings == recommend(sweep.sel(step=STEPS[1:])).settings


def test_where_nothing_is_an_llc_the_advice_is_honest() -> None:
    sweep = planted()
    advice = recommend(blame(sweep, xr.ones_like(sweep["llc"], dtype=bool)))
    assert not advice.found
    assert "no grid point gives an LLC at any checkpoint" in advice.reasons[0]


def test_single_valued_axes_are_no_obstacle_and_their_ignorance_is_stated() -> None:
    advice = recommend(planted(low=5.0, n_betas=[100.0], localizations=[10.0]))
    assert advice.found
    assert "nβ 100 was the only one tried: how much λ̂ depends on it is unknown" in advice.reasons
    assert "γ 10 was the only one tried: how much λ̂ depends on it is unknown" in advice.reasons


@pytest.mark.parametrize(("stability", "found"), [(0.2, True), (1.25, False)])
def test_of_a_single_step_size_only_the_bound_tells(stability: float, found: bool) -> None:
    """1/(1 − 0.2/4) − 1 = 5 %, 1/(1 − 1.25/4) − 1 = 45 %."""
    advice = recommend(planted(low=5.0, stabilities=[stability]))
    assert advice.found is found


def test_neighbours_are_told_with_what_they_would_give() -> None:
    sweep = planted(noise=0, low=5.0)
    advice = recommend(sweep)
    (words,) = (reason for reason in advice.reasons if reason.startswith("γ"))
    index = advice.point["localization"]
    here = float(sweep["llc"].isel(advice.point | {"step": -1}))
    beside = sweep["llc"].isel(advice.point | {"step": -1, "localization": index + 1})
    assert f"step 10,000: {here:.3g} → {float(beside):.3g}" in words


def test_burn_in_waits_for_the_slowest_held_direction_or_says_that_it_does_not() -> None:
    sweep = planted(localizations=[1000.0], n_betas=[30.0], stabilities=[0.2, 0.5], low=15.0, noise=0)
    advice = recommend(sweep)
    relaxation = 2 / (advice.settings["step_size"] * 1000)
    assert advice.settings["burn_in"] == pytest.approx(relaxation, rel=0.01)
    slow = recommend(planted(localizations=[0.1], low=15.0, noise=0))
    assert slow.settings["burn_in"] == 500
    assert any("which is not waited for" in reason for reason in slow.reasons)


def test_without_localization_burn_in_is_the_sweeps_own_and_the_words_say_why() -> None:
    with pytest.raises(SchemaError, match="localization"):
        recommend(planted().isel(localization=0, drop=True))
    advice = recommend(planted(localizations=[0.0], low=15.0, noise=0))
    assert advice.settings["burn_in"] == 500
    assert any("never (γ = 0)" in reason for reason in advice.reasons)


def test_draws_aim_at_three_per_cent_and_stay_within_bounds() -> None:
    precise, noisy = (recommend(planted(relative_se=se, low=5.0)) for se in (0.0005, 0.12))
    assert precise.settings["draws"] * precise.settings["thinning"] == 160
    assert noisy.settings["draws"] * noisy.settings["thinning"] == 4 * 100 * 5
    assert noisy.settings["draws"] == 200
    middle = recommend(planted(relative_se=0.01, low=5.0, noise=0))
    se = float(middle.map["relative_se"].isel(middle.point))
    updates = middle.settings["chains"] * middle.settings["draws"] * middle.settings["thinning"]
    assert se * np.sqrt(4 * 100 * 5 / updates) == pytest.approx(0.03, rel=0.05)


def test_a_dataset_that_is_no_sweep_is_refused_by_name() -> None:
    with pytest.raises(SchemaError, match="lacks verdict"):
        recommend(planted().drop_vars("verdict"))


def test_a_sweep_of_diverged_chains_is_refused() -> None:
    with pytest.raises(InvalidSpec, match="smaller step_sizes"):
        recommend(planted(stabilities=[5.0, 8.0]))
