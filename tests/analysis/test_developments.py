"""Onset, half-way point and end of planted developments; intervals over blocks of samples."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from devexplore.analysis.developments import Development, developments
from devexplore.errors import InvalidSpec, NotMeasured

X = np.linspace(0, 9.5, 140)
STEPS = np.expm1(X)
RISE = Development("rise", "score", True)
FALL = Development("fall", "loss", False)


def ramp(start: float, stop: float) -> np.ndarray:
    """0 before ``start``, 1 after ``stop``, straight between (in x)."""
    return np.clip((X - start) / (stop - start), 0, 1)


def run(system: str = "planted", **metrics: np.ndarray) -> SimpleNamespace:
    """What ``developments`` reads of a run: metrics, given as blocks (block, step) or as values (step, …)."""
    blocks = {
        name: values for name, values in metrics.items() if values.shape[-1] == len(X) and values.ndim == 2
    }
    plain = {name: values for name, values in metrics.items() if name not in blocks}
    values = xr.Dataset(
        {name: ("step", held.mean(axis=0)) for name, held in blocks.items()}
        | {name: (("step", "head")[: held.ndim], held) for name, held in plain.items()},
        coords={"step": STEPS},
    )
    groups = {"metrics": values}
    if blocks:
        groups["metric_blocks"] = xr.Dataset(
            {name: (("block", "step"), held) for name, held in blocks.items()}, coords={"step": STEPS}
        )
    return SimpleNamespace(
        name="planted", system=system, has=groups.__contains__, dataset=groups.__getitem__, remedy=str
    )


def test_a_straight_rise_begins_at_a_tenth_and_ends_at_nine_tenths_of_its_way():
    found = developments(run(score=ramp(3, 7)), [RISE]).isel(development=0)
    at = np.log1p([found[name].item() for name in ("onset", "halfway", "end")])
    np.testing.assert_allclose(at, [3.4, 5.0, 6.6], atol=0.05)
    assert (found.first_value.item(), found.extreme_value.item()) == pytest.approx((0, 1), abs=1e-6)


def test_a_fall_that_is_partly_taken_back_ends_at_its_minimum():
    loss = 5 - 4 * ramp(2, 4) + 1.0 * ramp(6, 9)
    found = developments(run(loss=loss), [FALL]).isel(development=0)
    assert np.log1p(found.halfway.item()) == pytest.approx(3.0, abs=0.05)
    assert 4 <= np.log1p(found.extreme.item()) <= 6
    assert not found["last"].item()
    assert developments(run(loss=5 - ramp(5, 9.5)), [FALL])["last"].item()


def test_what_comes_after_another_counts_from_its_extreme():
    """The score rises once with the loss's fall, and again later: half-way of the second rise is at x = 7."""
    both = run(loss=5 - ramp(1, 3), score=ramp(1, 3) + ramp(6, 8))
    later = developments(both, [FALL, RISE._replace(after=FALL.name)]).sel(development=RISE.name)
    assert np.log1p(later.halfway.item()) == pytest.approx(7, abs=0.05)
    assert later.first_value.item() == pytest.approx(1, abs=0.02)
    alone = developments(both, [RISE._replace(after="not there")]).isel(development=0)
    assert np.log1p(alone.halfway.item()) < 6.1


def test_an_early_wiggle_is_no_onset():
    score = ramp(5, 7) + 0.2 * np.exp(-((X - 1.5) ** 2) / 0.02)
    found = developments(run(score=score), [RISE]).isel(development=0)
    assert np.log1p(found.onset.item()) == pytest.approx(5.2, abs=0.1)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    held = widths = 0.0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        late = rng.normal(5, 0.4, (16, 1))  # each group of samples turns at its own time
        blocks = 1 / (1 + np.exp(-3 * (X - late))) + 0.02 * rng.normal(size=(16, len(X)))
        found = developments(run(score=blocks), [RISE], seed=seed).isel(development=0)
        lower, upper = np.log1p([found.halfway_lower.item(), found.halfway_upper.item()])
        held, widths = held + (lower <= 5 <= upper) / 150, widths + (upper - lower) / 150
    assert 0.85 <= held <= 0.95
    assert widths == pytest.approx(2 * 1.753 * 0.4 / 4, rel=0.1)  # Student's with 15 degrees of freedom


def test_the_order_of_two_developments_is_the_share_of_resamples_in_it():
    rng = np.random.default_rng(0)
    noise = 0.05 * rng.normal(size=(2, 16, len(X)))
    both = developments(run(score=ramp(2, 4) + noise[0], loss=-ramp(6, 8) + noise[1]), [RISE, FALL])
    assert both.before.sel(development="rise", other="fall").item() == 1
    assert both.before.sel(development="fall", other="rise").item() == 0
    assert np.isnan(both.before.sel(development="rise", other="rise").item())
    same = developments(run(score=ramp(2, 4) + noise[0], loss=-ramp(2, 4) + noise[1]), [RISE, FALL])
    assert 0.02 < same.before.sel(development="rise", other="fall").item() < 0.98


def test_weights_have_no_interval_and_the_best_head_is_named():
    heads = np.stack([0.1 * ramp(1, 2), ramp(4, 6), 0.3 * ramp(2, 3)], axis=1)
    one = Development("head", "score", True, {"head": "best"})
    found = developments(run(score=heads), [one]).isel(development=0)
    assert found.part.item() == "head 1"
    assert np.log1p(found.halfway.item()) == pytest.approx(5, abs=0.1)
    assert np.isnan(found.halfway_lower.item())
    each = developments(run(score=heads), [one._replace(over={"head": "each"})])
    assert each.development.values.tolist() == ["head 1", "head 2", "head 3"]


def test_several_runs_are_rows_and_what_is_missing_is_named():
    two = developments([run(score=ramp(2, 4)), run(score=ramp(3, 5))], [RISE, FALL])
    np.testing.assert_allclose(np.log1p(two.halfway.values[:, 0]), [3, 4], atol=0.05)
    assert two.attrs["missing"] == ["fall"]


@pytest.mark.parametrize("scatter", [0.0, 1.0])
def test_a_curve_that_never_moves_or_only_shakes_has_no_onset(scatter: float):
    score = 1 + scatter * np.random.default_rng(0).normal(size=len(X))
    found = developments(run(score=score), [RISE]).isel(development=0)
    assert np.isnan([found[name].item() for name in ("onset", "halfway", "end")]).all()


def test_runs_without_metrics_none_at_all_and_mixed_systems_are_refused():
    with pytest.raises(NotMeasured, match="metrics of its development"):
        developments(run(score=ramp(2, 4)), [FALL])
    with pytest.raises(InvalidSpec, match="at least one run"):
        developments([])
    with pytest.raises(InvalidSpec, match="several systems"):
        developments([run("language", score=X), run("regression", score=X)])
    with pytest.raises(InvalidSpec, match="has the dimensions step"):
        developments(run(score=ramp(2, 4)), [RISE._replace(over={"head": "best"})])


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"resamples": 0}, "resamples must be a whole number of at least 1"),
        ({"seed": "one"}, "seed must be a whole number"),
        ({"wanted": ["loss"]}, "list of dx.Development for wanted, got str"),
        ({"wanted": RISE}, "list of dx.Development"),
    ],
)
def test_settings_that_are_none_are_refused(setting, says: str):
    with pytest.raises(InvalidSpec, match=says):
        developments(run(score=ramp(2, 4)), **setting)


def test_checkpoints_without_a_value_are_left_out_and_a_curve_without_any_is_missing():
    score = ramp(3, 7)
    score[[10, 60]] = np.nan
    found = developments(run(score=score, loss=np.full(len(X), np.nan)), [RISE, FALL])
    assert np.log1p(found.halfway.values) == pytest.approx([5.0], abs=0.05)
    assert found.attrs["missing"] == ["fall"]


def test_runs_that_lack_what_others_have_keep_their_place():
    two = developments([run(loss=5 - ramp(2, 4)), run(loss=5 - ramp(3, 5), score=ramp(1, 3))], [FALL, RISE])
    assert two.development.values.tolist() == two.other.values.tolist() == ["fall", "rise"]
    assert np.isnan(two.halfway.values[0, 1])
    np.testing.assert_allclose(np.log1p(two.halfway.values[:, 0]), [3, 4], atol=0.05)
    assert two.attrs["missing"] == ["rise"]


def test_dimensions_that_are_not_resolved_and_names_that_are_double_are_refused():
    heads = run(score=np.stack([ramp(1, 2), ramp(4, 6)], axis=1))
    with pytest.raises(InvalidSpec, match="say in `over` what becomes of head"):
        developments(heads, [RISE])
    with pytest.raises(InvalidSpec, match="two developments are called 'rise'"):
        developments(run(score=ramp(2, 4)), [RISE, RISE])


def test_of_a_single_checkpoint_nothing_develops():
    one = run(score=ramp(2, 4)).dataset("metrics").isel(step=[0])
    only = run(score=ramp(2, 4))
    only.dataset = {"metrics": one}.__getitem__
    found = developments(only, [RISE])
    assert np.isnan(found.halfway.values).all()
    assert found["last"].values.all()
