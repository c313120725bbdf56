"""Outputs of idealised predictors on a run's probe, kept once beside the outputs of its checkpoints."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import xarray as xr

from devexplore import schema
from devexplore.errors import InvalidSpec, MissingText
from devexplore.measure.base import Arrays, Layout, Measurement, Report
from devexplore.measure.outputs import FLOAT16_FROM
from devexplore.measure.subject import Subject
from devexplore.run import Run
from devexplore.store import Store
from devexplore.systems.base import check_kind

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class References(Measurement):
    """``kind``: which outputs (as ``Outputs``); None takes the system's first choice. What is counted in a
    text that this machine lacks is left out, and said in the group's attribute ``missing``.
    """

    kind: str | None = None
    title: ClassVar[str] = "references"

    def spec(self, subject: Subject) -> Mapping[str, object]:
        return {"kind": _chosen(subject, self.kind)}

    def groups(self, subject: Subject) -> Mapping[str, Layout]:
        """None that has steps: a predictor does not develop."""
        return {}

    def measure(
        self, subject: Subject, steps: Sequence[int], stored: Sequence[Mapping[str, Arrays]], report: Report
    ) -> list[Mapping[str, Arrays]]:
        return [{} for _ in steps]

    def finish(self, subject: Subject, store: Store) -> None:
        write_references(subject, store, _chosen(subject, self.kind))


def ensure_references(run: Run, kind: str | None = None) -> xr.DataArray:
    """Outputs of the idealised predictors on the run's probe, dimensions (predictor, …features as the run's
    outputs): those stored, else computed now and kept (``Run.output_store``).

    Raises InvalidSpec where no predictor has outputs of this kind.
    """
    subject = Subject(run, torch.device("cpu"))
    kind = _chosen(subject, kind)
    if lacking(subject, kind):
        with run.output_store() as store:
            write_references(subject, store, kind)
        run.refresh()
    return run.dataset(f"{schema.REFERENCES}/{kind}")["output"]


def lacking(subject: Subject, kind: str, prefix: str = "") -> bool:
    """Whether the run holds fewer than all of the predictors of this kind."""
    run, group = subject.run, f"{prefix}{schema.REFERENCES}/{kind}"
    held = _names(run.dataset(group)) if run.has(group) else set()
    return not set(subject.system.reference_names(kind)) <= held


def write_references(subject: Subject, store: Store, kind: str, prefix: str = "") -> None:
    """Write the group ``references/<kind>`` below ``prefix``, unless it holds as many predictors already."""
    system, group = subject.system, f"{prefix}{schema.REFERENCES}/{kind}"
    found, missing = {}, ""
    for name in system.reference_names(kind):
        try:
            found[name] = _as_outputs(system.reference(name, subject.probe_batch, kind, subject.seed))
        except MissingText as error:
            missing = str(error)
            _log.warning("no predictor %s: %s", name, error)
    tree = store.open()
    there = _names(tree[group].to_dataset()) if f"/{group}" in tree.groups else set()
    if there >= set(found):
        return
    if there:
        store.discard(group)  # the text has come since
    output = np.stack(list(found.values()))
    last, positions = system.output_dim(kind), system.output_positions(kind)
    dims = ("predictor", "sequence", "position", *(() if last is None else (last,)))
    store.put(
        group,
        {"output": (dims, output, {"kind": kind, "long_name": f"{kind} of idealised predictors"})},
        {
            "predictor": np.array(list(found), dtype=object),
            "position": np.arange(output.shape[2]) if positions is None else positions,
        },
        {"kind": kind, "missing": missing},
    )


def _chosen(subject: Subject, kind: str | None) -> str:
    system = subject.system
    kind = kind if kind is not None else system.output_kinds[0]
    check_kind(system, kind)
    if not system.reference_names(kind):
        good = [name for name in system.output_kinds if system.reference_names(name)]
        raise InvalidSpec(
            f"no idealised predictor of {system.name} has outputs of kind {kind!r}, which it does not fix; "
            f"choose {', '.join(good)}"
        )
    return kind


def _as_outputs(values: torch.Tensor) -> np.ndarray:
    """In the precision of the checkpoints' outputs beside it."""
    return values.numpy().astype(np.float16 if values.numel() >= FLOAT16_FROM else np.float32)


def _names(references: xr.Dataset) -> set[str]:
    return {str(name) for name in references["predictor"].values}
