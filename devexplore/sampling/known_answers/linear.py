"""Linear networks y = W_M … W_1·x at the exact optimum of a given rank, on noisy data."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class LinearProblem:
    """A linear network at w*, its data, and what ``linear_network_tempered`` needs to know of both."""

    model: nn.Sequential
    data: tuple[Tensor, Tensor]
    layers: list[Float[np.ndarray, "output input"]]
    least_squares: Float[np.ndarray, "output input"]
    second_moment: Float[np.ndarray, "input input"]


def linear_problem(
    widths: Sequence[int], singular_values: Sequence[float], *, samples: int = 10_000, seed: int = 0
) -> LinearProblem:
    """A network of the given widths that learned a teacher of r = len(singular_values) modes exactly.

    Inputs and label noise are standard normal. w* is the best map *of rank r* on the sample (the truncated
    least squares of reduced-rank regression), with each of its singular values shared equally among the
    layers, and zeros elsewhere: the most singular of the optima, whose λ is Aoyagi's.
    """
    rng = np.random.default_rng(seed)
    rank = len(singular_values)
    left = np.linalg.qr(rng.standard_normal((widths[-1], rank)))[0]
    right = np.linalg.qr(rng.standard_normal((widths[0], rank)))[0]
    inputs = rng.standard_normal((samples, widths[0]))
    teacher = (left * np.asarray(singular_values)) @ right.T
    targets = inputs @ teacher.T + rng.standard_normal((samples, widths[-1]))

    least_squares = np.linalg.lstsq(inputs, targets)[0].T
    # the best rank-r map keeps the r principal directions of the fitted outputs
    principal = np.linalg.svd(inputs @ least_squares.T, full_matrices=False)[2][:rank]
    u, s, vt = np.linalg.svd(principal.T @ principal @ least_squares)
    depth = len(widths) - 1
    layers = [np.zeros((widths[place + 1], widths[place])) for place in range(depth)]
    for layer in layers:
        np.fill_diagonal(layer[:rank, :rank], s[:rank] ** (1 / depth))
    layers[0] = layers[0][:, :rank] @ vt[:rank]
    layers[-1] = u[:, :rank] @ layers[-1][:rank]

    model = nn.Sequential(*(nn.Linear(layer.shape[1], layer.shape[0], bias=False) for layer in layers))
    with torch.no_grad():
        for parameter, layer in zip(model.parameters(), layers, strict=True):
            parameter.copy_(torch.from_numpy(layer))
    return LinearProblem(
        model=model,
        data=(torch.from_numpy(inputs).float(), torch.from_numpy(targets).float()),
        layers=layers,
        least_squares=least_squares,
        second_moment=inputs.T @ inputs / samples,
    )


def half_squared_error(model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    inputs, targets = batch
    return 0.5 * ((model(inputs) - targets) ** 2).sum(dim=-1)
