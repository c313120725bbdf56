"""Every metric of a language model from as few forward passes as can be."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from devexplore.errors import InvalidSpec
from devexplore.measure.attention import attention_entropy, head_weights, see, without_positions
from devexplore.measure.behaviour import (
    bigram_metrics,
    bigram_scores,
    icl_positions,
    icl_score,
    log_probs_of,
    ngram_metrics,
    positional_dependence,
    repetition_metrics,
    token_loss,
)
from devexplore.measure.component_norms import component_norm
from devexplore.measure.metric import Metric, averaged
from devexplore.measure.structure import composition, entropy_metric, head_metrics, head_scores
from devexplore.systems.base import in_parts, rng
from devexplore.systems.bigrams import Bigrams
from devexplore.systems.language import Language
from devexplore.systems.prompts import half_of

CLOSER_LOOK = 128
"""So many of the held-out texts are also run without positions and have their attention read; so many
sequences of random tokens are shown.
"""

WITHOUT_BLOCKS = ("bigram_cross_entropy", "ngram_loss", "current_token_score")
"""Their errors say what those of ``bigram_kl``, ``ngram_score`` and the other heads' scores say."""


class Shown(NamedTuple):
    """What a model is shown. ``held_out`` (sample, context + 1) and ``repeated``, random tokens that begin
    again after ``half`` of them, are token ids; ``ngrams`` those of each n, (ngram, n), in random order.
    ``batch``: how many texts go through at a time; an eighth as many where attention is read, for that is as
    large as the square of the context. ``attention``: whether the model shows any.
    """

    held_out: Tensor
    icl_positions: tuple[slice, slice]
    bigrams: Bigrams
    ngrams: Mapping[int, Tensor]
    repeated: Tensor
    half: int
    batch: int
    attention: bool = True


def language_run_metrics(
    system: Language, model: nn.Module, held_out: tuple[Tensor, ...], seed: int
) -> dict[str, Metric]:
    """Every metric of one checkpoint of a run: ``metrics_of`` and the norms of its parts. Runs are stored
    without the blocks of ``WITHOUT_BLOCKS``.
    """
    length, device = system.spec.context + 1, held_out[0].device
    generator = rng(seed, "ngrams")
    ngrams = {n: torch.from_numpy(generator.permutation(rows)) for n, rows in system.common_ngrams.items()}
    (repeated,) = system.restricted_pool("repeated", CLOSER_LOOK, seed)
    shown = Shown(
        held_out[0],
        icl_positions(system.spec.context),
        system.bigrams,
        {n: rows.to(device) for n, rows in ngrams.items()},
        repeated.to(device),
        half_of(length, len(system.known_tokens)),
        system.eval_batch,
    )
    found = metrics_of(model, shown)
    found |= {name: found[name]._replace(blocks=None) for name in WITHOUT_BLOCKS if name in found}
    return {**found, "component_norm": component_norm(system.components(model), model)}


def metrics_of(model: nn.Module, shown: Shown) -> dict[str, Metric]:
    """Metrics of behaviour and structure, by the forward passes that feed them:

    - held-out text: ``position_loss``, ``icl_score``, ``bigram_*``; the first ``CLOSER_LOOK`` of these texts
      also give ``attention_entropy``, in the same pass
    - those again without positions: ``positional_dependence`` (if the network has position vectors)
    - n-grams, all lengths at once: ``ngram_loss``, ``ngram_score``
    - repeated random tokens: ``induction_loss``, ``repetition_gain`` and the heads' scores
    - none: ``k_composition`` … (more than one layer, and weights that can be read)

    Without attention in ``shown`` those of attention are missing. Raises InvalidSpec for losses that are NaN.
    """
    close, far = shown.held_out[:CLOSER_LOOK], shown.held_out[CLOSER_LOOK:]
    losses, bigrams, entropies, ablated = [], [], [], []
    for (tokens,) in in_parts((close,), max(1, shown.batch // 8)):
        logits = _outputs(model, tokens, attention_entropy, entropies if shown.attention else None)
        losses.append(_read(logits, tokens, shown.bigrams, bigrams))
        blind = without_positions(model, tokens[:, :-1])
        if blind is not None:
            ablated.append(_losses(log_probs_of(blind), tokens))
    for (tokens,) in in_parts((far,), shown.batch):
        losses.append(_read(model(tokens[:, :-1]), tokens, shown.bigrams, bigrams))
    loss = torch.cat(losses)
    found = {
        "position_loss": averaged(
            loss, ("position",), {"units": "nats", "long_name": "held-out loss at each position"}
        )._replace(blocks=None),
        "icl_score": icl_score(loss, shown.icl_positions),
        **bigram_metrics(torch.cat(bigrams)),
        **ngram_metrics(_last_token_loss(model, shown), loss),
        **_on_random_tokens(model, shown),
    }
    if entropies:
        found["attention_entropy"] = entropy_metric(torch.cat(entropies))
    if ablated:
        found["positional_dependence"] = positional_dependence(loss[: len(close)], torch.cat(ablated))
    weights = head_weights(model)
    return found if weights is None else {**found, **composition(weights)}


def _outputs(
    model: nn.Module, tokens: Tensor, score: Callable[[Tensor], Tensor], scores: list[Tensor] | None
) -> Tensor:
    """Logits on all tokens but the last; what ``score`` says of the attention is added to ``scores``."""
    if scores is None:
        return model(tokens[:, :-1])
    seen = see(model, tokens[:, :-1])
    scores.append(score(seen.patterns))
    return seen.outputs


def _losses(log_probs: Tensor, tokens: Tensor) -> Tensor:
    """``token_loss``, each a number: averages leave NaN out, and would hide what is no prediction."""
    losses = token_loss(log_probs, tokens)
    if bool(losses.isnan().any()):
        raise InvalidSpec("this model predicts NaN (infinite logits?); no metric can be told of it")
    return losses


def _read(logits: Tensor, tokens: Tensor, bigrams: Bigrams, scores: list[Tensor]) -> Tensor:
    """Losses; the bigram scores are added to ``scores``."""
    log_probs = log_probs_of(logits)
    scores.append(bigram_scores(log_probs, tokens[:, :-1], bigrams))
    return _losses(log_probs, tokens)


def _last_token_loss(model: nn.Module, shown: Shown) -> dict[int, Tensor]:
    """Shorter n-grams are filled up behind, where a causal network does not look."""
    longest = max(shown.ngrams)
    filled = torch.cat([nn.functional.pad(rows, (0, longest - n)) for n, rows in shown.ngrams.items()])
    part = max(1, shown.batch * shown.held_out.shape[1] // longest)
    loss = torch.cat(
        [_losses(log_probs_of(model(tokens[:, :-1])), tokens) for (tokens,) in in_parts((filled,), part)]
    )
    each = loss.split([len(rows) for rows in shown.ngrams.values()])
    return {n: rows[:, n - 2] for n, rows in zip(shown.ngrams, each, strict=True)}


def _on_random_tokens(model: nn.Module, shown: Shown) -> dict[str, Metric]:
    losses, scores = [], []
    for (tokens,) in in_parts((shown.repeated,), max(1, shown.batch // 8)):
        logits = _outputs(
            model, tokens, partial(head_scores, half=shown.half), scores if shown.attention else None
        )
        losses.append(_losses(log_probs_of(logits), tokens))
    found = repetition_metrics(torch.cat(losses), shown.half)
    return {**found, **head_metrics(torch.cat(scores))} if scores else found
