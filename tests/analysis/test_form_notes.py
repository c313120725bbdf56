"""Names and notes on forms: kept by step, found again within the interval, never lost by an error."""

import numpy as np
import pytest
import xarray as xr

import devexplore as dx
from devexplore.analysis.form_notes import FormNote, notes_on
from devexplore.errors import InvalidSpec, SchemaError
from devexplore.upkeep import pack_run


def found(*steps, spread=0.1):
    at = np.array(steps, float)
    return xr.Dataset(
        {
            "step": ("form", at),
            "step_low": ("form", at * (1 - spread)),
            "step_high": ("form", at * (1 + spread)),
        }
    )


@pytest.fixture
def run(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("step,loss\n" + "".join(f"{step},{5 - step / 10}\n" for step in range(12)))
    return dx.import_table(table, tmp_path / "run")


def test_what_is_noted_is_read_again_and_with_neither_name_nor_note_it_is_forgotten(run):
    forms = found(100, 4000)
    file = dx.note_form(run, forms, 1, "induction", 'after "bigrams"\nand <b>positions</b>')
    assert dx.form_notes(run) == (FormNote(4000, "induction", 'after "bigrams"\nand <b>positions</b>'),)
    dx.note_form(run, forms, 0, note="early")
    assert [one.step for one in dx.form_notes(run)] == [100, 4000]
    dx.note_form(run, forms, 1)
    assert dx.form_notes(run) == (FormNote(100, "", "early"),)
    assert file == run.path / "forms.toml"


def test_a_form_that_is_found_again_elsewhere_in_its_interval_keeps_its_name(run):
    dx.note_form(run, found(100, 4000), 1, "induction")
    moved = found(103, 4100)
    assert notes_on(moved, dx.form_notes(run)) == [None, FormNote(4000, "induction")]
    dx.note_form(run, moved, 1, "induction heads")
    assert dx.form_notes(run) == (FormNote(4100, "induction heads"),)
    assert notes_on(found(9000), dx.form_notes(run)) == [None]


def test_each_note_is_on_one_form_the_nearest():
    notes = (FormNote(100, "first"), FormNote(108, "second"))
    assert notes_on(found(100, 110, spread=0.2), notes) == list(notes)


def test_a_name_that_cannot_be_is_refused_and_what_is_there_stays(run):
    forms = found(100)
    dx.note_form(run, forms, 0, "kept")
    for name in ("two\nlines", "x" * 61):
        with pytest.raises(InvalidSpec, match="one line of at most 60"):
            dx.note_form(run, forms, 0, name)
    with pytest.raises(InvalidSpec, match="forms 0 to 0, got 1"):
        dx.note_form(run, forms, 1, "x")
    with pytest.raises(InvalidSpec, match="has no form"):
        dx.note_form(run, found(), 0, "x")
    assert dx.form_notes(run) == (FormNote(100, "kept"),)


@pytest.mark.parametrize(
    "text",
    ["", "form = 3", 'format = "devexplore-form-notes"\nversion = 1\n[[form]]\nname = "x"\n', "\x00"],
)
def test_a_broken_file_is_named_and_not_written_over(run, text):
    file = run.path / "forms.toml"
    file.write_text(text)
    with pytest.raises(SchemaError, match=r"forms\.toml"):
        dx.form_notes(run)
    with pytest.raises(SchemaError):
        dx.note_form(run, found(100), 0, "x")
    assert file.read_text() == text


def test_notes_are_packed_with_the_run(run, tmp_path):
    dx.note_form(run, found(100), 0, "kept")
    packed = pack_run(run.path, tmp_path / "packed")
    assert dx.form_notes(dx.open(packed))[0].name == "kept"
