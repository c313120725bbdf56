"""Losses that are functions of the weights alone: quadratics and normal crossings."""

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor, nn

NO_DATA: tuple[Tensor, ...] = (torch.zeros(1),)
"""One sample that the loss ignores, so that every gradient is exact."""


class Quadratic(nn.Module):
    """L = ½Σ hᵢwᵢ² at w* = 0, with h = ``curvature``."""

    curvature: Tensor

    def __init__(self, curvature: Tensor) -> None:
        super().__init__()
        self.register_buffer("curvature", curvature)
        self.w = nn.Parameter(torch.zeros_like(curvature))


def quadratic_loss(model: Quadratic, batch: tuple[Tensor, ...]) -> Tensor:
    return 0.5 * (model.curvature * model.w**2).sum().expand(len(batch[0]))


class Crossings(nn.Module):
    """L = Σ over terms of ∏ᵢ wᵢ^{2kᵢ} at w* = 0, each term in coordinates of its own, all ``copies`` times.

    terms: the exponents kᵢ of each term: w₁² + w₂⁴ is [(1,), (2,)], w₁²w₂⁴ is [(1, 2)].
    copies: λ of separate coordinates add, so 64 copies have 64 times the λ, and a chain is worth 64 for
        little more than the price of one.
    """

    def __init__(self, terms: Sequence[Sequence[int]], copies: int) -> None:
        super().__init__()
        self.terms = terms
        # one tensor a coordinate: picking entries out of a single vector costs more than the whole loss
        self.w = nn.ParameterList(nn.Parameter(torch.zeros(copies)) for _ in range(sum(map(len, terms))))


def crossings_loss(model: Crossings, batch: tuple[Tensor, ...]) -> Tensor:
    coordinate = iter(model.w)
    roots = [reduce(torch.mul, [next(coordinate) ** k for k in term]) for term in model.terms]
    return reduce(torch.add, [(root**2).sum() for root in roots]).expand(len(batch[0]))
