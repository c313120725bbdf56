"""Free energy of stages: theory's own solutions, a made run, and what cannot be said."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr

import devexplore as dx
from devexplore.analysis.free_energy import free_energy
from devexplore.errors import InvalidSpec


def solutions(loss: list[float], llc: list[float], llc_se: list[float]) -> xr.Dataset:
    return xr.Dataset({"loss": ("stage", loss), "llc": ("stage", llc), "llc_se": ("stage", llc_se)})


def run_of(llc: list[float], loss: list[float] | None, se: list[float] | None = None) -> Any:
    """Checkpoints at steps 0, 100, 200 … with these estimates; the loss measured beside the LLC, or (None)
    only as a test loss of 1, ½, ¼ …"""
    steps = np.arange(len(llc)) * 100
    group = xr.Dataset({"llc": ("step", llc)}, coords={"step": steps})
    if se is not None:
        group["llc_se"] = ("step", se)
    if loss is not None:
        group["init_loss"] = ("step", loss)
    losses = xr.Dataset({"test_loss": ("step", 0.5 ** np.arange(len(llc)))}, coords={"step": steps})
    groups = {"llc": group, "losses": losses}
    return SimpleNamespace(
        name="made", path=Path("made"), has=groups.__contains__, dataset=groups.__getitem__
    )


def stages_of(*ends: int) -> xr.Dataset:
    names = np.array([f"S{i + 1}" for i in range(len(ends))], dtype=object)
    return xr.Dataset(
        {"end": ("stage", np.array(ends)), "name": ("stage", names)}, {"stage": np.arange(1, len(ends) + 1)}
    )


def test_pentagon_and_hexagon_of_six_features_cross_at_445_samples():
    """Known losses and λ (Chen et al. 2023); 1.5·ln n = 0.02055·n."""
    found = free_energy(solutions([0.06874, 0.04819], [7, 8.5], [0, 0]))
    assert found["crossing_n"].values[1] == pytest.approx(445.1, abs=0.1)
    assert np.isnan(found["crossing_n"].values[0])
    assert found["crossing_lower"][1] == found["crossing_upper"][1] == found["crossing_n"][1]
    hexagon = found["preferred"].isel(stage=1)
    assert (hexagon.where(found["n"] < 445, drop=True) == 0).all()
    assert (hexagon.where(found["n"] > 446, drop=True) == 1).all()
    at = found["free_energy"].isel(n=40)
    np.testing.assert_allclose(at, [1000 * 0.06874 + 7 * np.log(1000), 1000 * 0.04819 + 8.5 * np.log(1000)])


def test_a_stage_that_another_beats_in_both_is_never_preferred():
    found = free_energy(solutions([1.0, 0.5, 0.7], [1.0, 3.0, 4.0], [0, 0, 0]))
    assert (found["preferred"].isel(stage=2) == 0).all()
    assert np.isnan(found["crossing_n"].values[2])
    assert found["crossing_probability"].values[2] == 0


def test_errors_of_lambda_widen_the_crossing_and_soften_the_preference():
    sharp = free_energy(solutions([1.0, 0.9], [2.0, 9.0], [0.1, 0.1]))
    wide = free_energy(solutions([1.0, 0.9], [2.0, 9.0], [1.0, 1.0]))
    assert sharp["crossing_n"][1] == wide["crossing_n"][1]
    spans = [float(found["crossing_upper"][1] - found["crossing_lower"][1]) for found in (sharp, wide)]
    assert 5 < spans[1] / spans[0] < 20
    for found in (sharp, wide):
        assert found["crossing_lower"][1] < found["crossing_n"][1] < found["crossing_upper"][1]
        np.testing.assert_allclose(found["preferred"].sum("stage"), 1)


def test_a_stage_is_represented_by_the_checkpoint_nearest_to_its_end():
    run = run_of([5.0, 6.0, 7.0, 8.0], [3.0, 2.0, 1.0, 0.5], [0.1, 0.2, 0.3, 0.4])
    found = free_energy(run, stages_of(120, 300))
    assert found["step"].values.tolist() == [100, 300]
    assert found["loss"].values.tolist() == [2.0, 0.5]
    assert found["llc"].values.tolist() == [6.0, 8.0]
    assert found["llc_se"].values.tolist() == [0.2, 0.4]
    assert found["name"].values.tolist() == ["S1", "S2"]
    assert found.attrs["loss"] == "init_loss"


def test_without_the_loss_of_the_chains_the_test_loss_stands_in_and_is_named():
    found = free_energy(run_of([5.0, 6.0, 7.0], None), stages_of(100, 200))
    assert found["loss"].values.tolist() == [0.5, 0.25]
    assert found.attrs["loss"] == "test_loss"
    assert set(np.unique(found["preferred"])) <= {0, 1}  # no standard errors: no doubt


def test_an_end_that_is_not_an_llc_says_why_and_has_no_free_energy():
    run = run_of([5.0, -6.0, 7.0], [3.0, 2.0, 1.0], [0.1, 0.1, 0.1])
    found = free_energy(run, stages_of(100, 200))
    assert np.isnan(found["free_energy"].isel(stage=0)).all()
    assert np.isnan(found["preferred"].isel(stage=0)).all()
    assert (found["preferred"].isel(stage=1) == 1).all()
    assert np.isnan(found["crossing_n"]).all()
    assert "step 100: " in found["why"].values[0]
    assert found["why"].values[1] == ""
    assert found["verdict"].values.tolist() == [2, 0]


def test_without_any_loss_every_stage_says_so():
    run = run_of([5.0, 6.0], None, [0.1, 0.1])
    run.has = lambda group: group == "llc"
    found = free_energy(run, stages_of(0, 100))
    assert np.isnan(found["preferred"]).all()
    assert found["why"].values.tolist() == ["step 0: no loss is recorded", "step 100: no loss is recorded"]
    assert found["n"].values[-1] == pytest.approx(1e9)


def test_a_run_of_a_single_checkpoint_has_one_stage_that_is_preferred_for_want_of_others():
    found = free_energy(run_of([5.0], [1.0], [0.1]), stages_of(0))
    assert (found["preferred"] == 1).all()
    assert np.isnan(found["crossing_n"]).all()


def test_the_grid_reaches_beyond_crossings_that_come_late_and_can_be_chosen():
    late = free_energy(solutions([1.0, 1.0 - 1e-9], [2.0, 9.0], [0, 0]))
    assert late["n"][-1] > 3 * late["crossing_n"][1]
    assert late["n"][0] == 10
    usual = free_energy(solutions([1.0], [2.0], [0.0]))
    assert usual["n"].values[[0, -1]] == pytest.approx([10, 1e9])
    assert (usual["preferred"] == 1).all()
    assert free_energy(solutions([1.0], [2.0], [0.0]), n=[5, 50])["n"].values.tolist() == [5, 50]


def test_what_is_no_table_of_stages_and_impossible_numbers_of_samples_are_refused():
    with pytest.raises(InvalidSpec, match="it lacks llc, llc_se"):
        free_energy(xr.Dataset({"loss": ("stage", [1.0])}))
    with pytest.raises(InvalidSpec, match="at least 1"):
        free_energy(solutions([1.0], [2.0], [0.0]), n=[0.1])
    for wrong, says in (
        ({"n": "many"}, "n must be numbers"),
        ({"n": []}, "n in one row"),
        ({"draws": 0}, "draws must be a whole number of at least 1"),
        ({"draws": 10.5}, "draws must be a whole number"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
    ):
        with pytest.raises(InvalidSpec, match=says):
            free_energy(solutions([1.0], [2.0], [0.0]), **wrong)
    with pytest.raises(InvalidSpec, match="at least one stage"):
        free_energy(solutions([], [], []))


def test_in_the_bundled_superposition_run_the_pentagon_wins_from_about_a_thousand_samples_on():
    """Of the 4-gon with a positive bias that it had until step 833, and of the pentagon at its end."""
    run = dx.open("superposition")
    last = dx.free_energy(run, dx.find_stages(run, boundaries=[833])).isel(stage=-1)
    assert last["step"] == 5000
    assert last["crossing_lower"] < last["crossing_n"] < last["crossing_upper"]
    assert 500 < last["crossing_n"] < 2000
    assert last["preferred"].sel(n=1e5, method="nearest") == 1
