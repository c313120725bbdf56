"""Readings of checkpoints side by side, and timelines of runs under each other."""

import numpy as np
import pytest
import xarray as xr

from devexplore.analysis.llc_change import llc_change, llc_change_errors
from devexplore.errors import InvalidSpec
from devexplore.views.compared import Story, measured_rows, readings, readings_table, timelines
from devexplore.views.stages import StageMark
from devexplore.views.style import LIGHT

STEPS = np.array([0, 10, 100, 1000])


def losses(scale=1.0):
    return xr.Dataset(
        {"test_loss": ("step", scale * np.array([4.0, 3.0, 2.0, 1.0]), {"units": "nats"})},
        coords={"step": STEPS},
    )


def metrics():
    return xr.Dataset(
        {
            "weight_norm": ("step", np.arange(4.0)),
            "previous_token_score": (("step", "head"), np.ones((4, 2))),
        },
        coords={"step": STEPS},
    )


def chains(shared=True, diverged=()):
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((1, 3, 40))
    loss = 2 + noise + 0.01 * rng.standard_normal((4, 3, 40))
    status = np.zeros((4, 3), int)
    for step in diverged:
        status[step] = 1
    return xr.Dataset(
        {
            "loss": (("step", "chain", "draw"), loss),
            "baseline": (("step", "chain", "draw"), np.ones((4, 3, 40))),
            "status": (("step", "chain"), status),
        },
        coords={"step": STEPS},
        attrs={"n_beta": 5.0, "shared_noise": shared},
    )


def test_a_row_of_all_that_is_one_number_a_checkpoint_and_of_nothing_else():
    rows = measured_rows(losses(), None, None, None, metrics(), LIGHT)
    assert [row.title for row in rows] == ["test loss", "weight norm"]
    assert measured_rows(None, None, None, None, None, LIGHT) == []


def test_a_reading_is_taken_at_the_nearest_measured_step():
    table = readings_table(measured_rows(losses(), None, None, None, metrics(), LIGHT), [12, 1000])
    assert table["step_1"].tolist() == [10, 10]
    assert table["value_1"].tolist() == [3.0, 1.0]
    assert table["value_2"].tolist() == [1.0, 3.0]


def test_readings_carry_the_scale_of_their_curve():
    (one,) = readings(measured_rows(losses(), None, None, None, None, LIGHT))
    assert one["range"][0] < 1.0 < 4.0 < one["range"][1]
    np.testing.assert_array_equal(one["value"], [4.0, 3.0, 2.0, 1.0])


def test_rows_of_two_runs_share_one_scale_and_lie_under_each_other_each_over_its_own_stages():
    stage = StageMark("S1", 0, 100, "A", "#d37f02", "rgba(0,0,0,0.1)", "S1")
    stories = [
        Story(name, "#44598a", measured_rows(losses(scale), None, None, None, None, LIGHT), stages)
        for name, scale, stages in (("one", 1.0, []), ("other", 3.0, [stage]))
    ]
    figure, told = timelines(stories, 1000.0, LIGHT)
    assert [one["run"] for one in told] == [0, 1]
    upper, lower = (figure.layout[one["axis"]] for one in told)
    assert tuple(upper.range) == tuple(lower.range)
    assert upper.domain[0] > lower.domain[1]
    sent = figure.to_plotly_json()["data"]
    (band,) = [trace for trace in sent if trace.get("meta", {}).get("layer") == "band"]
    behind = figure.layout["yaxis" + band["yaxis"].removeprefix("y")]
    assert tuple(behind.domain) == pytest.approx(tuple(lower.domain))
    assert {"<b>━ one</b>", "<b>━ other</b>"} <= {
        note["text"] for note in figure.to_plotly_json()["layout"]["annotations"]
    }


def test_the_error_of_a_change_is_that_of_paired_chains_and_nothing_at_the_step_itself():
    held = chains()
    errors = llc_change_errors(held, 10)
    assert float(errors.sel(step=10)) == 0.0
    paired = llc_change(held, 10, 1000)
    assert float(errors.sel(step=1000)) == paired.standard_error < 0.2 * paired.unpaired_error


def test_a_step_whose_chains_all_diverged_has_no_error():
    errors = llc_change_errors(chains(diverged=[3]), 10)
    assert np.isnan(errors.sel(step=1000))
    assert np.isfinite(errors.sel(step=100))
    with pytest.raises(InvalidSpec, match="no chains at step 11"):
        llc_change_errors(chains(), 11)
