"""The Selection is the whole state, and comes back from JSON and from an address."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devexplore.app.select import saved_view
from devexplore.app.selection import Selection
from devexplore.errors import InvalidSpec

STATES = st.fixed_dictionaries(
    {},
    optional={
        "run": st.text(max_size=12),
        "step": st.integers(-1, 10**6),
        "strips": st.lists(st.sampled_from(["icl_score", "weight_norm", "bigram_kl"]), unique=True),
        "colour": st.sampled_from(["stage", "step"]),
        "circles": st.booleans(),
        "vertices": st.booleans(),
        "forms": st.booleans(),
        "change": st.sampled_from(["stage", "start", "custom"]),
        "change_from": st.integers(0, 10**6),
        "sequence": st.integers(0, 99),
        "token": st.integers(-1, 99),
        "speed": st.sampled_from([2, 4, 8, 16, 32]),
        "theme": st.sampled_from(["", "light", "dark"]),
    },
)


@given(STATES)
def test_a_selection_comes_back_from_json(state):
    selection = Selection(**state)
    assert Selection.from_json(selection.to_json()).state() == selection.state()


@given(STATES)
def test_a_selection_comes_back_from_an_address(state):
    selection = Selection(**state)
    assert Selection.from_query(selection.query()).state() == selection.state()


def test_an_untouched_selection_adds_nothing_to_the_address():
    assert Selection().query() == ""


def test_an_address_is_short_and_readable():
    selection = Selection(run="language", step=3400, circles=False, strips=["icl_score", "weight_norm"])
    assert selection.query() == "?run=language&step=3400&strips=icl_score%2Cweight_norm&circles=off"


@pytest.mark.parametrize(
    "query",
    [
        *("?step=soon", "?colour=purple", "?speed=3", "?token=-7", "?evil=1", "?step=", "?name=x", "?%%%"),
        *(
            "?samples=inf",
            "?samples=nan",
            "?samples=400",
            "?bandwidth=inf",
            "?bandwidth=nan",
            "?bandwidth=1e9",
        ),
        *("?columns=nan", f"?step=1{400 * '0'}", f"?sequence=1{20 * '0'}"),
        *("?components=0,1,2", "?components=-1,1,2", "?components=1,2,9", "?components=1,1,2"),
        *("?components=1,2", "?components=1,2,x", "?components=1,2,3,4"),
    ],
)
def test_nonsense_in_an_address_leaves_the_defaults(query):
    assert Selection.from_query(query).state() == Selection().state()


def test_a_patch_with_one_bad_value_still_applies_the_good_ones():
    selection = Selection()
    selection.apply({"step": 7, "speed": 3, "colour": None})
    assert selection.state() == {**Selection().state(), "step": 7}


@pytest.mark.parametrize(
    "text",
    [
        '{"version": 1, "samples": Infinity, "step": 7}',
        '{"version": 1, "bandwidth": NaN, "step": 7}',
        '{"version": 1, "components": [0, 1, 2], "step": 7}',
        '{"version": 1, "components": [true, 2, 3], "step": 7}',
        '{"version": 1, "components": [[1], 2, 3], "step": 7}',
        '{"version": 1, "components": {"1": 2}, "step": 7}',
        f'{{"version": 1, "sequence": 1{400 * "0"}, "step": 7}}',
    ],
)
def test_what_no_page_can_show_is_left_out_of_a_file_and_the_rest_is_taken(text):
    selection = Selection.from_json(text)
    assert selection.state() == {**Selection().state(), "step": 7}
    assert json.loads(selection.to_json(), parse_constant=pytest.fail)["step"] == 7


def test_what_a_page_can_show_is_taken_to_the_last():
    selection = Selection.from_query("?components=8,1,4&bandwidth=100&samples=12")
    assert (selection.components, selection.bandwidth, selection.samples) == ([8, 1, 4], 100, 12)


def test_a_strip_named_twice_is_one():
    wanted = ["weight_norm", "icl_score"]
    assert Selection.from_query("?strips=weight_norm,icl_score,weight_norm").strips == wanted


def test_one_patch_is_one_event():
    selection, events = Selection(), []
    selection.param.watch(lambda *changes: events.append([c.name for c in changes]), ["step", "circles"])
    selection.apply({"step": 7, "circles": False})
    assert events == [["step", "circles"]]


def test_a_view_saved_from_the_page_opens_and_what_is_none_is_refused(tmp_path):
    file = tmp_path / "view.json"
    file.write_text(Selection(step=40, tab="tokens", prompt="def f").to_json())
    assert saved_view(file, "--select").state() == Selection(step=40, tab="tokens", prompt="def f").state()
    for text in ("[1, 2]", "{", '"words"', "null", "[]", "{}", '{"step": 7}'):
        file.write_text(text)
        with pytest.raises(InvalidSpec, match="no view that the page saved"):
            saved_view(file, "--select")
    file.write_text('{"version": 99, "step": 7}')
    with pytest.raises(InvalidSpec, match=r"a view of version 99; this devexplore reads 1: upgrade it"):
        saved_view(file, "--select")
    with pytest.raises(InvalidSpec, match="not read"):
        saved_view(tmp_path / "missing.json", "--select")


def test_texts_too_long_for_an_address_are_left_out_of_it_and_kept_in_the_file():
    selection = Selection(prompt="x" * 500, text="short", components=[2, 3, 4], bandwidth=0.25, samples=2.5)
    assert "prompt" not in selection.query()
    again = Selection.from_query(selection.query()).state()
    assert {name: again[name] for name in ("text", "components", "bandwidth", "samples")} == {
        "text": "short", "components": [2, 3, 4], "bandwidth": 0.25, "samples": 2.5
    }  # fmt: skip
    assert Selection.from_json(selection.to_json()).prompt == "x" * 500
