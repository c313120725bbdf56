"""Outputs of every checkpoint on the probe: the points of the path through function space."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from devexplore import schema
from devexplore.measure.base import Arrays, Layout, OneByOne
from devexplore.measure.subject import Subject
from devexplore.store import Variable
from devexplore.systems.base import check_kind, in_parts

FLOAT16_FROM = 1_000_000
"""Outputs with this many numbers a checkpoint or more are kept in float16, smaller ones in float32."""


@dataclass(frozen=True)
class Outputs(OneByOne):
    """``kind``: ``log_probs``, ``logits``, ``true_token_logit`` (language), ``predictions``, ``logits``
    (the others); None takes the system's first choice.
    """

    kind: str | None = None
    title: ClassVar[str] = "outputs"

    def chosen(self, subject: Subject) -> str:
        kind = self.kind if self.kind is not None else subject.system.output_kinds[0]
        check_kind(subject.system, kind)
        return kind

    def spec(self, subject: Subject) -> Mapping[str, object]:
        return {"kind": self.chosen(subject)}

    def groups(self, subject: Subject) -> Mapping[str, Layout]:
        kind = self.chosen(subject)
        with torch.no_grad():
            one = tuple(tensor[:1] for tensor in subject.probe_batch)
            shape = (len(subject.probe_batch[0]), *subject.system.outputs(subject.model, one, kind).shape[1:])
        last = subject.system.output_dim(kind)
        dims = ("sequence", "position") if last is None else ("sequence", "position", last)
        positions = subject.system.output_positions(kind)
        long_name = {"log_probs": "log-probability", "true_token_logit": "logit of the true next token"}.get(
            kind, kind
        )
        units = (
            "nats"
            if kind in ("log_probs", "logits", "true_token_logit") and subject.system.name == "language"
            else ""
        )
        output = Variable(dims, shape, _dtype(shape), {"units": units, "long_name": long_name, "kind": kind})
        coords = {"position": np.arange(shape[1]) if positions is None else positions}
        return {f"{schema.OUTPUTS}/{kind}": Layout({"output": output}, coords, {"kind": kind})}

    def measure_one(self, subject: Subject, step: int) -> Mapping[str, Arrays]:
        kind = self.chosen(subject)
        model = subject.load(step)
        with torch.no_grad():
            parts = [
                subject.system.outputs(model, part, kind).cpu()
                for part in in_parts(subject.probe_batch, subject.system.eval_batch)
            ]
        output = torch.cat(parts).numpy()
        return {f"{schema.OUTPUTS}/{kind}": {"output": output.astype(_dtype(output.shape))}}


def _dtype(shape: tuple[int, ...]) -> np.dtype:
    return np.dtype(np.float16 if np.prod(shape) >= FLOAT16_FROM else np.float32)
