"""Rows of a folder store, decoded beside each other into their place.

Zarr takes every chunk through one event loop and three copies; for outputs of many checkpoints that costs
more than decoding does. Its format is simple where we wrote it: a chunk is a file, one Zstandard frame.
"""

import itertools
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import zarr
from numcodecs.zstd import Zstd
from zarr.codecs import BytesCodec, ZstdCodec

from devexplore.store.files import StrictFiles

_ZSTD = Zstd()


class RowFiles:
    """The chunks of one array as files, where each holds (a part of) one row along the first dimension."""

    def __init__(self, array: zarr.Array[Any], folder: Path) -> None:
        self._array = array
        self._folder = folder
        self._chunks = array.chunks[1:]

    @classmethod
    def of(cls, array: zarr.Array[Any]) -> Self | None:
        """None where chunks are no such files: in a zip, behind a URL, or written with other codecs."""
        files = array.store
        folder = files.folder if isinstance(files, StrictFiles) else None
        codecs = getattr(array.metadata, "codecs", ())
        plain = (
            len(codecs) == 2
            and isinstance(codecs[0], BytesCodec)
            and (codecs[0].endian is None or codecs[0].endian.value == sys.byteorder)
            and isinstance(codecs[1], ZstdCodec)
        )
        if folder is None or not plain or array.ndim < 2 or array.chunks[0] != 1:
            return None
        return cls(array, folder / array.path)

    def read(self, row: int, region: Sequence[slice], out: np.ndarray) -> None:
        """Row ``row`` at ``region`` (slices of step 1) into ``out``, which has the region's shape.

        Raises ``OSError``, ``RuntimeError`` or ``ValueError`` on files that are missing, broken, or hold
        another number of values.
        """
        bounds = [part.indices(size)[:2] for part, size in zip(region, self._array.shape[1:], strict=True)]
        grid = [
            range(start // chunk, math.ceil(stop / chunk))
            for (start, stop), chunk in zip(bounds, self._chunks, strict=True)
        ]
        for place in itertools.product(*grid):
            firsts = [index * chunk for index, chunk in zip(place, self._chunks, strict=True)]
            edges = [
                (max(start, first), min(stop, first + chunk))
                for (start, stop), first, chunk in zip(bounds, firsts, self._chunks, strict=True)
            ]
            target = out[
                tuple(slice(a - start, b - start) for (a, b), (start, _) in zip(edges, bounds, strict=True))
            ]
            content = (self._folder / self._array.metadata.encode_chunk_key((row, *place))).read_bytes()
            # Not straight into ``out``: of a frame that is whole but too short, nothing would tell. It fits
            # no chunk, and the copy costs a twentieth of the decoding.
            chunk = np.frombuffer(_ZSTD.decode(content), out.dtype).reshape(self._chunks)
            target[...] = chunk[
                tuple(slice(a - first, b - first) for (a, b), first in zip(edges, firsts, strict=True))
            ]
