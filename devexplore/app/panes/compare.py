"""Compare: a pinned checkpoint beside the current one, and another run beside this one."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import pandas as pd
import plotly.graph_objects as go
import xarray as xr

from devexplore.analysis.llc_change import llc_change_errors
from devexplore.app.components import Compare
from devexplore.app.derived import READ_ERRORS, DerivedRun
from devexplore.app.pane import Answer, Look, Pane, message
from devexplore.geometry import nearest_in_log_time
from devexplore.paths import as_argument
from devexplore.schema import TABLE
from devexplore.views.compared import Story, measured_rows, readings, readings_table, timelines
from devexplore.views.joint import caption, current_in_space, joint_plane, joint_space
from devexplore.views.joint_marks import follow_joint
from devexplore.views.rows import Row
from devexplore.views.stages import stage_marks
from devexplore.views.style import Theme, run_style

PLACES = ((500, 165), (400, 270), (620, 480))
"""Widths and heights in pixels for which the plane's names find their places; the page takes the nearest."""

STEPS = "STEP_1, STEP_2"
"""Stands in the code for the pinned and the current step, which the page knows."""


def llc_errors(derived: DerivedRun, values: Mapping[str, Any]) -> dict[str, Any] | None:
    """The standard error of the LLC's change from a step to every other, where its chains tell."""
    chains = derived.group("chains")
    if chains is None or not chains.attrs.get("shared_noise", False):
        return None
    first = int(chains["step"].values[nearest_in_log_time(chains["step"].values, values["step"])[0]])
    errors = llc_change_errors(chains, first)
    return {"step": errors["step"].values.astype(float), "error": errors.values.astype(float)}


class ComparePane(Pane):
    title = "Compare"
    viewer = Compare
    follows = ("other",)
    of_one_run = False
    answers: ClassVar[Mapping[str, Answer]] = {"llc_errors": llc_errors}

    def payload(self, look: Look) -> dict[str, Any]:
        derived, theme = look.derived, look.theme
        mine = _rows(derived, theme)
        if not mine:
            path = as_argument(derived.run.path)
            command = "" if derived.run.system == TABLE else f"devexplore measure {path}"
            return message("Nothing is measured that checkpoints could be compared by", "", command)
        other = _other(look)
        return {
            "mine": readings(mine),
            "system": derived.run.system,
            "tokens": derived.token_losses is not None,
            "beside": None if other is None else _beside(look, mine, other),
        }

    def code(self, look: Look) -> str:
        other = _other(look)
        if other is not None:
            return (
                f"other = dx.open({str(other.run.path)!r})\njoint = dx.joint_dynamics([run, other])\n"
                "from devexplore.views.joint import joint_plane\njoint_plane(joint)"
            )
        group = "llc" if look.derived.llc is not None else "losses"
        group = group if look.derived.run.has(group) else "metrics"
        return f"run.dataset({group!r}).sel(step=[{STEPS}], method='nearest').to_dataframe()"

    def kept_answers(self, look: Look) -> Iterable[tuple[str, dict[str, Any]]]:
        """None: the table is of the steps that are looked at."""
        return []

    def table(self, look: Look) -> pd.DataFrame | None:
        """A row a quantity, at the pinned step (where there is one) and the current; of the other run too."""
        selection, last = look.selection, float(look.derived.steps[-1])
        now = last if selection.step < 0 else float(selection.step)
        steps = [now] if selection.pinned < 0 else [float(selection.pinned), now]
        frames = [
            pd.DataFrame(readings_table(_rows(run, look.theme), steps)).assign(run=name)
            for name, run in ((selection.run, look.derived), (selection.other, _other(look)))
            if run is not None
        ]
        return pd.concat(frames, ignore_index=True)


def _rows(derived: DerivedRun, theme: Theme) -> list[Row]:
    return measured_rows(
        derived.losses, derived.checkpoints, derived.llc, derived.trust, derived.metrics, theme
    )


def _other(look: Look) -> DerivedRun | None:
    """The run that this one is compared with: another one of its system."""
    name = look.selection.other
    other = look.runs.get(name)
    if other is None or name == look.selection.run or other.run.system != look.derived.run.system:
        return None
    return other


def _beside(look: Look, mine: list[Row], other: DerivedRun) -> dict[str, Any]:
    """Another run: its readings, both timelines, and both curves in one space where they can be."""
    theme, selection = look.theme, look.selection
    theirs = _rows(other, theme)
    found = other.stages.future.result() if look.done(other.stages) else None
    pairs = (
        (selection.run, look.derived, mine, look.stages()),
        (selection.other, other, theirs, stage_marks(found, theme)),
    )
    told = [
        Story(name, run_style(place, theme)[0], _curves(rows), stages)
        for place, (name, _, rows, stages) in enumerate(pairs)
    ]
    last = max(float(one.steps[-1]) for _, one, _, _ in pairs)
    figure, follow = timelines(told, last, theme)
    return {
        "name": selection.other,
        "colours": [run_style(place, theme)[0] for place in range(2)],
        "readings": readings(theirs),
        "timelines": figure,
        "follow": follow,
        "joint": _joint(look, other),
    }


def _curves(rows: list[Row]) -> list[Row]:
    """Loss and LLC: what a timeline begins with."""
    losses = [row for row in rows if row.title.endswith(" loss")][:1]
    return losses + [row for row in rows if row.title == "LLC"]


def _joint(look: Look, other: DerivedRun) -> dict[str, Any]:
    """Both runs in one function space; while it is computed nothing but that, and where it cannot be, why."""
    job, theme = look.derived.joint(other), look.theme
    if not look.done(job):
        return {"waiting": "Principal components of both runs together …"}
    paths = ", ".join(f"dx.open({str(one.run.path)!r})" for one in (look.derived, other))
    try:
        joint: xr.Dataset = job.future.result()
    except READ_ERRORS as error:
        return {"refused": str(error), "command": f"dx.share_probe([{paths}])"}
    if joint.sizes["component"] < 2:
        return {"refused": "A plane needs at least three checkpoints in all.", "command": ""}
    deep = joint.sizes["component"] > 2
    planes = [joint_plane(joint, (1, 2), theme, size) for size in PLACES]
    space = joint_space(joint, theme=theme).add_trace(current_in_space(joint, theme=theme)) if deep else None
    return {
        "plane": _of_any_size(planes[0]),
        "names": [
            {"size": size, "annotations": one.to_plotly_json()["layout"].get("annotations", [])}
            for size, one in zip(PLACES, planes, strict=True)
        ],
        "space": None if space is None else _of_any_size(space),
        "follow": follow_joint(joint, (1, 2, 3) if deep else (1, 2), theme),
        "caption": caption(joint),
    }


def _of_any_size(figure: go.Figure) -> go.Figure:
    """Without a size of its own: it takes what room the page has."""
    return figure.update_layout(width=None, height=None)
