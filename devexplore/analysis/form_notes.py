"""Names and notes that the user gives to forms; they are kept by step, for forms are found anew each time."""

import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from devexplore.analysis.small_files import (
    check_format,
    check_keys,
    check_texts,
    filled,
    read_tables,
    reading,
    toml_text,
)
from devexplore.arguments import require_run
from devexplore.errors import InvalidSpec
from devexplore.paths import write_whole
from devexplore.schema import FORM_NOTES, FORM_NOTES_FORMAT, FORM_NOTES_VERSION, LAST_STEP

if TYPE_CHECKING:
    import xarray as xr

    from devexplore.run import Run


@dataclass(frozen=True)
class FormNote:
    """What the user calls the form at a training step, and what there is to say of it."""

    step: int
    name: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.step, bool) or not isinstance(self.step, int) or not 0 <= self.step < LAST_STEP:
            raise InvalidSpec(f"a form lies at a whole number of training steps, got {self.step!r}")
        check_texts(f"form at {self.step}", self.name, self.note)


def form_notes(run: "Run") -> tuple[FormNote, ...]:
    """The names and notes given to this run's forms, in the order of training.

    Raises ``SchemaError``, naming the file, if that is broken: it is never overwritten.
    """
    require_run(run)
    file = run.annotations_file(FORM_NOTES)
    if not file.is_file():
        return ()
    with reading(file, "notes on forms"):
        content = tomllib.loads(file.read_text(encoding="utf-8-sig"))
        check_format(content, FORM_NOTES_FORMAT, FORM_NOTES_VERSION)
        check_keys("the file", content, ("format", "version", "form"))
        notes = read_tables(content, "form", FormNote)
    return tuple(sorted(notes, key=lambda note: note.step))


def note_form(run: "Run", forms: "xr.Dataset", form: int, name: str = "", note: str = "") -> Path:
    """Name this form of ``find_forms``, and keep a note on it; with neither, forget both. Gives the file.

    They are kept beside the boundaries (``Run.annotations_file``), under the form's step: where the form is
    found again within its interval, its name is there.

    Raises ``InvalidSpec`` for a form that is not there and for names that are no line of at most 60
    characters, ``SchemaError`` where the file that is there is broken, ``NotWritable``.
    """
    count = forms.sizes["form"]
    if isinstance(form, bool) or form not in range(count):
        raise InvalidSpec(
            f"there are forms 0 to {count - 1}, got {form!r}" if count else "this run has no form"
        )
    notes = form_notes(run)
    held = notes_on(forms, notes)[form]
    others = [one for one in notes if one is not held]
    chosen = FormNote(round(float(forms["step"].values[form])), name.strip(), note.strip())
    if chosen.name or chosen.note:
        others.append(chosen)
    head = {"format": FORM_NOTES_FORMAT, "version": FORM_NOTES_VERSION}
    tables = [filled(asdict(one)) for one in sorted(others, key=lambda one: one.step)]
    file = run.annotations_file(FORM_NOTES, writing=True)
    return write_whole(file, toml_text(head, "form", tables), "notes on forms")


def notes_on(forms: "xr.Dataset", notes: tuple[FormNote, ...]) -> list[FormNote | None]:
    """The note on each form: the one nearest to its step within its interval, None where there is none.

    A note is on one form only, the nearest one.
    """
    steps = forms["step"].values.astype(float)
    low, high = (np.floor(forms[name].values) for name in ("step_low", "step_high"))
    found: list[FormNote | None] = [None] * steps.size
    for note in notes:
        within = np.flatnonzero((low <= note.step) & (note.step <= high + 1))
        if within.size == 0:
            continue
        nearest = int(within[np.argmin(np.abs(steps[within] - note.step))])
        other = found[nearest]
        if other is None or abs(note.step - steps[nearest]) < abs(other.step - steps[nearest]):
            found[nearest] = note
    return found
