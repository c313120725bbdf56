"""What a user gives to be measured that is no run of ours: a language model and token ids, checked."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from devexplore.errors import InvalidSpec, NonFiniteWeights
from devexplore.measure.attention import see
from devexplore.measure.metric import BLOCKS
from devexplore.systems.base import require

SHORTEST = 9
"""Tokens of a text: eight positions with a target each."""

Tokens = Int[np.ndarray, "..."] | Int[Tensor, "..."] | Sequence[int] | Sequence[Sequence[int]]

_FAILURES = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)
"""How a network fails that was made for other inputs, or to be asked otherwise."""


class Look(NamedTuple):
    """What one pass over one text of zeros shows of a model."""

    vocabulary: int
    """How many tokens it predicts."""
    no_attention: str
    """Why its attention cannot be read; empty where it can."""


def require_model(model: object) -> None:
    """Raise InvalidSpec for what is no module, NonFiniteWeights for a weight that is NaN or infinite."""
    if not isinstance(model, nn.Module):
        raise InvalidSpec(
            f"expected a language model as a torch.nn.Module, got {type(model).__name__}; the metrics of a "
            "run are measured with dx.measure(run, [dx.Metrics()])"
        )
    for name, weights in model.named_parameters():
        if not bool(torch.isfinite(weights).all()):
            raise NonFiniteWeights(f"{name} of this {type(model).__name__} holds NaN or infinite weights")


@torch.no_grad()
def look_at(model: nn.Module, context: int, device: torch.device) -> Look:
    """Ask a model once in each of the two ways in which it is asked later.

    Raises InvalidSpec for one that sees fewer tokens, cannot read token ids, or answers with anything but
    logits.
    """
    longest = getattr(getattr(model, "cfg", None), "n_ctx", None)  # as TransformerLens has it
    require(
        longest is None or context <= longest,
        f"this model sees {longest} tokens, got windows of {context} and a target; cut shorter ones",
    )
    name, tokens = type(model).__name__, torch.zeros(1, context, dtype=torch.int64, device=device)
    wanted = f"expected of {name}(token ids) logits (text, position, vocabulary), here (1, {context}, …)"
    try:
        logits = model(tokens)
    except _FAILURES as error:
        raise InvalidSpec(f"{wanted}; it failed with {_in_words(error)}") from error
    if not isinstance(logits, Tensor) or logits.ndim != 3 or logits.shape[:2] != (1, context):
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InvalidSpec(f"{wanted}, got {got}; wrap it in a module that gives its logits")
    return Look(logits.shape[-1], _why_no_attention(model, tokens))


def _why_no_attention(model: nn.Module, tokens: Tensor) -> str:
    try:
        shape = tuple(see(model, tokens).patterns.shape)
    except InvalidSpec as error:
        return str(error)
    except _FAILURES as error:
        return f"reading the attention of {type(model).__name__} failed with {_in_words(error)}"
    length = tokens.shape[1]
    if len(shape) != 5 or shape[0] != 1 or shape[3:] != (length, length):
        return f"expected attention (1, layer, head, {length}, {length}) on one text, got {shape}"
    return ""


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def require_known(ids: Int[np.ndarray, " token"], vocabulary: int) -> None:
    """Raise InvalidSpec for token ids that a model does not predict."""
    require(
        int(ids.max()) < vocabulary,
        f"token ids of this model are below {vocabulary}, got {ids.max()}; use its own tokenizer",
    )


def windows_of(text: Tokens) -> Int[np.ndarray, "text place"]:
    """Raises InvalidSpec unless the ids are of enough texts that are long enough."""
    ids = _whole_numbers(text, "text")
    require(
        ids.ndim == 2 and len(ids) >= BLOCKS and ids.shape[1] >= SHORTEST,
        f"text must be at least {BLOCKS} windows of at least {SHORTEST} tokens, an array (text, token), got "
        f"shape {ids.shape}; cut a long stream into windows",
    )
    return ids


def stream_of(corpus: Tokens) -> Int[np.ndarray, " token"]:
    """Raises InvalidSpec unless the ids are one row."""
    ids = _whole_numbers(corpus, "corpus")
    require(
        ids.ndim == 1 and len(ids) > 0,
        f"corpus must be one stream of token ids, got shape {ids.shape}; join its texts",
    )
    return ids


def _whole_numbers(tokens: Tokens, name: str) -> Int[np.ndarray, "..."]:
    try:
        ids = tokens.cpu().numpy() if isinstance(tokens, Tensor) else np.asarray(tokens)
    except ValueError:
        raise InvalidSpec(
            f"{name} must be rows of one length, got rows of several; cut them to one"
        ) from None
    require(ids.size > 0, f"{name} is empty; give token ids")
    whole = ids.astype(np.int64) if ids.dtype.kind in "iu" else None
    if whole is None or bool((whole < 0).any()):
        raise InvalidSpec(
            f"{name} must be token ids, whole numbers from 0 up, got {ids.dtype} such as {ids.flat[0]}; "
            "tokenise it first"
        )
    return whole


def early_and_late(positions: Any, context: int) -> tuple[slice, slice]:
    """Two slices of positions with both ends told. Raises InvalidSpec unless each holds positions."""
    require(
        isinstance(positions, tuple | list)
        and len(positions) == 2
        and all(isinstance(stretch, slice) and stretch.step in (None, 1) for stretch in positions)
        and all(_is_end(end) for stretch in positions for end in (stretch.start, stretch.stop)),
        "positions of the ICL score must be two slices of whole numbers, early and late, such as "
        f"(slice(2, 4), slice(12, 16)), got {positions!r}",
    )
    for stretch in positions:
        require(
            len(range(context)[stretch]) > 0,
            f"positions of the ICL score must lie within the context of {context}, got {stretch}",
        )
    early, late = (slice(*stretch.indices(context)) for stretch in positions)
    return early, late


def _is_end(value: Any) -> bool:
    return value is None or (isinstance(value, Integral) and not isinstance(value, bool))
