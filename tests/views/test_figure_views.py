"""Sheets and what stands on them: bands, labels, wells, drawings and rows say what their data say."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from devexplore.views.agreement_chart import agreement_chart
from devexplore.views.axes import log_step
from devexplore.views.development_chart import development_chart
from devexplore.views.k_gons import k_gon_sheet
from devexplore.views.labels import spread_apart
from devexplore.views.panels import Curve, Panel, curve_panel, panel_grid, panel_stack
from devexplore.views.sheet import WIDTH
from devexplore.views.stage_bands import band_names
from devexplore.views.stage_sheet import in_one_format, stage_sheet, with_error
from devexplore.views.stage_texts import stage_texts
from devexplore.views.stages import stage_marks
from devexplore.views.style import LIGHT, blend

STEP = np.array([0, 10, 100, 1000, 9999])


def layer(figure, name):
    return [trace for trace in figure.data if (trace.meta or {}).get("layer") == name]


def notes(figure):
    return [note.text for note in figure.layout.annotations]


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=12), st.floats(0.1, 50))
def test_words_spread_apart_keep_their_order_and_their_distance_and_move_only_where_they_must(values, gap):
    places = np.array(values)
    apart = spread_apart(places, gap)
    order = np.argsort(places, kind="stable")
    assert (np.diff(apart[order]) >= gap * (1 - 1e-9) - 1e-9).all()
    assert apart.mean() == pytest.approx(places.mean(), abs=1e-6)
    if (np.diff(places[order]) >= gap).all():
        assert np.allclose(apart, places)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(1, 9)), min_size=1, max_size=10))
def test_words_of_several_lengths_do_not_overlap_and_keep_within_their_ends(words):
    places, sizes = np.array(words).T
    apart = spread_apart(places, sizes, (0.0, 100.0))
    order = np.argsort(places, kind="stable")
    left, right = (apart - sizes / 2)[order], (apart + sizes / 2)[order]
    assert (left[1:] >= right[:-1] - 1e-9).all()
    assert left[0] >= -1e-9
    assert right[-1] <= 100 + 1e-9


def test_a_panel_holds_its_curves_their_bands_and_their_names_at_the_right_end(marks):
    value = np.array([1.0, 2.0, np.nan, 4.0, 5.0])
    curve = Curve(STEP, value, "n = 2", "#112233", value - 1, value + 2)
    figure = panel_grid(
        [curve_panel("score", "nats", [curve], LIGHT)], marks, 9999, LIGHT, title="T", foot="F"
    )
    band, line = (trace for trace in figure.data if trace.name in ("90 %", "n = 2"))
    assert np.allclose(line.x, log_step(STEP))
    assert np.array_equal(line.y, value, equal_nan=True)
    assert np.array_equal(band.y, [0, 1, 3, 4, 7, 6, 4, 3])
    assert len(layer(figure, "band")) == 3
    assert {"<b>T</b>", "n = 2", "F"} <= set(notes(figure))


def test_every_boundary_is_a_line_in_every_panel_and_those_of_the_user_are_dashed(marks):
    marks = [marks[0]._replace(own=True), *marks[1:]]
    figure = panel_stack([Panel("a", ""), Panel("b", "", range=(2, 4))], marks, 9999, LIGHT)
    lines = layer(figure, "boundary")
    assert [line.x[0] for line in lines] == 2 * log_step(np.array([100, 1000])).tolist()
    assert [line.line.dash for line in lines] == 2 * ["dash", "dot"]
    assert [(line.y[0], line.y[-1]) for line in lines[2:]] == 2 * [(2, 4)]


def test_each_of_six_narrow_stages_has_its_name_over_it_in_order(marks):
    ends = [0, 9000, 9100, 9200, 9300, 9400, 9999]
    six = [marks[0]._replace(name=f"S{i + 1}", start=ends[i], end=ends[i + 1]) for i in range(6)]
    six[3] = six[3]._replace(name="previous-token")
    names = band_names(six, 4.0, LIGHT, letters=25)
    assert [name["text"] for name in names] == [
        f"<b>{n}</b>" for n in ("S1", "S2", "S3", "prev…", "S5", "S6")
    ]
    places = [name["x"] for name in names]
    assert places == sorted(places)
    assert min(np.diff(places)) >= 3 / 25 * 4.0 - 1e-9
    many = [six[1]._replace(start=9000 + 10 * i, end=9010 + 10 * i) for i in range(90)]
    assert 0 < len(band_names([six[0], *many], 4.0, LIGHT, letters=25)) < 9
    assert band_names([], 4.0, LIGHT) == []


def test_a_panel_without_values_says_so_and_a_single_value_is_a_point():
    empty = curve_panel("score", "", [Curve(STEP, np.full(5, np.nan), "a", "#112233")], LIGHT)
    assert empty.message == "no value at any checkpoint"
    one = curve_panel("score", "", [Curve(STEP[:1], np.ones(1), "a", "#112233")], LIGHT)
    assert [trace.mode for trace in one.traces] == ["markers"]


def test_messages_are_written_into_their_panels_and_panels_do_not_overlap(marks):
    figure = panel_stack([Panel("a", "", message="no LLC"), Panel("b", "")], marks, 9999, LIGHT)
    assert "no LLC" in notes(figure)
    (low, _), (_, high) = figure.layout.yaxis.domain, figure.layout.yaxis2.domain
    assert low > high
    assert figure.layout.width == WIDTH


def test_the_sheet_of_stages_has_a_row_a_stage_and_marks_boundaries_with_their_intervals(stages, marks):
    stages = stages.assign(
        boundary_lower=("stage", [80.0, np.nan, np.nan]),
        boundary_upper=("stage", [130.0, np.nan, np.nan]),
        probability=("stage", [0.93, np.nan, np.nan]),
        boundary_kind=("stage", np.array(["maximum", "chosen", "end"], dtype=object)),
    )
    figure = stage_sheet([Panel("LLC", "", range=(0, 10))], stages, marks, 9999, LIGHT)
    assert [trace.x[0] for trace in layer(figure, "boundary")] == log_step(np.array([100, 1000])).tolist()
    (interval,) = layer(figure, "interval")
    assert np.allclose(interval.x, log_step(np.array([80, 130])))
    assert figure.layout.yaxis.range[0] < interval.y[0] < 0.0  # below the curves
    (table,) = (trace for trace in figure.data if trace.type == "table")
    columns = table.cells["values"]
    assert list(columns[0]) == ["<b>S1</b>", "<b>S2</b>", "<b>S3</b>"]
    assert list(columns[4]) == ["+20.00 ± 0.50", "–", "−3.00 ± 0.40"]
    assert list(columns[5]) == ["100 (maximum)", "1,000 (chosen)", "end of the run"]


def test_numbers_with_errors_end_at_the_second_digit_of_the_error():
    assert [with_error(32.461, 0.956), with_error(-0.601, 1.33)] == ["+32.46 ± 0.96", "−0.6 ± 1.3"]
    assert [with_error(149.5, 23.0), with_error(-2.0, 0.0)] == ["+150 ± 23", "−2"]


def test_numbers_of_a_column_have_as_many_places_and_next_to_nothing_is_said_to_be_that():
    column = in_one_format(np.array([-1.524, 0.00624, -3.4e-9, np.nan]))
    assert column == ["−1.524", "+0.006", "≈ 0", "–"]
    assert in_one_format(np.array([149.5, -20_000.0])) == ["+150", "−20000"]
    assert in_one_format(np.zeros(2)) == ["+0", "+0"]
    assert in_one_format(np.full(1, np.nan)) == ["–"]


def test_a_stage_with_an_end_where_no_llc_is_known_is_marked_whatever_it_changed(stages):
    stages = stages.assign(
        boundary_lower=("stage", np.full(3, np.nan)),
        boundary_upper=("stage", np.full(3, np.nan)),
        probability=("stage", np.full(3, np.nan)),
        boundary_kind=("stage", np.array(["chosen", "chosen", "end"], dtype=object)),
        type=("stage", np.array(["undecided", "A", "B"], dtype=object)),
        supported=("stage", [False, True, True]),
        trusted=("stage", [False, True, False]),
    )
    marks = stage_marks(stages, LIGHT)
    assert "with an end among checkpoints that are no LLC" in marks[0].words
    assert [mark.own for mark in marks] == [True, True, False]
    figure = stage_sheet([Panel("LLC", "", range=(0, 10))], stages, marks, 9999, LIGHT)
    (table,) = (trace for trace in figure.data if trace.type == "table")
    assert [kind.endswith(" †") for kind in table.cells["values"][2]] == [True, False, False]
    assert [delta.endswith("*") for delta in table.cells["values"][4]] == [False, False, True]


def test_a_square_drawn_from_its_columns_has_four_corners_and_the_fifth_feature_is_none():
    norm = np.array([[1.0, 1.0, 1.0, 1.0, 0.1]])
    angle = np.array([[0.0, np.pi / 2, np.pi, -np.pi / 2, 1.0]])
    metrics = xr.Dataset(
        {
            "feature_norm": (("step", "feature"), np.repeat(norm, 5, axis=0)),
            "feature_angle": (("step", "feature"), np.repeat(angle, 5, axis=0)),
            "population_loss": ("step", np.linspace(0.3, 0.06, 5)),
        },
        coords={"step": STEP},
    )
    figure = k_gon_sheet(metrics, {"4-gon": 0.0567}, [], LIGHT)
    outline = layer(figure, "gon")[0]
    corners = np.stack([outline.x, outline.y], axis=1)
    assert np.allclose(corners, [[0, -1], [1, 0], [0, 1], [-1, 0], [0, -1]], atol=1e-12)
    assert layer(figure, "level")[0].y == (0.0567, 0.0567)
    assert sum("4 corners" in note for note in notes(figure)) == len(layer(figure, "gon")) == 5


def test_rows_of_an_agreement_hold_each_curve_s_own_boundaries():
    found = xr.Dataset(
        {
            "curve": ("boundary", np.array(["llc", "loss", "llc"], dtype=object)),
            "step": ("boundary", [10.0, 12.0, 500.0]),
            "lower": ("boundary", [8.0, 9.0, 400.0]),
            "upper": ("boundary", [12.0, 15.0, 700.0]),
            "probability": ("boundary", [1.0, 0.9, 0.8]),
            "kind": ("boundary", np.array(["maximum", "minimum", "plateau"], dtype=object)),
            "shared": (("curve_name", "other"), [[np.nan, 0.5], [1.0, np.nan]]),
            "chance": (("curve_name", "other"), [[np.nan, 0.2], [0.3, np.nan]]),
            "p_value": (("curve_name", "other"), [[np.nan, 0.36], [0.001, np.nan]]),
        },
        coords={"curve_name": ["llc", "loss"], "other": ["llc", "loss"]},
        attrs={"last_step": 9999.0, "without": {"curvature": "no outputs"}},
    )
    silent = found.reindex(
        curve_name=["llc", "silent_corners", "loss"], other=["llc", "silent_corners", "loss"]
    )
    figure = agreement_chart(silent, [], LIGHT, called={"loss": "loss of samples"})
    assert figure.layout.yaxis.ticktext == ("LLC", "Loss of samples")
    llc, loss = layer(figure, "critical_points")
    assert np.allclose(llc.x, log_step(np.array([10, 500])))
    assert list(llc.marker.symbol) == ["triangle-up", "square"]
    assert set(llc.y) == {0.0}
    assert set(loss.y) == {1.0}
    assert "50% (20%), p 0.36" in notes(figure)
    (below,) = (note for note in notes(figure) if "maximum" in note)
    assert "Without any boundary: Silent corners." in below
    assert "Curvature: no outputs" in below


def test_rows_of_developments_span_onset_to_end_and_open_where_they_go_on(marks):
    columns = {"onset": [5.0, 50.0], "halfway": [10.0, 200.0], "end": [40.0, 9000.0]}
    found = xr.Dataset(
        {name: ("development", values) for name, values in columns.items()}
        | {
            "halfway_lower": ("development", [9.0, np.nan]),
            "halfway_upper": ("development", [12.0, np.nan]),
            "last": ("development", [False, True]),
            "part": ("development", np.array(["layer 1 head 3", ""], dtype=object)),
        },
        coords={"development": ["a head", "learning"]},
        attrs={"missing": ["n-grams"]},
    )
    figure = development_chart(found, marks, 9999, LIGHT)
    assert figure.layout.yaxis.ticktext == ("a head L1 H3", "learning")
    assert np.allclose(layer(figure, "halfway")[0].x, log_step(np.array([10, 200])))
    assert np.allclose(layer(figure, "span")[1].x[:2], log_step(np.array([50, 9000])))
    assert list(layer(figure, "going on")[0].y) == [1.0]
    assert "10 (9–12)" in notes(figure)
    assert any("Not measured: n-grams." in note for note in notes(figure))
    ends = layer(figure, "ends")[0].x
    assert np.allclose(ends, log_step(np.array([5, 50, 40, np.nan])), equal_nan=True)  # one is not over
    seeds = xr.concat([found, found], xr.DataArray(["s0", "s1"], dims="run", name="run"))
    several = development_chart(seeds, marks, 9999, LIGHT, note="No intervals for s1.")
    assert len(layer(several, "halfway")) == 2
    assert any(
        "No intervals for s1.<br>Not measured in all of the runs: n-grams." in n for n in notes(several)
    )


def test_texts_have_one_colour_limit_for_all_stages_and_are_escaped(marks):
    def change(values):
        words = np.array([["<b>", " x"]], dtype=object)
        coords = {
            "target_text": (("sequence", "position"), words),
            "token_text": (("sequence", "position"), words),
        }
        return xr.DataArray([values], dims=("sequence", "position"), coords=coords, attrs={"units": "nats"})

    html = stage_texts([change([-2.0, 1.0]), change([-0.5, 0.25]), change([0.0, np.nan])], marks, LIGHT)
    assert "fell −2 nats" in html
    assert "&lt;b&gt;" in html
    assert "<b>x" not in html
    strong, weak = (blend(LIGHT.fell, LIGHT.surface, share) for share in (0.7, 0.175))
    texts = html.split('class="flow"')
    assert [colour in text for colour, text in zip((strong, weak), texts[1:], strict=False)] == [True, True]
    assert strong not in texts[2]
