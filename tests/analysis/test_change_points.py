"""The staircase of a deep linear network: each mode that is learned is one change."""

import numpy as np
import pytest

import devexplore as dx
from devexplore.errors import InvalidSpec
from devexplore.stats.learning_coefficient import deep_linear

STEP = np.unique(np.geomspace(1, 10_001, 90).astype(int)) - 1


@pytest.fixture(scope="module")
def staircase() -> dx.Run:
    return dx.open("deep_linear")


def test_each_mode_of_the_deep_linear_run_is_one_change_of_its_loss(staircase: dx.Run) -> None:
    """Known from the weights, not from the loss: a mode has done half of its share of the loss, which is
    proportional to (s − ŝ)², when ŝ > s(1 − √½); the drops between levels are as the s²."""
    modes = np.array(staircase.recipe["spec"]["singular_values"])
    values = staircase.dataset("metrics")["singular_value"]
    half = (values.values[:, : len(modes)] > modes * (1 - np.sqrt(0.5))).argmax(axis=0)
    changes = dx.change_points(staircase, curve="test_loss")
    assert changes.sizes["change"] == len(modes) == 4
    places = np.searchsorted(values["step"], changes["step"])
    assert np.abs(places - half).max() <= 1
    assert (changes["lower"].values <= values["step"].values[half]).all()
    assert (changes["upper"].values >= values["step"].values[half]).all()
    drops = -changes["jump"].values
    np.testing.assert_allclose(
        drops / drops.sum(), modes**2 / (modes**2).sum(), atol=0.03
    )  # of a finite sample


def test_the_llc_of_that_run_climbs_by_steps_in_the_order_of_the_theory(staircase: dx.Run) -> None:
    """Ranks 1 to 4 (at rank 0 the estimates are no LLCs). At finite n estimates lie below the theory's λ."""
    changes = dx.change_points(staircase)
    levels = np.array([*changes["before"].values, changes["after"].values[-1]])
    theory = np.array([deep_linear([6, 6, 6, 6], rank) for rank in (1, 2, 3, 4)])
    assert (np.diff(theory) > 0).all()
    assert len(levels) == 4
    assert (changes["jump"].values > 5 * changes["jump_se"].values).all()
    assert (levels < theory).all()


def test_stages_can_be_made_of_changes(staircase: dx.Run) -> None:
    changes = dx.change_points(staircase, curve="test_loss")
    stages = dx.find_stages(staircase, boundaries=changes["step"].values)
    assert stages["end"].values.tolist() == [*changes["step"].values.tolist(), 20_000]


def test_given_values_are_taken_at_their_steps() -> None:
    values = 5.0 * (STEP >= 700) + np.random.default_rng(0).normal(size=len(STEP))
    first = STEP[STEP >= 700][0]
    changes = dx.change_points(STEP, values, np.ones(len(STEP)), penalty=12.0)
    assert changes["step"].values.tolist() == [first]
    assert changes.attrs["penalty"] == 12
    assert changes.attrs["n_values"] == len(STEP)
    assert float(changes["jump"][0]) == pytest.approx(5, abs=5 * float(changes["jump_se"][0]))
    assert dx.change_points(STEP, np.zeros(len(STEP))).sizes["change"] == 0
    assert dx.change_points(STEP / 7, values, np.ones(len(STEP)))["step"].values.tolist() == [first / 7]


def test_a_curve_that_is_not_there_is_named(staircase: dx.Run) -> None:
    for curve in ("accuracy", "singular_value"):  # the second is several numbers a step
        with pytest.raises(InvalidSpec, match=f"no curve '{curve}'; it has llc"):
            dx.change_points(staircase, curve=curve)
    with pytest.raises(InvalidSpec, match="got none"):
        dx.change_points(STEP)
    with pytest.raises(InvalidSpec, match="curve="):
        dx.change_points(staircase, STEP)
