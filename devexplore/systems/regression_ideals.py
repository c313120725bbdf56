"""Ideal predictors of in-context linear regression: the best use of the pairs before each y."""

import torch
from torch import Tensor


def ridge_predictions(x: Tensor, y: Tensor, noise_variance: float) -> Tensor:
    """Prediction of each y_k from the pairs before it: ŵ = (XᵀX + σ²I)⁻¹Xᵀy, shape (sequence, K)."""
    sequences, examples, dimension = x.shape
    identity = torch.eye(dimension, dtype=torch.float64)
    predictions = torch.zeros(sequences, examples, dtype=torch.float64)
    x64, y64 = x.double(), y.double()
    for k in range(1, examples):
        seen, answers = x64[:, :k], y64[:, :k, None]
        gram = seen.mT @ seen + noise_variance * identity
        weights = torch.linalg.solve(gram, seen.mT @ answers)
        predictions[:, k] = (x64[:, k] * weights[..., 0]).sum(dim=-1)
    return predictions.float()


_NUMBERS_AT_ONCE = 2**22


def dmmse_predictions(x: Tensor, y: Tensor, tasks: Tensor, noise_variance: float) -> Tensor:
    """Discrete MMSE: prediction of each y_k by the posterior mean over M tasks, shape (sequence, K).

    ŵ_k = Σ_m p_m w_m with p_m ∝ exp(−Σ_{j<k} (y_j − w_m·x_j)² / 2σ²) (Raventós et al. 2023, arXiv
    2306.15063, eq. 3); at the first example all tasks weigh the same. Float64 inside.
    """
    pool = tasks.double()
    at_once = max(1, _NUMBERS_AT_ONCE // (x.shape[1] * len(pool)))
    parts = []
    for first in range(0, len(x), at_once):
        inputs, answers = x[first : first + at_once].double(), y[first : first + at_once].double()
        each = inputs @ pool.T  # what every task predicts: (sequence, K, M)
        misfit = (answers[..., None] - each) ** 2 / (2 * noise_variance)
        before = misfit.cumsum(dim=1) - misfit  # of the pairs before this one
        parts.append((torch.softmax(-before, dim=-1) * each).sum(dim=-1))
    return torch.cat(parts).float()
