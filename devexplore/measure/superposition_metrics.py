"""Which k-gon the columns of the toy model of superposition form, and how far its loss is from that k-gon's.

Chen et al. 2023 (arXiv 2310.06301): in two hidden dimensions the critical points of the population loss are
regular k-gons. k^{σ+φ−} has k columns on a circle, evenly spaced; of the other features, at the origin, σ
have the positive bias 1/(2c) with which they answer their mean; and φ of the corners have a bias so negative
that they never answer (the notation as we read it; the losses are computed here, not taken over).
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from devexplore.measure.metric import Metric, number
from devexplore.sampling.known_answers.superposition import expected_loss, k_gon
from devexplore.systems.superposition import Superposition

LONG = 0.5
"""Columns longer than this are corners: at a k-gon they are at least 1 long, and the others 0."""


class KGon(NamedTuple):
    """What the columns of W are nearest to."""

    corners: int
    """k: columns longer than ½."""
    silent_corners: int
    """φ of them: ‖W_i‖² + b_i ≤ 0, their feature is not answered even where it is largest, μ = 1."""
    positive_biases: int
    """σ: features without a corner that have b > 0."""
    irregularity: float
    """‖W − Ŵ‖/‖W‖ with Ŵ the nearest regular k-gon of these corners (any radius, any rotation) and zeros: 0
    for a perfect one, at most 1; NaN where W = 0."""


def recognise(weight: Float[Tensor, "2 feature"], bias: Float[Tensor, " feature"]) -> KGon:
    """The k-gon that these weights are nearest to.

    As complex numbers in the order of their angles, the corners of a regular k-gon are z·e^{2πij/k}, and the
    nearest one has z = mean of w_j·e^{−2πij/k}.
    """
    columns, biases = weight.detach().cpu().double().numpy(), bias.detach().cpu().double().numpy()
    w = columns[0] + 1j * columns[1]
    corner = np.abs(w) > LONG
    sorted_corners = w[corner][np.argsort(np.angle(w[corner]))]
    turns = np.exp(2j * np.pi * np.arange(corner.sum()) / max(corner.sum(), 1))
    fitted = (sorted_corners / turns).mean() * turns if corner.any() else sorted_corners
    off = (np.abs(sorted_corners - fitted) ** 2).sum() + (np.abs(w[~corner]) ** 2).sum()
    size = (np.abs(w) ** 2).sum()
    return KGon(
        corners=int(corner.sum()),
        silent_corners=int((corner & (np.abs(w) ** 2 + biases <= 0)).sum()),
        positive_biases=int((~corner & (biases > 0)).sum()),
        irregularity=float((off / size) ** 0.5) if size > 0 else float("nan"),
    )


def kgon_loss(features: int, corners: int, silent_corners: int = 0, positive_biases: int = 0) -> float:
    """Population loss of the critical point k^{σ+φ−} among c features.

    Up to four corners do not disturb each other (no angle between them is below 90°): each feature that is
    answered costs nothing, any other 1/(3c). From five on, radius and bias of the corners minimise the closed
    form of the loss; by symmetry that is a critical point in all directions, if not always a minimum. Each of
    the σ biases 1/(2c) saves 1/(4c²). NaN for silent corners among five or more: they still disturb their
    neighbours, and the critical point is no regular k-gon.
    """
    if corners <= 4:
        loss = (features - corners + silent_corners) / (3 * features)
    else:
        loss = _minimum(features, corners) if silent_corners == 0 else float("nan")
    return loss - positive_biases / (4 * features**2)


@cache
def _minimum(features: int, corners: int) -> float:
    model = k_gon(features, corners)
    return population_loss(model.weight, model.bias)


def population_loss(weight: Float[Tensor, "2 feature"], bias: Float[Tensor, " feature"]) -> float:
    """E‖x − ReLU(WᵀWx + b)‖² over all inputs x = μ·e_i, in closed form."""
    samples = torch.eye(len(bias), dtype=torch.float64)
    weight, bias = weight.detach().cpu().double(), bias.detach().cpu().double()
    return float(expected_loss(weight, bias, samples).mean())


def superposition_metrics(
    system: Superposition, model: nn.Module, held_out: tuple[Tensor, ...], seed: int
) -> dict[str, Metric]:
    """The k-gon as numbers, all from the weights alone.

    ``feature_norm``, ``feature_angle``: length and direction of each column of W · ``represented_features``
    (k), ``silent_corners`` (φ), ``positive_biases`` (σ) and ``irregularity``: the nearest k-gon ·
    ``population_loss``: energy of these weights, exactly · ``kgon_loss``: that of the critical point
    k^{σ+φ−}, the level on which the loss rests while training stays near it.
    """
    weight, bias = model.get_parameter("weight").detach().cpu(), model.get_parameter("bias").detach().cpu()
    near, units = recognise(weight, bias), system.loss_units
    level = kgon_loss(len(bias), near.corners, near.silent_corners, near.positive_biases)
    return {
        "feature_norm": Metric(
            ("feature",), weight.norm(dim=0).numpy(), {"long_name": "length of W's column"}
        ),
        "feature_angle": Metric(
            ("feature",),
            torch.atan2(weight[1], weight[0]).numpy(),
            {"units": "radian", "long_name": "direction of W's column"},
        ),
        "represented_features": number(
            near.corners, {"long_name": "features with a column longer than ½ (the k of the k-gon)"}
        ),
        "silent_corners": number(
            near.silent_corners, {"long_name": "corners whose bias keeps them from ever answering (φ)"}
        ),
        "positive_biases": number(
            near.positive_biases, {"long_name": "features without a corner that have a positive bias (σ)"}
        ),
        "irregularity": number(
            near.irregularity, {"long_name": "distance of W from the nearest regular k-gon, over its length"}
        ),
        "population_loss": number(
            population_loss(weight, bias), {"units": units, "long_name": "exact loss of these weights"}
        ),
        "kgon_loss": number(
            level, {"units": units, "long_name": "exact loss of the nearest k-gon's critical point"}
        ),
    }
