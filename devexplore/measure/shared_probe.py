"""Several runs on one probe, so that their outputs are points of one space.

Each run draws its probe from its own seed; runs of other seeds, tasks or teachers have seen other inputs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from devexplore import schema
from devexplore.arguments import as_runs
from devexplore.errors import InvalidSpec
from devexplore.measure.base import Arrays, Layout
from devexplore.measure.outputs import Outputs
from devexplore.measure.pipeline import Progress, covers_checkpoints, reporting, silent, sweep, write_probe
from devexplore.measure.references import lacking, write_references
from devexplore.measure.subject import Subject
from devexplore.run import Run
from devexplore.store import as_json


def share_probe(
    runs: Run | Sequence[Run],
    kind: str | None = None,
    progress: Progress | None = None,
    sketch: int | None = None,
) -> list[Run]:
    """Give every run outputs, and reference predictors, on the probe of the first; returns the runs.

    What is there already is not computed again. Outputs on another run's probe lie in ``on_probe/<id>`` of
    the run (or of its cache, see ``Run.output_store``), beside its own. A run's references stay its own: its
    tasks, its teacher, its text, met with the first run's inputs.

    Args:
        kind: which outputs; default the system's first choice.
        sketch: keep so many numbers of each checkpoint instead of all (``Outputs.sketch``); default as many
            as the first run keeps where it holds nothing but a sketch.
        progress: told ``(checkpoints done, checkpoints in all, what)`` for each run.

    Raises:
        InvalidSpec: for no run, or runs that cannot take the first one's inputs (another system, another
            tokenizer, another shape).
    """
    runs = as_runs(runs)
    cpu = torch.device("cpu")
    first = Subject(runs[0], cpu)
    kind = Outputs(kind, sketch).chosen(first)
    sketch = sketch if sketch is not None else _sketch_of(runs[0], kind)
    if not runs[0].has(schema.PROBE):
        with runs[0].output_store() as store:
            write_probe(store, first)
        runs[0].refresh()
    probe = runs[0].probe_id
    reporter = reporting(progress) if progress is not None else silent
    for run in runs:
        subject, prefix, outputs = Subject(run, cpu), "", Outputs(kind, sketch)
        if not (run.has(schema.PROBE) and run.probe_id == probe):
            _require_alike(first, subject)
            subject.probe_batch = first.probe_batch
            prefix = f"{schema.ON_PROBE}/{probe}/"
            outputs = _OutputsOn(kind, sketch, probe)
        if not _holds(run, subject, outputs):
            with run.output_store() as store:
                sweep(store, subject, outputs, reporter)
            run.refresh()
        if lacking(subject, kind, prefix):
            with run.output_store() as store:
                write_references(subject, store, kind, prefix)
            run.refresh()
    return runs


@dataclass(frozen=True)
class _OutputsOn(Outputs):
    """Outputs on the probe with this id, in a group of their own."""

    probe: str = ""

    def spec(self, subject: Subject) -> Mapping[str, object]:
        return {**super().spec(subject), "probe": self.probe}

    def groups(self, subject: Subject) -> Mapping[str, Layout]:
        return self._below(super().groups(subject))

    def measure_one(self, subject: Subject, step: int) -> Mapping[str, Arrays]:
        return self._below(super().measure_one(subject, step))

    def _below(self, groups: Mapping) -> dict:
        return {f"{schema.ON_PROBE}/{self.probe}/{name}": content for name, content in groups.items()}


def _holds(run: Run, subject: Subject, outputs: Outputs) -> bool:
    """Whether these very outputs, whole or as a sketch of this size, are there for every checkpoint."""
    spec = as_json(outputs.spec(subject))
    return all(
        covers_checkpoints(run, group) and run.dataset(group).attrs.get("spec") == spec
        for group in outputs.groups(subject)
    )


def _sketch_of(run: Run, kind: str) -> int | None:
    """Size of the run's sketched outputs; None where it has whole ones, or none at all."""
    whole = f"{schema.OUTPUTS}/{kind}"
    group = f"{whole}{schema.SKETCH}"
    if run.has(whole) or not run.has(group):
        return None
    return int(run.dataset(group)["output"].attrs[schema.SKETCHED])


def _require_alike(first: Subject, other: Subject) -> None:
    """Raise InvalidSpec unless the other run takes the first one's inputs, and in the same meaning."""
    names = f"{first.run.name} and {other.run.name}"
    if first.system.name != other.system.name:
        raise InvalidSpec(
            f"{names} cannot share a probe: one is a {first.system.name} run, the other {other.system.name}"
        )
    if first.system.files() != other.system.files():
        raise InvalidSpec(
            f"{names} cannot share a probe: their tokenizers differ, so the same text is other tokens to each"
        )
    shapes = [[tuple(tensor.shape[1:]) for tensor in subject.probe_batch] for subject in (first, other)]
    if shapes[0] != shapes[1]:
        raise InvalidSpec(
            f"{names} cannot share a probe: one takes samples of shape {shapes[0]}, the other {shapes[1]}"
        )
