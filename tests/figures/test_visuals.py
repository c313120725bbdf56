"""Layers of figures are switched by name: what is off is gone, from the words too; the rest is as before."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr

import devexplore as dx
from devexplore.errors import InvalidSpec
from devexplore.figures import LAYERS
from devexplore.views.visuals import _MADE_OF

OF = {
    "agreement": "bundled",
    "development": "bundled",
    "k_gons": "superposition",
    "landscape": "bundled",
    "stage_analysis": "language",
    "staircase": "deep_linear",
    "trajectory": "bundled",
}
"""The run on which a figure is tried, where not on the small language model: that has too few checkpoints."""


SPEAKING = {"note", "caption", "legend"}
"""Words that follow what is drawn."""


@pytest.fixture(scope="module")
def made(_measured) -> dict[str, tuple[dx.Run, dict[str, Any]]]:
    """Each figure's run with what is derived from it, once."""
    runs = {system: dx.open(_measured(system)) for system in ("language", "superposition", "deep_linear")}
    derived = {system: (run, {"stages": dx.find_stages(run, boundaries=[2])}) for system, run in runs.items()}
    bundled = dx.open("superposition")
    dynamics = dx.essential_dynamics(bundled)
    derived["bundled"] = (
        bundled,
        {
            "stages": dx.find_stages(bundled),
            "dynamics": dynamics,
            "forms": dx.find_forms(dynamics, n_surrogates=19),
        },
    )
    return derived


def drawn(made, figure: str, **more: Any) -> Any:
    run, held = made[OF.get(figure, "language")]
    wanted = {
        "agreement": {"curves": ["llc", "loss"]},
        "development": {"dynamics": held.get("dynamics")},
        "trajectory": {"dynamics": held.get("dynamics"), "forms": held.get("forms")},
        "token_rankings": {"stage": 1},
        "token_history": {"sequence": 0, "position": 3},
    }
    options = {"stages": held["stages"], **wanted.get(figure, {}), **more}
    return getattr(dx.figures, figure)(run, **options)


def layer_of(trace: Any) -> str:
    return trace.meta["layer"]


def words(figure: go.Figure, name: str) -> str:
    return " ".join(note.text for note in figure.layout.annotations if note.name == name).replace("<br>", " ")


def as_json(trace: Any) -> dict[str, Any]:
    """The trace without the place of its own that a table takes below a shorter caption."""
    return {name: value for name, value in trace.to_plotly_json().items() if name != "domain"}


PLOTLY = sorted(set(LAYERS) - {"token_changes"})


@pytest.mark.parametrize("figure", PLOTLY)
def test_each_layer_off_is_gone_and_all_others_are_as_before(made, figure):
    whole = drawn(made, figure)
    named = {mark.name for kind in ("annotations", "shapes") for mark in whole.layout[kind]} - {None}
    held = {layer_of(trace) for trace in whole.data} | named
    covered = {mark for name in LAYERS[figure] for mark in _MADE_OF.get(name, (name,))}
    assert held <= covered
    for name in LAYERS[figure]:
        marks = set(_MADE_OF.get(name, (name,)))
        part = drawn(made, figure, visuals={name: False})
        kept = [as_json(trace) for trace in whole.data if layer_of(trace) not in marks]
        np.testing.assert_equal([as_json(trace) for trace in part.data], kept)
        for kind in ("annotations", "shapes"):
            left = [mark.name for mark in whole.layout[kind] if mark.name not in {*marks, *SPEAKING}]
            assert [mark.name for mark in part.layout[kind] if mark.name not in SPEAKING] == left


@pytest.mark.parametrize("figure", PLOTLY)
def test_all_layers_on_is_no_other_figure_where_none_is_off_by_itself(made, figure):
    whole = drawn(made, figure)
    visible = [name for name in LAYERS[figure] if name not in ("raw", "step", "null", "circles", "evolute")]
    switched = drawn(made, figure, visuals=dict.fromkeys(visible, True))
    assert [trace.visible in (None, True) for trace in whole.data] == [
        trace.visible in (None, True) for trace in switched.data
    ]
    assert words(switched, "caption") == words(whole, "caption")


@pytest.mark.parametrize(
    ("figure", "layer", "said"),
    [
        ("stages", "llc", "hollow points are doubtful"),
        ("stages", "train_loss", "dotted: training loss"),
        ("stages", "boundaries", "Dashed: by hand"),
        ("development", "raw", "Dots: checkpoints"),
        ("trajectory", "circles", "osculating circles;"),
        ("trajectory", "evolute", "dots: their centres"),
        ("trajectory", "forms", "Forms:"),
        ("developments", "halfway", "half-way"),
        ("developments", "going_on", "Arrow"),
        ("agreement", "numbers", "Right: share"),
        ("landscape", "ties", "tied to its well"),
        ("landscape", "wells", "hollow: a doubtful"),
        ("staircase", "goals", "teacher’s singular values"),
        ("k_gons", "levels", "Dashed: closed-form"),
        ("token_history", "smoothed", "line: smoothed"),
        ("token_groups", "errors", "standard error"),
        ("token_rankings", "bars", "Red: the loss fell"),
        ("stage_analysis", "intervals", "bootstrap"),
    ],
)
def test_what_is_not_drawn_is_not_spoken_of(made, figure, layer, said):
    def told(one: go.Figure) -> str:
        return f"{words(one, 'note')} {words(one, 'caption')}"

    assert said in told(drawn(made, figure))
    assert said not in told(drawn(made, figure, visuals={layer: False}))


def test_properties_go_to_the_traces_of_their_layer_and_to_no_others(made):
    whole = drawn(made, "trajectory")
    wide = drawn(made, "trajectory", visuals={"circles": {"line": {"width": 7, "color": "#123456"}}})
    for before, after in zip(whole.data, wide.data, strict=True):
        if layer_of(before) == "circles":
            assert (after.line.width, after.line.color, after.visible) == (7, "#123456", True)
        else:
            np.testing.assert_equal(after.to_plotly_json(), before.to_plotly_json())
    assert sum(layer_of(trace) == "circles" for trace in wide.data) == 3


def test_properties_of_a_layer_without_traces_go_to_its_words(made):
    figure = drawn(made, "stages", visuals={"title": {"text": "My run", "font": {"size": 30}}})
    (title,) = [note for note in figure.layout.annotations if note.name == "title"]
    assert (title.text, title.font.size) == ("My run", 30)


def test_a_layer_that_is_off_by_itself_is_drawn_when_it_is_asked_for_and_said(made):
    figure = drawn(made, "trajectory", visuals={"raw": True, "null": True, "step": {"opacity": 0.5}})
    seen = {layer_of(trace) for trace in figure.data if trace.visible is not False}
    assert {"raw", "null", "step"} <= seen
    assert sum(layer_of(trace) == "null" for trace in figure.data) == 3
    for said in ("Pale dots: scores before smoothing.", "random walks", "Colour: training steps"):
        assert said in words(figure, "caption")
    assert "null" not in {layer_of(trace) for trace in drawn(made, "trajectory", visuals={"raw": True}).data}


def test_the_narrower_name_counts(made):
    figure = drawn(made, "stages", visuals={"stages": False, "boundaries": {"line": {"color": "red"}}})
    layers = [layer_of(trace) for trace in figure.data]
    assert "band" not in layers
    assert {trace.line.color for trace in figure.data if layer_of(trace) == "boundary"} == {"red"}
    assert words(figure, "stage_names") == ""


def test_a_slider_moves_the_traces_that_are_left(made):
    whole, part = (drawn(made, "landscape", visuals=one) for one in (None, {"ground": False}))
    for before, after in zip(whole.layout.sliders[0].steps, part.layout.sliders[0].steps, strict=True):
        moved = [layer_of(part.data[i]) for i in after.args[1]]
        assert moved == [layer_of(whole.data[i]) for i in before.args[1]][1:] == ["wells", "ties", "n"]
        for name, values in before.args[0].items():
            np.testing.assert_equal(after.args[0][name], values[1:], name)


def test_token_changes_are_text_with_a_legend_and_a_caption(made):
    whole = drawn(made, "token_changes")
    assert 'class="key"' in whole
    assert 'class="note"' in whole
    assert 'class="key"' not in drawn(made, "token_changes", visuals={"legend": False})
    assert 'class="note"' not in drawn(made, "token_changes", visuals={"caption": False})
    with pytest.raises(InvalidSpec, match="token_changes is text; legend: expected False or True"):
        drawn(made, "token_changes", visuals={"legend": {"color": "red"}})


@pytest.mark.parametrize("figure", sorted(LAYERS))
def test_an_unknown_layer_is_refused_with_those_of_the_figure(made, figure):
    known = ", ".join(LAYERS[figure])
    with pytest.raises(InvalidSpec, match=rf"{figure} has no layer 'cirlces'; it has {known}"):
        drawn(made, figure, visuals={"cirlces": False})


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (
            {"loss": {"line": {"widht": 3}}},
            r"visuals: loss: Invalid property .*'widht' Did you mean \"width\"\?$",
        ),
        (
            {"loss": {"line": {"width": "broad"}}},
            r"visuals: loss: Invalid value .*'width' property is a number",
        ),
        ({"loss": {"type": "bar"}}, "visuals: loss: The 'type' property of scatter is read-only"),
        ({"loss": {3: 4}}, "visuals: loss: names of properties are text, got 3"),
        ({"loss": None}, "loss: expected False, True or a dict of properties, got None"),
        ({"loss": "off"}, "got 'off'"),
        (["loss"], r"expected \{layer: False, True or properties\}, got list; layers of stages: loss,"),
    ],
)
def test_a_property_that_plotly_refuses_is_told_in_its_words(made, wanted, said):
    with pytest.raises(InvalidSpec, match=said):
        drawn(made, "stages", visuals=wanted)


def test_numpys_own_false_is_false_and_an_empty_dict_draws(made):
    layers = [layer_of(t) for t in drawn(made, "stages", visuals={"table": np.False_, "llc": {}}).data]
    assert "table" not in layers
    assert "llc" in layers


def test_nothing_given_is_changed_and_twice_is_the_same(made):
    _, held = made["bundled"]
    before = {name: one.copy(deep=True) for name, one in held.items()}
    wanted = {"circles": {"line": {"width": 2}}, "raw": True, "null": True, "stage": False}
    copy = {"circles": {"line": {"width": 2}}, "raw": True, "null": True, "stage": False}
    pictures = [drawn(made, "trajectory", visuals=wanted).to_json() for _ in range(2)]
    assert pictures[0] == pictures[1]
    assert wanted == copy
    for figure in ("stages", "development", "landscape", "chains"):
        assert drawn(made, figure).to_json() == drawn(made, figure).to_json()
    for name, one in held.items():
        xr.testing.assert_identical(one, before[name])
