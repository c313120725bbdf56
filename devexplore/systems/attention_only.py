"""The network of the language runs: layers of attention alone, with shortformer positions."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from devexplore.systems.base import causal_pattern

if TYPE_CHECKING:
    from devexplore.systems.language import LanguageSpec


class ShortformerAttention(nn.Module):
    """Causal attention whose queries and keys see x + position, and whose values see x alone."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor, position: Tensor) -> Tensor:
        located = x + position
        q, k, v = self._split(self.query(located)), self._split(self.key(located)), self._split(self.value(x))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(x.shape))

    def pattern(self, x: Tensor, position: Tensor) -> Tensor:
        """Attention (batch, head, query, key) that ``forward`` pays on the same inputs."""
        located = x + position
        return causal_pattern(self._split(self.query(located)), self._split(self.key(located)))

    def _split(self, x: Tensor) -> Tensor:
        """(batch, position, width) → (batch, head, position, width / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class AttentionOnlyTransformer(nn.Module):
    """Token ids (batch, length ≤ context) → next-token logits (batch, length, vocabulary)."""

    def __init__(self, spec: "LanguageSpec") -> None:
        super().__init__()
        self.embed = nn.Embedding(spec.vocabulary, spec.width)
        self.position = nn.Parameter(torch.zeros(spec.context, spec.width))
        self.norms = nn.ModuleList(nn.LayerNorm(spec.width) for _ in range(spec.layers))
        self.attention = nn.ModuleList(
            ShortformerAttention(spec.width, spec.heads) for _ in range(spec.layers)
        )
        self.norm = nn.LayerNorm(spec.width)
        self.unembed = nn.Linear(spec.width, spec.vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        position = self.position[: tokens.shape[1]]
        for norm, attention in zip(self.norms, self.attention, strict=True):
            x = x + attention(norm(x), position)
        return self.unembed(self.norm(x))
