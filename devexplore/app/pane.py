"""What every pane is made of: what it draws, when Python must draw it anew, what it answers when asked."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import pandas as pd
import xarray as xr

from devexplore.app.components import Viewer
from devexplore.app.derived import DerivedRun
from devexplore.app.job import Job
from devexplore.app.selection import Selection
from devexplore.schema import TABLE
from devexplore.views.stages import StageMark, stage_marks
from devexplore.views.style import THEMES, Theme


class Waiting(Exception):
    """A pane needs what is still being computed: it shows how far that is, and is drawn when it is there."""

    def __init__(self, job: Job, title: str) -> None:
        super().__init__(title)
        self.job, self.title = job, title


class Look:
    """What a pane may look at: the chosen run with all that follows from it, and the Selection."""

    def __init__(self, runs: Mapping[str, DerivedRun], selection: Selection) -> None:
        self.runs, self.selection = runs, selection
        self.awaited: set[Job] = set()
        """Jobs that were looked at and not done: what was drawn without them is drawn again with them."""

    @property
    def derived(self) -> DerivedRun:
        """The chosen run."""
        return self.runs[self.selection.run]

    @property
    def theme(self) -> Theme:
        return THEMES[self.selection.theme or "light"]

    def done(self, job: Job) -> bool:
        """Whether a job is done; where not, the pane is drawn again once it is."""
        if not job.future.done():
            self.awaited.add(job)
        return job.future.done()

    def result(self, job: Job, title: str) -> Any:
        """The job's result. Raises ``Waiting`` while it runs (``title`` says for what), and what ended it."""
        if not self.done(job):
            raise Waiting(job, title)
        return job.future.result()

    def found_stages(self) -> tuple[xr.Dataset | None, str]:
        """The stages if they are found, and how they came about (or why there are none) in words."""
        job = self.derived.stages
        if not self.done(job):
            return None, "finding stages …"
        error = job.future.exception()
        if error is not None:  # whatever it was: the rest of the page does not need the stages
            return None, f"no stages: {error}"
        stages = job.future.result()
        if stages is None:
            return None, "no stages: neither LLC nor loss is measured"
        return stages, str(stages.attrs.get("note", ""))

    def stages(self) -> list[StageMark]:
        """The stages, once they are found."""
        return stage_marks(self.found_stages()[0], self.theme)

    def found_forms(self) -> tuple[xr.Dataset | None, str]:
        """The forms if they are found, and what is known of them in words."""
        job = self.derived.forms
        if job is None or not self.done(job):
            return None, "being sought beside random walks"
        error = job.future.exception()
        if error is not None:  # whatever it was: the trajectory does not need its forms
            return None, f"cannot be sought: {error}"
        forms = job.future.result()
        return forms, forms.attrs["conclusion"]


Answer = Callable[[DerivedRun, Mapping[str, Any]], Any]
"""What a run answers to a question with these values, in a worker thread; it is encoded as JSON."""


class Pane:
    """One pane of the page. It computes nothing itself: ``DerivedRun`` does, in the background."""

    title: ClassVar[str]
    viewer: ClassVar[type[Viewer]]
    follows: ClassVar[tuple[str, ...]] = ()
    """Values of the Selection, beside the run and the theme, for which Python must draw it anew."""
    begins_with: ClassVar[tuple[str, ...]] = ()
    """Further values that it is first drawn with; the browser follows them itself."""
    of_one_run: ClassVar[bool] = True
    """Whether what it draws follows from the chosen run alone."""
    answers: ClassVar[Mapping[str, Answer]] = {}
    """What the browser may ask for. The same question to the same run is worked out once."""

    acts: ClassVar[Mapping[str, Answer]] = {}
    """What the browser may have done to the run (boundaries saved). Every one is done; all is drawn anew."""

    def payload(self, look: Look) -> dict[str, Any]:
        """What the browser draws. ``message(…)`` where there is nothing to draw. Raises ``Waiting``."""
        raise NotImplementedError

    def drawn_for(self, look: Look) -> list[Any]:
        """What tells one drawing of a run from another: where it is the same, so is what is drawn."""
        return [getattr(look.selection, name) for name in (*self.follows, *self.begins_with)]

    def code(self, look: Look) -> str:
        """The Python lines, after those that open the run, that give the same."""
        return ""

    def table(self, look: Look) -> pd.DataFrame | None:
        """What is shown, as a table to take away."""
        return None

    def kept(self, look: Look) -> Iterable[list[dict[str, Any]]]:
        """What a report keeps beside the view it opens with: values of ``follows``, those together that are
        drawn alike."""
        return ()

    def kept_answers(self, look: Look) -> Iterable[tuple[str, dict[str, Any]]]:
        """Questions whose answers a report keeps, with their values."""
        return [("table", {})]


def as_csv(pane: Pane, look: Look) -> str:
    """The table of a pane as CSV; "" where it has none."""
    table = pane.table(look)
    return "" if table is None else table.to_csv(index=False)


def message(title: str, text: str, command: str = "") -> dict[str, Any]:
    """A pane that has nothing to draw: what is missing, and the command that would measure it."""
    return {"message": {"title": title, "text": text, "command": command}}


def missing(look: Look, only: str, words: str) -> dict[str, Any]:
    """The message that a measurement is missing; ``words`` call it, as they stand at the start of a line."""
    run = look.derived.run
    if run.system == TABLE:
        return message(f"{words} is not in this table", run.remedy(only).capitalize() + ".")
    return message(f"{words} is not measured yet", "", run.measure_command(only))
