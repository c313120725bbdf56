"""Joint pictures: every run with its own look, predictors that admit what of them is not seen."""

import itertools

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from devexplore.errors import InvalidSpec
from devexplore.views.joint import caption, joint_plane, joint_space
from devexplore.views.joint_marks import curves
from devexplore.views.labels import along, place_labels
from devexplore.views.style import DARK, LIGHT, RUN_SYMBOLS, blend, run_style

STEPS = np.array([0, 3, 30, 300, 3000])


def joint_of(runs: int = 2, predictors: int = 2, missing: str = "") -> xr.Dataset:
    """Straight runs that leave the origin in different directions; the first predictor lies in the plane."""
    angle = np.arange(runs) * 2 * np.pi / max(runs, 1)
    along_run = np.log1p(STEPS)
    score = np.concatenate([np.outer(along_run, [np.cos(a), np.sin(a), 0.1, 0]) for a in angle])
    names = [f"run {i}" for i in range(runs)]
    share = np.array([[0.6, 0.4, 0, 0], [0.1, 0.1, 0.5, 0]])[:predictors]
    return xr.Dataset(
        {
            "score": (("point", "component"), score),
            "explained_variance_ratio": ("component", [0.6, 0.3, 0.05, 0.01]),
            "predictor_score": (("predictor", "component"), 5 * np.sqrt(share)),
            "predictor_share": (("predictor", "component"), share),
            "nearest_run": ("predictor", np.array(["run 0"] * predictors, dtype=object)),
            "nearest_step": ("predictor", np.array([30, 300])[:predictors]),
            "nearest_distance": ("predictor", np.array([0.5, 7.0])[:predictors]),
        },
        coords={
            "run": ("point", np.repeat(np.array(names, dtype=object), len(STEPS))),
            "step": ("point", np.tile(STEPS, runs)),
            "component": [1, 2, 3, 4],
            "predictor": np.array(["ideal", "far"][:predictors], dtype=object),
        },
        attrs={"output_kind": "log_probs", "runs": names, "probe_of": "run 0", "references": missing},
    )


def layer(figure, name):
    return [trace for trace in figure.data if trace.meta["layer"] == name]


def words(figure) -> list[str]:
    return [annotation.text for annotation in figure.layout.annotations]


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_every_run_is_drawn_through_its_checkpoints_and_carries_their_steps(theme):
    joint = joint_of(3)
    lines = layer(joint_plane(joint, theme=theme), "run")
    assert [line.name for line in lines] == joint.attrs["runs"]
    assert [line.line.color for line in lines] == list(theme.runs[:3])
    for place, line in enumerate(lines):
        expected = joint["score"].values[place * 5 : place * 5 + 5, :2]
        np.testing.assert_array_equal(np.stack([line.x, line.y], axis=1), expected)
        assert list(line.customdata) == STEPS.tolist()


def test_runs_begin_hollow_and_end_full():
    for place, ends in enumerate(layer(joint_plane(joint_of()), "ends")):
        colour, symbol = run_style(place, LIGHT)
        assert list(ends.marker.color) == [LIGHT.surface, colour]
        assert ends.marker.symbol == symbol


def test_a_predictor_in_the_plane_is_full_and_says_so_and_one_far_outside_is_nearly_empty():
    figure = joint_plane(joint_of())
    (stars,) = layer(figure, "predictors")
    assert list(stars.marker.color) == [LIGHT.ink, blend(LIGHT.ink, LIGHT.surface, 0.2)]
    assert words(figure)[:2] == ["ideal<br>0% outside", "far<br>80% outside"]
    assert "80% of its squared distance from the mean lies outside this plane" in stars.text[1]
    assert "run 0, step 300, 7 away in the whole function space" in stars.text[1]
    in_space = layer(joint_space(joint_of()), "predictors")[0]
    assert in_space.marker.color[1] == blend(LIGHT.ink, LIGHT.surface, 0.7)
    assert "30% of its squared distance" in in_space.customdata[1]


def test_dotted_lines_lead_from_predictors_to_their_nearest_checkpoints():
    joint = joint_of()
    (leads,) = layer(joint_plane(joint), "leads")
    first = joint["score"].values
    np.testing.assert_array_equal(leads.x[[1, 4]], first[[2, 3], 0])
    np.testing.assert_array_equal(leads.x[[0, 3]], joint["predictor_score"].values[:, 0])
    assert np.isnan(leads.x[[2, 5]]).all()


def test_scales_are_equal_and_axes_say_how_much_variance_they_explain():
    figure = joint_plane(joint_of(), (1, 3))
    assert (figure.layout.yaxis.scaleanchor, figure.layout.yaxis.scaleratio) == ("x", 1)
    titles = (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text)
    assert titles == ("PC1 (60.0%)", "PC3 (5.0%)")
    scene = joint_space(joint_of(), (1, 2, 4)).layout.scene
    assert scene.zaxis.title.text == "PC4 (1.0%)"


def test_a_single_run_names_its_steps_and_several_name_themselves():
    assert {"step 0", "step 3k", "100"} <= set(words(joint_plane(joint_of(1))))
    several = words(joint_plane(joint_of(2)))
    assert {"run 0", "run 1"} <= set(several)
    assert not any(word.startswith("step") for word in several)


def test_decades_lie_on_the_drawn_line_at_their_step():
    (curve,) = curves(joint_of(1), (1, 2), LIGHT)
    steps, points = curve.decades()
    assert steps.tolist() == [1, 10, 100, 1000]
    np.testing.assert_allclose(points[:, 0], np.log1p(steps))


def test_runs_without_predictors_draw_and_say_what_is_missing():
    joint = joint_of(2, predictors=0, missing="no predictors stored for run 0")
    figure = joint_plane(joint)
    assert len(layer(figure, "predictors")[0].x) == 0
    assert len(joint_space(joint).data) == 7
    assert caption(joint).endswith("No predictors stored for run 0.")
    assert "Stars" not in caption(joint)


def test_the_caption_says_output_runs_probe_and_variance():
    assert caption(joint_of()).startswith(
        "PCA of log probs over 10 checkpoints of 2 runs on the probe of run 0; what is drawn holds 90% of "
        "their variance. Hollow: first checkpoint; full: last; dots"
    )
    assert "Diamonds" in caption(joint_of(), (1, 2, 3))
    sketched = joint_of().assign_attrs(sketched=16_384, n_features=1_048_576)
    assert "a random sketch of 16,384 numbers for 1,048,576" in caption(sketched)


def test_components_that_are_not_there_are_refused():
    for draw, components in ((joint_plane, (1, 5)), (joint_space, (1, 2, 9))):
        with pytest.raises(InvalidSpec, match=r"among 1, 2, 3, 4, .*n_components"):
            draw(joint_of(), components)


def test_twelve_runs_have_twelve_looks():
    looks = [run_style(place, LIGHT) for place in range(12)]
    assert len(set(looks)) == 12
    assert len(set(RUN_SYMBOLS)) == 4


@settings(max_examples=30)
@given(st.integers(0, 10_000))
def test_labels_of_points_that_are_well_apart_do_not_overlap_and_stay_inside(seed):
    rng = np.random.default_rng(seed)
    grid = np.array(list(itertools.product((120, 340, 560), (80, 200, 320))), dtype=float)
    anchors = grid + rng.uniform(-20, 20, grid.shape)
    texts = ["a name"] * len(anchors)
    placed = place_labels(anchors, texts, anchors, (680, 400), font=11)
    width, height = 0.58 * 11 * 6, 1.25 * 11
    corner = {"left": 0, "center": -0.5, "right": -1, "bottom": 0, "middle": -0.5, "top": -1}
    boxes = [
        (x + at.xshift + corner[at.xanchor] * width, y + at.yshift + corner[at.yanchor] * height)
        for (x, y), at in zip(anchors, placed, strict=True)
    ]
    for (x, y), (other_x, other_y) in itertools.combinations(boxes, 2):
        assert abs(x - other_x) >= width or abs(y - other_y) >= height
    for x, y in boxes:
        assert -8 <= x <= 688 - width
        assert -8 <= y <= 408 - height


def test_a_label_moves_off_the_line_that_it_would_cover():
    line = along(np.array([[0.0, 100.0], [400.0, 100.0]]))
    assert np.diff(line[:, 0]).max() <= 5
    (at,) = place_labels(np.array([[200.0, 100.0]]), ["words on the line"], line, (400, 200))
    assert at.yanchor in ("top", "bottom")
