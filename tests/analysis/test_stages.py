"""Stages of planted LLC and loss curves."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from devexplore.analysis import find_stages
from devexplore.errors import InvalidSpec, NotMeasured

STEPS = np.unique(np.concatenate([[0], np.geomspace(1, 14_000, 70), np.linspace(0, 14_000, 70)]).astype(int))
X = np.log1p(STEPS)
LLC = 40 * np.sin(np.pi * X / 9.6)  # rises to step 120, falls after
LOSS = 6 - 0.4 * X


def noisy_llc(seed: int = 0) -> np.ndarray:
    return LLC + np.random.default_rng(seed).normal(size=len(X))


def test_a_rise_and_a_fall_of_the_llc_are_a_stage_a_and_a_stage_b() -> None:
    stages = find_stages(STEPS, noisy_llc(), np.ones(len(X)), LOSS)
    assert stages.type.values.tolist() == ["A", "B"]
    assert stages.name.values.tolist() == ["S1", "S2"]
    assert np.log1p(stages.end.values[0]) == pytest.approx(4.8, abs=0.4)
    np.testing.assert_allclose(stages.delta_llc, [40, -40], atol=4 * stages.delta_llc_se.max() + 1)
    assert stages.probability.values[0] > 0.9
    assert stages.boundary_lower.values[0] <= stages.end.values[0] <= stages.boundary_upper.values[0]


def test_stages_cover_the_run_without_gaps_and_losses_add_up() -> None:
    stages = find_stages(STEPS, noisy_llc(), np.ones(len(X)), LOSS)
    assert stages.start.values[0] == 0
    assert stages.end.values[-1] == 14_000
    np.testing.assert_array_equal(stages.start.values[1:], stages.end.values[:-1])
    assert float(stages.delta_loss.sum()) == pytest.approx(LOSS[-1] - LOSS[0])
    assert np.isnan(stages.probability.values[-1])


def test_the_type_is_undecided_where_the_change_is_within_its_error() -> None:
    flat = 20 + np.random.default_rng(1).normal(size=len(X))
    stages = find_stages(STEPS, flat, np.ones(len(X)), LOSS)
    assert stages.type.values.tolist() == ["undecided"]
    assert abs(float(stages.delta_llc[0])) < 2 * float(stages.delta_llc_se[0])


@pytest.mark.parametrize("seed", range(5))
def test_flat_noise_without_error_bars_is_undecided_too(seed: int) -> None:
    stages = find_stages(STEPS, 20 + np.random.default_rng(seed).normal(size=len(X)))
    assert stages.type.values.tolist() == ["undecided"]


def test_boundaries_chosen_by_hand_are_kept_to_the_step() -> None:
    stages = find_stages(STEPS, noisy_llc(), np.ones(len(X)), LOSS, boundaries=[5000, 30])
    assert stages.end.values.tolist() == [30, 5000, 14_000]
    assert stages.boundary_kind.values.tolist() == ["chosen", "chosen", "end"]
    assert stages.type.values.tolist()[0] == "A"


def test_without_llc_the_loss_gives_boundaries_without_types_and_says_so() -> None:
    staircase = 6 - 2 / (1 + np.exp(-4 * (X - 3))) - 2 / (1 + np.exp(-4 * (X - 7)))
    stages = find_stages(STEPS, loss=staircase)
    assert stages.attrs["curve"] == "loss"
    assert "no LLC" in stages.attrs["note"]
    assert set(stages.type.values) == {"undecided"}
    assert np.isnan(stages.delta_llc).all()
    assert np.abs(np.log1p(stages.end.values) - 5).min() < 0.5


def test_few_checkpoints_are_one_stage() -> None:
    stages = find_stages(STEPS[:3], loss=LOSS[:3])
    assert (stages.sizes["stage"], stages.attrs["curve"]) == (1, "loss")
    assert "one stage" in stages.attrs["note"]


def run(**groups: xr.Dataset) -> SimpleNamespace:
    """What find_stages uses of a run."""
    return SimpleNamespace(
        name="planted",
        path="planted",
        has=groups.__contains__,
        dataset=groups.__getitem__,
        annotations_file=lambda: Path("no annotations"),
        remedy="devexplore measure … --only {}".format,
    )


def curve(step: np.ndarray, **variables: np.ndarray) -> xr.Dataset:
    return xr.Dataset({name: ("step", values) for name, values in variables.items()}, coords={"step": step})


def test_a_run_uses_its_llc_and_test_loss_each_at_its_own_steps() -> None:
    losses = curve(STEPS[::2], test_loss=LOSS[::2])
    stages = find_stages(run(llc=curve(STEPS, llc=noisy_llc(), llc_se=np.ones(len(X))), losses=losses))
    assert stages.attrs["curve"] == "llc"
    assert stages.type.values.tolist() == ["A", "B"]
    assert float(stages.delta_loss[0]) == pytest.approx(-0.4 * np.log1p(float(stages.end[0])), rel=1e-3)
    fallback = find_stages(run(checkpoints=curve(STEPS, train_loss=LOSS)))
    assert fallback.attrs["curve"] == "train_loss"


def test_diverged_checkpoints_are_left_out() -> None:
    llc = noisy_llc()
    llc[50] = np.nan
    stages = find_stages(STEPS, llc, np.ones(len(X)), LOSS)
    assert stages.type.values.tolist() == ["A", "B"]


def test_runs_and_arrays_without_curves_are_refused() -> None:
    with pytest.raises(NotMeasured, match="devexplore measure"):
        find_stages(run())
    with pytest.raises(InvalidSpec, match="none"):
        find_stages(STEPS)
    with pytest.raises(InvalidSpec, match="one value per step"):
        find_stages(STEPS, LLC[:-1])


def judged_run(verdict_2: np.ndarray, doubtful: np.ndarray | None = None) -> SimpleNamespace:
    """The planted run with chains that have all diverged, or disagree, at some checkpoints."""
    llc = curve(
        STEPS,
        llc=noisy_llc(),
        llc_se=np.ones(len(X)),
        stability=np.where(verdict_2, 5.0, 1.0),
        rhat=np.where(np.zeros(len(X), dtype=bool) if doubtful is None else doubtful, 1.5, 1.0),
    )
    return run(llc=llc, losses=curve(STEPS, test_loss=LOSS))


def test_estimates_that_are_not_an_llc_are_left_out_and_counted() -> None:
    left_out = np.arange(len(X)) % 7 == 3
    planted = judged_run(left_out)
    planted.dataset("llc")["llc"][left_out] = 1e6
    stages = find_stages(planted)
    assert stages.type.values.tolist() == ["A", "B"]
    assert stages.attrs["left_out"] == left_out.sum()
    assert f"not an LLC and left out: {left_out.sum()} of {len(X)} checkpoints" in stages.attrs["note"]


def test_a_stage_that_begins_where_nothing_is_an_llc_is_undecided_and_the_others_keep_their_types() -> None:
    stages = find_stages(judged_run(X < 2))
    assert stages.start.values[0] == 0
    assert stages.type.values.tolist()[0] == "undecided"
    assert stages.type.values.tolist()[-1] == "B"
    assert stages.trusted.values.tolist()[0] is False


def test_a_stage_that_ends_among_doubtful_estimates_keeps_its_type_and_is_not_trusted() -> None:
    stages = find_stages(judged_run(np.zeros(len(X), dtype=bool), doubtful=X > 9))
    assert stages.type.values.tolist() == ["A", "B"]
    assert stages.trusted.values.tolist() == [True, False]


def test_one_bad_checkpoint_at_an_end_does_not_outvote_its_neighbours() -> None:
    first = np.arange(len(X)) == 0
    assert find_stages(judged_run(first)).type.values.tolist() == ["A", "B"]


def test_where_hardly_any_estimate_is_an_llc_the_loss_gives_the_boundaries() -> None:
    stages = find_stages(judged_run(np.arange(len(X)) > 3))
    assert stages.attrs["curve"] == "test_loss"
    assert set(stages.type.values) == {"undecided"}
    assert "too few checkpoints have an LLC" in stages.attrs["note"]


def test_where_nothing_is_an_llc_and_there_is_no_loss_the_run_is_one_undecided_stage() -> None:
    stages = find_stages(STEPS, np.full(len(X), -50.0), np.ones(len(X)))
    assert stages.type.values.tolist() == ["undecided"]
    assert (int(stages.start[0]), int(stages.end[0])) == (0, 14_000)


def test_given_verdicts_count_where_they_are_known_and_elsewhere_nothing_was_measured() -> None:
    llc, verdict = noisy_llc(), np.zeros(len(X))
    verdict[10], llc[10] = 2, np.nan  # its chains diverged
    verdict[20], llc[20] = np.nan, np.nan  # only the loss was measured here
    stages = find_stages(STEPS, llc, np.ones(len(X)), LOSS, verdict=verdict)
    assert stages.attrs["left_out"] == 1
    assert stages.type.values.tolist() == ["A", "B"]


def test_another_curve_of_the_run_gives_the_boundaries_its_own_change_and_the_llc_the_types():
    shaking = 0.1 * np.random.default_rng(0).normal(size=len(X))
    score = curve(STEPS, score=0.5 * (X - 3.2) ** 2 + shaking)
    planted = run(llc=curve(STEPS, llc=noisy_llc(), llc_se=np.ones(len(X))), metrics=score)
    stages = find_stages(planted, curve="score")
    assert np.log1p(stages.end.values[:-1]) == pytest.approx([3.2], abs=0.3)
    assert stages.attrs["note"] == "boundaries are critical points of score"
    assert stages.boundary_kind.values.tolist() == ["minimum", "end"]
    assert stages.delta_curve.values == pytest.approx([-5.1, 20.2], abs=1)
    assert stages.type.values.tolist()[0] == "A"
    with pytest.raises(InvalidSpec, match="curve of a run"):
        find_stages(STEPS, noisy_llc(), curve="score")


def test_steps_of_any_array_are_boundaries():
    from_array = find_stages(STEPS, noisy_llc(), boundaries=xr.DataArray([50.2, 3000.0], dims="milestone"))
    assert from_array.end.values.tolist() == [50, 3000, 14_000]
    with pytest.raises(InvalidSpec, match="boundaries are steps, got nan"):
        find_stages(STEPS, noisy_llc(), boundaries=np.array([50, np.nan]))
