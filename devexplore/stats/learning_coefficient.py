"""Known learning coefficients λ: what an estimator of the LLC should come near.

All are asymptotic in n, except ``quadratic_discretised``, which is what SGLD itself gives at a finite step
size.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from devexplore.errors import InvalidSpec


def reduced_rank(n_inputs: int, n_outputs: int, n_hidden: int, rank: int) -> float:
    """λ of reduced-rank regression y = B·A·x + noise (A: hidden × inputs), at a true map of the given rank.

    Source: Aoyagi & Watanabe 2005, "Stochastic complexities of reduced rank regression in Bayesian
    estimation".

    Raises:
        InvalidSpec: if the rank is not in 0 … min(n_inputs, n_outputs, n_hidden) or a width is below 1.
    """
    m, n, h, r = n_inputs, n_outputs, n_hidden, rank
    _check([m, h, n], r)
    if m + h < n + r:
        return (h * m - h * r + n * r) / 2
    if n + h < m + r:
        return (h * n - h * r + m * r) / 2
    if m + n < h + r:
        return m * n / 2
    parity = (m + h + n + r) % 2
    return (-((h + r) ** 2) - m**2 - n**2 + 2 * (h + r) * (m + n) + 2 * m * n + parity) / 8


def deep_linear(widths: Sequence[int], rank: int) -> float:
    """λ of a deep linear network of widths H₀ (inputs) … H_M (outputs), at a true map of the given rank.

    With Δᵢ = Hᵢ − r there is one set Σ of ℓ + 1 layers with max_Σ Δ < min outside, S = Σ_Σ Δ ≥ ℓ·max_Σ Δ and
    S < ℓ·min outside; a = S − (⌈S/ℓ⌉ − 1)ℓ, and λ = (−r² + r(H₀ + H_M))/2 + a(ℓ − a)/(4ℓ) − (ℓ(ℓ −
    1)/4)(S/ℓ)² + ½ Σ_{i<j∈Σ} ΔᵢΔⱼ (for ℓ = 0 the first term only).

    Source: Aoyagi 2024, "Consideration on the learning efficiency of multiple-layered neural networks with
    linear units".

    Raises:
        InvalidSpec: if there are fewer than two widths, a width is below 1, or the rank exceeds the smallest
            width.
    """
    theory = _deep_linear_set(widths, rank)
    base = (-(rank**2) + rank * (widths[0] + widths[-1])) / 2
    if len(theory) == 1:
        return base
    ell, total, a = _ell_total_a(theory)
    pairs = sum(first * second for first, second in itertools.combinations(theory, 2))
    return base + a * (ell - a) / (4 * ell) - ell * (ell - 1) / 4 * (total / ell) ** 2 + pairs / 2


def deep_linear_multiplicity(widths: Sequence[int], rank: int) -> int:
    """Multiplicity m = a(ℓ − a) + 1 beside ``deep_linear``: free energy is nL + λ ln n − (m − 1) ln ln n."""
    theory = _deep_linear_set(widths, rank)
    if len(theory) == 1:
        return 1
    ell, _, a = _ell_total_a(theory)
    return a * (ell - a) + 1


def normal_crossing(exponents: Sequence[int]) -> float:
    """λ of a loss ∏ᵢ wᵢ^{2kᵢ} at the origin: min over i of 1/(2kᵢ); kᵢ = 0 is a free direction.

    For a *sum* of such terms in separate coordinates the λ add up (w₁² + w₂⁴: ½ + ¼). All kᵢ = 0: no loss, λ
    = 0 is not defined and raises.

    Raises:
        InvalidSpec: if an exponent is negative or none is positive.
    """
    if any(k < 0 for k in exponents) or not any(k > 0 for k in exponents):
        raise InvalidSpec(
            f"normal crossings need exponents k >= 0, at least one positive, got {list(exponents)}"
        )
    return 1 / (2 * max(exponents))


def superposition_gon(corners: int) -> float:
    """λ of the toy model of superposition at a k-gon minimum: (3k − 1)/2, for k = 5, 6 or 7.

    The k columns of W (two coordinates each) and their k biases make 3k directions, all of them curved except
    one rotation. Columns of features that are not represented lie at zero with negative bias, where the loss
    is flat: they add nothing. 4-gons sit on kinks of the ReLU, where λ is not half a rank.

    Source: Chen et al. 2023 (arXiv 2310.06301).

    Raises:
        InvalidSpec: for any other k.
    """
    if corners not in (5, 6, 7):
        raise InvalidSpec(f"λ of a k-gon is known in closed form for k = 5, 6, 7, got k = {corners}")
    return (3 * corners - 1) / 2


def regular(n_parameters: int) -> float:
    """λ of a regular model with d parameters: d/2."""
    return n_parameters / 2


def quadratic_discretised(
    h: Float[np.ndarray, " parameter"], n_beta: float, localization: float, step_size: float
) -> float:
    """E[λ̂] of SGLD with full-batch gradients on L = ½Σ hᵢwᵢ², exactly, at a finite step size.

    With w ← w − (ε/2)(nβ·∇L + γw) + N(0, ε) and aᵢ = nβhᵢ + γ: E[λ̂] = ½ Σ nβhᵢ / (aᵢ(1 − εaᵢ/4)).
    As ε → 0 and γ → 0 this is d/2. Unstable from εaᵢ = 4 on: infinite.
    """
    h = np.asarray(h, dtype=np.float64)
    pull = n_beta * h + localization
    damping = 1 - step_size * pull / 4
    if np.any(damping <= 0):
        return float("inf")
    moving = h != 0
    return float(0.5 * np.sum(n_beta * h[moving] / (pull[moving] * damping[moving])))


def _deep_linear_set(widths: Sequence[int], rank: int) -> list[int]:
    """The Δ of the layers in Σ, which holds all Δ below its largest: so try the cuts of the sorted list."""
    _check(widths, rank)
    excess = sorted(width - rank for width in widths)
    for size in range(len(excess), 0, -1):
        inside, outside, ell = excess[:size], excess[size:], size - 1
        separated = not outside or inside[-1] < outside[0]
        if separated and sum(inside) >= ell * inside[-1] and (not outside or sum(inside) < ell * outside[0]):
            return inside
    # No cut separates only if the smallest Δ stands alone (ℓ = 0), where S < 0·min never holds.
    return excess[:1]


def _ell_total_a(theory: list[int]) -> tuple[int, int, int]:
    ell, total = len(theory) - 1, sum(theory)
    return ell, total, total - (-(-total // ell) - 1) * ell


def _check(widths: Sequence[int], rank: int) -> None:
    if len(widths) < 2 or min(widths) < 1:
        raise InvalidSpec(f"expected at least two layer widths, each at least 1, got {list(widths)}")
    if not 0 <= rank <= min(widths):
        raise InvalidSpec(f"rank must be in 0 … {min(widths)} (the narrowest layer), got {rank}")
