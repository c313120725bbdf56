"""Outputs of every checkpoint on the probe: the points of the path through function space."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from devexplore import schema
from devexplore.errors import InvalidSpec
from devexplore.measure.base import Arrays, Layout, OneByOne
from devexplore.measure.subject import Subject
from devexplore.stats.sketch import count_sketch
from devexplore.store import Variable
from devexplore.systems.base import check_kind, in_parts, is_whole

FLOAT16_FROM = 1_000_000
"""Outputs with this many numbers a checkpoint or more are kept in float16, smaller ones in float32."""


SKETCH_SEED = 0
"""One for all runs: sketches of several runs on one probe can be compared."""

_LARGEST_SKETCH = 2**24
"""64 MB for each checkpoint, and inner products to 0.03 %."""

_SKETCHED_AT_ONCE = 64 * 2**20
"""Bytes of outputs that are computed before they go into the sketch."""


@dataclass(frozen=True)
class Outputs(OneByOne):
    """``kind``: ``log_probs``, ``logits``, ``true_token_logit`` (language), ``predictions``, ``logits``
    (the others); None takes the system's first choice.

    ``sketch``: keep so many numbers of each checkpoint instead of all (``stats.sketch``), in a group
    ``outputs/<kind>_sketch``, in float32. Inner products then err by √(2/sketch) of the sizes; what one
    feature is cannot be told any more. The outputs themselves are never in memory whole. ``InvalidSpec`` is
    raised where that is no fewer than there are.
    """

    kind: str | None = None
    sketch: int | None = None
    title: ClassVar[str] = "outputs"

    def __post_init__(self) -> None:
        if isinstance(self.sketch, np.integer):
            object.__setattr__(self, "sketch", int(self.sketch))  # it is written into JSON
        if self.sketch is not None and not (
            is_whole(self.sketch, least=2) and self.sketch <= _LARGEST_SKETCH
        ):
            raise InvalidSpec(f"a sketch keeps 2 … {_LARGEST_SKETCH:,} numbers, got {self.sketch!r}")

    def chosen(self, subject: Subject) -> str:
        kind = self.kind if self.kind is not None else subject.system.output_kinds[0]
        check_kind(subject.system, kind)
        return kind

    def spec(self, subject: Subject) -> Mapping[str, object]:
        sketched = {"sketch": self.sketch, "sketch_seed": SKETCH_SEED} if self.sketch is not None else {}
        return {"kind": self.chosen(subject), **sketched}

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
        attrs = {"units": units, "long_name": long_name, "kind": kind}
        if self.sketch is not None:
            if self.sketch >= math.prod(shape):
                raise InvalidSpec(
                    f"a sketch of {self.sketch:,} numbers is no smaller than the outputs themselves, "
                    f"{math.prod(shape):,} for each checkpoint; whole outputs are exact: leave --sketch away"
                )
            attrs |= {schema.SKETCHED: self.sketch, schema.N_FEATURES: math.prod(shape)}
            output = Variable(("feature",), (self.sketch,), np.dtype(np.float32), attrs)
            return {self._group(kind): Layout({"output": output}, {}, {"kind": kind})}
        output = Variable(dims, shape, stored_dtype(shape), attrs)
        coords = {"position": np.arange(shape[1]) if positions is None else positions}
        return {self._group(kind): Layout({"output": output}, coords, {"kind": kind})}

    def measure_one(self, subject: Subject, step: int) -> Mapping[str, Arrays]:
        kind = self.chosen(subject)
        model = subject.load(step)
        if self.sketch is not None:
            return {self._group(kind): {"output": self._sketched(subject, model, kind, self.sketch)}}
        output = np.concatenate(list(_parts(subject, model, kind, subject.system.eval_batch)))
        return {self._group(kind): {"output": output.astype(stored_dtype(output.shape))}}

    def _group(self, kind: str) -> str:
        return f"{schema.OUTPUTS}/{kind}{schema.SKETCH if self.sketch is not None else ''}"

    def _sketched(self, subject: Subject, model: nn.Module, kind: str, size: int) -> np.ndarray:
        one = next(_parts(subject, model, kind, 1))
        samples = max(1, min(subject.system.eval_batch, _SKETCHED_AT_ONCE // one.nbytes))
        total, first = np.zeros(size), 0
        for part in _parts(subject, model, kind, samples):
            total += count_sketch(part.ravel(), size, SKETCH_SEED, first)
            first += part.size
        return total.astype(np.float32)


def _parts(subject: Subject, model: nn.Module, kind: str, samples: int) -> Iterator[np.ndarray]:
    """Outputs on so many sequences of the probe at a time."""
    for part in in_parts(subject.probe_batch, samples):
        with torch.no_grad():
            output = subject.system.outputs(model, part, kind).cpu().numpy()
        yield output


def stored_dtype(shape: tuple[int, ...]) -> np.dtype:
    """Of the outputs of one checkpoint (or predictor) of this shape."""
    return np.dtype(np.float16 if np.prod(shape) >= FLOAT16_FROM else np.float32)
