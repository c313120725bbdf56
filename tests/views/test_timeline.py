"""The timeline tells what was measured, what is doubtful and which stage is of which type."""

import itertools

import numpy as np
import pytest
import xarray as xr

from devexplore.views.axes import log_step, padded, step_label, step_ticks
from devexplore.views.stages import stage_index, stage_marks
from devexplore.views.style import DARK, LIGHT
from devexplore.views.timeline import (
    doubtful,
    follow,
    llc_row,
    loss_row,
    settings,
    strip_row,
    strips,
    timeline,
    trust,
)


def bands(figure):
    return {t.meta["type"]: t for t in figure.data if t.meta is not None and t.meta.get("layer") == "band"}


def test_step_zero_has_a_place_and_ticks_read_as_people_count():
    positions, words = step_ticks(14_000)
    assert words == ["0", "10", "100", "1k", "10k"]
    assert positions[0] == 0.0
    np.testing.assert_allclose(positions, log_step(np.array([0, 10, 100, 1000, 10_000])))


@pytest.mark.parametrize(
    ("step", "words"), [(0, "0"), (900, "900"), (2500, "2.5k"), (1e6, "1M"), (6500, "6.5k")]
)
def test_a_step_is_labelled_shortly(step, words):
    assert step_label(step) == words


@pytest.mark.parametrize("values", [[], [np.nan], [3.0, 3.0], [0.0], [-1.0, np.inf, 4.0]])
def test_a_range_is_finite_and_not_empty_whatever_the_values(values):
    low, high = padded(np.array(values))
    assert np.isfinite([low, high]).all()
    assert low < high


def test_bands_are_warm_cool_and_hatched(marks, losses):
    figure = timeline([loss_row(losses, None, LIGHT)], marks, 9999, LIGHT)
    drawn = bands(figure)
    assert drawn["A"].fillcolor == LIGHT.warm_band
    assert drawn["B"].fillcolor == LIGHT.cool_band
    assert drawn["undecided"].fillpattern.shape == "/"
    assert drawn["A"].fillpattern.shape is None
    np.testing.assert_allclose([min(drawn["B"].x), max(drawn["B"].x)], log_step(np.array([1000, 9999])))


def test_estimates_with_disagreeing_or_diverged_chains_are_doubtful_and_said_to_be(llc):
    assert doubtful(llc).values.tolist() == [False, False, True, False, True]
    assert trust(llc).startswith("2 of 5 doubtful")
    assert trust(llc.isel(step=[0, 1])) == "all R̂ ≤ 1.1, no chain diverged"
    assert trust(None) == ""


def test_the_settings_behind_the_llc_are_told_where_the_store_holds_them(llc):
    assert settings(llc) == ""
    names = ("step_size", "n_beta", "localization", "batch_size", "chains", "draws")
    llc.attrs = dict(zip(names, (1e-5, 1000.0, 3000.0, 8, 3, 40), strict=True))
    assert settings(llc) == "ε 1e-05 · nβ 1000 · γ 3000 · batch 8 · 3 chains × 40 draws"


def test_an_estimate_surely_below_zero_is_doubtful_and_called_no_local_minimum(llc):
    llc["rhat"][2] = 1.0
    llc["llc"][0] = -400.0
    llc["llc"][1] = -0.4  # two standard errors
    assert doubtful(llc).values.tolist() == [True, False, False, False, True]
    assert "1 below zero, so no local minimum" in trust(llc)
    row = llc_row(llc, LIGHT)
    assert row.range[0] > -50  # the others set it
    assert "no local minimum" in next(t for t in row.traces if t.name == "LLC").text[0]


def test_doubtful_estimates_are_crosses_and_the_trusted_ones_set_the_range(llc):
    llc["llc"][2] = 1e9
    row = llc_row(llc, LIGHT)
    crosses = next(t for t in row.traces if t.name == "doubtful")
    assert crosses.marker.symbol == "x-thin"
    np.testing.assert_allclose(crosses.x, log_step(np.array([100, 9999])))
    assert row.range[1] < 100


def test_the_band_is_one_standard_error_on_both_sides(llc):
    band = next(t for t in llc_row(llc, LIGHT).traces if t.name == "± SE")
    upper, lower = np.array(band.y[:5]), np.array(band.y[5:][::-1])
    np.testing.assert_allclose((upper - lower) / 2, llc["llc_se"])


def test_the_hover_says_when_chains_left_the_neighbourhood(llc, losses):
    line = next(t for t in llc_row(llc, LIGHT, losses).traces if t.name == "LLC")
    assert "left the neighbourhood" in line.text[3]
    assert "left the neighbourhood" not in line.text[0]
    assert "2 chains diverged" in line.text[4]


def test_an_llc_without_a_value_breaks_nothing(llc):
    llc["llc"][:] = np.nan
    row = llc_row(llc, LIGHT)
    assert np.isfinite(row.range).all()


def test_training_loss_stands_in_where_no_test_loss_was_measured(losses):
    checkpoints = losses[["test_loss"]].rename(test_loss="train_loss")
    assert loss_row(losses, checkpoints, LIGHT).title == "test loss"
    assert loss_row(None, checkpoints, LIGHT).title == "train loss"
    assert loss_row(None, None, LIGHT) is None


def test_rows_do_not_overlap_however_many_there_are(losses, llc, marks):
    metric = losses["test_loss"].rename("icl_score")
    rows = [loss_row(losses, None, LIGHT), llc_row(llc, LIGHT), *[strip_row(metric, LIGHT)] * 4]
    layout = timeline(rows, marks, 9999, LIGHT).layout
    domains = [layout[f"yaxis{i + 2}"].domain for i in range(6)]
    assert domains[0][1] == pytest.approx(1)
    assert domains[-1][0] == pytest.approx(0, abs=1e-9)
    for above, below in itertools.pairwise(domains):
        assert below[1] < above[0]


def test_metrics_with_one_number_or_a_few_parts_a_checkpoint_are_strips(losses):
    parts = xr.Dataset(
        {"few": (("step", "mode"), np.ones((5, 6))), "many": (("step", "head"), np.ones((5, 40)))}
    )
    assert strips(losses) == ["test_loss"]
    assert strips(parts) == ["few"]
    assert strips(None) == []


def test_a_metric_of_several_parts_is_several_lines_without_one_reading(losses):
    metric = losses["token_loss"].isel(sequence=0).rename("head_score")
    row = strip_row(metric, LIGHT)
    assert len(row.traces) == 3
    assert row.range[0] < float(metric.min())
    assert float(metric.max()) < row.range[1]
    assert np.isnan(row.value).all()


def test_what_the_cursor_reads_is_what_was_measured(llc):
    entry = follow([llc_row(llc, LIGHT)])[0]
    np.testing.assert_array_equal(entry["value"], llc["llc"])
    np.testing.assert_array_equal(entry["error"], llc["llc_se"])
    assert entry["axis"] == "yaxis2"


def test_a_step_lies_in_exactly_one_stage_and_the_last_holds_its_end(marks):
    assert stage_index(np.array([0, 99, 100, 999, 1000, 9999]), marks).tolist() == [0, 0, 1, 1, 2, 2]
    assert stage_index(np.array([10_000]), marks).tolist() == [-1]


def test_a_stage_is_told_in_words_without_inventing_what_was_not_measured(marks):
    assert marks[0].words == "S1: steps 0 to 100, type A, LLC rises; Δloss -2; ΔLLC +20 ± 0.5"
    assert marks[1].words == "S2: steps 100 to 1,000, undecided"


def test_no_stages_is_an_empty_list(stages):
    assert stage_marks(None, LIGHT) == []
    assert stage_marks(stages.isel(stage=[]), DARK) == []


def test_a_metric_measured_at_a_single_step_is_drawn():
    metric = xr.DataArray([2.0], dims="step", coords={"step": [5]}, name="weight_norm")
    assert strip_row(metric, LIGHT).range == (1.0, 3.0)
