"""What λ̂ should be at a *finite* inverse temperature: nβ·(E[L(w)] − L(w*)), exactly and without SGLD.

λ is a limit. At the nβ and γ of a measurement theory expects another number, since

- γ holds flat directions, which then count less;
- where a singularity has multiplicity m > 1, the limit comes as slowly as λ − (m − 1)/ln nβ.

So an estimate is to be compared with these values; how far they lie from λ is a fact about nβ and γ, not
about the estimator. The density is that of ``LLCSpec``: p(w) ∝ exp(−nβ·L(w) − (γ/2)‖w − w*‖²).
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from devexplore.errors import InvalidSpec

_GRID_POINTS = 1200


class TemperedValue(NamedTuple):
    """nβ·(E[L] − L(w*)) and the standard error of computing it (0 by quadrature)."""

    value: float
    standard_error: float


def normal_crossing_tempered(exponents: Sequence[int], n_beta: float, localization: float) -> TemperedValue:
    """nβ·E[L] of L = ∏ᵢ wᵢ^{2kᵢ} around w* = 0, for one or two exponents kᵢ ≥ 1, by quadrature.

    It depends on nβ/γ^{Σkᵢ} alone and tends to ``normal_crossing(exponents)``. For a sum of such terms in
    separate coordinates the values add up, as λ do. Accurate to 10⁻⁶ up to nβ/γ^{Σkᵢ} = 10¹².

    Raises:
        InvalidSpec: if there are not one or two exponents of at least 1, or nβ or γ are not positive.
    """
    if not 1 <= len(exponents) <= 2 or min(exponents) < 1:
        raise InvalidSpec(f"quadrature takes one or two exponents k >= 1, got {list(exponents)}")
    _check_positive(n_beta, localization)
    # The density is even in each coordinate; on a log scale both its arms and its core are resolved.
    log_w = np.linspace(-25, 2.5, _GRID_POINTS) - np.log(localization) / 2
    logs = np.meshgrid(*[log_w] * len(exponents), indexing="ij")
    energy = n_beta * np.exp(sum(2 * k * log for k, log in zip(exponents, logs, strict=True)))
    log_density = sum(log - localization / 2 * np.exp(2 * log) for log in logs) - energy
    density = np.exp(log_density - log_density.max())
    return TemperedValue(float((density * energy).sum() / density.sum()), 0.0)


def linear_network_tempered(
    layers: Sequence[Float[np.ndarray, "output input"]],
    least_squares: Float[np.ndarray, "output input"],
    second_moment: Float[np.ndarray, "input input"],
    n_beta: float,
    localization: float,
    *,
    chains: int = 64,
    sweeps: int = 300,
    burn_in: int = 100,
    seed: int = 0,
) -> TemperedValue:
    """nβ·(E[L] − L(w*)) of a linear network W_M … W_1 under half squared error, by exact Gibbs sampling.

    With W the product of all layers, Ŵ = ``least_squares`` the best linear map on the data and S =
    ``second_moment`` the mean of x·xᵀ, the loss is ½ tr (W − Ŵ)S(W − Ŵ)ᵀ + constant. Given the others, a
    layer X enters W = K·X·J linearly, so its conditional is Gaussian and is drawn exactly: in the eigenbases
    of KᵀK (values aᵢ) and J·S·Jᵀ (values bⱼ) the entries are independent with precision nβ·aᵢbⱼ + γ. There is
    no step size, no batch and no discretisation: an answer from other mathematics than SGLD's.

    layers: W_1 (next to the inputs) … W_M at w*, where every chain starts.
    sweeps: passes over all layers; the first ``burn_in`` do not count.

    The standard error comes from the scatter of the chains' means.

    Raises:
        InvalidSpec: if nβ or γ are not positive, the layers do not chain up to Ŵ's shape, or there are fewer
            than two chains or no sweep after the burn-in.
    """
    _check_positive(n_beta, localization)
    widths = [layers[0].shape[1], *(layer.shape[0] for layer in layers)]
    chained = all(
        layer.shape == (b, a) for layer, (a, b) in zip(layers, itertools.pairwise(widths), strict=True)
    )
    if not chained or least_squares.shape != (widths[-1], widths[0]):
        raise InvalidSpec(f"layers {[layer.shape for layer in layers]} do not make {least_squares.shape}")
    if chains < 2 or not 0 <= burn_in < sweeps:
        raise InvalidSpec(f"need >= 2 chains and sweeps > burn_in, got {chains}, {sweeps}, {burn_in}")
    rng = np.random.default_rng(seed)
    walkers = [np.repeat(layer[None], chains, axis=0) for layer in layers]
    total = np.zeros(chains)
    for sweep in range(sweeps):
        for place, anchor in enumerate(layers):
            below = _product(walkers[:place], widths[0], chains)
            above = _product(walkers[place + 1 :], widths[place + 1], chains)
            walkers[place] = _draw_layer(
                anchor, below, above, least_squares, second_moment, n_beta, localization, rng
            )
        if sweep >= burn_in:
            total += _half_squared_error(_product(walkers, widths[0], chains), least_squares, second_moment)
    start = _half_squared_error(
        _product([w[None] for w in layers], widths[0], 1), least_squares, second_moment
    )
    excess = n_beta * (total / (sweeps - burn_in) - start)
    return TemperedValue(float(excess.mean()), float(excess.std(ddof=1) / np.sqrt(chains)))


def _draw_layer(
    anchor: Float[np.ndarray, "above below"],
    below: Float[np.ndarray, "chain below input"],
    above: Float[np.ndarray, "chain output above"],
    least_squares: Float[np.ndarray, "output input"],
    second_moment: Float[np.ndarray, "input input"],
    n_beta: float,
    localization: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, "chain above below"]:
    """One layer given all others: a Gaussian with precision nβ·(KᵀK ⊗ JSJᵀ) + γ."""
    above_t, moment_below = above.swapaxes(1, 2), second_moment @ below.swapaxes(1, 2)
    a, u = np.linalg.eigh(above_t @ above)
    b, v = np.linalg.eigh(below @ moment_below)
    # rounding leaves eigenvalues of singular products a little below zero
    precision = n_beta * np.maximum(a, 0)[:, :, None] * np.maximum(b, 0)[:, None, :] + localization
    pull = n_beta * above_t @ least_squares @ moment_below + localization * anchor
    mean = u.swapaxes(1, 2) @ pull @ v / precision
    entries = mean + rng.standard_normal(precision.shape) / np.sqrt(precision)
    return u @ entries @ v.swapaxes(1, 2)


def _product(
    layers: Sequence[Float[np.ndarray, "chain output input"]], n_inputs: int, chains: int
) -> Float[np.ndarray, "chain output input"]:
    product = np.repeat(np.eye(n_inputs)[None], chains, axis=0)
    for layer in layers:
        product = layer @ product
    return product


def _half_squared_error(
    products: Float[np.ndarray, "chain output input"],
    least_squares: Float[np.ndarray, "output input"],
    second_moment: Float[np.ndarray, "input input"],
) -> Float[np.ndarray, " chain"]:
    miss = products - least_squares
    return 0.5 * np.einsum("coi,ij,coj->c", miss, second_moment, miss)


def _check_positive(n_beta: float, localization: float) -> None:
    if not (n_beta > 0 and localization > 0):
        raise InvalidSpec(f"n_beta and localization must be above 0, got {n_beta} and {localization}")
