"""Gram PCA, critical points of noisy curves, known learning coefficients. numpy, scipy and scikit-learn."""

from devexplore.stats.gram import GramPCA, affine_weights, gram_matrix, gram_pca

__all__ = ["GramPCA", "affine_weights", "gram_matrix", "gram_pca"]
