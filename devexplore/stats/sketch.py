"""Outputs too large to keep, reduced at random to a few thousand numbers that keep their inner products.

A count sketch (Charikar, Chen, Farach-Colton 2002): every feature is added, with a random sign, to one of N
numbers chosen at random. It is linear, so that differences, means and affine combinations of checkpoints may
be taken before or after. For one draw of the hashes and any x, y:

    E ⟨Sx, Sy⟩ = ⟨x, y⟩,    Var ⟨Sx, Sy⟩ = (‖x‖²‖y‖² + ⟨x, y⟩² − 2 Σ_i x_i² y_i²) / N ≤ 2 ‖x‖²‖y‖² / N.

We take it rather than a subsampled Hadamard transform, which errs as much but needs all features at once,
padded to a power of two, in memory and for log₂ F passes; this takes any part of the features at a time.
"""

import math

import numpy as np
from jaxtyping import Float

from devexplore.errors import InvalidSpec

_AT_ONCE = 2**16
_LARGEST = 2**31


def count_sketch(
    values: Float[np.ndarray, " feature"], size: int, seed: int, first: int = 0
) -> Float[np.ndarray, " {size}"]:
    """The sketch of features ``first``, ``first + 1``, …; those of several parts add up to that of the whole.

    Sums are float64. The hashes depend on ``seed`` and the feature's number alone (Philox counters, whose
    stream is the same in every version of numpy): sketches of the same seed and size belong together,
    whenever and on whatever machine they were made. About 15 ns a feature.

    Raises:
        InvalidSpec: if size is not in 1 … 2³¹, or seed or first are negative.
    """
    if not 1 <= size <= _LARGEST:
        raise InvalidSpec(f"a sketch has 1 … 2³¹ numbers, got {size}")
    if seed < 0 or first < 0:
        raise InvalidSpec(f"seed and first feature must not be negative, got {seed} and {first}")
    sketch = np.zeros(size)
    for start in range(0, len(values), _AT_ONCE):
        part = values[start : start + _AT_ONCE]
        random = _random(seed, first + start, len(part))
        signed = np.where(random & np.uint64(1), part, -part).astype(np.float64)
        # The upper 32 bits, scaled to 0 … size − 1 without a division.
        place = ((random >> np.uint64(32)) * np.uint64(size)) >> np.uint64(32)
        sketch += np.bincount(place.astype(np.intp), signed, minlength=size)
    return sketch


def sketch_error(size: int) -> float:
    """Bound on the standard deviation of ⟨Sx, Sy⟩ over the draw of the hashes, relative to ‖x‖‖y‖: √(2/N).

    With 16,384 numbers, squared distances between checkpoints are right to 1.1 %.
    """
    return math.sqrt(2 / size)


def _random(seed: int, first: int, count: int) -> np.ndarray:
    """64 random bits of each feature."""
    stream = np.random.Philox(key=seed)
    skip = first % 4  # one step of its counter gives four numbers
    stream.advance(first // 4)
    return stream.random_raw(skip + count)[skip:]
