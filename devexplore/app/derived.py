"""What the page derives from a run: read once, computed once, shared by all browser sessions.

Losses, LLC and metrics are read when asked for. Stages take seconds, essential dynamics may need a forward
pass at every checkpoint on first opening, and forms some seconds more: each is a ``Job`` in the background
that a page can poll.
"""

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr

from devexplore import schema
from devexplore.analysis.annotations import saved_boundaries
from devexplore.analysis.calibration import Recommendation, recommend
from devexplore.analysis.chain_readings import chain_readings
from devexplore.analysis.dynamics import essential_dynamics
from devexplore.analysis.form_readings import FormReading, read_form
from devexplore.analysis.forms import find_forms
from devexplore.analysis.free_energy import free_energy, in_sight
from devexplore.analysis.ideal_losses import ideal_losses
from devexplore.analysis.joint import joint_dynamics
from devexplore.analysis.metric_intervals import metric_intervals
from devexplore.analysis.reference_distances import reference_distances
from devexplore.analysis.stages import find_stages
from devexplore.analysis.trust import trust, trust_of_components
from devexplore.app.fingerprint import Fingerprint, fingerprint
from devexplore.app.job import Job, Jobs, Progress
from devexplore.app.selection import MOST_COMPONENTS
from devexplore.errors import DevexploreError, InvalidSpec
from devexplore.measure import ensure_outputs
from devexplore.measure.calibrate import GROUP as CALIBRATION
from devexplore.measure.lift import lift
from devexplore.measure.own_text import token_losses
from devexplore.measure.training_log import logged_losses
from devexplore.run import Run, open_run
from devexplore.views.metric_panels import quotients

USUAL_COMPONENTS = 4
"""Components that are computed at first; where one beyond them is asked for, ``MOST_COMPONENTS``."""

READ_AHEAD = 3
"""Forms that are lifted to the probe before anybody asks; the strongest."""

MOST_DRAWINGS = 32
"""Drawings that are kept of each run, for other sessions; a few hundred kB each."""

READ_ERRORS = (DevexploreError, OSError, ValueError, KeyError, RuntimeError)
"""What reading a run that changes or breaks while it is open can raise: the page says so and stays alive."""


class LiftedForm(NamedTuple):
    """A form's predictions on the probe, and what tells them from others: read, or as distances."""

    lifted: xr.Dataset
    reading: FormReading | None
    distances: xr.Dataset | None


class DerivedRun:
    """A run as it is on disk at one time, and what follows from it. Safe to share between threads and
    sessions. When the run goes on, another takes its place (renewal.py)."""

    def __init__(self, run: Run, pool: ThreadPoolExecutor, seen: Fingerprint | None = None) -> None:
        """``seen``: the fingerprint from before anything was read of this Run, whose files may change."""
        self.fingerprint = fingerprint(run) if seen is None else seen
        self.run = run
        self._pool = pool
        self._jobs = Jobs(pool)
        self._lock = threading.Lock()
        self._drawn: OrderedDict[str, str] = OrderedDict()

    def drawn(self, what: str) -> str | None:
        """What was drawn of this under ``keep_drawing``; None where it was not, or something changed."""
        return self._drawn.get(what)

    def keep_drawing(self, what: str, payload: str) -> None:
        """For the next session that looks at the same."""
        with self._lock:
            self._drawn[what] = payload
            while len(self._drawn) > MOST_DRAWINGS:
                self._drawn.popitem(last=False)

    def group(self, name: str) -> xr.Dataset | None:
        """A measured group, loaded; None when it was not measured."""
        return self.run.dataset(name).load() if self.run.has(name) else None

    @cached_property
    def losses(self) -> xr.Dataset | None:
        return self.group("losses")

    @property
    def token_losses(self) -> xr.Dataset | None:
        """The losses where they are known of each token; an imported table has only their mean."""
        return self.losses if self.losses is not None and "token_loss" in self.losses else None

    @cached_property
    def llc(self) -> xr.Dataset | None:
        return self.group("llc")

    @cached_property
    def trust(self) -> xr.Dataset | None:
        """A verdict on every estimate of the LLC, from the checks stored with it."""
        return None if self.llc is None else trust(self.llc)

    @cached_property
    def chain_readings(self) -> xr.Dataset | None:
        """Chains with their running estimates and verdicts; None where neither chains nor an LLC is there."""
        chains = self.group(schema.CHAINS)
        return None if chains is None and self.llc is None else chain_readings(chains, self.llc, self.trust)

    @cached_property
    def checkpoints(self) -> xr.Dataset | None:
        """As stored; of a run that was not measured yet, from its training log (NaN what is not logged)."""
        return self.group("checkpoints") if self.run.has("checkpoints") else logged_losses(self.run)

    @cached_property
    def metrics(self) -> xr.Dataset | None:
        return self.group("metrics")

    @cached_property
    def refined(self) -> dict[str, tuple[xr.Dataset, xr.DataArray]]:
        """Refined LLCs with their verdicts, by the name of their strip."""
        found = {}
        for group in self.run.groups:
            kind, _, data = group.partition("/")
            held = self.group(group) if kind == schema.REFINED else None
            if held is not None:
                name = "refined_llc" if data == "own" else f"refined_llc_on_{data}"
                found[name] = (held, trust_of_components(held))
        return found

    @cached_property
    def ideal_losses(self) -> xr.Dataset | None:
        """Losses of idealised predictors on the probe; None where it does not hold what they need."""
        return ideal_losses(self.probe, self.group(f"{schema.REFERENCES}/predictions"))

    @cached_property
    def probe(self) -> xr.Dataset | None:
        return self.group("probe")

    @cached_property
    def steps(self) -> np.ndarray:
        """The steps that the player visits: those of the checkpoints, else of whatever was measured."""
        for held in (self.losses, self.llc, self.checkpoints, self.metrics):
            if held is not None and held.sizes["step"] > 0:
                return held["step"].values.astype(int)
        return np.asarray(self.run.checkpoints.steps, dtype=int)

    @cached_property
    def loss(self) -> xr.DataArray | None:
        """The loss that stages and status speak of: the probe's where measured, else the training loss."""
        if self.losses is not None:
            return self.losses["test_loss"]
        if self.checkpoints is not None and "train_loss" in self.checkpoints:
            return self.checkpoints["train_loss"]
        return None

    @property
    def stages(self) -> Job:
        """Stages of the LLC curve (of the loss where there is no LLC: then of no type); None with neither."""
        return self._jobs.once("stages", self._find_stages)

    @property
    def metric_intervals(self) -> Job:
        """Intervals of the metrics, by name; none where they were not measured on groups of samples."""

        def work(_: Progress) -> dict[str, xr.Dataset]:
            metrics, blocks = self.metrics, self.group(schema.METRIC_BLOCKS)
            if metrics is None or blocks is None:
                return {}
            return metric_intervals(metrics, blocks, quotients(self.run.system))

        return self._jobs.once("metric intervals", work)

    @property
    def free_energies(self) -> Job | None:
        """Free energies of the stages, as far as n tells something; None until stages are found, and where
        there are none."""
        stages = self.stages.future
        if not stages.done() or stages.exception() is not None or stages.result() is None:
            return None
        return self._jobs.once("free energies", lambda _: in_sight(free_energy(self.run, stages.result())))

    @property
    def calibration(self) -> Job | None:
        """The latest sweep over sampler settings with what it recommends; None without one."""
        sweeps = [name for name in self.run.groups if name.startswith(f"{CALIBRATION}/")]
        if not sweeps:
            return None

        def work(_: Progress) -> tuple[xr.Dataset, Recommendation]:
            held = [self.run.dataset(name) for name in sweeps]
            latest = max(held, key=lambda sweep: str(sweep.attrs.get("created", ""))).load()
            return latest, recommend(latest)

        return self._jobs.once("calibration", work)

    @property
    def dynamics(self) -> Job:
        """Essential dynamics."""
        return self._jobs.once("dynamics", self._compute_dynamics)

    def dynamics_with(self, n_components: int, bandwidth: float) -> Job:
        """Essential dynamics with more components, or smoothed otherwise (0: as the data choose)."""
        if n_components <= USUAL_COMPONENTS and not bandwidth:
            return self.dynamics

        def work(progress: Progress) -> xr.Dataset:
            usual = self.dynamics.wait()
            run = open_run(self.run.path)
            kind = usual.attrs["output_kind"]
            most = MOST_COMPONENTS if n_components > USUAL_COMPONENTS else USUAL_COMPONENTS
            width = bandwidth or usual.attrs["bandwidth"]
            found = essential_dynamics(run, n_components=most, bandwidth=width, kind=kind)
            if not bandwidth:  # more components, smoothed as the first ones chose
                found.attrs |= {name: usual.attrs[name] for name in ("bandwidth_chosen_by", "smoothing")}
            return found

        return self._jobs.asked(f"dynamics {n_components > USUAL_COMPONENTS} {bandwidth:g}", work)

    def joint(self, other: "DerivedRun") -> Job:
        """This run and another in one function space (``dx.joint_dynamics``), on the probe of this one."""

        def work(progress: Progress) -> xr.Dataset:
            progress(0, 0, "principal components of both runs")
            return joint_dynamics([open_run(self.run.path), open_run(other.run.path)])

        return self._jobs.asked(f"joint {other.run.path} {other.fingerprint}", work)

    @property
    def forms(self) -> Job | None:
        """Forms, sought once essential dynamics are there; None before that, and where those failed."""
        dynamics = self.dynamics.future
        if not dynamics.done() or dynamics.exception() is not None:
            return None

        def seek(progress: Progress) -> xr.Dataset:
            walks = "random walks to compare with"
            forms = find_forms(dynamics.result(), progress=lambda done, of: progress(done, of, walks))
            for form in range(min(READ_AHEAD, forms.sizes["form"])):
                self._lift(forms, form)  # so that its card is there when it is opened
            return forms

        return self._jobs.once("forms", seek)

    def lifted(self, form: int) -> Job:
        """A form of ``forms``, which are found, lifted to the probe and read."""
        return self._lift(self.found_forms(), form)

    def found_forms(self) -> xr.Dataset:
        """The forms. Raises ``InvalidSpec`` until they are found."""
        job = self.forms
        if job is None or not job.future.done():
            raise InvalidSpec("forms are still being sought")
        return job.future.result()

    def _lift(self, forms: xr.Dataset, form: int) -> Job:
        def work(progress: Progress) -> LiftedForm:
            progress(0, 0, "lifting the form to the probe")
            lifted = lift(self.run, forms.isel(form=form))
            lifted = lifted.drop_vars(["logits", "log_prob"], errors="ignore")  # large, and not shown
            if self.run.system == "language":
                return LiftedForm(lifted, read_form(lifted), None)
            return LiftedForm(lifted, None, reference_distances(lifted))

        return self._jobs.once(f"form {form}", work)

    def start(self) -> tuple[Job, Job]:
        """Both jobs, running from now on if they were not yet."""
        return self.stages, self.dynamics

    def answer(
        self,
        pane: str,
        question: str,
        values: Mapping[str, Any],
        work: "Callable[[DerivedRun, Mapping[str, Any]], Any]",
    ) -> Job:
        """The answer to a question with these values; the same question is worked out once. What failed is
        tried again."""
        return self._jobs.asked(_named([pane, question, values]), lambda _: work(self, values), retry=True)

    def do(self, work: Callable[[], Any]) -> Job:
        """Something in the background that is not kept."""
        return Job(lambda _: work(), self._pool)

    def drawing(self, what: list[Any], work: Callable[[], Any]) -> Job:
        """A figure that takes long to draw, worked out once."""
        return self._jobs.once(_named(what), lambda _: work())

    def text_losses(self, text: str) -> Job:
        """Losses of the user's own text at every checkpoint (``dx.token_losses``)."""
        asked = _named(["own text", text])
        return self._jobs.asked(asked, lambda progress: token_losses(self.run, text, progress=progress))

    @property
    def jobs(self) -> dict[str, Job]:
        """Those that were asked for so far, by name."""
        return self._jobs.by_name()

    def successor(
        self, run: Run, seen: Fingerprint, data: Mapping[str, Any], jobs: Mapping[str, Job]
    ) -> "DerivedRun":
        """For the same run, opened anew: with this much of what was read and found before."""
        new = DerivedRun(run, self._pool, seen)
        vars(new).update(data)
        new._jobs = self._jobs.keeping(jobs)
        return new

    def _find_stages(self, progress: Progress) -> xr.Dataset | None:
        """Between the boundaries that were saved, else the candidates. From what is loaded, each curve at its
        own steps: NaN where only the other was measured."""
        saved = saved_boundaries(self.run)
        curves: list[xr.Dataset] = []
        if self.llc is not None and self.trust is not None:
            curves.append(self.llc[["llc", "llc_se"]].assign(verdict=self.trust["verdict"]))
        if self.loss is not None:
            curves.append(self.loss.rename("loss").to_dataset())
        if not curves:
            return None
        table = xr.merge(curves, join="outer", compat="override", combine_attrs="drop")
        return find_stages(
            table["step"],
            table.get("llc"),
            table.get("llc_se"),
            table.get("loss"),
            verdict=table.get("verdict"),
            boundaries="candidates" if saved is None else saved,
        )

    def _compute_dynamics(self, progress: Progress) -> xr.Dataset:
        """In a Run of its own: measuring closes and reopens its files, which the page may be reading."""
        torch.set_num_threads(1)  # leave the other cores to the page and to what else runs on this machine
        run = open_run(self.run.path)
        output = ensure_outputs(run, kind=None, progress=progress)
        progress(0, 0, "principal components")
        return essential_dynamics(run, kind=output.attrs.get("kind"))  # of a run: its Gram matrix is kept


def _named(asked: list[Any]) -> str:
    return json.dumps(asked, sort_keys=True)
