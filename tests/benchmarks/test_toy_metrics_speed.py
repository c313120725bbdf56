"""What the metrics of the toy models cost, at the last checkpoint of each bundled run: one thread, CPU time.

All are read off the weights, without any forward pass. A k-gon of five corners or more has its critical point
sought once (``critical point of the pentagon``) and is then remembered, so that a checkpoint does not pay it.
"""

from collections.abc import Callable
from time import process_time
from typing import Any

import pytest
import torch

import devexplore as dx
from devexplore.analysis.saddle_times import saddle_times
from devexplore.measure.component_norms import weight_norm
from devexplore.measure.deep_linear_metrics import deep_linear_metrics
from devexplore.measure.subject import Subject
from devexplore.measure.superposition_metrics import (
    kgon_loss,
    population_loss,
    recognise,
    superposition_metrics,
)
from devexplore.sampling.known_answers.superposition import k_gon

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.benchmark(timer=process_time)]

SUPERPOSITION = (
    "k-gon recognised",
    "critical point of the pentagon",
    "loss of the k-gon, remembered",
    "population loss",
    "all of superposition",
)
DEEP_LINEAR = ("all of deep linear", "weight norm", "saddle times of a run")


def at_the_end(name: str) -> tuple[dx.Run, Subject, Any]:
    run = dx.open(name)
    subject = Subject(run, torch.device("cpu"))
    return run, subject, subject.load(int(run.checkpoints.steps[-1])).requires_grad_(False)


@pytest.fixture(scope="module")
def superposition() -> dict[str, Callable[[], Any]]:
    _, subject, model = at_the_end("superposition")
    system: Any = subject.system
    weight, bias = model.get_parameter("weight"), model.get_parameter("bias")
    near = recognise(weight, bias)
    calls = (
        lambda: recognise(weight, bias),
        lambda: k_gon(len(bias), 5),
        lambda: kgon_loss(len(bias), near.corners, near.silent_corners, near.positive_biases),
        lambda: population_loss(weight, bias),
        lambda: superposition_metrics(system, model, subject.held_out, subject.seed),
    )
    return dict(zip(SUPERPOSITION, calls, strict=True))


@pytest.fixture(scope="module")
def deep_linear() -> dict[str, Callable[[], Any]]:
    run, subject, model = at_the_end("deep_linear")
    system: Any = subject.system
    calls = (
        lambda: deep_linear_metrics(system, model, subject.held_out, subject.seed),
        lambda: weight_norm(model),
        lambda: saddle_times(run),
    )
    return dict(zip(DEEP_LINEAR, calls, strict=True))


@pytest.mark.parametrize("part", SUPERPOSITION)
def test_metrics_of_one_superposition_checkpoint(benchmark, superposition, part: str) -> None:
    benchmark.pedantic(superposition[part], rounds=10, warmup_rounds=1)


@pytest.mark.parametrize("part", DEEP_LINEAR)
def test_metrics_of_one_deep_linear_checkpoint(benchmark, deep_linear, part: str) -> None:
    benchmark.pedantic(deep_linear[part], rounds=10, warmup_rounds=1)
