"""What a checkpoint does and how it is built: the system's own metrics, all from shared forward passes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import torch
from torch import Tensor, nn

from devexplore import schema
from devexplore.measure.base import Arrays, Layout, OneByOne
from devexplore.measure.component_norms import weight_norm
from devexplore.measure.deep_linear_metrics import deep_linear_metrics
from devexplore.measure.language_metrics import language_run_metrics
from devexplore.measure.metric import BLOCKS, Metric
from devexplore.measure.regression_metrics import regression_metrics
from devexplore.measure.subject import Subject
from devexplore.measure.superposition_metrics import superposition_metrics
from devexplore.store import Variable

_Found = Callable[[Any, nn.Module, tuple[Tensor, ...], int], dict[str, Metric]]

_OF_SYSTEM: Mapping[str, _Found] = {
    "language": language_run_metrics,
    "regression": regression_metrics,
    "superposition": superposition_metrics,
    "deep_linear": deep_linear_metrics,
}

_VERSION: Final = 2
"""Raised when the meaning of a metric changes: old and new numbers never share a group."""


@dataclass(frozen=True)
class Metrics(OneByOne):
    """Weight norm and the system's own behaviour and structure (ICL score, head scores, singular values …).

    Group ``metrics`` holds the values; ``metric_blocks`` those that average over samples once more for each
    of 16 disjoint groups of samples: resampling these gives the error of anything read off the curves.
    """

    title: ClassVar[str] = "metrics"

    def spec(self, subject: Subject) -> Mapping[str, object]:
        held_out = subject.system.held_out_size
        return {"held_out_samples": held_out, "blocks": BLOCKS, "version": _VERSION}

    def groups(self, subject: Subject) -> Mapping[str, Layout]:
        found = self._found(subject, subject.model)
        layouts = {schema.METRICS: _layout(found, ())}
        on_blocks = {name: metric for name, metric in found.items() if metric.blocks is not None}
        if on_blocks:
            layouts[schema.METRIC_BLOCKS] = _layout(on_blocks, ("block",))
        return layouts

    def measure_one(self, subject: Subject, step: int) -> Mapping[str, Arrays]:
        found = self._found(subject, subject.load(step))
        return {
            schema.METRICS: {name: metric.values for name, metric in found.items()},
            schema.METRIC_BLOCKS: {
                name: metric.blocks for name, metric in found.items() if metric.blocks is not None
            },
        }

    def _found(self, subject: Subject, model: nn.Module) -> dict[str, Metric]:
        system = subject.system
        with torch.no_grad():
            own = _OF_SYSTEM[system.name](system, model, subject.held_out, subject.seed)
            return {"weight_norm": weight_norm(model), **own}


def _layout(found: Mapping[str, Metric], front: tuple[str, ...]) -> Layout:
    """Variables and their coordinates, of the values or (``front``) of the blocks."""
    variables = {}
    for name, metric in found.items():
        values = metric.blocks if front and metric.blocks is not None else metric.values
        variables[name] = Variable((*front, *metric.dims), values.shape, values.dtype, dict(metric.attrs))
    coords = {dim: labels for metric in found.values() for dim, labels in metric.coords.items()}
    return Layout(variables, coords)
