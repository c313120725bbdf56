"""Loss changes between steps and over stages, and single histories."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import devexplore as dx
from devexplore.analysis import find_stages, loss_change, loss_history
from devexplore.errors import InvalidSpec, NotMeasured

STEPS = np.array([0, 10, 100, 1000])


@pytest.fixture
def losses() -> xr.Dataset:
    values = np.random.default_rng(0).uniform(1, 5, size=(4, 6, 8)).astype(np.float32)
    return xr.Dataset(
        {"token_loss": (("step", "sequence", "position"), values, {"units": "nats"})}, {"step": STEPS}
    )


@pytest.fixture
def probe() -> xr.Dataset:
    text = np.array([f"t{i % 5}" for i in range(48)], dtype=object).reshape(6, 8)
    return xr.Dataset(
        {
            "token_text": (("sequence", "position"), text),
            "target_text": (("sequence", "position"), text[::-1]),
        }
    )


def with_losses(path: Path) -> dx.Run:
    run = dx.open(path)
    dx.measure(run, [dx.TokenLosses()], progress=False)
    return run


def test_a_loss_change_is_after_less_before_so_negative_where_the_loss_fell(losses) -> None:
    change = loss_change(losses, 10, 1000)
    before, after = losses.token_loss.sel(step=10).values, losses.token_loss.sel(step=1000).values
    np.testing.assert_allclose(change.values, after.astype(float) - before.astype(float))
    assert change.attrs["units"] == "nats"
    np.testing.assert_allclose(loss_change(losses, 1000, 10).values, -change.values)
    assert (loss_change(losses, 100, 100) == 0).all()


@pytest.mark.parametrize("steps", [(20, 11), (5000, 10_000)])
def test_two_steps_with_one_checkpoint_nearest_are_refused_with_what_is_beside_it(losses, steps) -> None:
    at, beside = (10, "0 and 100") if steps[0] < 1000 else (1000, "100")
    with pytest.raises(InvalidSpec, match=f"the same checkpoint nearest, {at}, .*beside it are {beside}$"):
        loss_change(losses, *steps)


@pytest.mark.parametrize("step", [np.nan, np.inf, -1, "10", True, [10]])
def test_steps_that_are_no_numbers_from_0_up_are_refused(losses, step) -> None:
    with pytest.raises(InvalidSpec, match="step_to must be a finite number of at least 0, got"):
        loss_change(losses, 0, step)


def test_ends_of_stages_may_be_given_as_they_come(losses) -> None:
    ends = xr.DataArray([0, 99.6])
    change = loss_change(losses, ends[0], ends[1])
    xr.testing.assert_equal(change, loss_change(losses, 0, 100))
    assert {name: change.attrs[name] for name in ("step_from", "step_to", "asked_from", "asked_to")} == {
        "step_from": 0, "step_to": 100, "asked_from": 0.0, "asked_to": 99.6,
    }  # fmt: skip


@pytest.mark.parametrize("source", ["language", None, xr.Dataset(), xr.DataArray([1.0])])
def test_what_is_neither_run_nor_losses_is_refused(source) -> None:
    for asked in (
        lambda: loss_change(source, 0, 10),
        lambda: loss_history(source, 0, 0),
        lambda: dx.when_learned(source),
    ):
        with pytest.raises(InvalidSpec, match=r"expected (a run|token_loss)"):
            asked()


def test_losses_of_other_dimensions_are_refused(losses) -> None:
    for other in (losses.isel(step=0), losses.drop_vars("step"), losses.isel(step=[])):
        with pytest.raises(
            InvalidSpec, match=r"expected token_loss \(step, sequence, position\) with the coord"
        ):
            loss_change(other, 0, 10)


def test_steps_between_checkpoints_stand_for_the_nearest_in_log_time(losses) -> None:
    change = loss_change(losses, 25, 40_000)
    assert (change.attrs["step_from"], change.attrs["step_to"]) == (10, 1000)


def test_a_change_knows_its_places_and_their_texts(losses, probe) -> None:
    change = loss_change(losses, 0, 1000, probe=probe)
    assert change["sequence"].values.tolist() == list(range(6))
    assert change["position"].values.tolist() == list(range(8))
    np.testing.assert_array_equal(change["target_text"], probe["target_text"])
    picked = change.where(change["target_text"] == "t3").count()
    assert int(picked) == int((probe["target_text"] == "t3").sum())


def test_places_that_the_losses_name_keep_their_names(losses) -> None:
    named = losses.assign_coords(position=np.arange(1, 9) * 16)
    assert loss_change(named, 0, 10)["position"].values.tolist() == [16, 32, 48, 64, 80, 96, 112, 128]


def test_labels_of_places_that_are_no_whole_numbers_are_refused(losses) -> None:
    named = losses.assign_coords(position=[f"p{i}" for i in range(8)])
    with pytest.raises(InvalidSpec, match=r"whole numbers as labels of position, .*drop_vars\('position'\)"):
        loss_change(named, 0, 10)


def test_the_change_over_a_stage_is_that_from_its_start_to_its_end(trained_run) -> None:
    run = with_losses(trained_run("language"))
    stages = find_stages(run)
    row = stages.isel(stage=-1)
    wanted = loss_change(run, int(row["start"]), int(row["end"]))
    for stage in (row["name"].item(), int(row["stage"]), row):
        change = loss_change(run, stage=stage)
        assert change.attrs.pop("stage") == row["name"].item()
        xr.testing.assert_identical(change, wanted)
    xr.testing.assert_equal(
        loss_change(run.dataset("losses"), stage=row).drop_vars(["sequence", "position"]),
        wanted.drop_vars(set(wanted.coords)),
    )
    assert wanted["target_text"].shape == wanted.shape


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "two steps, or stage="),
        ({"step_from": 10}, "two steps, or stage="),
        ({"step_from": 0, "step_to": 10, "stage": "S1"}, "got both"),
        ({"stage": "S1"}, "of which run"),
        ({"stage": xr.Dataset({"start": ("stage", [0]), "end": ("stage", [10])})}, "a row"),
        ({"stage": xr.Dataset({"name": "S1"})}, "start and end"),
    ],
)
def test_what_is_neither_two_steps_nor_one_stage_is_refused(losses, asked, words) -> None:
    with pytest.raises(InvalidSpec, match=words):
        loss_change(losses, **asked)


def test_a_stage_that_a_run_has_not_is_refused_with_those_that_it_has(trained_run) -> None:
    run = with_losses(trained_run("regression"))
    with pytest.raises(InvalidSpec, match=r"no stage 'S9'; this run has S1"):
        loss_change(run, stage="S9")
    with pytest.raises(InvalidSpec, match=r"stage, unless it is a name .* must be a whole number, got True"):
        loss_change(run, stage=True)


def test_a_run_without_losses_names_the_command_that_measures_them(trained_run) -> None:
    run = dx.open(trained_run("language"))
    for asked in (
        lambda: loss_change(run, 0, 6),
        lambda: loss_history(run, 0, 0),
        lambda: dx.when_learned(run),
    ):
        with pytest.raises(NotMeasured, match=r"devexplore measure .* --only losses"):
            asked()


def test_a_single_checkpoint_has_not_changed_and_says_why_it_cannot_be_dated(losses) -> None:
    single = losses.isel(step=[2])
    assert (loss_change(single, 100, 100) == 0).all()
    with pytest.raises(InvalidSpec, match="beside it are no others"):
        loss_change(single, 0, 1000)
    with pytest.raises(InvalidSpec, match="there are losses at 1"):
        dx.when_learned(single)


def test_losses_without_token_loss_and_a_probe_of_other_places_are_refused(losses, probe) -> None:
    with pytest.raises(InvalidSpec, match="expected token_loss"):
        loss_change(losses.rename(token_loss="loss"), 0, 10)
    with pytest.raises(InvalidSpec, match="6 × 8 predictions, the probe has 6 × 5"):
        loss_change(losses, 0, 10, probe=probe.isel(position=slice(5)))


def test_the_history_of_a_prediction_is_its_losses_with_the_text_before_it(losses, probe) -> None:
    history = loss_history(losses, 2, 5, probe=probe, context=3)
    np.testing.assert_array_equal(history["token_loss"], losses["token_loss"][:, 2, 5])
    assert history["context"].item() == "".join(probe["token_text"].values[2, 3:6])
    assert history["target_text"].item() == probe["target_text"].values[2, 5]
    assert loss_history(losses, 2, 1, probe=probe)["context"].item() == "".join(
        probe["token_text"].values[2, :2]
    )


def test_a_history_is_the_same_as_among_all_others(losses, probe) -> None:
    everything = dx.when_learned(losses, probe=probe)
    for place in ((0, 0), (3, 7), (5, 2)):
        one, same = loss_history(losses, *place), everything.isel(sequence=place[0], position=place[1])
        assert one["fate"].item() == same["fate"].item()
        for name in ("learned_step", "early", "late"):
            np.testing.assert_allclose(one[name].item(), same[name].item())


def test_places_outside_the_losses_or_without_a_loss_are_refused(losses) -> None:
    with pytest.raises(InvalidSpec, match=r"no position 8; there are 0 … 7"):
        loss_history(losses, 0, 8)
    with pytest.raises(InvalidSpec, match=r"no sequence -1"):
        loss_history(losses, -1, 0)
    with pytest.raises(InvalidSpec, match=r"sequence must be a whole number, got 0\.5"):
        loss_history(losses, 0.5, 0)
    with pytest.raises(InvalidSpec, match="context must be a whole number of at least 0, got -1"):
        loss_history(losses, 0, 0, context=-1)
    losses["token_loss"][:, 1, 2] = np.nan
    with pytest.raises(InvalidSpec, match="no loss at sequence 1, position 2"):
        loss_history(losses, 1, 2)
