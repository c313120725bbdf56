"""The Gram matrix of a run's outputs: inner products of its checkpoints in function space."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from devexplore.errors import InvalidSpec, NotMeasured
from devexplore.schema import OUTPUT_KINDS, OUTPUTS, STEP
from devexplore.stats.gram import gram_matrix

if TYPE_CHECKING:
    from devexplore.run import Run

_BLOCK_BYTES = 512 * 2**20


class FunctionGram(NamedTuple):
    """Centred inner products of the outputs of T checkpoints, steps increasing."""

    step: Int[np.ndarray, " step"]
    gram: Float[np.ndarray, "step step"]
    kind: str
    n_features: int


def function_gram(source: "Run | xr.DataArray", kind: str | None = None) -> FunctionGram:
    """The Gram matrix of a run's outputs, or of outputs with a dimension ``step``.

    Raises:
        NotMeasured: for a run without outputs, or fewer than two checkpoints.
        InvalidSpec: for repeated steps, or an array without steps.
        SchemaError: for outputs that hold NaN or infinity.
    """
    output, kind = stored_outputs(source, kind)
    step = output[STEP].values
    return FunctionGram(step, gram_matrix(feature_blocks(output)), kind, output.size // len(step))


def feature_blocks(
    output: xr.DataArray, block_bytes: int = _BLOCK_BYTES
) -> Iterator[Float[np.ndarray, "step feature"]]:
    """Outputs in blocks of features, all checkpoints in each, as stored (float16 stays), in bounded memory.

    One block if everything fits in ``block_bytes``; else slices along the longest dimension but ``step``.
    Every block reads all checkpoints' chunks once, so few large blocks are faster than many small ones.
    """
    features = [dim for dim in output.dims if dim != STEP]
    output = output.transpose(STEP, *features)
    if not features:
        yield output.values[:, None]
        return
    longest = max(features, key=lambda dim: output.sizes[dim])
    size = output.sizes[longest]
    length = max(1, int(size * block_bytes / max(output.nbytes, 1)))
    for first in range(0, size, length):
        block = output.isel({longest: slice(first, first + length)}).values
        yield block.reshape(len(block), -1)


def stored_outputs(source: "Run | xr.DataArray", kind: str | None) -> tuple[xr.DataArray, str]:
    if isinstance(source, xr.DataArray):
        output = source
        kind = kind or str(output.attrs.get("kind", output.name or "output"))
        if STEP not in output.dims:
            raise InvalidSpec(f"expected outputs with a dimension 'step', got {output.dims}")
    else:
        kinds = OUTPUT_KINDS if kind is None else (kind,)
        held = [name for name in kinds if source.has(f"{OUTPUTS}/{name}")]
        if not held:
            raise NotMeasured(
                f"{source.name} holds no outputs ({', '.join(kinds)}); "
                f"measure them with `devexplore measure {source.path} --only outputs`"
            )
        kind = held[0]
        output = source.dataset(f"{OUTPUTS}/{kind}")["output"]
    output = output.sortby(STEP) if not output.indexes[STEP].is_monotonic_increasing else output
    if output.indexes[STEP].has_duplicates:
        raise InvalidSpec("every step must occur once in the outputs; drop the repeated checkpoints")
    if output.sizes[STEP] < 2:
        raise NotMeasured(
            f"essential dynamics needs at least two checkpoints, got {output.sizes[STEP]}; measure more"
        )
    return output, kind
