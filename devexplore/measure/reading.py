"""From logits to what can be read: top tokens, targets, divergences, probability by token and by class."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int
from scipy.special import logsumexp

from devexplore.stats.token_classes import (
    PADDING,
    PREDICTED_CLASSES,
    TARGET_CLASSES,
    continuations,
    seen_before,
    target_classes,
    vocabulary_classes,
)

KEEP_BYTES: Final = 256 * 2**20
"""Logits and log-probabilities of all predictors are kept whole up to this size, together."""

_BLOCK_BYTES: Final = 256 * 2**20
_COPIES: Final = 3  # logits, log-probabilities, probabilities, in float64


def sequences_at_once(predictors: int, positions: int, vocabulary: int) -> int:
    """How many sequences can be read in one block of bounded memory; at least one."""
    return max(1, _BLOCK_BYTES // (8 * _COPIES * predictors * positions * vocabulary))


def read_predictions(
    logits: Float[np.ndarray, "predictor sequence position vocab"],
    ids: Int[np.ndarray, "sequence place"],
    positions: Int[np.ndarray, " position"],
    texts: Sequence[str],
    top_k: int,
    n_sequences: int,
) -> xr.Dataset:
    """A block of predictors' logits (predictor 0 is the lifted one), read.

    Logits are combinations of what was stored (of log-probabilities, say), so they are normalised here by a
    softmax. ``ids`` are whole contexts: the target of position p is at place p + 1; without one (the last
    place, padding) target_id is −1, its text empty and its log-probability NaN. Padded positions are NaN
    throughout and have top_id −1. ``n_sequences`` of all blocks decides whether logits are kept.

    Returns:
        logits, log_prob (predictor, sequence, position, vocab), float32, unless those of ``n_sequences``
        exceed ``KEEP_BYTES``; top_id, top_text, top_probability (predictor, sequence, position, top);
        target_log_prob, divergence = KL(lifted ‖ predictor) in nats (predictor, sequence, position);
        class_mass (predictor, sequence, position, predicted_class), the probability of each class;
        token_probability (predictor, sequence, vocab), the mean over positions; target_is (sequence,
        position, target_class); token_text, target_text, target_id (sequence, position); context_id,
        context_text (sequence, place); vocab_text (vocab).
    """
    there = ids[:, positions] != PADDING
    log_prob = logits - logsumexp(logits, axis=-1, keepdims=True)
    log_prob[:, ~there] = np.nan
    probability = np.exp(log_prob)

    target = np.concatenate([ids, np.full((len(ids), 1), PADDING)], axis=1)[:, positions + 1]
    target_log_prob = np.take_along_axis(
        log_prob, np.where(target == PADDING, 0, target)[None, ..., None], -1
    )
    difference = log_prob[:1] - log_prob
    divergence = np.einsum("spv,kspv->ksp", probability[0], difference)
    top = _top(log_prob, top_k)
    words = np.array([*texts, ""], dtype=object)  # the last stands for PADDING

    each, place = ("predictor", "sequence", "position"), ("sequence", "position")
    nats = {"units": "nats"}
    read = xr.Dataset(
        {
            "top_id": ((*each, "top"), np.where(there[None, ..., None], top, PADDING)),
            "top_text": ((*each, "top"), words[np.where(there[None, ..., None], top, PADDING)]),
            "top_probability": ((*each, "top"), np.take_along_axis(probability, top, axis=-1)),
            "target_log_prob": (each, np.where(target == PADDING, np.nan, target_log_prob[..., 0]), nats),
            "divergence": (each, divergence, nats | {"long_name": "KL(lifted ‖ predictor)"}),
            "class_mass": ((*each, "predicted_class"), _class_mass(probability, ids, positions, texts)),
            "token_probability": (
                ("predictor", "sequence", "vocab"),
                _mean_over(probability, there).astype(np.float32),
            ),
            "target_is": ((*place, "target_class"), target_classes(ids, positions, texts)),
            "target_id": (place, target),
            "target_text": (place, words[target]),
            "token_text": (place, words[ids[:, positions]]),
            "context_id": (("sequence", "place"), ids),
            "context_text": (("sequence", "place"), words[ids]),
        },
        coords={
            "position": positions,
            "vocab_text": ("vocab", words[:-1]),
            "predicted_class": np.array(PREDICTED_CLASSES, dtype=object),
            "target_class": np.array(TARGET_CLASSES, dtype=object),
        },
    )
    if 2 * 4 * logits[:, :1].size * n_sequences <= KEEP_BYTES:
        logits = np.where(there[None, ..., None], logits, np.nan)
        read["logits"] = ((*each, "vocab"), logits.astype(np.float32))
        read["log_prob"] = ((*each, "vocab"), log_prob.astype(np.float32), nats)
    return read


def _top(log_prob: Float[np.ndarray, "... vocab"], top_k: int) -> Int[np.ndarray, "... top"]:
    """Ids of the most probable tokens, most probable first."""
    count = min(top_k, log_prob.shape[-1])
    best = np.argpartition(-log_prob, count - 1, axis=-1)[..., :count]
    order = np.argsort(-np.take_along_axis(log_prob, best, axis=-1), axis=-1, kind="stable")
    return np.take_along_axis(best, order, axis=-1)


def _class_mass(
    probability: Float[np.ndarray, "predictor sequence position vocab"],
    ids: Int[np.ndarray, "sequence place"],
    positions: Int[np.ndarray, " position"],
    texts: Sequence[str],
) -> Float[np.ndarray, "predictor sequence position predicted_class"]:
    by_text = probability @ vocabulary_classes(texts).astype(np.float64)
    by_context = [
        np.einsum("kspv,spv->ksp", probability, members(ids, positions, len(texts)))
        for members in (seen_before, continuations)
    ]
    return np.concatenate([by_text, np.stack(by_context, axis=-1)], axis=-1)


def _mean_over(
    values: Float[np.ndarray, "predictor sequence position vocab"],
    there: Bool[np.ndarray, "sequence position"],
) -> Float[np.ndarray, "predictor sequence vocab"]:
    """Mean over the positions that are there (every text has at least one)."""
    return np.where(there[None, ..., None], values, 0.0).sum(axis=2) / there.sum(axis=1)[:, None]
