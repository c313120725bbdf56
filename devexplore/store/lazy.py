"""Stored arrays as xarray variables: lazy, only measured steps, in order, damage told in words."""

import itertools
import os
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import xarray as xr
import zarr
from jaxtyping import Int
from xarray.backends import BackendArray
from xarray.core import indexing

from devexplore.errors import DamagedStore, SchemaError
from devexplore.schema import CONTENT_HASH, MEASURED, STEP
from devexplore.store.chunks import RowFiles
from devexplore.store.files import damaged

COORDINATES: Final = "coordinates"
"""Group attribute that names the coordinates that are no dimensions, as in CF and in xarray's own stores."""

DECODING_ERRORS: Final = (RuntimeError, ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile)
"""What codecs and archives raise on bytes they cannot read."""

_ROWS_AT_ONCE: Final = max(4, os.cpu_count() or 1)


def open_group(group: zarr.Group, path: str | os.PathLike[str]) -> xr.Dataset:
    """One group as a lazy Dataset: measured steps only, increasing; ``content_hash`` is a coordinate.

    A block that is being written while we read is either wholly there or not at all: ``measured`` is read
    first, and a block's arrays are complete before its flag is set. Reading raises ``DamagedStore`` wherever
    it happens (``.values``, ``.sel``, arithmetic, plotting); opening raises it where metadata are at odds.
    """
    rows = None
    if MEASURED in group:
        flags = read(stored_array(group, MEASURED), path)
        rows = np.flatnonzero(flags)
        for _, array in sorted(group.arrays()):
            if STEP in dimensions_of(array) and array.shape[0] < len(flags):
                raise damaged(path, f"{array.path}/zarr.json", wrong_length(array.shape[0], len(flags)))
        steps = read(stored_array(group, STEP), path, (_stored_rows(rows),))
        rows = rows[np.argsort(steps, kind="stable")]
    variables = {
        name: _variable(array, rows, path) for name, array in sorted(group.arrays()) if name != MEASURED
    }
    attributes = dict(group.attrs)
    named = set(str(attributes.pop(COORDINATES, "")).split())
    dimensions = {dimension for variable in variables.values() for dimension in variable.dims}
    coordinates = {name for name in variables if name in named or name in dimensions or name == CONTENT_HASH}
    if rows is None:
        coordinates.discard(CONTENT_HASH)
    return xr.Dataset(
        {name: variable for name, variable in variables.items() if name not in coordinates},
        {name: variables[name] for name in sorted(coordinates)},
        attributes,
    )


def read(array: zarr.Array[Any], path: str | os.PathLike[str], key: Any = (...,)) -> np.ndarray:
    """``array[key]`` (orthogonal), with codec errors turned into a ``DamagedStore`` that names the file."""
    try:
        return np.asarray(array.oindex[key] if array.ndim > 0 else array[()])
    except DamagedStore:
        raise
    except DECODING_ERRORS as error:
        for file, reason in damaged_chunks(array):
            raise damaged(path, file, reason) from error
        raise


def damaged_chunks(array: zarr.Array[Any], rows: Iterable[int] | None = None) -> Iterator[tuple[str, str]]:
    """Files of this array that cannot be read, each with the reason.

    ``rows`` restricts to the chunks that hold these positions along the first dimension. Missing files count
    only if the array's store is a ``StrictFiles``.
    """
    grid: list[Sequence[int]] = [
        range(-(-size // chunk)) for size, chunk in zip(array.shape, array.chunks, strict=True)
    ]
    if rows is not None:
        grid[0] = sorted({row // array.chunks[0] for row in rows})
    for chunk in itertools.product(*grid):
        file = f"{array.path}/{array.metadata.encode_chunk_key(chunk)}"
        region = tuple(slice(i * size, (i + 1) * size) for i, size in zip(chunk, array.chunks, strict=True))
        try:
            array[region]
        except DamagedStore:
            yield file, "this file is missing"
        except DECODING_ERRORS as error:
            yield file, f"truncated or corrupted ({str(error).splitlines()[0]})"


class _StoredArray(BackendArray):
    """The rows of a stored array that are to be seen, in the order in which they are to be seen."""

    def __init__(
        self, array: zarr.Array[Any], rows: Int[np.ndarray, " row"] | None, path: str | os.PathLike[str]
    ):
        self.array = array
        self.rows = rows
        self.path = path
        self.shape = array.shape if rows is None else (len(rows), *array.shape[1:])
        # Text as Python strings: numpy's StringDType is still unknown to much that draws and exports.
        self.dtype = np.dtype(object) if array.dtype.kind == "T" else array.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        if self.rows is not None:
            rows = self.rows[key[0]]
            if np.ndim(rows) == 1 and len(rows) > 1 and self.array.chunks[0] == 1:
                return self._read_each(rows, key[1:]).astype(self.dtype, copy=False)
            key = (_stored_rows(rows), *key[1:])
        return read(self.array, self.path, key).astype(self.dtype, copy=False)

    def _read_each(self, rows: Int[np.ndarray, " row"], rest: tuple[Any, ...]) -> np.ndarray:
        """Rows in any order, one by one: a list of rows costs Zarr thirty times as long as a slice, and
        checkpoints are measured coarse to fine, so that stored rows are never in order."""
        shape = [_shape(part, size) for part, size in zip(rest, self.array.shape[1:], strict=True)]
        values = np.empty((len(rows), *itertools.chain(*shape)), self.array.dtype)
        files = RowFiles.of(self.array)
        region = [part for part in rest if isinstance(part, slice) and part.step in (None, 1)]
        whole = files if len(region) == len(rest) else None

        def read_one(place: int) -> None:
            if whole is not None:
                try:
                    whole.read(int(rows[place]), region, values[place])
                    return
                except DECODING_ERRORS:
                    pass  # once more by Zarr, which tells what is wrong
            values[place] = read(self.array, self.path, (int(rows[place]), *rest))

        with ThreadPoolExecutor(_ROWS_AT_ONCE) as pool:
            for _ in pool.map(read_one, range(len(rows))):
                pass
        return values


def _shape(part: Any, size: int) -> tuple[int, ...]:
    """Of what a slice, a list of places or one place leaves of a dimension."""
    return (len(range(*part.indices(size))),) if isinstance(part, slice) else np.shape(part)


def _stored_rows(rows: Any) -> Any:
    """Positions as a slice where they are consecutive, which Zarr reads faster."""
    if np.ndim(rows) == 0:
        return int(rows)
    if len(rows) == 0:
        return slice(0, 0)
    if np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
        return slice(int(rows[0]), int(rows[0]) + len(rows))
    return rows


def _variable(
    array: zarr.Array[Any], rows: Int[np.ndarray, " row"] | None, path: str | os.PathLike[str]
) -> xr.Variable:
    dimensions = dimensions_of(array)
    on_steps = rows if STEP in dimensions else None
    data = indexing.LazilyIndexedArray(_StoredArray(array, on_steps, path))
    # As xarray's own backends do: what was read whole is kept. The type stubs know only real arrays.
    cached: Any = indexing.MemoryCachedArray(data)
    cached = indexing.CopyOnWriteArray(cached)
    chunks = {"preferred_chunks": dict(zip(dimensions, array.chunks, strict=True))} if dimensions else {}
    return xr.Variable(dimensions, cached, dict(array.attrs), chunks, fastpath=True)


def dimensions_of(array: zarr.Array[Any]) -> tuple[str, ...]:
    """Names of the dimensions; none for arrays that were written without."""
    return tuple(getattr(array.metadata, "dimension_names", None) or ())


def wrong_length(length: int, measured: int) -> str:
    """The reason of a damage, in words: an array on ``step`` that is not as long as ``measured``."""
    return f"says that there are {length} steps, where `{MEASURED}` has {measured}"


def stored_array(group: zarr.Group, name: str) -> zarr.Array[Any]:
    """One array of a group. Raises ``SchemaError`` if there is none of this name."""
    array = group.get(name)
    if not isinstance(array, zarr.Array):
        raise SchemaError(f"{group.path}/{name}: expected an array of this name in the store, found none")
    return array
