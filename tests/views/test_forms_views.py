"""Why to believe in a form: figures that show the Dataset's own numbers, and nothing where there are none."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from devexplore.errors import InvalidSpec
from devexplore.views.form_facts import sought
from devexplore.views.forms import MOST_TURNS, agreement_figure, null_figure, rarest
from devexplore.views.null_walks import walks_figure
from devexplore.views.sensitivity import sensitivity_figure
from devexplore.views.style import DARK, LIGHT


def named(figure, start):
    return [trace for trace in figure.data if (trace.name or "").startswith(start)]


@pytest.fixture
def sensitivity():
    return xr.Dataset(
        {
            "cross_validation": ("candidate", [2.0, 1.0, 8.0]),
            "vertex_bandwidth": ("vertex", [0.1, 0.1, 0.4]),
            "vertex_step": ("vertex", [100.0, 900.0, 950.0]),
            "vertex_plane": ("vertex", ["PC1–PC2", "PC1–PC3", "PC1–PC2"]),
            "vertex_persistence": ("vertex", [0.5, 0.6, 0.7]),
            "vertex_support": ("vertex", [1.0, 0.5, 0.9]),
            "agreeing_bandwidth": ("agreeing", [0.1, 0.2]),
            "agreeing_step": ("agreeing", [910.0, 920.0]),
            "agreeing_angle": ("agreeing", [90.0, 80.0]),
            "agreeing_p_value": ("agreeing", [0.01, 0.4]),
        },
        coords={"candidate": [0.1, 0.2, 0.4]},
        attrs={"time": "log_step", "bandwidth": 0.2, "bandwidth_chosen_by": "cross-validation"},
    )


def test_every_turn_stands_at_its_strength_with_its_p_value_forms_as_stars_with_theirs(forms):
    figure = null_figure(forms)
    (turns,), (found,) = named(figure, "turn of the run"), named(figure, "form of the run")
    assert list(turns.x) == [0.2, 0.05]
    assert [text.strip() for text in turns.text] == ["p = 0.1", "p = 0.9"]
    assert (list(found.x), found.text[0].strip(), found.marker.symbol) == ([0.3], "p = 0.05", "star-diamond")
    assert list(figure.layout.yaxis.ticktext) == ["step 2,500", "step 5,000", "step 8,000"]
    assert figure.layout.title.text == forms.attrs["conclusion"]


def test_the_null_counts_every_random_walk_and_says_how_many_have_nothing(forms):
    turns, found = named(null_figure(forms), "strongest")
    np.testing.assert_array_equal(turns.x, forms["surrogate_turn_strength"])
    np.testing.assert_array_equal(found.x, forms["surrogate_strength"].values[1:])
    assert found.name == "strongest form of each of 19 random walks (1 without one)"


@given(st.lists(st.floats(0, 1), min_size=19, max_size=60), st.sampled_from([0.05, 0.1, 0.25, 1.0]))
def test_what_exceeds_the_dashed_line_is_as_rare_as_promised_and_what_does_not_is_not(strengths, max_p):
    null = np.array(strengths)
    limit = rarest(null, max_p)
    if np.isnan(limit):
        assert max_p == 1.0
        return
    p_value = [(1 + np.sum(null >= value)) / (1 + null.size) for value in (np.nextafter(limit, 2), limit)]
    assert p_value[0] <= max_p + 1e-9
    assert p_value[1] > max_p - 1e-9


def test_only_the_strongest_turns_are_listed_in_order_of_time(forms):
    many = forms.isel(turn=np.zeros(40, int)).assign(
        turn_strength=("turn", np.linspace(0.01, 0.2, 40)), turn_step=("turn", np.arange(100.0, 140))
    )
    (turns,) = named(null_figure(many), "turn of the run")
    assert len(turns.x) == MOST_TURNS
    np.testing.assert_allclose(turns.x, np.linspace(0.01, 0.2, 40)[-MOST_TURNS:])


def test_without_random_walks_only_the_conclusion_is_written(forms):
    none = forms.isel(surrogate=slice(0), turn=slice(0), form=slice(0))
    figure = null_figure(none)
    assert len(figure.data) == 0
    assert figure.layout.title.text == forms.attrs["conclusion"]


def test_each_planes_offset_and_step_are_drawn_as_they_are(forms):
    figure = agreement_figure(forms, 0)
    offsets = np.array([[trace.x[0], trace.y[0]] for trace in figure.data[::2]])
    np.testing.assert_allclose(offsets, np.array([[-0.1, 0], [0, 0.2], [0, 0]]) / 6.0, atol=1e-12)
    assert [trace.x[0] for trace in figure.data[1::2]] == [4900.0, 5000.0, 5200.0]
    ring, band, line = figure.layout.shapes
    assert (ring.type, ring.x1, ring.y1) == ("circle", 0.05, 0.05)
    assert (band.x0, band.x1, line.x0) == (4600.0, 5500.0, 5000.0)
    assert "agree within 2.10% of the extent" in figure.layout.title.text


@pytest.mark.parametrize("form", [1, -1])
def test_a_form_that_is_not_there_is_told(forms, form):
    with pytest.raises(InvalidSpec, match="number of a form"):
        agreement_figure(forms, form)
    with pytest.raises(InvalidSpec, match="no form here"):
        agreement_figure(forms.isel(form=slice(0)))


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_the_run_stands_first_and_all_panels_have_one_scale(dynamics, theme):
    walks = dynamics[["curve_score", "curve_step", "explained_variance_ratio"]].expand_dims(walk=2)
    walks = walks.assign(curve_score=walks["curve_score"] * [[[1.0]], [[0.4]]])
    figure = walks_figure(dynamics, walks, theme=theme)
    assert [trace.name for trace in figure.data] == ["the run", "random walk 1", "random walk 2"]
    np.testing.assert_allclose(figure.data[2].x, 0.4 * np.array(figure.data[0].x))
    axes = [figure.layout[f"{letter}axis{n}"] for letter in "xy" for n in ("", 2, 3)]
    spans = [one.range[1] - one.range[0] for one in axes]
    np.testing.assert_allclose(spans, spans[0])
    assert figure.layout.xaxis.title.text == "PC1 (70%)"


def test_there_is_one_mark_for_each_vertex_and_each_agreeing_turn_at_its_bandwidth(sensitivity):
    figure = sensitivity_figure(sensitivity)
    (first,), (second,) = named(figure, "PC1–PC2"), named(figure, "PC1–PC3")
    np.testing.assert_allclose(first.x, np.log10([101.0, 951.0]))
    assert (list(first.y), list(second.y)) == ([0.1, 0.4], [0.1])
    assert first.marker.symbol != second.marker.symbol
    (stars,) = named(figure, "all planes agree")
    assert list(stars.y) == [0.1, 0.2]
    assert list(stars.marker.symbol) == ["star-diamond", "star-diamond-open"]


def test_the_used_bandwidth_is_a_line_and_the_error_beside_it_is_relative_to_the_best(sensitivity):
    figure = sensitivity_figure(sensitivity)
    assert {shape.y0 for shape in figure.layout.shapes} == {0.2}
    assert "0.2, chosen by cross-validation" in figure.layout.title.text
    np.testing.assert_allclose(named(figure, "cross-validation")[0].x, [2, 1, 8])


def test_candidates_without_vertices_and_forms_leave_an_empty_picture(sensitivity):
    none = sensitivity.isel(vertex=slice(0), agreeing=slice(0))
    figure = sensitivity_figure(none)
    assert [len(trace.x) for trace in figure.data] == [0, 3]


@pytest.mark.parametrize("components", [1, 2, 3])
def test_of_planes_that_are_not_compared_nothing_is_promised(forms, components):
    assert (
        sought(forms.isel(component=slice(components), plane=slice(components * (components - 1) // 2))) == ""
    )
