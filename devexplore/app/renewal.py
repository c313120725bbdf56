"""What stays valid of a run when parts of it change, and when its new state is ready to be shown."""

from typing import Final

from devexplore import schema
from devexplore.app.derived import DerivedRun
from devexplore.app.fingerprint import (
    ANNOTATIONS,
    EVERY_FILE,
    LOG,
    RECIPE,
    WEIGHTS,
    Fingerprint,
    changed_parts,
)
from devexplore.app.job import Job
from devexplore.run import Run

_CHECKPOINTS: Final = {schema.CHECKPOINTS, WEIGHTS, LOG}
_READ_FROM: Final = {
    "losses": {schema.LOSSES},
    "llc": {schema.LLC},
    "trust": {schema.LLC},
    "chain_readings": {schema.LLC, schema.CHAINS},
    "checkpoints": _CHECKPOINTS,
    "metrics": {schema.METRICS},
    "refined": {schema.REFINED},
    "probe": {schema.PROBE},
    "ideal_losses": {schema.PROBE, schema.REFERENCES},
    "steps": {schema.LOSSES, schema.LLC, schema.METRICS} | _CHECKPOINTS,
    "loss": {schema.LOSSES} | _CHECKPOINTS,
}
"""Parts of the run that the data of ``DerivedRun`` are read from."""

_STAGES: Final = {schema.LOSSES, schema.LLC, ANNOTATIONS} | _CHECKPOINTS
_PATH: Final = {WEIGHTS, schema.OUTPUTS}
_FOUND_FROM: Final = {
    "stages": _STAGES,
    "free": _STAGES,
    "metric": {schema.METRICS, schema.METRIC_BLOCKS},
    "dynamics": _PATH,
    "forms": _PATH,
    "form": _PATH,
}
"""Parts of the run that the results of jobs follow from, by the first word of their names."""

_WHOLE: Final = {RECIPE, EVERY_FILE, schema.STORE_ZIP}
"""Parts with which everything changes."""

LONG: Final = ("stages", "dynamics", "forms")
"""Jobs that take long enough to be waited for before the new state takes the place of the old one."""


def renewed(old: DerivedRun, run: Run, seen: Fingerprint) -> DerivedRun:
    """The same run, opened anew after its files were ``seen`` to have changed. What does not hang on the
    changes stays, also what is being computed; what failed is tried again."""
    changed = _groups(changed_parts(old.fingerprint, seen))
    seen = {part: stamp for part, stamp in seen.items() if part != EVERY_FILE}
    if changed & _WHOLE:
        return old.successor(run, seen, {}, {})
    held = dict(vars(old))
    data = {name: held[name] for name, parts in _READ_FROM.items() if name in held and not parts & changed}
    jobs = {
        name: job for name, job in old.jobs.items() if not _hangs_on(name, changed) and not job.has_failed
    }
    return old.successor(run, seen, data, jobs)


def busy(old: DerivedRun, changed: set[str]) -> bool:
    """Whether something long is being computed that these changes make obsolete: it is finished and shown
    first, or a run that goes on fast would never be shown at all."""
    jobs, changed = old.jobs, _groups(changed)
    return any(name in jobs and not jobs[name].future.done() and _hangs_on(name, changed) for name in LONG)


def caught_up(new: DerivedRun, old: DerivedRun) -> bool:
    """Whether what takes long is found again as far as it was before; what is not is sought from now on."""
    had = [name for name in LONG if name in old.jobs and old.jobs[name].future.done()]
    jobs: list[Job | None] = [getattr(new, name) for name in had]
    # No job: forms, which wait for the trajectory, or never come where that fails.
    return all(new.dynamics.has_failed if job is None else job.future.done() for job in jobs)


def _hangs_on(job: str, changed: set[str]) -> bool:
    """An answer to a question, whatever it was about, hangs on everything."""
    parts = _FOUND_FROM.get(job.split(" ")[0])
    return parts is None or bool(parts & changed) or bool(changed & _WHOLE)


def _groups(changed: set[str]) -> set[str]:
    """``refined/own`` is a part of ``refined``."""
    return {part.split("/")[0] for part in changed}
