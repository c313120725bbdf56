"""The corpus' empirical bigram distribution q(next | token), the simplest thing a language model learns."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Bigrams(NamedTuple):
    """``probability``: q(b | a), shape (vocabulary, vocabulary), rows of tokens never seen are NaN.
    ``entropy``: H(q(· | a)).
    """

    probability: Tensor
    entropy: Tensor

    def divergence(self, tokens: Tensor, log_probs: Tensor) -> Tensor:
        """KL(q(· | token) ‖ model) in nats at each position: the bigram score (cross-entropy) less the
        bigrams' entropy.

        ``tokens`` (sample, position), ``log_probs`` (sample, position, vocabulary). NaN after a token that
        the corpus never showed.
        """
        q = self.probability.to(log_probs.device)[tokens]
        cross = torch.where(q > 0, -q * log_probs, 0.0).sum(dim=-1)  # 0·log 0 = 0
        return cross - self.entropy.to(log_probs.device)[tokens]


def count_bigrams(stream: np.ndarray, vocabulary: int) -> Bigrams:
    """Bigram frequencies of a token stream."""
    pairs = stream[:-1].astype(np.int64) * vocabulary + stream[1:]
    counts = np.bincount(pairs, minlength=vocabulary**2).reshape(vocabulary, vocabulary)
    with np.errstate(invalid="ignore"):
        q = counts / counts.sum(axis=1, keepdims=True)
    logs = np.log(q, out=np.zeros_like(q), where=q > 0)
    return Bigrams(torch.from_numpy(q).float(), torch.from_numpy(-(q * logs).sum(axis=1)).float())
