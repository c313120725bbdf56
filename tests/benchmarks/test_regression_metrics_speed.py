"""What each part of the metrics of in-context regression costs, at one checkpoint of the bundled run."""

from collections.abc import Callable
from time import process_time
from typing import Any

import pytest
import torch

import devexplore as dx
from devexplore.measure.attention import see
from devexplore.measure.regression_attention import attention_metrics
from devexplore.measure.regression_metrics import (
    out_of_distribution,
    regression_behaviour,
    regression_metrics,
)
from devexplore.measure.regression_structure import regression_structure
from devexplore.measure.subject import Subject
from devexplore.systems.base import in_parts

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.benchmark(timer=process_time)]

PARTS = ("watched pass over held-out samples", "behaviour", "other data", "attention", "structure", "all")


@pytest.fixture(scope="module")
def parts() -> dict[str, Callable[[], Any]]:
    run = dx.open("regression")
    subject = Subject(run, torch.device("cpu"))
    system: Any = subject.system
    held_out, seed = subject.held_out, subject.seed
    network = subject.load(int(run.checkpoints.steps[-1])).requires_grad_(False)

    def watched() -> Any:
        return [see(network, system.tokens(*part)) for part in in_parts(held_out, system.eval_batch)]

    seen = watched()
    predicted = torch.cat([system.predictions(part.outputs) for part in seen])
    patterns = torch.cat([part.patterns for part in seen])
    calls = (
        watched,
        lambda: regression_behaviour(system, predicted, held_out, seed),
        lambda: out_of_distribution(system, network, torch.device("cpu"), seed),
        lambda: attention_metrics(patterns),
        lambda: regression_structure(system, network),
        lambda: regression_metrics(system, network, held_out, seed),
    )
    return dict(zip(PARTS, calls, strict=True))


@pytest.mark.parametrize("part", PARTS)
def test_metrics_of_one_regression_checkpoint(benchmark, parts, part: str):
    benchmark.pedantic(parts[part], rounds=3, warmup_rounds=1)
