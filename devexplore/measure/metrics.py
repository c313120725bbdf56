"""Cheap numbers of one checkpoint: weight norm, and what the system says of its behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from devexplore import schema
from devexplore.measure.base import Arrays, Layout, OneByOne, store_variable
from devexplore.measure.subject import Subject
from devexplore.systems import Variable


@dataclass(frozen=True)
class Metrics(OneByOne):
    """Weight norm and the system's own metrics (ICL score, bigram score, singular values, k-gon …)."""

    title: ClassVar[str] = "metrics"

    def spec(self, subject: Subject) -> Mapping[str, object]:
        return {"held_out_samples": subject.system.held_out_size}

    def groups(self, subject: Subject) -> Mapping[str, Layout]:
        with torch.no_grad():
            found = self._found(subject, subject.model)
        return {schema.METRICS: Layout({name: store_variable(value) for name, value in found.items()})}

    def _found(self, subject: Subject, model: nn.Module) -> dict[str, Variable]:
        norm = torch.sqrt(sum((p.cpu().double() ** 2).sum() for p in model.parameters())).item()  # type: ignore[arg-type]
        return {
            "weight_norm": Variable((), np.float32(norm), {"long_name": "Euclidean norm of all weights"}),  # type: ignore[arg-type]
            **subject.system.metrics(model, subject.held_out),
        }

    def measure_one(self, subject: Subject, step: int) -> Mapping[str, Arrays]:
        model = subject.load(step)
        with torch.no_grad():
            found = self._found(subject, model)
        return {schema.METRICS: {name: np.asarray(value.values) for name, value in found.items()}}
