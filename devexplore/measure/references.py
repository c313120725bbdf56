"""Outputs of idealised predictors on a run's probe, kept once beside the outputs of its checkpoints."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import torch
import xarray as xr

from devexplore import schema
from devexplore.errors import InvalidSpec, MissingText
from devexplore.measure.base import Arrays, Layout, Measurement, Report
from devexplore.measure.outputs import stored_dtype
from devexplore.measure.subject import Subject
from devexplore.run import Run
from devexplore.store import Store
from devexplore.systems.base import check_kind, in_parts

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 64 * 2**20
"""Bytes of a predictor's outputs that are computed at a time."""


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
    """Write the group ``references/<kind>`` below ``prefix``. Predictors that it holds already are not
    computed again; others are added to them as soon as what they are counted in is there.

    Memory: all predictors of this kind in the precision of the stored outputs (3 × 32 texts × 64 positions ×
    2 bytes for each token of a large vocabulary), and what computing 64 MB of one takes: 1.2 GB in all with
    the 65,536 tokens that a vocabulary has at most.
    """
    system, group = subject.system, f"{prefix}{schema.REFERENCES}/{kind}"
    tree = store.open()
    held = tree[group].to_dataset() if f"/{group}" in tree.groups else None
    known = set() if held is None else _names(held)
    output, missing = _computed(subject, kind, [n for n in system.reference_names(kind) if n not in known])
    if output is None:
        return
    if held is not None:  # the text has come since
        output = xr.concat([held["output"].load(), output], "predictor")
        store.discard(group)
    output.attrs |= {"kind": kind, "long_name": f"{kind} of idealised predictors"}
    coords = {name: output[name].values for name in ("predictor", "position")}
    store.put(group, {"output": output.drop_vars(coords)}, coords, {"kind": kind, "missing": missing})


def _computed(subject: Subject, kind: str, names: Sequence[str]) -> tuple[xr.DataArray | None, str]:
    """Outputs on the probe of those of these predictors that can be had, None if none can; and why others
    cannot.
    """
    system, batch = subject.system, subject.probe_batch
    output: np.ndarray = np.empty(0)
    found, missing = [], ""
    for name in names:
        try:
            one = system.reference(name, tuple(tensor[:1] for tensor in batch), kind, subject.seed)
        except MissingText as error:
            missing = str(error)
            _log.warning("no predictor %s: %s", name, error)
            continue
        if not found:  # for all predictors at once: stacking them would take their memory twice
            shape = (len(batch[0]), *one.shape[1:])
            output = np.empty((len(names), *shape), stored_dtype(shape))
        first, samples = 0, max(1, _AT_ONCE // one.nbytes)
        for part in in_parts(batch, samples):
            count = len(part[0])
            values = system.reference(name, part, kind, subject.seed)
            output[len(found), first : first + count] = values.numpy()
            first += count
        found.append(name)
    if not found:
        return None, missing
    last, positions = system.output_dim(kind), system.output_positions(kind)
    dims = ("predictor", "sequence", "position", *(() if last is None else (last,)))
    return xr.DataArray(
        output[: len(found)],
        dims=dims,
        coords={
            "predictor": np.array(found, dtype=object),
            "position": np.arange(output.shape[2]) if positions is None else positions,
        },
    ), missing


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


def _names(references: xr.Dataset) -> set[str]:
    return {str(name) for name in references["predictor"].values}
