"""A sweep over (ε, nβ, γ) at a few checkpoints, all as rows of one run: what sampler settings do to λ̂."""

import hashlib
import json
import logging
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np
import torch
import xarray as xr
from tqdm.auto import tqdm

from devexplore.errors import InvalidSpec
from devexplore.measure.subject import Subject
from devexplore.measure.sweep_plan import SweepPlan, engine, grid_specs, plan_sweep, snapshot, spanning_steps
from devexplore.run import Run
from devexplore.sampling.execution import Execution
from devexplore.sampling.result import LLCResult
from devexplore.sampling.rows import Progress
from devexplore.sampling.spec import LLCSpec
from devexplore.store import GroupWriter, Store, Variable, as_json, provenance

GROUP: Final = "calibration"
"""Sweeps are kept below this group, each named by a hash of what was asked for."""

_LOG: Final = logging.getLogger("devexplore")
_AXES: Final = ("rung", "n_beta", "localization")
_ROWS_AT_ONCE: Final = 256
"""Beyond so many rows side by side nothing is gained, and what is stored is safe."""

_NUMBERS: Final[Mapping[str, str]] = {
    "llc": "local learning coefficient λ̂ = nβ·(E[L] − L(w*))",
    "llc_se": "standard error of λ̂ over seeds",
    "rhat": "R̂ over chains",
    "ess": "effective sample size of the mean",
    "excess_loss": "E[L] − L(w*)",
    "init_loss": "L(w*) on all the data",
    "relative_distance": "mean final ‖w − w*‖ / ‖w*‖",
    "spread": "γ·mean ‖w − w*‖² / P: 1 is diffusion under γ alone",
    "half_drift": "λ̂ of the second half of the draws − the first, relative to λ̂",
    "half_drift_z": "half_drift ÷ its standard error",
    "diverged_chains": "chains that diverged and were left out",
    "h_max": "largest Hessian eigenvalue at w*",
    "h_min": "smallest Ritz value of the Hessian at w*",
    "stability": "ε(nβ·h_max + γ), unstable from 4 on",
    "slope_shift": "what the slope at w* takes off λ̂",
}


def sweep_settings(
    run: Run,
    *,
    steps: Sequence[int] | None = None,
    step_sizes: Sequence[float] | None = None,
    n_betas: Sequence[float] | None = None,
    localizations: Sequence[float] | None = None,
    minutes: float = 10.0,
    memory: str | int | None = None,
    device: torch.device | str = "cpu",
    progress: bool = True,
) -> xr.Dataset:
    """λ̂ with its error, checks and verdict over (step, rung, n_beta, localization).

    steps: checkpoints; None takes four, evenly on a logarithmic scale from the first at which three quarters
        of what training takes off the loss are gone, to the last.
    step_sizes: ε, the same at every (nβ, γ); None takes ε = c/(nβ·h_max + γ), c = 0.08, 0.2, 0.5, 1.25, with
        h_max the largest Hessian eigenvalue over these checkpoints.
    n_betas, localizations: None takes values around the system's defaults (``sweep_plan.default_axes``).
    minutes: what the sweep may take on this machine. Chains, updates and whatever was not given are cut down
        until a short timing says that it fits; the plan is logged, and shown if ``progress``.
    memory: see ``sampling.Execution``.

    The sweep is kept in the run's store (of a packed or read-only run in the user's cache), in a group of its
    own, named by what was asked. Asked for again it is read; where it was cut short it goes on.

    Raises InvalidSpec (an axis without values, or with one that no setting may have), CheckpointNotFound.
    """
    if not (math.isfinite(minutes) and minutes > 0):
        raise InvalidSpec(f"minutes must be above 0, got {minutes!r}")
    subject = Subject(run, torch.device(device))
    base = LLCSpec(**{"seed": subject.seed, **subject.system.llc_defaults})
    execution = Execution() if memory is None else Execution(memory=memory)
    axes = {"step_sizes": step_sizes, "n_betas": n_betas, "localizations": localizations}
    given = {name: _axis(name, values) for name, values in axes.items()}
    chosen = spanning_steps(subject) if steps is None else tuple(sorted({int(step) for step in steps}))
    hashes = {step: run.checkpoints.content_hash(step) for step in chosen}
    asked = {
        **given,
        "steps": hashes,
        "free_steps": steps is None,
        "minutes": minutes,
        "defaults": asdict(base),
    }
    group = f"{GROUP}/sweep_{hashlib.sha256(as_json(asked).encode()).hexdigest()[:12]}"
    with run.output_store() as store:
        plan = _stored_plan(store, group)
        if plan is None:
            plan = plan_sweep(
                subject,
                base,
                chosen,
                given,
                seconds=60 * minutes,
                execution=execution,
                fixed_steps=steps is not None,
            )
        _tell(plan.words(), progress)
        writer = _writer(store, group, subject, base, plan)
        _fill(writer, subject, base, plan, hashes, execution, progress)
        result = store.open()[group].to_dataset().load()
    run.refresh()
    return result


def _axis(name: str, values: Sequence[float] | None) -> tuple[float, ...]:
    """In increasing order; empty where none were given. LLCSpec judges the values."""
    if values is None:
        return ()
    ordered = tuple(sorted({float(value) for value in values}))
    if not ordered:
        raise InvalidSpec(f"{name} must hold at least one value, or be left out")
    setting = {"step_sizes": "step_size", "n_betas": "n_beta", "localizations": "localization"}[name]
    valid: dict[str, Any] = {"step_size": 1.0, "localization": 0.0, "batch_size": 1, "chains": 1, "draws": 4}
    for value in ordered:
        LLCSpec(**{**valid, "burn_in": 0, setting: value})
    return ordered


def _stored_plan(store: Store, group: str) -> SweepPlan | None:
    """The plan of a sweep that was begun earlier."""
    tree = store.open()
    if f"/{group}" not in tree.groups:
        return None
    stored = json.loads(tree[group].attrs["plan"])
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in stored.items()}
    return SweepPlan(**values)


def _writer(store: Store, group: str, subject: Subject, base: LLCSpec, plan: SweepPlan) -> GroupWriter:
    step_size = plan.grid()
    layout = {
        name: Variable(_AXES, step_size.shape, np.dtype(np.float32), {"long_name": text})
        for name, text in _NUMBERS.items()
    }
    layout["verdict"] = Variable(
        _AXES, step_size.shape, np.dtype(np.int8), {"long_name": "0 trusted, 1 doubtful, 2 not an LLC"}
    )
    layout["reason"] = Variable(_AXES, step_size.shape, str, {"long_name": "why not trusted"})
    spec = plan.spec(base)
    varied = ("step_size", "n_beta", "localization")
    settings = {name: value for name, value in asdict(spec).items() if name not in varied}
    return store.writer(
        group,
        {"plan": asdict(plan), "settings": settings},
        layout,
        {
            "rung": np.arange(step_size.shape[0]),
            "n_beta": np.array(plan.n_betas),
            "localization": np.array(plan.localizations),
            "step_size": (_AXES, step_size),
        },
        {
            **settings,
            "plan": as_json(asdict(plan)),
            "n": len(subject.pool[0]),
            "h_max": plan.h_max,
            "seconds_per_update": plan.seconds_per_update,
            "defaults": as_json({name: asdict(base)[name] for name in varied}),
            "trivial_loss": subject.system.trivial_loss,
        },
        provenance(base.seed, {"run": subject.run.name}),
    )


def _fill(
    writer: GroupWriter,
    subject: Subject,
    base: LLCSpec,
    plan: SweepPlan,
    hashes: Mapping[int, str],
    execution: Execution,
    progress: bool,
) -> None:
    """Walk whatever of the plan is not stored yet, as many checkpoints side by side as rows pay."""
    spec = plan.spec(base)
    grid = grid_specs(plan, spec)
    todo = [step for step in plan.steps if step not in writer.measured]
    for step in set(plan.steps) - set(todo):
        writer.write(step, hashes[step], {})  # does nothing, but raises if the weights were others
    if not todo:
        return
    ready = engine(subject, spec, execution)
    at_once = max(1, _ROWS_AT_ONCE // (len(grid) * spec.chains))
    with tqdm(
        total=len(todo) * len(grid) * spec.chains * spec.updates,
        desc="calibration",
        unit="update",
        unit_scale=True,
        dynamic_ncols=True,
        disable=not progress,
    ) as bar:
        for first in range(0, len(todo), at_once):
            some = todo[first : first + at_once]
            weights = [snapshot(subject, step) for step in some]
            results = ready.run(weights, grid=grid, progress=_following(bar))
            for index, step in enumerate(some):
                own = results[index * len(grid) : (index + 1) * len(grid)]
                writer.write(step, hashes[step], _block(own, plan.grid().shape))


def _following(bar: tqdm) -> Progress:
    """Moves the bar on from where it stands."""
    start = bar.n

    def report(done: int, total: int) -> None:
        bar.update(start + done - bar.n)

    return report


def _block(results: Sequence[LLCResult], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """What is stored of one checkpoint: every check at every grid point."""
    columns: dict[str, np.ndarray] = {
        name: np.array([result.checks[name] for result in results], dtype=np.float32) for name in _NUMBERS
    }
    columns["verdict"] = np.array([result.verdict.code for result in results], dtype=np.int8)
    columns["reason"] = np.array(["; ".join(result.verdict.reasons) for result in results], dtype=object)
    return {name: values.reshape(shape) for name, values in columns.items()}


def _tell(text: str, progress: bool) -> None:
    _LOG.info(text)
    if progress:
        tqdm.write(text, file=sys.stderr)
