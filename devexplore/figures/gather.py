"""What figures need of a run, as far as it is there; where something is not, why not, in words to draw."""

from typing import Final, NamedTuple

import numpy as np
import xarray as xr

from devexplore.analysis.dynamics import essential_dynamics
from devexplore.analysis.forms import find_forms
from devexplore.analysis.stages import find_stages
from devexplore.analysis.trust import trust
from devexplore.errors import CheckpointNotFound, InvalidSpec, MissingText, NotMeasured
from devexplore.measure.pipeline import ensure_outputs
from devexplore.run import Run
from devexplore.schema import CHAINS, CHECKPOINTS, LLC, LOSSES, METRICS, STEP
from devexplore.tree_run import TreeRun
from devexplore.views.llc_row import llc_caption, llc_row
from devexplore.views.panels import Panel, row_panel
from devexplore.views.rows import loss_caption, loss_row
from devexplore.views.stages import StageMark, stage_marks
from devexplore.views.style import THEMES, Theme, ThemeName
from devexplore.views.trajectory import COMPONENTS
from devexplore.views.visuals import Visuals, layered

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
        return "no stages: neither LLC nor losses are measured" if self.stages is None else told(self.stages)

    def said_of_lines(self, visuals: Visuals) -> str:
        """The same, for a figure that draws the boundaries as lines: with what their strokes mean."""
        return words_of_lines(self.said, self.marks, visuals)


def told(stages: xr.Dataset) -> str:
    """Where these stages come from, in words."""
    note = stages.attrs.get("note", "")
    return f"Stages: {note}." if note else ""


def words_of_lines(said: str, marks: list[StageMark], visuals: Visuals) -> str:
    """What is said of stages and of the strokes of their boundaries, as far as they are drawn."""
    strokes = "Dashed: by hand; dotted: on the curve." if any(mark.own for mark in marks) else ""
    return visuals.said(
        said if visuals.draws_any("band", "boundary", "table", "stage") else "", ("boundary", strokes)
    )


def theme_of(name: str) -> Theme:
    """The theme of this name. Raises ``InvalidSpec`` for another, with the names there are."""
    if name not in tuple(THEMES):
        raise InvalidSpec(f"theme: expected {' or '.join(map(repr, THEMES))}, got {name!r}")
    return THEMES[name]


def staged(run: Run, stages: xr.Dataset | None, theme: ThemeName) -> Staged:
    """The stages (given, or those of the run) and the steps that the run reaches.

    Raises ``NotMeasured`` where nothing at all is measured over steps.
    """
    chosen = theme_of(theme)
    held = [group for group in (LOSSES, LLC, METRICS, CHECKPOINTS, CHAINS) if run.has(group)]
    if not held:
        raise NotMeasured(f"{run.name}: nothing is measured over training steps; {run.remedy('losses,llc')}")
    if stages is None and not set(held) <= {METRICS, CHAINS}:
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
    if row is None:
        return Panel("loss", "", message=f"no losses; {run.remedy('losses')}")
    return layered(row_panel(row), "loss", train_loss="train_loss")


def loss_words(run: Run, visuals: Visuals) -> str:
    """What the second line of ``loss_panel`` is, where there is one and it is drawn."""
    both = visuals.draws("loss") and visuals.draws("train_loss")
    return loss_caption(loaded(run, LOSSES), loaded(run, CHECKPOINTS)) if both else ""


def curves_caption(run: Run, visuals: Visuals) -> str:
    """What the lines and marks of ``loss_panel`` and ``llc_panel`` mean."""
    return visuals.said(loss_words(run, visuals), ("llc", llc_caption(loaded(run, LLC))))


def llc_panel(run: Run, theme: Theme) -> Panel:
    """The LLC over training with its verdicts, or why it cannot be shown."""
    llc = loaded(run, LLC)
    if llc is None:
        return Panel("LLC", "", message=f"no LLC; {run.remedy('llc')}")
    return layered(row_panel(llc_row(llc, trust(llc), theme)), "llc")


def dynamics_of(run: Run, dynamics: xr.Dataset | None) -> tuple[xr.Dataset | None, str]:
    """Essential dynamics (given, or computed now; outputs are kept), or None and why not."""
    if dynamics is None:
        try:
            whole = not isinstance(run, TreeRun) or run.folder is not None  # checkpoints may be there
            kind = ensure_outputs(run).attrs.get("kind") if whole else None
            dynamics = essential_dynamics(run, kind=kind)
        except LACKING as error:
            return None, str(error)
    return drawable(dynamics)


def drawable(dynamics: xr.Dataset) -> tuple[xr.Dataset | None, str]:
    """Essential dynamics of enough components to be drawn, or None and why not."""
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
