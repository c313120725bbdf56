"""Principal components from the checkpoint-by-checkpoint Gram matrix: one pass, any number of features."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from devexplore.errors import InvalidSpec, SchemaError

_COLUMNS_AT_ONCE = 8192


class GramPCA(NamedTuple):
    """Principal components of T checkpoints, strongest first. Components beyond the rank are zero throughout.

    ``scores`` are U·√eigenvalue, in the units of the features. ``weights`` hold the dual form: the direction
    of component k is Σ_t weights[t, k]·f(w_t), and every column sums to zero, so mean + Σ_k c_k v_k = Σ_t α_t
    f(w_t) with Σα = 1 for α = ``affine_weights(weights, c)``.
    """

    scores: Float[np.ndarray, "step component"]
    explained_variance_ratio: Float[np.ndarray, " component"]
    weights: Float[np.ndarray, "step component"]


def gram_matrix(blocks: Iterable[Float[np.ndarray, "step feature"]]) -> Float[np.ndarray, "step step"]:
    """Inner products Σ_f (x_tf − x̄_f)(x_sf − x̄_f) of centred checkpoints, from blocks of features.

    Every block holds all checkpoints, so each feature is centred exactly before any product is taken: a
    common offset, however large, costs no digits. Products and sums are float64 whatever the blocks' type;
    float16 is widened a few thousand columns at a time.

    Raises:
        InvalidSpec: if there is no block, or blocks differ in their number of checkpoints.
        SchemaError: if a checkpoint holds NaN or infinity; the message gives its row.
    """
    gram = None
    for block in blocks:
        if block.ndim != 2:
            raise InvalidSpec(f"expected blocks of shape (step, feature), got {block.shape}")
        if gram is None:
            gram = np.zeros((len(block), len(block)))
        if len(block) != len(gram):
            raise InvalidSpec(
                f"every block must hold the same {len(gram)} checkpoints, got one with {len(block)}"
            )
        for first in range(0, block.shape[1], _COLUMNS_AT_ONCE):
            columns = block[:, first : first + _COLUMNS_AT_ONCE].astype(np.float64)
            if not np.isfinite(columns).all():
                rows = np.flatnonzero(~np.isfinite(columns).all(axis=1))
                raise SchemaError(
                    f"outputs hold NaN or infinity at rows {rows[:5].tolist()}; leave those checkpoints out"
                )
            columns -= columns.mean(axis=0)
            gram += columns @ columns.T
    if gram is None:
        raise InvalidSpec("expected at least one block of features, got none")
    return gram


def gram_pca(gram: Float[np.ndarray, "step step"], n_components: int) -> GramPCA:
    """PCA of the checkpoints whose Gram matrix is given; the same as an SVD of the centred data matrix.

    The Gram matrix is centred here as well (nothing changes if it was). No scaling. Signs: the last score of
    every component is >= 0. Squaring costs digits: a component whose variance is below about T·10⁻¹⁶ of the
    largest cannot be told from rounding and is returned as zero.

    Raises:
        InvalidSpec: if the matrix is not square and finite, or the number of components is not in 1 … T.
    """
    gram = np.asarray(gram, dtype=np.float64)
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1] or not np.isfinite(gram).all():
        raise InvalidSpec(f"expected a finite square Gram matrix, got shape {gram.shape}")
    count = len(gram)
    if not 1 <= n_components <= count:
        raise InvalidSpec(
            f"n_components must be in 1 … {count} (the number of checkpoints), got {n_components}"
        )
    from scipy.linalg import eigh  # slow to import, needed only here

    means = gram.mean(axis=0)
    centred = gram - means - means[:, None] + means.mean()
    eigenvalues, vectors = eigh((centred + centred.T) / 2, subset_by_index=[count - n_components, count - 1])
    eigenvalues, vectors = eigenvalues[::-1], vectors[:, ::-1]
    scale = np.abs(gram).max()
    present = eigenvalues > count * np.finfo(np.float64).eps * scale
    eigenvalues = np.where(present, eigenvalues, 0.0)
    vectors = np.where(present, vectors - vectors.mean(axis=0), 0.0)
    vectors = vectors * np.where(vectors[-1] < 0, -1.0, 1.0)
    length = np.sqrt(eigenvalues)
    total = np.trace(centred)
    return GramPCA(
        scores=vectors * length,
        explained_variance_ratio=eigenvalues / total if total > 0 else eigenvalues,
        weights=np.divide(vectors, length, out=np.zeros_like(vectors), where=present),
    )


def affine_weights(
    weights: Float[np.ndarray, "step component"], coordinates: Float[np.ndarray, "... component"]
) -> Float[np.ndarray, "... step"]:
    """α = 1/T + weights·c: then Σα = 1 and Σ_t α_t f(w_t) is the point with coordinates c in score space."""
    return 1 / len(weights) + np.asarray(coordinates) @ weights.T
