"""Runs measurements over checkpoints: loops, progress and resuming live here, the numbers elsewhere."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import torch
import xarray as xr
from tqdm.auto import tqdm

from devexplore import schema
from devexplore.errors import CheckpointNotFound, StoreConflict
from devexplore.measure.base import Arrays, Layout, Measurement
from devexplore.measure.llc import LLC
from devexplore.measure.losses import TokenLosses
from devexplore.measure.metrics import Metrics
from devexplore.measure.outputs import Outputs
from devexplore.measure.subject import Subject
from devexplore.measure.training_log import training_log
from devexplore.run import Run, held_outputs
from devexplore.store import GroupWriter, Store, Variable, as_json, provenance

Progress = Callable[[int, int, str], None]
"""(checkpoints done, checkpoints in all, what is being measured)."""

DEFAULTS: tuple[Measurement, ...] = (TokenLosses(), Metrics(), Outputs(), LLC())


def measure(
    run: Run,
    measurements: Sequence[Measurement] = DEFAULTS,
    *,
    device: torch.device | str = "cpu",
    at_most: int | None = None,
    progress: bool = True,
) -> Run:
    """Measure every checkpoint of a run that is not yet measured, and store each block as soon as it is
    there.

    ``at_most`` keeps to so many checkpoints, spread over the whole of training; more can be added later.

    Killed at any moment, the same call goes on where it was. Checkpoints are taken coarse to fine, so that
    a sweep cut short spans the whole of training. Outputs of a packed or read-only run go to the user's
    cache.

    Raises
    ------
    StoreConflict
        The run holds the same group measured with another spec or from other weights. Nothing is overwritten.
    DamagedCheckpoint
        A checkpoint file is truncated or corrupted, whether it was measured before or not.
    """
    subject = Subject(run, torch.device(device))
    for measurement in measurements:  # a setting that cannot be is refused before hours of measuring
        measurement.spec(subject)
        if isinstance(measurement, Outputs):
            measurement.groups(subject)
    others = [measurement for measurement in measurements if not isinstance(measurement, Outputs)]
    if others:
        with Store(run.store_path, mode="a") as store:
            _write_checkpoints(store, run)
            write_probe(store, subject)
            for measurement in others:
                sweep(store, subject, measurement, _bar if progress else silent, at_most)
                measurement.finish(subject, store)
    for measurement in measurements:
        if isinstance(measurement, Outputs):
            with run.output_store() as store:
                sweep(store, subject, measurement, _bar if progress else silent, at_most)
    run.refresh()
    return run


def ensure_outputs(run: Run, kind: str | None = None, progress: Progress | None = None) -> xr.DataArray:
    """The outputs of every checkpoint: those stored (as a sketch, where only that is whole), else computed
    now and kept (``Run.output_store``).

    ``progress(done, total, text)`` is called after each checkpoint. A run that ships without its checkpoints
    gives what is stored.
    """
    for group in held_outputs(run, kind):
        if covers_checkpoints(run, group):
            return run.dataset(group)["output"]
    measurement = Outputs(kind)
    subject = Subject(run, torch.device("cpu"))
    with run.output_store() as store:
        sweep(store, subject, measurement, reporting(progress) if progress is not None else silent)
    run.refresh()
    return run.dataset(f"{schema.OUTPUTS}/{measurement.chosen(subject)}")["output"]


def covers_checkpoints(run: Run, group: str) -> bool:
    """Whether outputs in this group are there for every checkpoint, from the weights that it has now; of a
    run that ships without its checkpoints, whether there are any.
    """
    if not run.has(group):
        return False
    try:
        checkpoints = run.checkpoints
    except CheckpointNotFound:
        return True
    output = run.dataset(group)["output"]
    stored = dict(zip(output[schema.STEP].values, output[schema.CONTENT_HASH].values, strict=True))
    return all(stored.get(step) == checkpoints.content_hash(step) for step in map(int, checkpoints.steps))


Reporter = Callable[[str, int, int], AbstractContextManager[Callable[[float], object]]]
"""(title, checkpoints done before, checkpoints in all) → what is told how many are done, parts included."""


def sweep(
    store: Store, subject: Subject, measurement: Measurement, reporter: Reporter, at_most: int | None = None
) -> None:
    """One measurement over all checkpoints."""
    layouts, checkpoints = measurement.groups(subject), subject.run.checkpoints
    sources = _sources(subject.run)
    made_from = provenance(measurement.seed(subject), sources)
    writers: dict[str, GroupWriter] = {}
    conflicts: list[str] = []  # of all groups at once, so that one try tells the whole way out
    for group, layout in layouts.items():
        spec = dict(measurement.spec(subject))
        try:
            writers[group] = store.writer(
                group, spec, layout.variables, layout.coords, layout.attrs, made_from
            )
        except StoreConflict as error:
            conflicts.append(str(error))
    if conflicts:
        raise StoreConflict("; and ".join(conflicts))
    hashes = {int(step): checkpoints.content_hash(step) for step in checkpoints.steps}
    for writer in writers.values():
        for step in writer.measured.keys() & hashes.keys():
            try:
                writer.write(step, hashes[step], {})  # does nothing, but raises if the weights were others
            except StoreConflict:
                checkpoints.load(step)  # raises if they are no weights at all: a damaged file
                raise
    wanted = coarse_to_fine(list(hashes))[:at_most]
    todo = [step for step in wanted if _lacking(writers, step)]
    if not todo:
        return
    before, at_once = len(wanted) - len(todo), measurement.together(subject)
    with reporter(measurement.title, before, len(wanted)) as report:
        for first in range(0, len(todo), at_once):
            steps = todo[first : first + at_once]
            stored = [_stored(store, writers, layouts, step) for step in steps]

            def report_share(share: float, done: int = before + first, count: int = len(steps)) -> None:
                report(done + share * count)

            blocks = measurement.measure(subject, steps, stored, report_share)
            for step, present, block in zip(steps, stored, blocks, strict=True):
                for group in writers.keys() - present.keys():
                    writers[group].write(step, hashes[step], block[group])
            report_share(1.0)


def _stored(
    store: Store, writers: Mapping[str, GroupWriter], layouts: Mapping[str, Layout], step: int
) -> Mapping[str, Arrays]:
    """What is on disk already of a step that a kill left half done."""
    present = [group for group, writer in writers.items() if step in writer.measured]
    return {group: _read_block(store, group, step, layouts[group].variables) for group in present}


def _sources(run: Run) -> dict[str, str]:
    """What a measurement came from: the run, and a hash of the recipe (spec, seed, text) behind its data."""
    recipe = {key: run.recipe.get(key) for key in ("system", "spec", "seed", "text")}
    return {"run": run.name, "recipe": hashlib.sha256(as_json(recipe).encode()).hexdigest()[:16]}


def _lacking(writers: Mapping[str, GroupWriter], step: int) -> bool:
    """Whether some group has no block of this step."""
    return any(step not in writer.measured for writer in writers.values())


def _read_block(store: Store, group: str, step: int, variables: Mapping[str, Variable]) -> Arrays:
    block = store.open()[group].to_dataset().sel(step=step)
    return {name: block[name].values for name in variables}


def coarse_to_fine(steps: Sequence[int]) -> list[int]:
    """The same steps, first and last first, then halves, quarters …: any beginning of the list spans the
    whole.
    """
    if len(steps) == 0:
        return []
    ordered, seen = [], set()
    count = 1
    while len(ordered) < len(steps):
        for index in np.linspace(0, len(steps) - 1, count + 1).round().astype(int).tolist():
            if index not in seen:
                seen.add(index)
                ordered.append(steps[index])
        count *= 2
    return ordered


@contextmanager
def silent(title: str, before: int, total: int) -> Iterator[Callable[[float], object]]:
    yield lambda done: None


@contextmanager
def _bar(title: str, before: int, total: int) -> Iterator[Callable[[float], object]]:
    words = "{desc}: {percentage:3.0f}% |{bar}| {n:.0f}/{total_fmt} checkpoints [{elapsed}, {remaining} left]"
    with tqdm(total=total, initial=before, desc=f"{title:>16}", bar_format=words, dynamic_ncols=True) as bar:
        yield lambda done: bar.update(done - bar.n)


def reporting(progress: Progress) -> Reporter:
    @contextmanager
    def reporter(title: str, before: int, total: int) -> Iterator[Callable[[float], object]]:
        progress(before, total, title)
        yield lambda done: progress(int(done), total, title)

    return reporter


def _write_checkpoints(store: Store, run: Run) -> None:
    """The group /checkpoints: what training logged at each of them."""
    logged = training_log(run)
    single = np.dtype(np.float32)
    layout = {
        "train_loss": Variable((), (), single, {"long_name": "training loss (one batch)"}),
        "learning_rate": Variable((), (), single, {}),
        "samples_seen": Variable((), (), np.dtype(np.int64), {"units": "samples"}),
    }
    writer = store.writer(schema.CHECKPOINTS, {}, layout, {}, {}, provenance(None, _sources(run)))
    for step in run.checkpoints.steps.tolist():
        if step not in logged and run.recipe.get("finished") is False:
            continue  # still training: its row is not on disk yet
        row = logged.get(step, {})
        writer.write(
            step,
            run.checkpoints.content_hash(step),
            {
                "train_loss": np.array(row.get("loss", "nan"), dtype=np.float32),
                "learning_rate": np.array(row.get("learning_rate", "nan"), dtype=np.float32),
                "samples_seen": np.array(row.get("samples_seen", -1), dtype=np.int64),
            },
        )


def write_probe(store: Store, subject: Subject) -> None:
    probe = subject.probe
    variables: dict[str, Any] = {
        name: (variable.dims, variable.values, dict(variable.attrs))
        for name, variable in probe.variables.items()
    }
    attrs = {
        "seed": subject.seed,
        "system": subject.system.name,
        "sequence_name": probe.sequence_name,
        "position_name": probe.position_name,
    }
    store.put(schema.PROBE, variables, {}, attrs)
