"""The trajectory's figures: round circles, centres where they belong, layers that can be switched."""

import itertools

import numpy as np
import pytest

from devexplore.views import trajectory
from devexplore.views.style import LIGHT


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
        part = slice(end - trajectory.ROUND.size, end)
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
    assert {name: layer(plane, name)[0].visible for name in trajectory.LAYERS} == {
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


def test_in_space_the_marker_of_the_current_step_is_the_last_trace(dynamics, marks):
    figure = trajectory.space(dynamics, marks, LIGHT, ["step"])
    assert figure.data[-1].meta["layer"] == "now"
    assert {trace.visible for trace in layer(figure, "stage")} == {False}
    assert {trace.visible for trace in layer(figure, "step")} == {True}
