"""Forms: one card a form, what it predicts beside checkpoints, and on a text of the user's own."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import pandas as pd
import xarray as xr

from devexplore.analysis.form_notes import FormNote, form_notes, note_form, notes_on
from devexplore.app.components import Forms
from devexplore.app.derived import DerivedRun
from devexplore.app.pane import Answer, Look, Pane, message
from devexplore.app.panes.tokens import kept_pages
from devexplore.errors import DevexploreError, InvalidSpec
from devexplore.measure.lift import lift
from devexplore.schema import NEAREST, PATH
from devexplore.views.form_card import sentence
from devexplore.views.form_facts import (
    classes_chart,
    form_facts,
    planes_chart,
    sought,
    tall,
    turn_rows,
    walks_chart,
    weights_chart,
)
from devexplore.views.lifted_rows import distance_table, favours, text_table, value_table
from devexplore.views.lifting import distance_figure
from devexplore.views.tokens import dimension_name

MOST_KEPT = 128
"""Cards that a report keeps, of one form on one sequence each."""

TURN = ("turn_step", "turn_angle", "turn_residual", "turn_strength", "turn_p_value")


def lift_to(derived: DerivedRun, values: Mapping[str, Any]) -> dict[str, Any]:
    """What a form predicts on the user's own text."""
    form = derived.found_forms().isel(form=values["form"])
    lifted = lift(derived.run, form, prompt=values["prompt"])
    return text_table(lifted, 0, PATH if PATH in lifted["predictor"] else NEAREST)


def note(derived: DerivedRun, values: Mapping[str, Any]) -> dict[str, str]:
    """Name a form, or write a note on it, as the page asks; gives what was there before. Where that is not
    what was ``left`` there, it is somebody else's, and nothing is changed."""
    forms, form = derived.found_forms(), values["form"]
    one = notes_on(forms, form_notes(derived.run))[form]
    held = {"name": "" if one is None else one.name, "note": "" if one is None else one.note}
    if values.get("left", held) != held:
        raise InvalidSpec("this form was named elsewhere meanwhile: nothing was taken back")
    note_form(derived.run, forms, form, values["name"], values["note"])
    return held


class FormsPane(Pane):
    title = "Forms"
    viewer = Forms
    follows = ("form", "sequence")
    answers: ClassVar[Mapping[str, Answer]] = {"lift": lift_to}
    acts: ClassVar[Mapping[str, Answer]] = {"note": note}

    def drawn_for(self, look: Look) -> list[Any]:
        forms = look.found_forms()[0]
        return [0 if forms is None else _chosen(look, forms), look.selection.sequence]

    def payload(self, look: Look) -> dict[str, Any]:
        dynamics = look.derived.dynamics
        if look.done(dynamics) and dynamics.future.exception() is not None:
            return message("No trajectory, no forms", str(dynamics.future.exception()))
        look.result(dynamics, "Computing the trajectory")
        job = look.derived.forms
        if job is None or (look.done(job) and job.future.exception() is not None):
            return message("Forms cannot be sought", "" if job is None else str(job.future.exception()))
        forms: xr.Dataset = look.result(job, "Seeking forms")
        theme = look.theme
        notes, unread = _notes(look, forms)
        shown = {
            "forms": forms["step"].values.round().astype(int).tolist(),
            "names": ["" if one is None else one.name for one in notes],
            "conclusion": forms.attrs["conclusion"],
            "sought": sought(forms),
            "turns": turn_rows(forms),
            **walks_chart(forms, theme),
            "language": look.derived.run.system == "language",
            "form": None,
        }
        if forms.sizes["form"] == 0:
            return shown
        form = _chosen(look, forms)
        return shown | {
            "form": form,
            "call": _call(form),
            "note": "" if (one := notes[form]) is None else one.note,
            "unread": unread,
            **form_facts(forms, form),
            "weights": weights_chart(forms, form, theme),
            **planes_chart(forms, form, theme),
            "lifted": self._lifted(look, form),
        }

    def _lifted(self, look: Look, form: int) -> dict[str, Any] | None:
        """What the form predicts on the probe; None while that is worked out."""
        job = look.derived.lifted(form)
        if not look.done(job):
            return None
        if job.future.exception() is not None:  # whatever it was: the rest of the card does not need it
            return {"error": str(job.future.exception())}
        lifted, reading, distances = job.future.result()
        sequence = min(look.selection.sequence, lifted.sizes["sequence"] - 1)
        if reading is not None:
            return {
                "table": text_table(lifted, sequence, reading.reference),
                "sentence": sentence(reading),
                "favours": favours(reading),
                **classes_chart(reading, look.theme),
            }
        shown = {
            "table": value_table(lifted, look.derived.probe, sequence),
            "distances": distance_table(distances),
        }
        if distances.sizes["position"] > 1:
            name = dimension_name(look.derived.probe, "position")
            words = "example in context" if name == "example" else f"{name}, in the order of the probe"
            shown |= tall("figure", distance_figure(distances, look.theme, words))
        return shown

    def code(self, look: Look) -> str:
        found = "forms = dx.find_forms(dx.essential_dynamics(run))"
        forms = look.found_forms()[0]
        if forms is None or forms.sizes["form"] == 0:
            return found
        read = "dx.read_form" if look.derived.run.system == "language" else "dx.reference_distances"
        return f"{found}\nlifted = {_call(_chosen(look, forms))}\nreading = {read}(lifted)"

    def table(self, look: Look) -> pd.DataFrame | None:
        forms = look.found_forms()[0]
        if forms is None:
            return None
        if forms.sizes["form"] == 0:
            return forms[list(TURN)].to_dataframe().reset_index()
        frame = forms[[name for name in forms.data_vars if forms[name].dims == ("form",)]].to_dataframe()
        for k, component in enumerate(forms["component"].values.tolist()):
            frame[f"PC{component}"] = forms["coordinates"].values[:, k]
        notes, _ = _notes(look, forms)
        frame["name"] = ["" if one is None else one.name for one in notes]
        frame["note"] = ["" if one is None else one.note for one in notes]
        return frame.reset_index()

    def kept(self, look: Look) -> Iterable[list[dict[str, Any]]]:
        """Every form, on as many of the probe's sequences as are not too many in all; on the first of each of
        its pages first."""
        forms = look.found_forms()[0]
        pages = kept_pages(look)
        sequences = [page[0] for page in pages] + [at for page in pages for at in page[1:]]
        if forms is None or forms.sizes["form"] == 0:
            return [[{"sequence": at} for at in sequences]] if sequences else []
        numbers = range(forms.sizes["form"])
        alike = [
            [{"form": number, "sequence": at} for number in ([-1, 0] if form == 0 else [form])]
            for at in sequences or [0]
            for form in numbers
        ]
        return alike[: max(MOST_KEPT, len(numbers))]

    def kept_answers(self, look: Look) -> Iterable[tuple[str, dict[str, Any]]]:
        """The prompt that stands there, lifted to every form."""
        forms, prompt = look.found_forms()[0], look.selection.prompt
        yield "table", {}
        if prompt and forms is not None and look.derived.run.system == "language":
            for form in range(forms.sizes["form"]):
                yield "lift", {"form": form, "prompt": prompt}


def _chosen(look: Look, forms: xr.Dataset) -> int:
    """The form that is read: the first where none is chosen, or one that is not there."""
    form = look.selection.form
    return form if 0 <= form < forms.sizes["form"] else 0


def _notes(look: Look, forms: xr.Dataset) -> tuple[list[FormNote | None], str]:
    """What the user calls the forms; or nothing, and why the file that says it cannot be read."""
    try:
        return notes_on(forms, form_notes(look.derived.run)), ""
    except DevexploreError as error:
        return [None] * forms.sizes["form"], str(error)


def _call(form: int) -> str:
    return f"dx.lift(run, forms.isel(form={form}))"
