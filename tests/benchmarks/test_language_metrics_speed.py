"""What each family of language metrics costs a checkpoint of the bundled run, one thread, in CPU time.

Three are forward passes (all of the held-out text; its first texts once more with attention read or without
positions); the others are what is reckoned from log-probabilities, patterns and weights. ``all`` is the whole
of a checkpoint, in which attention is read in the first pass and there is one more over random tokens.
"""

from collections.abc import Callable
from time import process_time
from typing import Any

import pytest
import torch
from torch import Tensor

import devexplore as dx
from devexplore.measure.attention import attention_entropy, head_weights, see, without_positions
from devexplore.measure.behaviour import (
    bigram_metrics,
    bigram_scores,
    icl_positions,
    icl_score,
    ngram_metrics,
    positional_dependence,
    repetition_metrics,
    token_loss,
)
from devexplore.measure.component_norms import component_norm
from devexplore.measure.language_metrics import CLOSER_LOOK, language_run_metrics
from devexplore.measure.structure import composition, head_metrics, head_scores
from devexplore.measure.subject import Subject
from devexplore.systems.base import in_parts
from devexplore.systems.language import Language

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.benchmark(timer=process_time)]

FAMILIES = (
    "all",
    "passes",
    "attention in the pass",
    "without positions",
    "losses and ICL score",
    "bigrams",
    "n-grams",
    "positional dependence",
    "induction",
    "head scores",
    "attention entropy",
    "composition",
    "component norms",
)
HALF = 65
PART = 32


@pytest.fixture(scope="module")
def families() -> dict[str, Callable[[], Any]]:
    subject = Subject(dx.open("language"), torch.device("cpu"))
    system, model, held_out = (
        subject.system,
        subject.load(subject.run.checkpoints.steps[-1]),
        subject.held_out,
    )
    assert isinstance(system, Language)
    tokens = held_out[0][:PART]
    with torch.no_grad():
        seen = see(model, tokens[:, :-1])
        log_probs = seen.outputs.log_softmax(dim=-1)
        loss = token_loss(log_probs, tokens)
        weights = head_weights(model)
    assert weights is not None
    texts, closer = len(held_out[0]) // PART, CLOSER_LOOK // PART
    every_loss = loss.repeat(texts, 1)
    ngrams = {n: loss[:, n].repeat(16) for n in (2, 3, 4)}
    bigrams, parts = system.bigrams, in_parts(held_out, PART)

    def times(n: int, function: Callable[[], Any]) -> Callable[[], Any]:
        return lambda: [function() for _ in range(n)]

    def entropies() -> Tensor:
        return attention_entropy(seen.patterns)

    calls = (
        lambda: language_run_metrics(system, model, held_out, 0),
        lambda: [model(part[:, :-1]).log_softmax(dim=-1) for (part,) in parts],
        times(closer, lambda: see(model, tokens[:, :-1])),
        times(closer, lambda: without_positions(model, tokens[:, :-1])),
        lambda: [
            times(texts, lambda: token_loss(log_probs, tokens))(),
            icl_score(every_loss, icl_positions(loss.shape[1])),
        ],
        lambda: bigram_metrics(
            torch.cat(times(texts, lambda: bigram_scores(log_probs, tokens[:, :-1], bigrams))())
        ),
        lambda: ngram_metrics(ngrams, every_loss),
        lambda: positional_dependence(every_loss, every_loss + 1),
        lambda: repetition_metrics(every_loss, HALF),
        lambda: head_metrics(torch.cat(times(closer, lambda: head_scores(seen.patterns, HALF))())),
        times(closer, entropies),
        lambda: composition(weights),
        lambda: component_norm(system.components(model), model),
    )
    return dict(zip(FAMILIES, calls, strict=True))


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_language_metrics_of_one_checkpoint(benchmark, families, family: str) -> None:
    benchmark.pedantic(families[family], rounds=3, warmup_rounds=1)
