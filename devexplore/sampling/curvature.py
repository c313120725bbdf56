"""Curvature and slope of the loss at w*: is the step stable there, and is w* a minimum at all?

Everything comes from gradients alone (a Hessian-vector product is a central difference of two), for many
checkpoints at once. Lanczos runs once a checkpoint; what follows for any ε, nβ and γ is arithmetic.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import integrate
from torch import Tensor

GradientAt = Callable[[Float[Tensor, "row parameter"]], Float[Tensor, "row parameter"]]
"""weights of each row → ∇L of each row, on the same data at every call."""

_DISPLACEMENT = 0.03
_EXHAUSTED = 1e-6
_DOUBLINGS, _GRID = 12, 12


class Ritz(NamedTuple):
    """What Lanczos saw of a symmetric matrix H from one start vector v. A row whose Krylov space ended early
    has NaN values, of weight 0, behind its last ones.
    """

    values: Float[np.ndarray, "row ritz"]
    """Ritz values θ: the outermost converge to extreme eigenvalues, from inside."""
    weights: Float[np.ndarray, "row ritz"]
    """Share of ‖v‖² that each carries: Σθᵏ·weight = vᵀHᵏv/‖v‖², exact up to k = 2·iterations − 1."""


class Curvature(NamedTuple):
    """The Hessian H of the loss at w*, as far as sampling needs it, for each row. NaN in a row whose weights
    or gradients are not finite.
    """

    h_max: Float[np.ndarray, " row"]
    """Largest Ritz value: H's largest eigenvalue, at most a little below it."""
    h_min: Float[np.ndarray, " row"]
    """Smallest Ritz value: not above 0 means that w* is flat or downhill somewhere."""
    descent: Float[np.ndarray, " row"]
    """How far the loss falls along the direction of ``h_min``, in its own unit; 0 where it curves up."""
    slope: Ritz
    """Ritz values and weights from the gradient g at w*."""
    gradient_norm: Float[np.ndarray, " row"]
    """‖g‖."""


def curvature(
    gradient: GradientAt,
    weights: Float[Tensor, "row parameter"],
    *,
    slope: Float[Tensor, "row parameter"] | None = None,
    free: Bool[Tensor, "row parameter"] | None = None,
    iterations: int = 12,
    seed: int = 0,
) -> Curvature:
    """Lanczos at w* from a random vector and from the gradient; 4·iterations (+ 1) gradients a row, and some
    dozens more where a row curves down.

    slope: ∇L at w* where it is known better than ``gradient`` gives it. A gradient over a subsample of m data
        is too long by its noise, E‖ĝ‖² = ‖g‖² + tr Cov/m, so give the one over all data here and let
        ``gradient`` be the subsample's. None takes ``gradient(weights)``.
    free: weights that move; the others are clamped (H is the block of the free ones). None: all.
    """
    generator = torch.Generator().manual_seed(seed)
    # the same vector for every row: a checkpoint's result does not depend on its neighbours
    random = torch.randn(weights.shape[1], generator=generator, dtype=torch.float32).to(weights)
    anywhere, low = lanczos(gradient, weights, random.expand_as(weights), free=free, iterations=iterations)
    slope = gradient(weights) if slope is None else slope
    slope = slope if free is None else slope * free
    along, low_along = lanczos(gradient, weights, slope, free=free, iterations=iterations)
    seen = np.concatenate([anywhere.values, along.values], axis=1)
    known = np.isfinite(seen).any(axis=1) & torch.isfinite(slope).all(dim=1).cpu().numpy()
    h_min, h_min_along = (_or(ritz.values, np.inf).min(axis=1) for ritz in (anywhere, along))
    low[h_min_along < h_min] = low_along[h_min_along < h_min]
    return Curvature(
        h_max=np.where(known, _or(seen, -np.inf).max(axis=1), np.nan),
        h_min=np.where(known, np.minimum(h_min, h_min_along), np.nan),
        descent=np.where(known, _descent(gradient, weights, low, free), np.nan),
        slope=along,
        gradient_norm=slope.norm(dim=1).cpu().double().numpy(),
    )


def _or(values: Float[np.ndarray, "row ritz"], instead: float) -> Float[np.ndarray, "row ritz"]:
    return np.where(np.isfinite(values), values, instead)


def joined(parts: Sequence[Curvature]) -> Curvature:
    """The rows of several, one after the other."""
    h_max, h_min, descent, gradient_norm = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("h_max", "h_min", "descent", "gradient_norm")
    )
    ritz = Ritz(*(np.concatenate(field) for field in zip(*(part.slope for part in parts), strict=True)))
    return Curvature(h_max=h_max, h_min=h_min, descent=descent, slope=ritz, gradient_norm=gradient_norm)


def lanczos(
    gradient: GradientAt,
    weights: Float[Tensor, "row parameter"],
    start: Float[Tensor, "row parameter"],
    *,
    free: Bool[Tensor, "row parameter"] | None = None,
    iterations: int = 12,
) -> tuple[Ritz, Float[Tensor, "row parameter"]]:
    """Lanczos on the Hessian of each row at ``weights``, from ``start``, reorthogonalised against all before.

    Hv = (g(w + δv) − g(w − δv))/2δ with ‖v‖ = 1 and δ = 0.03 of the weights' root mean square: small against
    any single weight, large against rounding in float32 (do not hand in gradients of lower precision).
    Memory: ``iterations`` copies of ``weights``. The extreme eigenvalues converge first, fastest where they
    stand apart from the others, as a network's largest do. (Golub & Van Loan, Matrix Computations, ch. 10.)

    Also gives the unit vector that belongs to each row's lowest Ritz value (zero in a row without values).
    """
    free = _all_of(weights) if free is None else free
    iterations = min(iterations, weights.shape[1])
    delta = _displacement(weights, free)[:, None]
    basis = weights.new_zeros(len(weights), iterations, weights.shape[1])
    diagonal, beside, scale = (weights.new_zeros(len(weights), iterations) for _ in range(3))
    used = torch.zeros_like(diagonal, dtype=torch.bool)
    vector, norm = _unit(start * free, 0.0)
    room = free.sum(dim=1)
    for k in range(iterations):
        used[:, k] = norm > 0
        basis[:, k] = vector
        shift = delta * vector
        image = (gradient(weights + shift) - gradient(weights - shift)) / (2 * delta) * free
        diagonal[:, k] = (vector * image).sum(dim=1)
        scale[:, k] = image.norm(dim=1)
        so_far = basis[:, : k + 1]
        for _ in range(2):  # once leaves rounding that grows; twice is enough (Kahan)
            image = image - torch.einsum("rkp,rk->rp", so_far, torch.einsum("rkp,rp->rk", so_far, image))
        vector, norm = _unit(image, _EXHAUSTED * scale[:, : k + 1].amax(dim=1))
        if k + 1 < iterations:
            ended = room <= k + 1
            vector, norm = vector.masked_fill(ended[:, None], 0), norm.masked_fill(ended, 0)
            beside[:, k] = norm
    tridiagonal = diagonal.cpu().double().numpy(), beside.cpu().double().numpy(), used.cpu().numpy()
    ritz, lowest = _ritz(*tridiagonal)
    return ritz, torch.einsum("rkp,rk->rp", basis, torch.from_numpy(lowest).to(basis))


def _all_of(weights: Float[Tensor, "row parameter"]) -> Bool[Tensor, "row parameter"]:
    return torch.ones_like(weights, dtype=torch.bool)


def _displacement(
    weights: Float[Tensor, "row parameter"], free: Bool[Tensor, "row parameter"]
) -> Float[Tensor, " row"]:
    """0.03 of the root mean square of the free weights, of all weights where these are zero, or of 1."""
    rms = weights.norm(dim=1) / weights.shape[1] ** 0.5
    rms_free = (weights * free).norm(dim=1) / free.sum(dim=1).clamp(min=1).sqrt()
    size = torch.where(rms_free > 0, rms_free, torch.where(rms > 0, rms, torch.ones_like(rms)))
    return _DISPLACEMENT * size


def _unit(
    vector: Float[Tensor, "row parameter"], negligible: Float[Tensor, " row"] | float
) -> tuple[Float[Tensor, "row parameter"], Float[Tensor, " row"]]:
    """Each row over its norm, and that norm; zeros where the norm is negligible (or not a number)."""
    norm = vector.norm(dim=1)
    usable = norm > negligible
    scaled = vector / torch.where(usable, norm, 1)[:, None]
    return scaled.masked_fill(~usable[:, None], 0), norm.masked_fill(~usable, 0)


def _ritz(
    diagonal: Float[np.ndarray, "row ritz"],
    beside: Float[np.ndarray, "row ritz"],
    used: Bool[np.ndarray, "row ritz"],
) -> tuple[Ritz, Float[np.ndarray, "row ritz"]]:
    """Eigenvalues of each row's tridiagonal matrix with the squared first components of its eigenvectors, and
    the eigenvector of the lowest.
    """
    values = np.full(diagonal.shape, np.nan)
    shares, lowest = np.zeros(diagonal.shape), np.zeros(diagonal.shape)
    for row in range(len(diagonal)):
        size = int(used[row].sum())  # used ones come first
        d, e = diagonal[row, :size], beside[row, : max(size - 1, 0)]
        if size == 0 or not (np.isfinite(d).all() and np.isfinite(e).all()):
            continue
        theta, vectors = np.linalg.eigh(np.diag(d) + np.diag(e, 1) + np.diag(e, -1))
        values[row, :size], shares[row, :size] = theta, vectors[0] ** 2
        lowest[row, :size] = vectors[:, 0]
    return Ritz(values, shares), lowest


def _descent(
    gradient: GradientAt,
    weights: Float[Tensor, "row parameter"],
    direction: Float[Tensor, "row parameter"],
    free: Bool[Tensor, "row parameter"] | None,
) -> Float[np.ndarray, " row"]:
    """L(w) − min of the loss's even part along ± direction, (L(w + tu) + L(w − tu))/2: what curvature alone,
    without the slope, leads down to. The first valley is taken, and t goes no further than 2¹² first steps.
    """
    first = _displacement(weights, _all_of(weights) if free is None else free)

    def slope(at: Float[Tensor, " row"]) -> Float[Tensor, " row"]:
        shift = at[:, None] * direction
        return ((gradient(weights + shift) - gradient(weights - shift)) / 2 * direction).sum(dim=1)

    reach = first.clone()
    for _ in range(_DOUBLINGS):
        down = slope(reach) < 0
        if not bool(down.any()):
            break
        reach = torch.where(down, 2 * reach, reach)
    if bool((reach == first).all()):
        return np.zeros(len(weights))
    fractions = np.linspace(0, 1, _GRID + 1)
    slopes = [torch.zeros_like(reach), *(slope(reach * fraction) for fraction in fractions[1:].tolist())]
    heights = integrate.cumulative_simpson(
        torch.stack(slopes, dim=1).cpu().double().numpy(), x=fractions, axis=1, initial=0
    )
    return np.maximum(-heights.min(axis=1), 0) * reach.cpu().double().numpy()


def stability(
    h_max: Float[np.ndarray, " row"], *, step_size: float, n_beta: float, localization: float
) -> Float[np.ndarray, " row"]:
    """ε(nβ·h_max + γ). From 4 on SGLD is unstable; below, a variance is 1/(1 − that/4) times too large."""
    return step_size * (n_beta * h_max + localization)


class SlopeShift(NamedTuple):
    """What the gradient at w* does to λ̂."""

    shift: Float[np.ndarray, " row"]
    """What the slope takes off λ̂ (≤ 0)."""
    unheld: Float[np.ndarray, " row"]
    """Share of ‖g‖² in directions with nβθ + γ ≤ 0: nothing holds the chains there, and ``shift`` leaves them
    out.
    """


def slope_shift(
    slope: Ritz,
    gradient_norm: Float[np.ndarray, " row"],
    *,
    n_beta: float,
    localization: float,
    step_size: float | None = None,
    burn_in: int = 0,
    updates: int | None = None,
) -> SlopeShift:
    """How much of λ̂ is w* not being a minimum: exact on quadratics, linear response elsewhere.

    A slope g moves the chains' mean by −nβ·g/a, a = nβθ + γ, in each direction of curvature θ. With
    ωᵢ = ‖g‖²·weightᵢ that adds to λ̂

        −Σ ωᵢ·nβ²·fᵢ·(1 − nβθᵢfᵢ/2),  fᵢ = 1/aᵢ.

    Given step_size, burn_in and updates, f is what chains started at w* have reached after k updates,
    (1 − (1 − εa/2)ᵏ)/a, and the sum is averaged over k from burn_in to updates: directions held by γ alone
    relax in 2/(εγ) updates, and short chains have felt little of them.

    The Ritz values of the start vector g do this exactly in as many steps as g touches eigenvalues, and to
    high accuracy long before (Gauss quadrature; Golub & Meurant 1994).
    """
    share = np.nan_to_num(slope.weights)
    theta = np.nan_to_num(slope.values)
    a = n_beta * theta + localization
    held = a > 0
    positive = np.where(held, a, 1.0)
    if step_size is None or updates is None:
        reached = (1 / positive)[None]
    else:
        k = np.linspace(burn_in, max(updates - 1, burn_in), 64)[:, None, None]
        with np.errstate(divide="ignore"):
            log_left = np.log(np.clip(1 - step_size * positive / 2, 0, 1))
        reached = -np.expm1(np.where(k > 0, k, 0) * np.maximum(log_left, -1e3)) / positive
    omega = gradient_norm[:, None] ** 2 * share
    terms = -omega * n_beta**2 * (reached - n_beta * theta * reached**2 / 2).mean(axis=0)
    return SlopeShift(np.where(held, terms, 0).sum(axis=1), np.where(held, 0, share).sum(axis=1))
