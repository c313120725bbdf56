"""The trajectory's figures: round circles, centres where they belong, layers that can be switched."""

import itertools

import numpy as np
import pytest

from devexplore.views import form_marks, trajectory
from devexplore.views.development import trajectory_figure
from devexplore.views.sheet import foot_height
from devexplore.views.style import DARK, LIGHT
from devexplore.views.trajectory_layers import LAYERS, ROUND
from devexplore.views.trajectory_space import space


def layer(figure, name):
    return [trace for trace in figure.data if trace.meta["layer"] == name]


@pytest.fixture
def plane(dynamics, marks):
    return trajectory.plane(dynamics, "PC1–PC2", marks, LIGHT, ["stage", "circles"])


def test_scales_are_equal_so_that_circles_are_round(plane):
    assert plane.layout.yaxis.scaleanchor == "x"
    assert plane.layout.yaxis.scaleratio == 1


def test_every_drawn_circle_has_its_radius_about_its_centre(plane, dynamics):
    (circles,) = layer(plane, "circles")
    x, y = np.array(circles.x), np.array(circles.y)
    ends = np.flatnonzero(np.isnan(x))
    assert ends.size == 40
    centers = dynamics["center"].sel(plane="PC1–PC2").values
    radii = dynamics["radius"].sel(plane="PC1–PC2").values
    for i, end in enumerate(ends):
        part = slice(end - ROUND.size, end)
        distance = np.hypot(x[part] - centers[i, 0], y[part] - centers[i, 1])
        np.testing.assert_allclose(distance, radii[i], rtol=1e-12)


def test_straight_lines_have_no_circle(dynamics, marks):
    figure = trajectory.plane(dynamics, "PC2–PC3", marks, LIGHT, ["circles"])
    assert len(layer(figure, "circles")[0].x) == 0


def test_many_checkpoints_draw_few_circles(dynamics, marks):
    many = dynamics.isel(step=np.arange(400) % 40)
    figure = trajectory.plane(many, "PC1–PC2", marks, LIGHT, ["circles"])
    assert np.isnan(np.array(layer(figure, "circles")[0].x)).sum() == trajectory.CIRCLES


def test_the_evolute_runs_through_the_centres(plane, dynamics):
    (evolute,) = layer(plane, "evolute")
    np.testing.assert_allclose(evolute.x, dynamics["center"].sel(plane="PC1–PC2", axis=0))


def test_only_the_chosen_layers_are_visible_and_all_are_there(plane):
    assert {name: layer(plane, name)[0].visible for name in LAYERS if name != "forms"} == {
        "stage": True,
        "circles": True,
        "step": False,
        "raw": False,
        "evolute": False,
        "vertices": False,
    }
    assert layer(plane, "points")[0].visible is True


def test_the_curve_wears_its_stages_colours_without_gaps(plane, marks, dynamics):
    parts = layer(plane, "stage")
    assert [part.line.color for part in parts] == [mark.colour for mark in marks]
    for before, after in itertools.pairwise(parts):
        assert before.x[-1] == after.x[0]
    assert sum(len(part.x) - 1 for part in parts) == dynamics.sizes["curve"] - 1


def test_without_stages_the_curve_is_one_grey_line(dynamics):
    figure = trajectory.plane(dynamics, "PC1–PC2", [], LIGHT, ["stage"])
    assert [part.line.color for part in layer(figure, "stage")] == [LIGHT.muted]


def test_points_carry_their_step_for_clicks(plane, dynamics):
    assert list(layer(plane, "points")[0].customdata) == dynamics["step"].values.tolist()


def test_a_plane_shows_its_own_vertices_only(plane):
    vertices, cusps = layer(plane, "vertices")
    np.testing.assert_allclose(vertices.y, [2.0, 0.0])
    np.testing.assert_allclose(cusps.x, [0.0, -5 / 3])


def test_axes_say_how_much_variance_they_explain(plane):
    assert plane.layout.xaxis.title.text == "PC1 (70.0%)"
    assert plane.layout.yaxis.title.text == "PC2 (20.0%)"


def test_the_caption_says_output_variance_and_smoothing(dynamics):
    words = trajectory.caption(dynamics)
    assert words == (
        "PCA of log probs over 40 checkpoints, steps 0–9,999; three components hold 95% of the variance. "
        "Smoothing: local cubic, bandwidth 0.3."
    )


def test_the_page_shows_the_three_planes_of_the_first_three_components(dynamics):
    assert trajectory.plane_names(dynamics) == ["PC1–PC2", "PC1–PC3", "PC2–PC3"]
    assert len(trajectory.follow(dynamics)["planes"]) == 3


def test_jumps_lead_to_the_vertices_of_the_shown_planes(dynamics):
    assert trajectory.cusp_steps(dynamics) == [2500.0, 7000.0]


def test_jumps_lead_to_forms_too(dynamics, forms):
    assert trajectory.cusp_steps(dynamics, forms) == [2500.0, 5000.0, 7000.0]


def test_in_space_the_marker_of_the_current_step_is_the_last_trace(dynamics, marks):
    figure = space(dynamics, marks, LIGHT, ["step"])
    assert figure.data[-1].meta["layer"] == "now"
    assert {trace.visible for trace in layer(figure, "stage")} == {False}
    assert {trace.visible for trace in layer(figure, "step")} == {True}


def test_a_vertex_says_when_it_was_and_how_often_noise_leaves_it_there(plane):
    vertices, cusps = layer(plane, "vertices")
    assert (
        vertices.text[0]
        == "vertex on the curve, step 2.5k<br>90 %: 2.3k–2.8k<br>there in 94% of redrawn noise"
    )
    assert cusps.text[0].startswith("cusp of the evolute, step 2.5k<br>90 %: 2.3k–2.8k")


def test_circles_in_space_go_through_the_curve_along_its_tangent(dynamics, marks):
    (circles,) = layer(space(dynamics, marks, LIGHT, ["circles"]), "circles")
    drawn = np.stack([circles.x, circles.y, circles.z], axis=1).reshape(-1, ROUND.size + 1, 3)[:, :-1]
    curve = dynamics["smooth_score"].values[:, :3]
    center = dynamics["space_center"].values[:, :3]
    for one in drawn:
        row = np.argmin(np.linalg.norm(curve - one[0], axis=1))
        np.testing.assert_allclose(one[0], curve[row], atol=1e-12)
        np.testing.assert_allclose(np.linalg.norm(one - center[row], axis=1), 1.0, atol=1e-12)
        way = np.abs((one[1] - one[-2]) @ dynamics["tangent"].values[row, :3])
        assert way == pytest.approx(np.linalg.norm(one[1] - one[-2]))


def test_circles_in_space_are_few_and_none_is_as_large_as_the_box(dynamics, marks):
    many = dynamics.isel(step=np.arange(400) % 40)
    (circles,) = layer(space(many, marks, LIGHT, []), "circles")
    assert np.isnan(np.array(circles.x)).sum() == 24
    straight = dynamics.assign(space_radius=dynamics["space_radius"] * np.inf)
    assert len(layer(space(straight, marks, LIGHT, []), "circles")[0].x) == 0


def test_the_evolute_in_space_runs_through_the_centres_that_lie_in_the_box(dynamics, marks):
    (evolute,) = layer(space(dynamics, marks, LIGHT, ["evolute"]), "evolute")
    drawn = np.stack([evolute.x, evolute.y, evolute.z], axis=1)
    inside = np.isfinite(drawn).all(axis=1)
    assert inside.any()
    np.testing.assert_allclose(drawn[inside], dynamics["space_center"].values[inside, :3])
    assert evolute.visible is True


def test_a_form_is_a_star_at_its_coordinates_on_the_disc_of_its_tolerance(dynamics, marks, forms):
    drawn = layer(trajectory.plane(dynamics, "PC1–PC3", marks, LIGHT, ["forms"], forms), "forms")
    disc, piece, lead, _, _, star, touch = drawn
    assert (touch.x[0], touch.text[0]) == (star.x[0], star.text[0])
    assert (star.x[0], star.y[0]) == (-2.0, 0.1)
    round_it = np.hypot(np.array(disc.x[:-1]) + 2.0, np.array(disc.y[:-1]) - 0.1)
    np.testing.assert_allclose(round_it, 0.05 * 6.0)
    assert (lead.x[1], lead.y[1]) == (-2.0, 0.1)
    steps = dynamics["curve_step"].values
    assert len(piece.x) == np.sum((steps > 4600) & (steps < 5500)) + 3  # its two ends, and the gap
    assert star.customdata[0] == 5000
    assert star.text[0].startswith(
        "<b>form 1</b>, step 5,000 (90 %: 4,600–5,500)<br>turns by 120°, p = 0.05<br>"
    )
    assert "2.1% of the extent" in star.text[0]


def test_a_turn_that_beats_the_null_but_is_no_form_is_hollow_on_the_curve_and_says_why(
    dynamics, marks, forms
):
    drawn = layer(trajectory.plane(dynamics, "PC1–PC2", marks, LIGHT, ["forms"], forms), "forms")
    (hollow,) = [trace for trace in drawn if trace.marker.symbol == "square-open"]
    assert list(hollow.customdata) == [2500]
    curve = dynamics["curve_score"].values[:, :2]
    nearest = np.linalg.norm(curve - [hollow.x[0], hollow.y[0]], axis=1).min()
    assert nearest < 0.05
    assert "no form: the planes' cusps lie 31% of the extent<br>apart, 5% is allowed" in hollow.text[0]


def test_forms_in_space_have_the_coordinates_of_the_dataset(dynamics, marks, forms):
    drawn = layer(space(dynamics, marks, LIGHT, ["forms"], forms), "forms")
    star = drawn[-1]
    assert (star.x[0], star.y[0], star.z[0]) == (-2.0, 0.5, 0.1)
    assert {trace.visible for trace in drawn} == {True}
    assert space(dynamics, marks, LIGHT, ["forms"], forms).data[-1].meta["layer"] == "now"


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_without_forms_and_rare_turns_nothing_is_drawn(dynamics, marks, forms, theme):
    none = forms.isel(form=slice(0)).assign(turn_p_value=("turn", [0.5, 0.5, 0.9]))
    for found in (None, none):
        assert layer(trajectory.plane(dynamics, "PC1–PC2", marks, theme, ["forms"], found), "forms") == []
        assert layer(space(dynamics, marks, theme, ["forms"], found), "forms") == []


def test_the_toggle_hides_every_trace_of_forms(dynamics, marks, forms):
    for figure in (
        trajectory.plane(dynamics, "PC1–PC2", marks, LIGHT, [], forms),
        space(dynamics, marks, LIGHT, [], forms),
    ):
        assert {trace.visible for trace in layer(figure, "forms")} == {False}


def test_the_window_holds_forms_that_lie_off_the_curve(dynamics, marks, forms):
    far = forms.assign(coordinates=(("form", "component"), [[-9.0, 0.5, 0.1]]))
    figure = trajectory.plane(dynamics, "PC1–PC2", marks, LIGHT, ["forms"], far)
    assert figure.layout.xaxis.range[0] < -9


def test_the_caption_ends_with_what_is_known_of_forms(dynamics, forms):
    assert trajectory.caption(dynamics, forms.attrs["conclusion"]).endswith("against 19 random walks.")


def test_the_key_explains_what_is_drawn_and_nothing_else(dynamics, forms):
    forms.attrs["bandwidth"] = 0.1
    assert form_marks.key(forms, 0.2) == (
        "Green stars: forms, in the circle within which planes had to agree. Green squares: turns that beat "
        "random walks and are no form. Forms were sought at a bandwidth of their own, 0.1."
    )
    none = forms.isel(form=[], turn=[2])
    assert form_marks.key(none, 0.1) == ""
    assert "diamonds" in trajectory.vertex_key(dynamics)
    assert trajectory.vertex_key(dynamics.isel(vertex=[])) == ""
    dynamics = dynamics.assign_attrs(bandwidth=0.2)
    keys = trajectory.layer_keys(dynamics, forms)
    assert set(keys) == {"circles", "evolute", "vertices", "forms", "raw"}
    assert keys["forms"] == form_marks.key(forms, float(dynamics.attrs["bandwidth"]))
    assert trajectory.layer_keys(dynamics, None)["forms"] == ""


def test_cusps_are_drawn_whole_or_not_at_all(plane):
    assert {trace.cliponaxis for trace in layer(plane, "vertices")} == {False}


def test_a_longer_caption_makes_the_sheet_higher_and_stays_below_the_planes(dynamics, marks):
    dynamics.attrs["bandwidth"] = 0.3
    short, long = (
        trajectory_figure(dynamics, None, words, marks, LIGHT) for words in ("none", "many words " * 60)
    )
    assert long.layout.height - short.layout.height > 40
    for figure in (short, long):
        lowest = figure.layout.height * figure.layout.yaxis.domain[0]
        assert lowest == pytest.approx(foot_height(figure.layout.annotations[0].text) + 42, abs=1)
