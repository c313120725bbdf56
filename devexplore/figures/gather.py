"""What figures need of a run, as far as it is there; where something is not, why not, in words to draw."""

from typing import Final, NamedTuple

import numpy as np
import xarray as xr

from devexplore.analysis.dynamics import essential_dynamics
from devexplore.analysis.forms import find_forms
from devexplore.analysis.stages import find_stages
from devexplore.analysis.trust import trust
from devexplore.arguments import require_run
from devexplore.errors import CheckpointNotFound, InvalidSpec, MissingText, NotMeasured
from devexplore.measure.pipeline import ensure_outputs
from devexplore.run import Run
from devexplore.schema import CHECKPOINTS, LLC, LOSSES, METRICS, STEP
from devexplore.views.llc_row import llc_caption, llc_row
from devexplore.views.panels import Panel, row_panel
from devexplore.views.rows import loss_caption, loss_row
from devexplore.views.stages import StageMark, stage_marks
from devexplore.views.style import THEMES, Theme, ThemeName
from devexplore.views.trajectory import COMPONENTS

LACKING: Final = (NotMeasured, CheckpointNotFound, MissingText, InvalidSpec)
"""What a run can lack without being broken; its message is drawn in the place of what it stands for."""


class Staged(NamedTuple):
    """What all figures over training steps share."""

    run: Run
    theme: Theme
    stages: xr.Dataset | None
    """None for a run with neither LLC nor losses."""
    marks: list[StageMark]
    last_step: float

    @property
    def said(self) -> str:
        """Where the stages come from, in words."""
        if self.stages is None:
            return "no stages: neither LLC nor losses are measured"
        note = self.stages.attrs.get("note", "")
        return f"Stages: {note}." if note else ""

    @property
    def said_of_lines(self) -> str:
        """The same, for a figure that draws the boundaries as lines: with what their strokes mean."""
        strokes = "Dashed: by hand; dotted: on the curve." if any(mark.own for mark in self.marks) else ""
        return f"{self.said} {strokes}".strip()


def theme_of(name: str) -> Theme:
    """The theme of this name. Raises ``InvalidSpec`` for another, with the names there are."""
    if name not in tuple(THEMES):
        raise InvalidSpec(f"theme: expected {' or '.join(map(repr, THEMES))}, got {name!r}")
    return THEMES[name]


def staged(run: Run, stages: xr.Dataset | None, theme: ThemeName) -> Staged:
    """The stages (given, or those of the run) and the steps that the run reaches.

    Raises ``NotMeasured`` where nothing at all is measured over steps.
    """
    require_run(run)
    chosen = theme_of(theme)
    held = [group for group in (LOSSES, LLC, METRICS, CHECKPOINTS) if run.has(group)]
    if not held:
        raise NotMeasured(f"{run.name}: nothing is measured over training steps; {run.remedy('losses,llc')}")
    if stages is None and set(held) != {METRICS}:
        try:
            stages = find_stages(run)
        except NotMeasured:
            stages = None  # the note of the figure says so
    last = max(float(np.max(run.dataset(group)[STEP].values)) for group in held)
    return Staged(run, chosen, stages, stage_marks(stages, chosen), last)


def loaded(run: Run, group: str) -> xr.Dataset | None:
    """A group, loaded; None where it was not measured."""
    return run.dataset(group).load() if run.has(group) else None


def metrics_of(run: Run, *names: str) -> xr.Dataset:
    """The metrics, loaded. Raises ``NotMeasured`` where there are none, or these are not among them."""
    require_run(run)
    metrics = run.dataset(METRICS).load()
    lacking = [name for name in names if name not in metrics]
    if lacking:
        raise NotMeasured(
            f"{run.name}: its metrics lack {', '.join(lacking)} (of an older version, or of another system); "
            f"{run.remedy('metrics')}"
        )
    return metrics


def loss_panel(run: Run, theme: Theme) -> Panel:
    """The loss over training, or why it cannot be shown."""
    row = loss_row(loaded(run, LOSSES), loaded(run, CHECKPOINTS), theme)
    return Panel("loss", "", message=f"no losses; {run.remedy('losses')}") if row is None else row_panel(row)


def curves_caption(run: Run) -> str:
    """What the lines and marks of ``loss_panel`` and ``llc_panel`` mean."""
    words = (loss_caption(loaded(run, LOSSES), loaded(run, CHECKPOINTS)), llc_caption(loaded(run, LLC)))
    return " ".join(filter(None, words))


def llc_panel(run: Run, theme: Theme) -> Panel:
    """The LLC over training with its verdicts, or why it cannot be shown."""
    llc = loaded(run, LLC)
    if llc is None:
        return Panel("LLC", "", message=f"no LLC; {run.remedy('llc')}")
    return row_panel(llc_row(llc, trust(llc), theme))


def dynamics_of(run: Run, dynamics: xr.Dataset | None) -> tuple[xr.Dataset | None, str]:
    """Essential dynamics (given, or computed now; outputs are kept), or None and why not."""
    require_run(run)
    if dynamics is None:
        try:
            output = ensure_outputs(run)
            dynamics = essential_dynamics(run, kind=output.attrs.get("kind"))
        except LACKING as error:
            return None, str(error)
    if dynamics.sizes["component"] < len(COMPONENTS):
        return None, f"{dynamics.sizes[STEP]} checkpoints are too few for {len(COMPONENTS)} components"
    return dynamics, ""


def forms_of(dynamics: xr.Dataset, forms: xr.Dataset | None) -> tuple[xr.Dataset | None, str]:
    """Forms (given, or sought now), or None and why not."""
    if forms is not None:
        return forms, str(forms.attrs["conclusion"])
    try:
        forms = find_forms(dynamics)
    except LACKING as error:
        return None, str(error)
    return forms, str(forms.attrs["conclusion"])
