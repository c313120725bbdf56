"""The toy model of superposition under its exact population loss, at its k-gon minima.

f(x) = ReLU(WᵀWx + b), inputs x = μ·e_i with i uniform among the features and μ ~ U[0, 1]. The expectation
over μ has a closed form; the "data set" is one sample e_i a feature, so its mean is the population loss.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Superposition(nn.Module):
    def __init__(self, weight: Float[Tensor, "2 feature"], bias: Float[Tensor, " feature"]) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(bias)


def features(n: int) -> tuple[Tensor, ...]:
    """The data set: e_1 … e_n."""
    return (torch.eye(n),)


def superposition_loss(model: Superposition, batch: tuple[Tensor, ...]) -> Tensor:
    return expected_loss(model.weight, model.bias, batch[0])


def expected_loss(
    weight: Float[Tensor, "2 feature"], bias: Float[Tensor, " feature"], x: Float[Tensor, "sample feature"]
) -> Float[Tensor, " sample"]:
    """∫₀¹ ‖μx − ReLU(μ·WᵀWx + b)‖² dμ of each sample.

    Output j is active on one interval of μ, where its error is a quadratic polynomial in μ, for which
    Simpson's rule is exact.
    """
    slope = x @ weight.T @ weight
    zero, one = torch.zeros_like(slope), torch.ones_like(slope)
    # where an output switches; a slope of exactly 0 never switches, and must not make NaN gradients
    switch = (-bias / torch.where(slope == 0, one, slope)).clamp(0, 1)
    first = torch.where(bias > 0, zero, torch.where(slope + bias > 0, switch, zero))
    last = torch.where(slope + bias > 0, one, torch.where(bias > 0, switch, zero))

    def change(mu: Tensor) -> Tensor:
        """(μx − s)² − (μx)² with the active output s = μ·slope + b."""
        active = mu * slope + bias
        return active * (active - 2 * mu * x)

    simpson = change(first) + 4 * change((first + last) / 2) + change(last)
    return ((last - first) * simpson / 6 + x**2 / 3).sum(dim=-1)


def k_gon(n_features: int, corners: int) -> Superposition:
    """The k-gon minimum among ``n_features``: k columns of W on a circle, evenly spaced, with one bias; the
    other features at zero with bias −½, deep inside the region where they do not matter.

    Radius and bias minimise the population loss to rounding (in float64; the returned model is float32).
    """
    angles = torch.arange(corners, dtype=torch.float64) * (2 * math.pi / corners)
    circle = torch.stack([angles.cos(), angles.sin()])
    idle = n_features - corners
    # near the minimum for any k: biases that mute three quarters of a neighbour, radii that make up for it
    neighbour = 0.75 * max(math.cos(2 * math.pi / corners), 0.0)
    radius = (1.1 / (1 - neighbour)) ** 0.5
    start = [radius, min(1.1 - radius**2, -0.1)]
    radius_and_bias = torch.tensor(start, dtype=torch.float64, requires_grad=True)

    def weights() -> tuple[Tensor, Tensor]:
        radius, bias = radius_and_bias
        padded = torch.nn.functional.pad(radius * circle, (0, idle))
        return padded, torch.cat([bias.expand(corners), torch.full((idle,), -0.5, dtype=torch.float64)])

    optimizer = torch.optim.LBFGS(
        [radius_and_bias],
        max_iter=500,
        tolerance_grad=1e-12,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> float:
        optimizer.zero_grad()
        loss = expected_loss(*weights(), torch.eye(n_features, dtype=torch.float64)).mean()
        loss.backward()
        return float(loss.detach())

    optimizer.step(closure)
    weight, bias = weights()
    return Superposition(weight.detach().float(), bias.detach().float())


def curvatures(model: Superposition) -> Float[Tensor, " parameter"]:
    """Eigenvalues of the Hessian of the population loss at the model's weights, in float64."""
    weight, bias = model.weight.detach().double(), model.bias.detach().double()
    samples = torch.eye(len(bias), dtype=torch.float64)

    def loss(flat: Tensor) -> Tensor:
        return expected_loss(flat[: weight.numel()].view_as(weight), flat[weight.numel() :], samples).mean()

    hessian = torch.autograd.functional.hessian(loss, torch.cat([weight.reshape(-1), bias]))
    return torch.linalg.eigvalsh((hessian + hessian.T) / 2)
