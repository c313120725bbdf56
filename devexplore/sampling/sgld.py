"""Stochastic gradient Langevin dynamics (Welling & Teh 2011), localized at w*: one pure step."""

from jaxtyping import Float
from torch import Tensor


def sgld_step(
    weights: Float[Tensor, "row parameter"],
    gradient: Float[Tensor, "row parameter"],
    anchor: Float[Tensor, "row parameter"],
    noise: Float[Tensor, "row parameter"],
    *,
    step_size: Float[Tensor, "row 1"],
    n_beta: Float[Tensor, "row 1"],
    localization: Float[Tensor, "row 1"],
) -> Float[Tensor, "row parameter"]:
    """w ← w − (ε/2)·[nβ·∇L_batch(w) + γ(w − w*)] + √ε·noise, for each row with its own ε, nβ, γ and w*.

    ``gradient`` is ∇L_batch at ``weights`` (of the *mean* loss), ``anchor`` is w*, ``noise`` standard normal.
    Its target is p(w) ∝ exp(−nβ·L(w) − (γ/2)‖w − w*‖²), up to a bias of order ε. On L = ½hw² with the full
    gradient the variance is exactly 1/(a(1 − εa/4)) with a = nβ·h + γ, and infinite from εa = 4 on.
    """
    drift = n_beta * gradient + localization * (weights - anchor)
    return weights - 0.5 * step_size * drift + step_size.sqrt() * noise
