"""Writing a group: made whole or not at all, and then filled one checkpoint's block at a time."""

import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import ZstdCodec
from zarr.storage import LocalStore

from devexplore.errors import InvalidSpec, NotWritable, SchemaError, StoreConflict
from devexplore.schema import CONTENT_HASH, MEASURED, STEP
from devexplore.store.files import StrictFiles
from devexplore.store.lazy import COORDINATES, read, stored_array
from devexplore.store.provenance import plain_attributes

LOST_STEP: Final = -1
"""What stands for a step number that was never written, or was lost."""

_SMALL: Final = 4096
_STEPS_PER_CHUNK: Final = 64
"""Steps that share a file where one step has less than ``_SMALL`` bytes."""

_LARGE: Final = 2**20
"""Bytes of a file, before compression, beyond which one step is split: a pass over the features of all
steps then decodes every file once, with this much for each step in memory."""


class Variable(NamedTuple):
    """One stored variable, without its step dimension."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: Any
    attrs: Mapping[str, Any] = {}


class GroupWriter:
    """Appends blocks to one group; a block is everything measured at one checkpoint."""

    def __init__(self, store_path: Path, group: str):
        self._path = store_path
        self._group = group
        # Zarr would leave out chunks full of NaN; we write all, so that a missing file is always a lost one.
        with zarr.config.set({"array.write_empty_chunks": True}):
            self._arrays = dict(_group(open_for_writing(store_path), group).arrays())
        self._on_steps = {
            name: array
            for name, array in self._arrays.items()
            if STEP in (getattr(array.metadata, "dimension_names", None) or ())
        }
        flags = read(self._arrays[MEASURED], store_path)
        self._length = len(flags)
        done, begun = np.flatnonzero(flags), np.flatnonzero(~flags)
        strict = _group(zarr.open_group(StrictFiles(LocalStore(store_path), store_path), mode="r"), group)
        steps = read(stored_array(strict, STEP), store_path, (done,)) if len(done) else []
        hashes = read(stored_array(strict, CONTENT_HASH), store_path, (done,)) if len(done) else []
        self._measured = {int(step): str(text) for step, text in zip(steps, hashes, strict=True)}
        # Places of blocks that were begun and never finished; which step they were meant for does not matter.
        self._free = begun.tolist()

    @property
    def measured(self) -> dict[int, str]:
        """Step → content hash of the blocks that are complete."""
        return dict(self._measured)

    def write(self, step: int, content_hash: str, arrays: Mapping[str, Any]) -> None:
        """Store one block. A kill at any moment leaves it either complete or to be written again.

        Writing a measured step again with the same hash does nothing. Raises ``StoreConflict`` if the step
        was measured from other weights, ``InvalidSpec`` if ``arrays`` are not those of the layout,
        ``NotWritable`` if the disk is full; the blocks already there are never touched.
        """
        step = int(step)
        if step in self._measured:
            if self._measured[step] != content_hash:
                raise StoreConflict(
                    f"{self._path}/{self._group}: step {step} was measured from weights "
                    f"{self._measured[step]}, this checkpoint is {content_hash}; "
                    "measure the other run into a folder of its own"
                )
            return
        values = self._checked(arrays)
        with translated_write_errors(self._path):
            row = self._row()
            self._arrays[STEP][row] = step
            self._arrays[CONTENT_HASH][row] = content_hash
            for name, value in values.items():
                self._arrays[name][row] = value
            self._arrays[MEASURED][row] = True  # last: from here on the block counts
        self._free.pop(0)
        self._measured[step] = content_hash

    def write_rows(
        self, steps: Sequence[int] | np.ndarray, content_hashes: Sequence[str], arrays: Mapping[str, Any]
    ) -> None:
        """Store many blocks at once, of steps that are not measured yet; ``arrays`` are along these steps.

        A kill leaves none of them measured; what was already on disk is written over. Raises as ``write``
        does; ``StoreConflict`` for a step that is measured.
        """
        again = self._measured.keys() & set(map(int, steps))
        if again:
            raise StoreConflict(f"{self._path}/{self._group}: step {min(again)} is measured already")
        if len(set(map(int, steps))) < len(steps):
            raise InvalidSpec(f"{self._path}/{self._group}: a step twice among the rows to be written")
        values = self._checked(arrays, (len(steps),))
        first, end = self._length, self._length + len(steps)
        with translated_write_errors(self._path):
            self._grow(end)
            self._arrays[STEP][first:end] = np.asarray(steps, dtype=np.int64)
            self._arrays[CONTENT_HASH][first:end] = np.array(content_hashes, dtype=object)
            for name, value in values.items():
                self._arrays[name][first:end] = value
            self._arrays[MEASURED][first:end] = True
        self._length = end
        self._measured |= dict(zip(map(int, steps), content_hashes, strict=True))

    def _row(self) -> int:
        """Where the next block goes: the place of one that was never finished, or a new one."""
        if self._free:
            return self._free[0]
        self._grow(self._length + 1)
        self._free = [self._length]
        self._length += 1
        return self._free[0]

    def _grow(self, length: int) -> None:
        # `measured` grows last: readers go by its length, so that every other array is at least as long.
        for name in sorted(self._on_steps, key=lambda name: name == MEASURED):
            array = self._on_steps[name]
            if array.shape[0] < length:
                array.resize((length, *array.shape[1:]))

    def _checked(self, arrays: Mapping[str, Any], rows: tuple[int, ...] = ()) -> dict[str, np.ndarray]:
        layout = set(self._on_steps) - {STEP, CONTENT_HASH, MEASURED}
        if set(arrays) != layout:
            raise InvalidSpec(
                f"{self._group}: a block has the variables {sorted(layout)}, given were {sorted(arrays)}"
            )
        checked = {}
        for name, value in arrays.items():
            array = self._arrays[name]
            value = np.asarray(value)
            if value.shape != (*rows, *array.shape[1:]):
                raise InvalidSpec(
                    f"{self._group}/{name}: expected shape {(*rows, *array.shape[1:])}, got {value.shape}"
                )
            if array.dtype.kind != "T" and not np.can_cast(value.dtype, array.dtype, "same_kind"):
                raise InvalidSpec(f"{self._group}/{name}: expected {array.dtype}, got {value.dtype}")
            checked[name] = value.astype(array.dtype)
        return checked


def create_on_steps(
    store_path: Path,
    group: str,
    layout: Mapping[str, Variable],
    coords: Mapping[str, xr.Variable],
    attributes: Mapping[str, Any],
) -> None:
    """Make an empty group that grows along ``step``."""
    with _whole_group(store_path, group, attributes, coords) as new:
        bookkeeping = {
            STEP: Variable((), (), np.int64, {"long_name": "training step"}),
            CONTENT_HASH: Variable((), (), str, {"long_name": "hash of the checkpoint file"}),
            MEASURED: Variable((), (), np.bool_, {"long_name": "this step's block is complete"}),
        }
        for name, variable in {**bookkeeping, **layout}.items():
            shape = tuple(int(size) for size in variable.shape)
            _create_array(new, name, (STEP, *variable.dims), (0, *shape), variable.dtype, variable.attrs)


def create_constant(
    store_path: Path,
    group: str,
    variables: Mapping[str, xr.Variable],
    coords: Mapping[str, xr.Variable],
    attributes: Mapping[str, Any],
) -> None:
    """Make a group that has no step dimension, with all of its content."""
    with _whole_group(store_path, group, attributes, coords) as new:
        for name, variable in variables.items():
            write_variable(new, name, variable)


def write_variable(group: zarr.Group, name: str, variable: xr.Variable) -> None:
    """Create and fill one array without step."""
    dimensions = tuple(str(dimension) for dimension in variable.dims)
    array = _create_array(group, name, dimensions, variable.shape, variable.dtype, variable.attrs)
    array[...] = np.asarray(variable.values).astype(array.dtype, copy=False)


def open_for_writing(store_path: Path) -> zarr.Group:
    """The root group, made if it is not there."""
    return zarr.open_group(LocalStore(store_path), mode="a", zarr_format=3, use_consolidated=False)


def _group(root: zarr.Group, path: str) -> zarr.Group:
    group = root[path]
    if not isinstance(group, zarr.Group):
        raise SchemaError(f"{root.store}/{path}: an array lies where a group was expected")
    return group


@contextmanager
def translated_write_errors(store_path: Path) -> Iterator[None]:
    """Turn the operating system's refusals into ``NotWritable``."""
    try:
        yield
    except OSError as error:
        if isinstance(error, NotWritable):
            raise
        raise NotWritable(
            f"{store_path}: not written ({error.strerror or error}); free some space or choose a "
            "folder that can be written, then run the same command again: what is complete is kept"
        ) from error


@contextmanager
def _whole_group(
    store_path: Path, group: str, attributes: Mapping[str, Any], coords: Mapping[str, xr.Variable]
) -> Iterator[zarr.Group]:
    """A new group that is built beside the store and moved into it by one rename."""
    with translated_write_errors(store_path):
        open_for_writing(store_path)
        parent = group.rpartition("/")[0]
        if parent and not (store_path / parent / "zarr.json").exists():
            with _whole_group(store_path, parent, {}, {}):
                pass
        workshop = store_path.with_name(store_path.name + ".partial")
        shutil.rmtree(workshop, ignore_errors=True)  # what a killed process left
        new = open_for_writing(workshop)
        named = sorted(name for name, variable in coords.items() if variable.dims != (name,))
        new.update_attributes(
            {**plain_attributes(attributes), **({COORDINATES: " ".join(named)} if named else {})}
        )
        for name, variable in coords.items():
            write_variable(new, name, variable)
        yield new
        os.rename(workshop, store_path / group)  # noqa: PTH104  a rename within one folder, atomic


def _create_array(
    group: zarr.Group,
    name: str,
    dimensions: Sequence[str],
    shape: tuple[int, ...],
    dtype: Any,
    attributes: Mapping[str, Any],
) -> zarr.Array[Any]:
    text = dtype is str or np.dtype(dtype).kind in "UTO"
    stored: Any = str if text else np.dtype(dtype)
    chunks = tuple(max(1, size) for size in shape)
    if STEP in dimensions:
        bytes_each = 16 if text else np.dtype(dtype).itemsize
        small = int(np.prod(shape[1:])) * bytes_each < _SMALL
        chunks = (_STEPS_PER_CHUNK if small else 1, *_split(chunks[1:], _LARGE // bytes_each))
    floating = not text and np.dtype(dtype).kind == "f"
    return group.create_array(
        name,
        shape=shape,
        chunks=chunks,
        dtype=stored,
        dimension_names=tuple(dimensions),
        # The checksum is what tells a damaged file from a strange result.
        compressors=ZstdCodec(level=3, checksum=True),
        fill_value=LOST_STEP if name == STEP else float("nan") if floating else None,
        attributes=plain_attributes(attributes),
        config={"write_empty_chunks": True},
    )


def _split(shape: tuple[int, ...], most: int) -> tuple[int, ...]:
    """Shape of equal chunks of at most ``most`` numbers, each contiguous: whole along the last dimensions,
    split along the first."""
    chunks = list(shape)
    for axis, size in enumerate(shape):
        after = math.prod(shape[axis + 1 :])
        parts = math.ceil(size / max(1, most // after))
        chunks[axis] = math.ceil(size / parts)
        if after <= most:
            break
    return tuple(chunks)
