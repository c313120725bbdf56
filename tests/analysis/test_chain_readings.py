"""Readings of chains: the running estimate ends at λ̂; what was not recorded takes nothing else with it."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from devexplore.analysis.chain_readings import NOT_JUDGED, chain_readings, running_estimate
from devexplore.analysis.trust import trust
from devexplore.errors import InvalidSpec
from devexplore.sampling.estimator import llc_from_traces

N_BETA = 30.0


def made_up(chains=3, draws=40, steps=(0, 10, 100), diverged=(), seed=0):
    """The groups chains and llc as a measurement would leave them."""
    rng = np.random.default_rng(seed)
    shape = (len(steps), chains, draws)
    baseline = 2.0 + rng.normal(size=shape)
    loss = baseline + 0.3 + 0.1 * rng.normal(size=shape) + 0.05 * rng.normal(size=(*shape[:2], 1))
    status = np.zeros(shape[:2], dtype=np.int8)
    for chain in diverged:
        status[:, chain] = 1
        loss[:, chain, draws // 2 :] = np.nan
    distance = rng.uniform(1, 2, shape[:2])
    estimates = [
        llc_from_traces(
            loss[i],
            baseline[i],
            status[i],
            n_beta=N_BETA,
            distance=distance[i],
            anchor_norm=5.0,
            init_loss=2.0,
        )
        for i in range(len(steps))
    ]
    attrs = {"n_beta": N_BETA, "burn_in": 100, "trivial_loss": 4.0, "trivial_name": "predictor of zero"}
    each_draw = ("step", "chain", "draw")
    group = xr.Dataset(
        {
            "loss": (each_draw, loss, {"units": "nats"}),
            "baseline": (each_draw, baseline, {"units": "nats"}),
            "status": (("step", "chain"), status),
            "distance": (("step", "chain"), distance),
            "init_loss": ("step", np.full(len(steps), 2.0)),
        },
        coords={"step": np.array(steps), "draw": 103 + 4 * np.arange(draws)},
        attrs=attrs,
    )
    llc = xr.Dataset(
        {
            name: ("step", np.array([getattr(one, name) for one in estimates]))
            for name in estimates[0]._fields
        },
        coords={"step": np.array(steps)},
        attrs=attrs,
    )
    return group, llc


@pytest.mark.parametrize("diverged", [(), (1,)])
@pytest.mark.parametrize("chains", [2, 5])
def test_the_running_estimate_ends_at_the_llc_with_its_standard_error(chains, diverged):
    group, llc = made_up(chains=chains, diverged=diverged)
    readings = chain_readings(group, llc, trust(llc))
    assert np.allclose(readings["running_llc"].isel(draw=-1), llc["llc"])
    assert np.allclose(readings["running_se"].isel(draw=-1), llc["llc_se"])


def test_the_running_estimate_at_a_draw_is_the_llc_of_the_draws_up_to_it():
    group, llc = made_up()
    readings = chain_readings(group, llc, None)
    head = (group["loss"] - group["baseline"]).isel(draw=slice(17))
    assert np.allclose(readings["running_llc"].isel(draw=16), N_BETA * head.mean(("chain", "draw")))


def test_the_mean_of_the_chains_own_estimates_is_the_llc_and_a_diverged_one_has_none():
    group, llc = made_up(chains=4, diverged=(2,))
    readings = chain_readings(group, llc, None)
    own = readings["chain_llc"]
    assert np.isnan(own.isel(chain=2)).all()
    assert np.allclose(own.mean("chain"), llc["llc"])
    assert readings["diverged"].values.tolist() == [[0.0, 0.0, 1.0, 0.0]] * 3


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(0.1, 10), shift=st.floats(-5, 5), seed=st.integers(0, 2**16))
def test_errors_scale_with_the_excess_and_do_not_move_with_it(scale, shift, seed):
    excess = np.random.default_rng(seed).normal(size=(2, 3, 20))
    healthy, ess = np.ones((2, 3), dtype=bool), np.array([12.0, 40.0])
    mean, error = running_estimate(excess, healthy, ess)
    moved_mean, moved_error = running_estimate(scale * excess + shift, healthy, ess)
    assert np.allclose(moved_mean, scale * mean + shift)
    assert np.allclose(moved_error, scale * error)


def test_one_chain_without_an_ess_has_no_standard_error_and_no_healthy_chain_has_no_value():
    excess = np.random.default_rng(0).normal(size=(2, 1, 20))
    mean, error = running_estimate(excess, np.array([[True], [False]]), np.full(2, np.nan))
    assert np.isfinite(mean[0]).all()
    assert np.isnan(mean[1]).all()
    assert np.isnan(error).all()


def test_steps_of_either_group_are_kept_and_what_the_other_lacks_there_is_nan():
    group, llc = made_up(steps=(0, 10, 100))
    kept = llc.sel(step=[10, 100])
    readings = chain_readings(group.sel(step=[0, 10]), kept, trust(kept))
    assert readings["step"].values.tolist() == [0, 10, 100]
    assert readings["verdict"].values[0] == NOT_JUDGED
    assert np.isnan(readings["llc"].values[0])
    assert np.isnan(readings["excess"].values[2]).all()


def test_what_the_chains_forget_is_told_of_the_way_back_to_the_trivial_predictor():
    group, llc = made_up()
    readings = chain_readings(group, llc, None)
    assert np.allclose(readings["trivial_excess"], 2.0)
    assert np.allclose(readings["forgotten"], llc["excess_loss"] / 2.0)
    group.attrs["trivial_loss"] = 1.0  # L* is no better than it: nothing was learned that could be forgotten
    assert np.isnan(chain_readings(group, llc.assign_attrs(trivial_loss=1.0), None)["forgotten"]).all()


def test_an_llc_without_chains_is_read_alone_and_nothing_at_all_is_refused():
    _, llc = made_up()
    readings = chain_readings(None, llc[["llc", "llc_se"]], trust(llc[["llc", "llc_se"]]))
    assert "excess" not in readings
    assert readings.attrs["by_sign_alone"]
    with pytest.raises(InvalidSpec, match="neither"):
        chain_readings(None, None, None)
