"""The Gram matrix of a run's outputs: inner products of its checkpoints in function space."""

import hashlib
import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from devexplore.analysis.gram_cache import kept_products
from devexplore.analysis.stored_outputs import stored_outputs
from devexplore.run import held_outputs, user_cache
from devexplore.schema import CONTENT_HASH, N_FEATURES, SKETCHED, STEP
from devexplore.stats.gram import centred, products_from

if TYPE_CHECKING:
    from devexplore.run import Run

_MEMORY = 512 * 2**20
_WORTH_KEEPING = 64 * 2**20
"""Bytes of outputs from which on their Gram matrix is kept: below, it takes a fraction of a second."""


class FunctionGram(NamedTuple):
    """Centred inner products of the outputs of T checkpoints, steps increasing.

    ``sketched``: so many numbers were kept of ``n_features`` for each checkpoint, and inner products err by
    ``stats.sketch.sketch_error`` of it; None: they are exact.
    """

    step: Int[np.ndarray, " step"]
    gram: Float[np.ndarray, "step step"]
    kind: str
    n_features: int
    sketched: int | None = None
    content_hash: np.ndarray | None = None
    """Which weights each checkpoint had, where the outputs say."""


def function_gram(
    source: "Run | xr.DataArray",
    kind: str | None = None,
    memory: int = _MEMORY,
    threads: int | None = None,
) -> FunctionGram:
    """The Gram matrix of a run's outputs, or of outputs with a dimension ``step``.

    Outputs are read once, in blocks of features, the next block while one is multiplied; at most ``memory``
    bytes of them are held, as stored (float16 stays). The matrix of a run with large outputs is kept in the
    user's cache: when more of its checkpoints have been measured, only products with these are computed.

    Raises:
        NotMeasured: for a run without outputs, or fewer than two checkpoints.
        InvalidSpec: for what is neither run nor DataArray, and outputs or steps that are none
            (``stored_outputs``).
        SchemaError: for outputs that hold NaN or infinity.
    """
    output, kind = stored_outputs(source, kind)

    def products(reference: int, rows: Int[np.ndarray, " row"] | None) -> Float[np.ndarray, "row step"]:
        return products_from(reference, feature_blocks(output, memory // 2), rows, threads)

    step = output[STEP].values
    if (
        isinstance(source, xr.DataArray)
        or output.nbytes < _WORTH_KEEPING
        or CONTENT_HASH not in output.coords
    ):
        about_first = products(0, None)
    else:
        names = [f"{one} {text}" for one, text in zip(step, output[CONTENT_HASH].values, strict=True)]
        about_first = kept_products(_cache_file(source, kind, output), names, products)
    sketched = output.attrs.get(SKETCHED)
    return FunctionGram(
        step,
        centred(about_first),
        kind,
        output.size // len(step) if sketched is None else int(output.attrs[N_FEATURES]),
        None if sketched is None else int(sketched),
        output[CONTENT_HASH].values if CONTENT_HASH in output.coords else None,
    )


def _cache_file(run: "Run", kind: str, output: xr.DataArray) -> Path:
    """Named by what was measured and how; of which weights is told inside. Not in ``run.cache_dir``, which
    is another one as soon as training has written another checkpoint."""
    attributes = run.dataset(held_outputs(run, kind)[0]).attrs
    what = [attributes.get(name) for name in ("spec", "sources", "seed", "created")]
    digest = hashlib.sha256(repr((kind, output.shape[1:], str(output.dtype), what)).encode()).hexdigest()
    return user_cache() / "grams" / f"{run.path.resolve().name}-{kind}-{digest[:16]}.gram"


def feature_blocks(
    output: xr.DataArray, block_bytes: int = _MEMORY // 2
) -> Iterator[Float[np.ndarray, "step feature"]]:
    """Outputs in blocks of features, all checkpoints in each, as stored (float16 stays).

    No block exceeds ``block_bytes`` (unless one feature does). Blocks consist of whole chunks of the store,
    so that every chunk is decoded once; chunks too large for that (stores written before chunks were kept
    below a megabyte) are decoded again for every block that they reach into.
    """
    features = [dim for dim in output.dims if dim != STEP]
    output = output.transpose(STEP, *features)
    if not features:
        yield output.values[:, None]
        return
    stored = output.encoding.get("preferred_chunks", {})
    most = block_bytes // max(1, output.sizes[STEP] * output.dtype.itemsize)
    extents = _extents(
        [output.sizes[dim] for dim in features], [stored.get(dim, 1) for dim in features], most
    )
    for slices in itertools.product(
        *(
            [slice(first, first + extent) for first in range(0, output.sizes[dim], extent)]
            for dim, extent in zip(features, extents, strict=True)
        )
    ):
        block = output.isel(dict(zip(features, slices, strict=True))).values
        yield block.reshape(len(block), -1)


def _extents(sizes: Sequence[int], chunks: Sequence[int], most: int) -> list[int]:
    """Shape of blocks of at most ``most`` numbers: whole along the last dimensions, split along the first.

    A quarter of that where chunks allow it: the more blocks, the more of the reading is done beside
    multiplying.
    """
    extents = list(sizes)
    for axis, (size, chunk) in enumerate(zip(sizes, chunks, strict=True)):
        after = math.prod(sizes[axis + 1 :])
        fit = max(1, most // max(1, after))
        whole_chunks = chunk * max(1, fit // 4 // chunk)
        extents[axis] = min(size, whole_chunks if whole_chunks <= fit else fit)
        if after <= most:
            break
    return extents
