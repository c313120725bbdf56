"""What people give as a view to begin with."""

import pytest

from devexplore.app.select import as_selection
from devexplore.app.selection import Selection
from devexplore.errors import InvalidSpec


def test_a_selection_is_taken_itself_so_that_several_views_share_it():
    selection = Selection(step=3)
    assert as_selection(selection) is selection


def test_values_by_name_an_address_and_a_saved_view_say_the_same(tmp_path):
    wanted = Selection(step=3400, form=1, circles=False, components=[1, 2, 4])
    file = tmp_path / "view.json"
    file.write_text(wanted.to_json())
    values = {"step": 3400, "form": 1, "circles": False, "components": [1, 2, 4]}
    for select in (values, wanted.query(), file, str(file)):
        assert as_selection(select).state() == wanted.state()
    assert as_selection(None).state() == Selection().state()


@pytest.mark.parametrize(
    ("select", "words"),
    [
        ({"stpe": 3}, "no 'stpe'; it has run, step"),
        ({"step": "late"}, "step cannot be 'late'. The current training step"),
        ({"components": [1, 1, 2]}, r"components cannot be \[1, 1, 2\]"),
        ({"theme": "pink"}, "theme cannot be 'pink'"),
        (3400, "expected a Selection, its values by name .* got int"),
        ("nowhere.json", "select nowhere.json: not read"),
    ],
)
def test_what_cannot_be_is_told(select, words):
    with pytest.raises(InvalidSpec, match=words):
        as_selection(select)
