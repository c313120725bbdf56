"""Gram PCA, critical points of noisy curves, known learning coefficients. numpy, scipy and scikit-learn."""

from devexplore.stats.critical_points import CriticalPoints, critical_points
from devexplore.stats.gram import GramPCA, affine_weights, gram_matrix, gram_pca
from devexplore.stats.noisy_curve import NoisyCurve, noisy_curve

__all__ = [
    "CriticalPoints",
    "GramPCA",
    "NoisyCurve",
    "affine_weights",
    "critical_points",
    "gram_matrix",
    "gram_pca",
    "noisy_curve",
]
