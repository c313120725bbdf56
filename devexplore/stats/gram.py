"""Principal components from the checkpoint-by-checkpoint Gram matrix: one pass, any number of features."""

import functools
import os
import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from threadpoolctl import ThreadpoolController

from devexplore.errors import InvalidSpec, SchemaError

_COLUMNS_AT_ONCE = 2048
"""Features multiplied at a time: at T = 150 they are 2.5 MB in float64, which stay in or near a core."""

_MATRICES_BYTES = 512 * 2**20
"""What the workers' matrices may take together: fewer work where there are thousands of checkpoints."""

_BLAS = threading.RLock()
"""Held while BLAS is kept to one thread: two callers who each restore what they found would leave it so."""


class GramPCA(NamedTuple):
    """Principal components of T checkpoints, strongest first. Components beyond the rank are zero throughout.

    ``scores`` are U·√eigenvalue, in the units of the features. ``weights`` hold the dual form: the direction
    of component k is Σ_t weights[t, k]·f(w_t), and every column sums to zero, so mean + Σ_k c_k v_k = Σ_t α_t
    f(w_t) with Σα = 1 for α = ``affine_weights(weights, c)``.
    """

    scores: Float[np.ndarray, "step component"]
    explained_variance_ratio: Float[np.ndarray, " component"]
    weights: Float[np.ndarray, "step component"]


def gram_matrix(
    blocks: Iterable[Float[np.ndarray, "step feature"]], threads: int | None = None
) -> Float[np.ndarray, "step step"]:
    """Inner products Σ_f (x_tf − x̄_f)(x_sf − x̄_f) of centred checkpoints, from blocks of features.

    ``products_from`` the first checkpoint, centred: a common offset, however large, costs no digits. Raises
    as that does.
    """
    return centred(products_from(0, blocks, threads=threads))


def products_from(
    reference: int,
    blocks: Iterable[Float[np.ndarray, "step feature"]],
    rows: Int[np.ndarray, " row"] | None = None,
    threads: int | None = None,
) -> Float[np.ndarray, "row step"]:
    """Inner products Σ_f (x_tf − r_f)(x_sf − r_f) of checkpoints t in ``rows`` (None: all) with all s, where
    r is the checkpoint at row ``reference``.

    A product does not depend on which other checkpoints there are, so that a matrix made with the same
    reference can be extended by new rows. The reference is taken off before any product, in float64, and
    products and sums are float64 whatever the blocks' type: float32 would lose components that have less than
    about 10⁻⁶ of the first one's variance.

    Every block holds all checkpoints. While ``threads`` workers (default: one for each core) multiply a
    block, the next one is taken from the iterator: at most two are held, beside 512 MB of matrices (or two of
    them, where those are larger). BLAS runs on one thread meanwhile, in each worker, and other callers wait.
    The result depends on ``threads`` by rounding only.

    Raises:
        InvalidSpec: if there is no block, or blocks differ in their number of checkpoints.
        SchemaError: if a checkpoint holds NaN or infinity, or numbers whose squares overflow; the message
            gives its row.
    """
    if threads is not None and threads < 1:
        raise InvalidSpec(f"threads must be at least 1, got {threads}")
    workers: list[_Worker] = []
    at_work: list[Future[None]] = []
    most = threads if threads is not None else os.cpu_count() or 1
    with _BLAS, _libraries().limit(limits=1, user_api="blas"), ThreadPoolExecutor(most) as pool:
        for block in blocks:
            if block.ndim != 2:
                raise InvalidSpec(f"expected blocks of shape (step, feature), got {block.shape}")
            steps = len(block)
            if not workers:
                matrix_bytes = 8 * steps * (steps if rows is None else len(rows))
                fit = max(1, _MATRICES_BYTES // max(1, 2 * matrix_bytes))
                workers = [_Worker(steps, reference, rows) for _ in range(min(most, fit))]
            if steps != workers[0].steps:
                same = f"the same {workers[0].steps} checkpoints"
                raise InvalidSpec(f"every block must hold {same}, got one with {steps}")
            _finish(at_work)
            stride = len(workers) * _COLUMNS_AT_ONCE
            at_work = [
                pool.submit(worker.add, block, range(k * _COLUMNS_AT_ONCE, block.shape[1], stride))
                for k, worker in enumerate(workers)
            ]
        _finish(at_work)
    if not workers:
        raise InvalidSpec("expected at least one block of features, got none")
    total = workers[0].sum
    for worker in workers[1:]:
        total += worker.sum
    return total


@functools.cache
def _libraries() -> ThreadpoolController:
    """Found once: looking for numpy's BLAS takes ten times as long as a small matrix."""
    return ThreadpoolController()


class _Worker:
    """One thread's share of the columns, and the sum of their products: always the same share, so that the
    result does not depend on which thread was faster.
    """

    def __init__(self, steps: int, reference: int, rows: Int[np.ndarray, " row"] | None) -> None:
        self.steps = steps
        self.reference = reference
        self.rows = rows
        self.sum = np.zeros((steps if rows is None else len(rows), steps))
        self._product = np.empty_like(self.sum)
        self._buffer = np.empty(steps * _COLUMNS_AT_ONCE)

    @np.errstate(over="ignore", invalid="ignore")  # told as an error below
    def add(self, block: Float[np.ndarray, "step feature"], firsts: range) -> None:
        for first in firsts:
            columns = block[:, first : first + _COLUMNS_AT_ONCE]
            differences = self._buffer[: columns.size].reshape(columns.shape)
            np.copyto(differences, columns)
            differences -= columns[self.reference].astype(np.float64)
            # A matrix times its own transpose is half the work: numpy hands it to BLAS's syrk.
            left = differences if self.rows is None else differences[self.rows]
            np.matmul(left, differences.T, out=self._product)
            if not np.isfinite(self._product.sum()):
                raise SchemaError(_what_is_not_finite(columns))
            self.sum += self._product


def _finish(futures: list[Future[None]]) -> None:
    for future in futures:
        future.result()


def _what_is_not_finite(columns: Float[np.ndarray, "step feature"]) -> str:
    """Looked for only when a product has shown it: a pass over all data for this would cost as much as a
    tenth of the products."""
    rows = np.flatnonzero(~np.isfinite(columns).all(axis=1))
    if len(rows) == 0:
        return f"outputs of up to {np.abs(columns).max():.3g} have squares that overflow; scale them down"
    return f"outputs hold NaN or infinity at rows {rows[:5].tolist()}; leave those checkpoints out"


def centred(gram: Float[np.ndarray, "step step"]) -> Float[np.ndarray, "step step"]:
    """Inner products about the mean, from inner products about any other point."""
    means = gram.mean(axis=0)
    about_mean = gram - means - means[:, None] + means.mean()
    return (about_mean + about_mean.T) / 2


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

    about_mean = centred(gram)
    eigenvalues, vectors = eigh(about_mean, subset_by_index=[count - n_components, count - 1])
    eigenvalues, vectors = eigenvalues[::-1], vectors[:, ::-1]
    scale = np.abs(gram).max()
    present = eigenvalues > count * np.finfo(np.float64).eps * scale
    eigenvalues = np.where(present, eigenvalues, 0.0)
    vectors = np.where(present, vectors - vectors.mean(axis=0), 0.0)
    vectors = vectors * np.where(vectors[-1] < 0, -1.0, 1.0)
    length = np.sqrt(eigenvalues)
    total = np.trace(about_mean)
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
