"""Stochastic gradient Langevin dynamics (Welling & Teh 2011), localized at w*: one pure step.

With and without the RMSprop preconditioner (Li et al. 2016, arXiv 1512.07666). The state that is carried from
step to step holds nothing that is only recorded.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

DECAY = 0.99
"""Memory of the second moment: about 100 steps."""

DAMPING = 0.1
"""Share of the mean root second moment added to each entry: no direction is stretched more than about 10×."""


class Walker(NamedTuple):
    """What a walk carries from step to step."""

    weights: Float[Tensor, "row parameter"]
    second_moment: Float[Tensor, "row parameter"] | None = None
    """Moving average of the squared gradient (RMSprop); None for plain SGLD."""


class Target(NamedTuple):
    """What a walk samples, p(w) ∝ exp(−nβ·L(w) − (γ/2)‖w − w*‖²), and by which steps."""

    anchor: Float[Tensor, "row parameter"]
    """w*."""
    step_size: Float[Tensor, "row 1"]
    n_beta: Float[Tensor, "row 1"]
    localization: Float[Tensor, "row 1"]
    free: Bool[Tensor, "row parameter"] | None = None
    """Which weights move; None: all."""


def sgld_step(
    walker: Walker,
    gradient: Float[Tensor, "row parameter"],
    noise: Float[Tensor, "row parameter"],
    target: Target,
    *,
    adapt: bool = False,
) -> Walker:
    """w ← w − (ε/2)·G[nβ·∇L_batch(w) + γ(w − w*)] + √(εG)·noise, each row with its own ε, nβ, γ and w*.

    ``gradient`` is ∇L_batch at the walker's weights (of the *mean* loss), ``noise`` standard normal. G = 1
    without a second moment. With one, V, G = c/(√V + δ) with mean 1 over the free weights, so that ε keeps
    its meaning; V follows the squared gradient only where ``adapt`` (during burn-in) and is held after, for
    with G constant the target is exactly p(w), whereas a G that follows the walk would need a correction.

    Sampling is right up to a bias of order ε. On L = ½hw² with the full gradient the variance is exactly
    1/(a(1 − εaG/4)) with a = nβ·h + γ, and infinite from εaG = 4 on.
    """
    weights, second_moment = walker
    drift = torch.addcmul(target.localization * (weights - target.anchor), target.n_beta, gradient)
    if second_moment is None:
        change = torch.addcmul(target.step_size.sqrt() * noise, drift, target.step_size, value=-0.5)
    else:
        if adapt:
            second_moment = DECAY * second_moment + (1 - DECAY) * gradient.square()
        scale = target.step_size * preconditioner(second_moment, target.free)
        change = torch.addcmul(scale.sqrt() * noise, drift, scale, value=-0.5)
    if target.free is not None:
        change = change * target.free
    return Walker(weights + change, second_moment)


def preconditioner(
    second_moment: Float[Tensor, "row parameter"], free: Bool[Tensor, "row parameter"] | None
) -> Float[Tensor, "row parameter"]:
    """G = c/(√V + δ), δ a tenth of the mean √V, c such that G averages 1 over the free weights. V = 0 (no
    gradient seen yet) gives 1.
    """
    weight = torch.ones_like(second_moment) if free is None else free.to(second_moment.dtype)
    count = weight.sum(dim=1, keepdim=True)
    root = second_moment.sqrt()
    mean_root = (root * weight).sum(dim=1, keepdim=True) / count
    damped = root + DAMPING * mean_root
    inverse = 1 / torch.where(mean_root > 0, damped, torch.ones_like(damped))
    return inverse * (count / (inverse * weight).sum(dim=1, keepdim=True))
