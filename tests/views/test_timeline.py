"""The timeline tells what was measured, what is doubtful and which stage is of which type."""

import itertools
import re

import numpy as np
import pytest
import xarray as xr

from devexplore.analysis.trust import trust as judge_llc
from devexplore.views.axes import log_step, padded, step_label, step_ticks
from devexplore.views.llc_row import KEY, llc_caption, llc_row, settings, trust
from devexplore.views.rows import loss_row, strip_row, strips
from devexplore.views.stage_bands import boundary_traces
from devexplore.views.stages import chosen_by_hand, stage_index, stage_marks
from devexplore.views.style import DARK, LIGHT
from devexplore.views.timeline import follow, least_height, timeline


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


def test_the_steps_are_labelled_at_the_lower_edge_with_stages_and_before(marks, losses):
    rows = [loss_row(losses, None, LIGHT), loss_row(losses, None, LIGHT)]
    for stages in (marks, []):
        axis = timeline(rows, stages, 9999, LIGHT).layout.xaxis
        assert (axis.anchor, axis.position) == ("free", 0)


def judged_row(llc, theme=LIGHT):
    return llc_row(llc, judge_llc(llc), theme)


def trace(row, name):
    (found,) = [t for t in row.traces if t.name == name]
    return found


def planted(llc, verdict, reason=""):
    """Verdicts as given."""
    kind = np.where(np.array(verdict) > 0, reason, "")
    return xr.Dataset(
        {"verdict": ("step", np.array(verdict)), "reason": ("step", kind), "kind": ("step", kind)},
        coords={"step": llc["step"]},
    )


def test_the_page_counts_the_verdicts_and_says_why_and_what_was_not_judged(llc):
    said = trust(judge_llc(llc))
    assert [mark["text"] for mark in said["marks"]] == [
        "3 trusted",
        "2 doubtful: chains disagree and others",
    ]
    assert [mark["level"] for mark in said["marks"]] == [0, 1]
    assert "slope shift" in said["note"]
    assert trust(None)["marks"] == []


def test_the_settings_behind_the_llc_are_told_where_the_store_holds_them(llc):
    assert settings(llc) == ""
    names = ("step_size", "n_beta", "localization", "batch_size", "chains", "draws")
    llc.attrs = dict(zip(names, (1e-5, 1000.0, 3000.0, 8, 3, 40), strict=True))
    assert settings(llc) == "ε 1e-05 · nβ 1000 · γ 3000 · batch 8 · 3 chains × 40 draws"
    assert llc_caption(llc) == f"{KEY} λ̂ at {settings(llc)}."
    assert llc_caption(llc.drop_attrs()) == KEY
    assert llc_caption(None) == ""


def test_each_verdict_has_a_mark_of_its_own_shape(llc):
    row = llc_row(llc, planted(llc, [0, 1, 2, 1, 0]), LIGHT)
    shapes = {"trusted": "circle", "doubtful": "circle-open", "not an LLC": "x-thin"}
    assert {name: trace(row, name).marker.symbol for name in shapes} == shapes
    np.testing.assert_allclose(trace(row, "doubtful").x, log_step(np.array([10, 1000])))
    np.testing.assert_allclose(trace(row, "not an LLC").x, log_step(np.array([100])))


def test_what_is_not_an_llc_has_no_band_and_is_joined_by_a_dotted_grey_line(llc):
    row = llc_row(llc, planted(llc, [0, 0, 2, 0, 0]), LIGHT)
    bands = [t for t in row.traces if t.name == "± SE"]
    assert len(bands) == 2
    assert not any(np.isclose(band.x, log_step(np.array(100))).any() for band in bands)
    dotted, solid = (t for t in row.traces if t.name == "LLC")
    assert (dotted.line.dash, dotted.line.color) == ("dot", LIGHT.faint)
    assert np.isfinite(dotted.y).tolist() == [False, True, True, True, False]
    assert np.isfinite(solid.y).tolist() == [True, True, False, True, True]


def test_estimates_beyond_the_axis_are_arrows_at_its_edge_and_do_not_set_it(llc):
    llc["llc"][2], llc["llc"][0] = 1e9, -400.0
    row = llc_row(llc, planted(llc, [2, 0, 2, 0, 0]), LIGHT)
    low, high = row.range
    assert -50 < low < 0.0 + 5.0
    assert high < 100
    arrows = [t for t in row.traces if t.name == "beyond the axis"]
    assert [(t.marker.symbol, t.customdata.tolist()) for t in arrows] == [
        ("triangle-up", [100]),
        ("triangle-down", [0]),
    ]
    assert all(low < y < high for t in arrows for y in t.y)
    assert "LLC −400" in arrows[1].text[0]


def test_doubtful_estimates_stretch_the_axis_only_within_reason(llc):
    llc["llc"][1] = 30.0
    near = llc_row(llc, planted(llc, [0, 1, 0, 0, 0]), LIGHT).range[1]
    llc["llc"][1] = 1e6
    far = llc_row(llc, planted(llc, [0, 1, 0, 0, 0]), LIGHT).range[1]
    assert 30 < near < 35
    assert far < 45


def test_the_hover_gives_the_verdict_with_its_reasons_in_short_lines(llc):
    reason = "chains sit 1.9 nats above L(w*), above the uniform predictor: λ̂ here is the loss upside down; R̂"
    row = llc_row(llc, planted(llc, [0, 0, 2, 0, 0], reason), LIGHT)
    words = trace(row, "not an LLC").text[0]
    assert "<b>not an LLC</b><br>· chains sit 1.9 nats above" in words
    assert words.endswith("<br>· R̂")
    assert max(map(len, words.split("<br>"))) <= 48
    assert "<b>" not in trace(row, "trusted").text[0]


def test_the_band_is_one_standard_error_on_both_sides(llc):
    band = trace(judged_row(llc), "± SE")
    upper, lower = np.array(band.y[:5]), np.array(band.y[5:][::-1])
    np.testing.assert_allclose((upper - lower) / 2, llc["llc_se"])


def test_an_llc_without_a_value_breaks_nothing(llc):
    llc["llc"][:] = np.nan
    assert np.isfinite(judged_row(llc).range).all()


def test_the_cursor_reads_the_verdict_beside_the_value(llc):
    entry = follow([judged_row(llc)])[0]
    assert entry["verdict"].tolist() == [0, 0, 1, 0, 1]
    assert entry["reason"][0] == ""
    assert "chains disagree" in entry["reason"][2]


def test_training_loss_stands_in_where_no_test_loss_was_measured(losses):
    checkpoints = losses[["test_loss"]].rename(test_loss="train_loss")
    assert loss_row(losses, checkpoints, LIGHT).title == "test loss"
    assert loss_row(None, checkpoints, LIGHT).title == "train loss"
    assert loss_row(None, None, LIGHT) is None


def test_rows_do_not_overlap_however_many_there_are(losses, llc, marks):
    metric = losses["test_loss"].rename("icl_score")
    rows = [loss_row(losses, None, LIGHT), judged_row(llc), *[strip_row(metric, LIGHT)] * 4]
    layout = timeline(rows, marks, 9999, LIGHT).layout
    domains = [layout[f"yaxis{i + 2}"].domain for i in range(6)]
    assert domains[0][1] == pytest.approx(1)
    assert domains[-1][0] == pytest.approx(0, abs=1e-9)
    for above, below in itertools.pairwise(domains):
        assert below[1] < above[0]


def test_metrics_with_one_number_or_a_few_parts_a_checkpoint_are_strips(losses):
    parts = xr.Dataset(
        {
            "few": (("step", "mode"), np.ones((5, 6))),
            "heads": (("step", "layer", "head"), np.ones((5, 2, 8))),
            "many": (("step", "position"), np.ones((5, 40))),
            "many_heads": (("step", "deep", "head"), np.ones((5, 3, 8))),
            "pairs": (("step", "layer", "head", "earlier_layer", "earlier_head"), np.ones((5, 2, 8, 1, 1))),
        }
    )
    assert strips(losses) == ["test_loss"]
    assert strips(parts) == ["few", "heads"]


def heads(layers=2, count=4):
    values = np.arange(5.0 * layers * count).reshape(5, layers, count)
    coords = {"step": [0, 10, 100, 1000, 9999], "layer": np.arange(layers) + 1, "head": np.arange(count) + 1}
    return xr.DataArray(values, coords, ("step", "layer", "head"), name="prefix_matching_score")


def shown(markup):
    return re.sub("<[^>]*>", "", markup)


def test_a_metric_of_heads_is_a_line_a_head_in_order_named_in_the_hover_and_in_the_key():
    metric = heads()
    row = strip_row(metric, LIGHT)
    names = [f"prefix matching score, layer {i} head {j}" for i in (1, 2) for j in (1, 2, 3, 4)]
    assert [trace.name for trace in row.traces] == names
    for trace, (i, j) in zip(row.traces, np.ndindex(2, 4), strict=True):
        np.testing.assert_array_equal(trace.y, metric.values[:, i, j])
    assert len({(trace.line.color, trace.line.dash) for trace in row.traces}) == 8
    assert [shown(line) for line in row.key] == ["1.1 1.2 1.3 ╌1.4", "2.1 2.2 2.3 ╌2.4"]
    assert f"color:{row.traces[4].line.color}'>2.1" in row.key[1]
    note = timeline([row], [], 9999, LIGHT).layout.annotations[0]
    assert shown(note.text.replace("<br>", "|")).split("|")[:3] == [
        "prefix matching",
        "score",
        "1.1 1.2 1.3 ╌1.4",
    ]


@pytest.mark.parametrize(
    ("dim", "labels", "key"),
    [
        ("teacher_mode", None, ["mode 1 2 3"]),
        ("singular", None, ["σ1 σ2 σ3"]),
        ("n", [2, 3, 4], ["n = 2 3 4"]),
        ("norm", ["layer 1 MLP", "layer 2 MLP", "embedding"], ["1 MLP", "2 MLP", "embedding"]),
        ("component", ["embedding", "positions", "unembedding"], ["embedding positions", "unembedding"]),
    ],
)
def test_the_key_says_what_parts_have_in_common_once(dim, labels, key):
    coords = {"step": [0, 1]} | ({} if labels is None else {dim: labels})
    row = strip_row(xr.DataArray(np.ones((2, 3)), coords, ("step", dim), name="a"), LIGHT)
    assert [shown(line) for line in row.key] == key


@pytest.mark.parametrize("count", [1, 5, 6, 13, 16])
@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_no_two_parts_of_a_strip_look_the_same(count, theme):
    row = strip_row(xr.DataArray(np.ones((2, count)), {"step": [0, 1]}, ("step", "mode"), name="a"), theme)
    assert len({(trace.line.color, trace.line.dash) for trace in row.traces}) == count
    deep = strip_row(heads(4, 4), theme)
    assert len({(trace.line.color, trace.line.dash) for trace in deep.traces}) == 16


def test_the_page_scrolls_rather_than_squeeze_what_stands_beside_a_row(losses):
    few, many = [strip_row(heads(), LIGHT)], [strip_row(heads(2, 8), LIGHT)]
    assert len(many[0].key) == 4
    assert least_height(many) > least_height(few) + 26
    assert least_height(few * 3) > 2 * least_height(few)


@pytest.fixture
def found(stages):
    """S1 and S2 end at boundaries whose intervals overlap; then one of the user's own and one moved."""
    four = stages.isel(stage=[0, 1, 2, 2, 2])
    return four.assign(
        end=("stage", [100, 200, 1000, 2000, 9999]),
        boundary_lower=("stage", [80.0, 90.0, np.nan, 1500.0, np.nan]),
        boundary_upper=("stage", [150.0, 300.0, np.nan, 2500.0, np.nan]),
        boundary_origin=("stage", np.array(["candidate", "accepted", "added", "moved", "end"], dtype=object)),
    )


def test_boundaries_are_lines_over_all_rows_with_bars_over_their_intervals_below_the_rows(
    found, losses, llc, marks
):
    rows = [loss_row(losses, None, LIGHT), judged_row(llc)]
    figure = timeline(rows, marks, 9999, LIGHT, found)
    layers = [(t.meta or {}).get("layer") for t in figure.data]
    lines, bars = (
        [t for t, layer in zip(figure.data, layers, strict=True) if layer == kind]
        for kind in ("boundary", "interval")
    )
    np.testing.assert_allclose([line.x[0] for line in lines], log_step(np.array([100, 200, 1000, 2000])))
    assert all((min(line.y), max(line.y)) == (0, 1) for line in lines)
    np.testing.assert_allclose(
        [bar.x for bar in bars], log_step(np.array([[80, 150], [90, 300], [1500, 2500]]))
    )
    assert bars[0].y[0] < bars[1].y[0] < figure.layout.yaxis3.domain[0]  # they overlap: not on each other
    assert bars[2].y[0] == bars[0].y[0]
    assert timeline(rows, marks, 9999, LIGHT).layout.yaxis3.domain[0] == pytest.approx(0)


def test_the_user_s_own_boundaries_look_and_read_differently(found):
    assert chosen_by_hand(found) == [False, False, True, True]
    assert chosen_by_hand(found.drop_vars("boundary_origin")) == [False, False, True, False]
    lines = [t for t in boundary_traces(found, LIGHT) if t.meta["layer"] == "boundary"]
    assert [line.line.dash for line in lines] == ["dot", "dot", "dash", "dash"]
    assert lines[0].text[0] == "boundary at step 100<br>90 %: 80–150"
    assert lines[2].text[0] == "boundary at step 1,000, chosen by hand"
    assert lines[3].text[0] == "boundary at step 2,000, chosen by hand<br>90 %: 1.5k–2.5k"


def test_the_llc_axis_holds_zero_even_where_no_estimate_is_near(llc):
    high = llc.assign(llc=llc["llc"] + 100)
    low, top = llc_row(high, planted(high, [0, 0, 0, 0, 0]), LIGHT).range
    assert low < 0 < 100 < top


def test_a_metric_of_several_parts_is_several_lines_without_one_reading(losses):
    metric = losses["token_loss"].isel(sequence=0).rename("head_score")
    row = strip_row(metric, LIGHT)
    assert len(row.traces) == 3
    assert row.range[0] < float(metric.min())
    assert float(metric.max()) < row.range[1]
    assert np.isnan(row.value).all()


def test_what_the_cursor_reads_is_what_was_measured(llc):
    entry = follow([judged_row(llc)])[0]
    np.testing.assert_array_equal(entry["value"], llc["llc"])
    np.testing.assert_array_equal(entry["error"], llc["llc_se"])
    assert entry["axis"] == "yaxis2"


def test_a_step_lies_in_exactly_one_stage_and_the_last_holds_its_end(marks):
    assert stage_index(np.array([0, 99, 100, 999, 1000, 9999]), marks).tolist() == [0, 0, 1, 1, 2, 2]
    assert stage_index(np.array([10_000]), marks).tolist() == [-1]


def test_a_stage_is_told_in_words_without_inventing_what_was_not_measured(marks):
    assert marks[0].words == "S1: steps 0 to 100, type A, LLC rises; Δloss -2; ΔLLC +20 ± 0.5"
    assert marks[1].words == "S2: steps 100 to 1,000, undecided"


def test_a_change_between_estimates_that_are_not_trusted_says_so(stages):
    words = [
        mark.words for mark in stage_marks(stages.assign(trusted=("stage", [True, False, False])), LIGHT)
    ]
    assert "not trusted" not in words[0]
    assert "not trusted" not in words[1]  # it has no change to speak of
    assert words[2].endswith("ΔLLC -3 ± 0.4, between estimates that are not trusted")


def test_no_stages_is_an_empty_list(stages):
    assert stage_marks(None, LIGHT) == []
    assert stage_marks(stages.isel(stage=[]), DARK) == []


def test_a_metric_measured_at_a_single_step_is_drawn():
    metric = xr.DataArray([2.0], dims="step", coords={"step": [5]}, name="weight_norm")
    assert strip_row(metric, LIGHT).range == (1.0, 3.0)


def test_a_name_longer_than_its_band_is_cut_and_one_that_does_not_fit_at_all_is_left_to_the_chips(
    stages, losses
):
    stages["name"] = ("stage", np.array(["the unigrams of the text", "bigrams", "a long name " * 4], object))
    figure = timeline([loss_row(losses, None, LIGHT)], stage_marks(stages, LIGHT), 9999.0, LIGHT)
    names = [
        note.text for note in figure.layout.annotations if note.yref == "paper" and "test" not in note.text
    ]
    assert names[0] == "<b>the unigrams of the text</b>"
    assert names[1] == "<b>bigrams</b>"
    assert names[2].endswith("…</b>")
    assert len(names[2]) < 30
    narrow = stages.assign(start=("stage", [0, 9000, 9400]), end=("stage", [9000, 9400, 9999]))
    figure = timeline([loss_row(losses, None, LIGHT)], stage_marks(narrow, LIGHT), 9999.0, LIGHT)
    assert not any("bigrams" in note.text for note in figure.layout.annotations)


def test_an_llc_that_nobody_could_judge_is_not_called_trusted(llc):
    published = llc[["llc", "llc_se"]]
    told = trust(judge_llc(published))
    assert told["words"][0] == "LLC not judged"
    assert told["note"].startswith("LLC judged by its sign alone")
    assert "trusted" not in str(told)
