"""One browser session: a Selection, the runs, and the panes that follow them."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from uuid import uuid4

import numpy as np
import panel as pn
import xarray as xr

from devexplore.analysis.tokens import change_between
from devexplore.app.components import Shell, Timeline, Tokens, Trajectory, Viewer
from devexplore.app.derived import READ_ERRORS, DerivedRun, Job
from devexplore.app.describe import describe
from devexplore.app.payload import encode
from devexplore.app.selection import Selection
from devexplore.geometry import nearest_in_log_time
from devexplore.schema import TABLE
from devexplore.views import tokens as tokens_view
from devexplore.views import trajectory as trajectory_view
from devexplore.views.form_marks import any_form
from devexplore.views.llc_row import llc_row, settings, trust
from devexplore.views.refined import refined_row
from devexplore.views.rows import Row, loss_row, strip_label, strip_row, strips
from devexplore.views.stage_bands import chosen_by_hand
from devexplore.views.stages import StageMark, chips, stage_marks
from devexplore.views.style import THEMES, Theme
from devexplore.views.timeline import follow, least_height, timeline
from devexplore.views.trajectory_space import space

POLL_MS = 250

NO_CHANGE = 1e-3
"""A loss that changes by less than this share of the mean loss at the first step is shown as unchanged."""


FIRST_STRIPS = 3
"""How many metrics the timeline shows by itself where there is neither a loss nor an LLC."""


class Session:
    """Builds the panes of one page and keeps them in step with the Selection.

    Only what needs Python is watched here: the run, the theme (figures carry colours), added strips, the
    sequence, and the two custom steps (their colour limit is taken over the whole probe). All else happens in
    the browser.
    """

    def __init__(self, runs: Mapping[str, DerivedRun], selection: Selection) -> None:
        self.runs = runs
        self.selection = selection
        self._poll: Any = None
        self._waiting: dict[Job, bool] = {}
        bus = uuid4().hex
        self.timeline, self.trajectory, self.tokens = Timeline(bus=bus), Trajectory(bus=bus), Tokens(bus=bus)
        if selection.run not in runs:
            selection.run = next(iter(runs))
        self.shell = Shell(
            selection,
            bus=bus,
            timeline=self.timeline,
            trajectory=self.trajectory,
            tokens=self.tokens,
            sizing_mode="stretch_both",
        )
        self.show_run()
        selection.param.watch(self._change_run, "run")
        selection.param.watch(lambda *_: self.show_colours(), "theme")
        selection.param.watch(lambda *_: self._fill(self.timeline, self._timeline), "strips")
        selection.param.watch(lambda *_: self._fill(self.tokens, self._tokens), "sequence")
        selection.param.watch(lambda *_: self._set_limit(), ["change", "change_from", "change_to"])

    @property
    def derived(self) -> DerivedRun:
        """The chosen run."""
        return self.runs[self.selection.run]

    @property
    def theme(self) -> Theme:
        return THEMES[self.selection.theme or "light"]

    def stages(self) -> list[StageMark]:
        """The stages, once they are found."""
        return stage_marks(self._found_stages()[0], self.theme)

    def _found_stages(self) -> tuple[xr.Dataset | None, str]:
        """The stages if they are found, and how they came about (or why there are none) in words."""
        future = self.derived.stages.future
        if not future.done():
            return None, "finding stages …"
        error = future.exception()
        if error is not None:  # whatever it was: the rest of the page does not need the stages
            return None, f"no stages: {error}"
        stages = future.result()
        if stages is None:
            return None, "no stages: neither LLC nor loss is measured"
        return stages, str(stages.attrs.get("note", ""))

    def show_run(self) -> None:
        """Fill every pane for the chosen run; stages, essential dynamics and forms may come later."""
        self._waiting = {job: job.future.done() for job in self.derived.start()}
        self._wait_for_forms()
        self._show_staged()
        self._show_dynamics()
        if self._poll is None and not all(self._waiting.values()):
            self._poll = pn.state.add_periodic_callback(self._look_at_jobs, period=POLL_MS)

    def _wait_for_forms(self) -> None:
        job = self.derived.forms
        if job is not None:
            self._waiting.setdefault(job, job.future.done())

    def _show_staged(self) -> None:
        """Fill all that knows of stages and costs little."""
        self._fill(self.shell, self._shell)
        self._fill(self.timeline, self._timeline)
        self._fill(self.tokens, self._tokens)
        self._set_limit()

    def _show_dynamics(self) -> None:
        job = self.derived.dynamics
        if job.future.done():
            self.trajectory.progress = ""
            self._fill(self.trajectory, self._trajectory)
        else:
            self.trajectory.payload = ""
            self._say_progress(job)

    def _look_at_jobs(self) -> None:
        """Show what has been finished since the last look, and how far the rest is."""
        stages, dynamics = self.derived.stages, self.derived.dynamics
        new = [job for job, known in self._waiting.items() if not known and job.future.done()]
        self._waiting |= dict.fromkeys(new, True)
        self._wait_for_forms()
        if stages in new:
            self._show_staged()
        if new:
            self._show_dynamics()
        elif not dynamics.future.done():
            self._say_progress(dynamics)
        if all(self._waiting.values()):
            self._poll.stop()
            self._poll = None

    def _found_forms(self) -> tuple[xr.Dataset | None, str]:
        """The forms if they are found, and what is known of them in words."""
        job = self.derived.forms
        if job is None or not job.future.done():
            return None, "being sought beside random walks"
        error = job.future.exception()
        if error is not None:  # whatever it was: the trajectory does not need its forms
            return None, f"cannot be sought: {error}"
        forms = job.future.result()
        return forms, forms.attrs["conclusion"]

    def _say_progress(self, job: Job) -> None:
        said = {"done": job.done, "total": job.total, "text": job.text, "seconds": job.seconds_left}
        self.trajectory.progress = encode(said)

    def show_colours(self) -> None:
        """Send again what carries colours."""
        self._fill(self.shell, self._shell)
        self._fill(self.timeline, self._timeline)
        self._show_dynamics()

    def _change_run(self, _: Any) -> None:
        if self.selection.run not in self.runs:
            self.selection.run = next(iter(self.runs))
            return
        self.selection.param.update(step=-1, sequence=0, token=-1, strips=[], change="stage")
        self.show_run()

    def _fill(self, viewer: Viewer | Shell, build: Callable[[], Any]) -> None:
        """A run may break while it is open (a damaged block): the pane says so, the page lives."""
        try:
            viewer.payload = encode(build())
        except READ_ERRORS as error:
            viewer.payload = encode(message("This part of the run cannot be read", str(error)))

    def _shell(self) -> dict[str, Any]:
        """The frame of the page. It stands whatever breaks in a run, so that another can be chosen."""
        derived = self.derived
        read = {"title": "", "unit": "", "step": np.zeros(0), "value": np.zeros(0)}
        description, steps = "", [0]
        try:
            description, steps = describe(derived.run), derived.steps.tolist()
            loss = derived.loss
            if loss is not None:
                read |= {"title": "loss", "unit": loss.attrs.get("units", "")}
                read |= {"step": loss["step"].values.astype(float), "value": loss.values.astype(float)}
        except READ_ERRORS as error:
            description = description or str(error)
        return {
            "runs": [{"name": name, "label": name} for name in self.runs],
            "run": self.selection.run,
            "description": description,
            "steps": steps,
            "stages": chips(self.stages()),
            "note": self._found_stages()[1],
            "loss": read,
        }

    def _timeline(self) -> dict[str, Any]:
        derived, theme = self.derived, self.theme
        rows = []
        loss = loss_row(derived.losses, derived.checkpoints, theme)
        if loss is not None:
            rows.append(loss)
        if derived.llc is not None and derived.trust is not None:
            rows.append(llc_row(derived.llc, derived.trust, theme))
        offered = self._strips()
        rows += [offered[name]() for name in self.selection.strips if name in offered]
        missing = [
            self._missing(only) for only, held in (("losses", loss), ("llc", derived.llc)) if held is None
        ]
        if not rows:  # a table of metrics alone
            rows = [strip() for strip in list(offered.values())[:FIRST_STRIPS]]
        if not rows:
            return missing[0]
        stages, found = self.stages(), self._found_stages()[0]
        return {
            "figure": timeline(rows, stages, float(derived.steps[-1]), theme, found),
            "rows": follow(rows),
            "height": least_height(rows),
            "boundaries": sorted(set([] if found is None else chosen_by_hand(found))),
            "strips": {name: strip_label(name) for name in offered},
            "trust": trust(derived.trust),
            "settings": settings(derived.llc),
            "train": derived.checkpoints is not None and derived.losses is not None,
            "missing": missing,
            "types": sorted({mark.type for mark in stages}),
        }

    def _strips(self) -> dict[str, Callable[[], Row]]:
        """Every strip that can be added, by name."""
        metrics, theme = self.derived.metrics, self.theme
        refined = {
            name: partial(refined_row, *held, strip_label(name), theme)
            for name, held in self.derived.refined.items()
        }
        if metrics is None:
            return refined
        return refined | {name: partial(strip_row, metrics[name], theme) for name in strips(metrics)}

    def _tokens(self) -> dict[str, Any]:
        derived = self.derived
        losses = derived.token_losses
        if losses is None:
            return self._missing("losses")
        if derived.run.system == "language" and derived.probe is not None:
            sequence = min(self.selection.sequence, losses.sizes["sequence"] - 1)
            shown = tokens_view.text_view(losses, derived.probe, sequence)
        else:
            shown = tokens_view.grid_view(losses, derived.probe)
        ranges = tokens_view.stage_ranges(self.stages())
        first, last = losses["step"].values[[0, -1]]
        return {
            **shown,
            "limits": {
                "stage": [self._limit_between(losses, *pair) for pair in ranges],
                "start": self._limit_between(losses, first, last),
            },
        }

    def _limit_between(self, losses: xr.Dataset, start: float, end: float) -> float:
        at_first = float(np.abs(losses["token_loss"].isel(step=0)).mean())
        at = nearest_in_log_time(losses["step"].values, np.array([start, end]))[:, 0]
        return tokens_view.colour_limit(change_between(losses["token_loss"], *at), NO_CHANGE * at_first)

    def _set_limit(self) -> None:
        if self.selection.change != "custom":
            return
        try:
            losses = self.derived.token_losses
        except READ_ERRORS:
            return  # the tokens pane says so
        if losses is None:
            return
        end = self.selection.change_to if self.selection.change_to >= 0 else losses["step"].values[-1]
        self.tokens.limit = self._limit_between(losses, self.selection.change_from, end)

    def _missing(self, only: str) -> dict[str, Any]:
        run = self.derived.run
        words = {"losses": "The loss per token", "llc": "The LLC"}[only]
        if run.system == TABLE:
            return message(f"{words} is not in this table", run.remedy(only).capitalize() + ".")
        return message(f"{words} is not measured yet", "", f"devexplore measure {run.path} --only {only}")

    def _trajectory(self) -> dict[str, Any]:
        error = self.derived.dynamics.future.exception()
        if error is not None:
            return message("The trajectory cannot be computed", str(error))
        dynamics = self.derived.dynamics.future.result()
        if dynamics.sizes["component"] < 3:
            return message("Too few checkpoints for a trajectory", "Three components need at least four.")
        stages, theme = self.stages(), self.theme
        forms, conclusion = self._found_forms()
        show = [
            layer
            for layer in ("circles", "evolute", "vertices", "forms", "raw")
            if getattr(self.selection, layer)
        ]
        show.append(self.selection.colour if stages else "step")
        names = trajectory_view.plane_names(dynamics)
        return {
            "space": space(dynamics, stages, theme, show, forms),
            "planes": [trajectory_view.plane(dynamics, name, stages, theme, show, forms) for name in names],
            "follow": trajectory_view.follow(dynamics),
            "cusps": trajectory_view.cusp_steps(dynamics, forms),
            "caption": trajectory_view.caption(dynamics, conclusion),
            "has_stages": bool(stages),
            "has_forms": forms is not None and any_form(forms),
            "time": list(theme.time),
        }


def message(title: str, text: str, command: str = "") -> dict[str, Any]:
    """A pane that has nothing to draw: what is missing, and the command that would measure it."""
    return {"message": {"title": title, "text": text, "command": command}}
