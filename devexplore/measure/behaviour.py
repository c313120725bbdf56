"""What a language model does, from its log-probabilities: n-grams, positions, learning within a context.

Every loss is in nats and belongs to a position p, counted from 0, whose prediction is of token p + 1.
"""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from devexplore.measure.metric import BLOCKS, Metric, averaged
from devexplore.systems.bigrams import Bigrams

_Loss = Float[Tensor, "sample position"]


def log_probs_of(logits: Float[Tensor, "sample position vocab"]) -> Float[Tensor, "sample position vocab"]:
    """In single precision, whatever the network runs in: halves would round losses to 1 in 256."""
    return logits.float().log_softmax(dim=-1)


def token_loss(
    log_probs: Float[Tensor, "sample position vocab"], tokens: Int[Tensor, "sample position_and_one"]
) -> _Loss:
    """−ln p of every token but the first."""
    return -log_probs.gather(-1, tokens[:, 1:, None])[..., 0]


def icl_positions(context: int) -> tuple[slice, slice]:
    """Early and late stretches of the context whose mean losses the ICL score compares: its second sixteenth
    and its last quarter.
    """
    return slice(context // 16, context // 8), slice(3 * context // 4, context)


def icl_score(loss: _Loss, positions: tuple[slice, slice]) -> Metric:
    """Mean loss of the late positions − of the early ones; negative where context helps (Olsson et al. 2022:
    one token each, the 500th and the 50th).
    """
    early, late = positions
    words = f"positions {late.start}–{late.stop - 1} − positions {early.start}–{early.stop - 1}"
    return averaged(
        loss[:, late].mean(dim=1) - loss[:, early].mean(dim=1),
        (),
        {"units": "nats", "long_name": f"ICL score: mean loss of {words}"},
    )


def bigram_scores(
    log_probs: Float[Tensor, "sample position vocab"],
    tokens: Int[Tensor, "sample position"],
    bigrams: Bigrams,
) -> Float[Tensor, "sample score"]:
    """Mean over each text's positions of the cross-entropy −Σ_b q(b|a) ln p(b) of the corpus' bigrams q, and
    of their divergence KL(q ‖ p), which is 0 for the bigram table itself. Tokens never seen are left out.
    """
    cross = bigrams.cross_entropy(tokens, log_probs)
    divergence = cross - bigrams.entropy.to(tokens.device)[tokens]
    return torch.stack([cross.nanmean(dim=1), divergence.nanmean(dim=1)], dim=1)


def bigram_metrics(scores: Float[Tensor, "sample score"]) -> dict[str, Metric]:
    """``bigram_cross_entropy`` and ``bigram_kl``, averages of ``bigram_scores``."""
    names = {
        "bigram_cross_entropy": "cross-entropy of the corpus' bigrams under the predictions",
        "bigram_kl": "KL divergence of the corpus' bigrams from the predictions",
    }
    return {
        name: averaged(scores[:, column], (), {"units": "nats", "long_name": words})
        for column, (name, words) in enumerate(names.items())
    }


def ngram_metrics(last_token_loss: Mapping[int, Float[Tensor, " ngram"]], loss: _Loss) -> dict[str, Metric]:
    """``ngram_loss(n)``: mean loss on the last token of common n-grams, given the n − 1 tokens before it and
    nothing else. ``ngram_score(n)``: mean loss on the n-th token of held-out text ÷ that loss. Both
    predictions are from n − 1 tokens; above 1, common n-grams are known better than text in general.

    ``last_token_loss``: n-grams of each n, in random order, so that their blocks are alike;
    without blocks where there are fewer than 16 of a length.
    """
    lengths = list(last_token_loss)
    each = [averaged(one, (), {}) for one in last_token_loss.values()]
    blocks = [metric.blocks for metric in each if metric.blocks is not None and len(metric.blocks) == BLOCKS]
    ngram = Metric(
        ("n",),
        np.stack([metric.values for metric in each]),
        {"units": "nats", "long_name": "loss on the last token of common n-grams"},
        np.stack(blocks, axis=1) if len(blocks) == len(each) else None,
        {"n": lengths},
    )
    text = averaged(loss[:, [n - 2 for n in lengths]], ("n",), {})
    return {
        "ngram_loss": ngram,
        "ngram_score": ngram._replace(
            values=text.values / ngram.values,
            blocks=None if text.blocks is None or ngram.blocks is None else text.blocks / ngram.blocks,
            attrs={"long_name": "loss on the n-th token of text ÷ loss on the last of common n-grams"},
        ),
    }


def positional_dependence(loss: _Loss, without_positions: _Loss) -> Metric:
    """Loss with every position vector at zero − loss, on the same texts."""
    return averaged(
        (without_positions - loss).mean(dim=1),
        (),
        {"units": "nats", "long_name": "positional dependence: loss without position vectors − loss"},
    )


def repetition_metrics(loss: _Loss, half: int) -> dict[str, Metric]:
    """From losses on ``half`` random tokens and the same again.

    ``induction_loss``: mean over the second half from its second token on (which one comes first, nothing
    tells); 0 for a perfect induction head, ln(vocabulary) for one that knows nothing, and higher for one that
    is sure of something else. ``repetition_gain``: mean over the first half − that.
    """
    again = loss[:, half:].mean(dim=1)
    return {
        "induction_loss": averaged(
            again, (), {"units": "nats", "long_name": "loss on random tokens that are repeated"}
        ),
        "repetition_gain": averaged(
            loss[:, : half - 1].mean(dim=1) - again,
            (),
            {"units": "nats", "long_name": "loss on random tokens − loss on their repetition"},
        ),
    }
