"""One run's measurements on disk: opened lazily, written one checkpoint's block at a time."""

import json
import os
import re
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import xarray as xr
import zarr
from zarr.errors import ZarrUserWarning

from devexplore.errors import InvalidSpec, NotWritable, SchemaError, StoreConflict
from devexplore.schema import CONTENT_HASH, MEASURED, STEP
from devexplore.store.damage import Damage, Repair, find_damage, repair_group
from devexplore.store.files import PARTIAL, StrictFiles, damaged, is_url, open_files
from devexplore.store.group import (
    GroupWriter,
    Variable,
    create_constant,
    create_on_steps,
    translated_write_errors,
)
from devexplore.store.lazy import DECODING_ERRORS, open_group
from devexplore.store.lock import WriterLock, lock_file
from devexplore.store.provenance import SEED, SPEC, as_json, provenance

if TYPE_CHECKING:
    from zarr.abc.store import Store as ZarrStore

_BOOKKEEPING = {STEP, CONTENT_HASH, MEASURED}


class Store:
    """The measured groups of one run, in Zarr 3: a folder, a packed zip (read-only) or a URL (read-only).

    ``mode="r"`` reads what is there; ``mode="a"`` also writes, and makes the store if need be. The first
    write takes a lock that ``close`` (or leaving the ``with`` block, or the end of the process) gives back.

    Raises ``RunNotFound``, ``DamagedStore`` (broken zip), ``NotWritable`` (writing to a zip or URL, read-only
    folder, full disk, another writer).
    """

    def __init__(self, path: str | os.PathLike[str], mode: str = "r"):
        if mode not in ("r", "a"):
            raise InvalidSpec(f"mode must be 'r' (read) or 'a' (read and write), got {mode!r}")
        self.path = os.fspath(path) if is_url(path) else Path(path)
        self.mode = mode
        self._lock: WriterLock | None = None
        if mode == "a":
            self._require_folder()
        self._files: ZarrStore = open_files(self.path, read_only=mode == "r")

    def open(self) -> xr.DataTree:
        """All groups, lazily: only measured steps, sorted by step. Arrays are read when they are used.

        Reading a damaged file raises ``DamagedStore`` at the moment it is read.
        """
        if self._is_empty():
            return xr.DataTree()
        try:
            with warnings.catch_warnings(record=True) as unknown:
                warnings.simplefilter("always", ZarrUserWarning)  # a folder without metadata
                root = zarr.open_group(
                    StrictFiles(self._files, self.path), mode="r", zarr_format=3, use_consolidated=False
                )
                members = root.members(max_depth=None)
            if unknown:
                self._raise_damage(None)
            groups = {"/": xr.Dataset(attrs=dict(root.attrs))}
            for name, member in members:
                if isinstance(member, zarr.Group) and any(True for _ in member.arrays()):
                    groups[name] = open_group(member, self.path)
            tree = xr.DataTree.from_dict(groups)
            tree.encoding = {"source": os.fspath(self.path)}  # as xarray says where a tree comes from
            return tree
        except (*DECODING_ERRORS, KeyError) as error:
            self._raise_damage(error)
            if isinstance(error, FileNotFoundError):
                raise SchemaError(f"{self.path}: no Zarr 3 store; expected a file zarr.json in it") from error
            raise

    def writer(
        self,
        group: str,
        spec: Mapping[str, Any],
        layout: Mapping[str, Variable],
        coords: Mapping[str, Any],
        attrs: Mapping[str, Any],
        provenance: Mapping[str, Any],
    ) -> GroupWriter:
        """Make the group, or reopen it to go on where it was left.

        ``layout`` gives the variables without their step dimension; ``coords`` values are arrays (a
        coordinate along the dimension of its own name) or ``(dims, array)``. ``provenance`` comes from the
        function of that name. Raises ``StoreConflict``, saying what differs, if the group was made with
        another spec, seed, layout or coordinates.
        """
        if _BOOKKEEPING & (set(layout) | set(coords)):
            raise InvalidSpec(f"{group}: {sorted(_BOOKKEEPING)} are kept by the store; leave them out")
        coordinates = _as_variables(coords)
        asked = {**attrs, **provenance, SPEC: as_json(spec)}
        _check_name(group)
        path = self._start_writing()
        if not (path / group / "zarr.json").exists():
            create_on_steps(path, group, layout, coordinates, asked)
        differences = self._differences(group, asked, layout, coordinates)
        writer = GroupWriter(path, group)
        if differences and not writer.measured:  # a first try that was stopped before its first block
            self.discard(group)
            create_on_steps(path, group, layout, coordinates, asked)
            return GroupWriter(path, group)
        if differences:
            raise self._conflict(group, differences)
        return writer

    def put(
        self,
        group: str,
        variables: Mapping[str, Any],
        coords: Mapping[str, Any],
        attrs: Mapping[str, Any],
    ) -> None:
        """Write a whole group that has no step dimension. Writing it again does nothing.

        Values are what xarray takes: ``(dims, array)``, ``(dims, array, attrs)`` or a DataArray. Raises
        ``StoreConflict`` if the group is there with other content.
        """
        values, coordinates = _as_variables(variables), _as_variables(coords)
        _check_name(group)
        path = self._start_writing()
        if (path / group / "zarr.json").exists():
            stored = self._stored(group)
            asked = xr.Dataset(dict(values), dict(coordinates))
            different = sorted(
                str(name)
                for name in set(stored.variables) | set(asked.variables)
                if name not in stored.variables
                or name not in asked.variables
                or not _equal(stored.variables[name], asked.variables[name])
            )
            if different:
                raise self._conflict(group, [f"other values of {', '.join(different)}"])
            return
        create_constant(path, group, values, coordinates, {**provenance(None, {}), **attrs})

    def discard(self, group: str) -> None:
        """Remove one group: for what is derived from other groups and about to be written anew."""
        _check_name(group)
        path = self._start_writing()
        going = path.with_name(path.name + ".discarded")
        shutil.rmtree(going, ignore_errors=True)  # what a killed process left
        with translated_write_errors(path):
            (path / group).rename(going)
            shutil.rmtree(going)

    def verify(self) -> list[str]:
        """The damaged files (truncated, corrupted, missing, at odds with others), by reading all; empty if
        none is."""
        return [f"{self.path}/{damage.file}: {damage.reason}" for damage in find_damage(self._files)]

    def repair(self) -> list[Repair]:
        """Give up what is damaged, so that measuring again fills it in; nothing else is touched.

        Blocks that a damaged file belongs to are marked unmeasured. A group of which no block can be told
        (metadata unreadable, or at odds with each other) is moved out of the store as a whole.
        """
        path = self._start_writing()
        by_group: dict[str, list[Damage]] = {}
        for damage in find_damage(self._files):
            by_group.setdefault(damage.group, []).append(damage)
        with translated_write_errors(path):
            return [repair_group(path, group, damages) for group, damages in sorted(by_group.items())]

    def claim(self) -> Self:
        """Take the lock now rather than at the first write. Raises ``NotWritable`` if another holds it."""
        self._start_writing()
        return self

    def close(self) -> None:
        """Let others write, and let go of the files. Twice is once."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        if getattr(self._files, "_is_open", False):
            self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r}, mode={self.mode!r})"

    def _raise_damage(self, cause: Exception | None) -> None:
        for damage in find_damage(self._files):
            raise damaged(self.path, damage.file, damage.reason) from cause

    def _is_empty(self) -> bool:
        """Whether nothing was ever written; a first write that was killed may have left a folder."""
        if is_url(self.path) or Path(self.path).is_file():
            return False
        folder = Path(self.path)
        return not folder.is_dir() or all(file.suffix == PARTIAL for file in folder.iterdir())

    def _require_folder(self) -> None:
        if is_url(self.path):
            raise NotWritable(
                f"{self.path}: URLs are read-only; copy the run to a folder of this machine first"
            )
        if Path(self.path).is_file():
            folder = str(self.path).removesuffix(".zip")
            raise NotWritable(
                f"{self.path}: a packed store is read-only; to measure more, unpack it "
                f"(`python -m zipfile -e {self.path} {folder}`) and remove the zip file"
            )

    def _start_writing(self) -> Path:
        """Take the lock, and give the folder."""
        path = Path(self.path)
        if self.mode != "a":
            raise NotWritable(f"{path}: opened for reading; open it with Store(path, mode='a')")
        if self._lock is None:
            self._lock = WriterLock(lock_file(path))
            for leftover in path.rglob(f"*{PARTIAL}"):  # of writers that were killed; none is alive now
                leftover.unlink(missing_ok=True)
        return path

    def _stored(self, group: str) -> xr.Dataset:
        return self.open()[group].to_dataset()

    def _differences(
        self,
        group: str,
        asked: Mapping[str, Any],
        layout: Mapping[str, Variable],
        coords: Mapping[str, xr.Variable],
    ) -> list[str]:
        """What keeps new blocks from standing beside the stored ones, in words."""
        stored = self._stored(group)
        differences = _different_keys(json.loads(stored.attrs.get(SPEC, "{}")), json.loads(asked[SPEC]))
        differences += _different_keys({SEED: stored.attrs.get(SEED)}, {SEED: asked.get(SEED)})
        layout_then = {
            str(name): _shape(variable.dims[1:], variable.shape[1:], variable.dtype)
            for name, variable in stored.data_vars.items()
        }
        layout_now = {
            name: _shape(variable.dims, variable.shape, variable.dtype) for name, variable in layout.items()
        }
        differences += _different_keys(layout_then, layout_now)
        for name in sorted(set(map(str, stored.coords)) - _BOOKKEEPING | set(coords)):
            if (
                name not in stored.coords
                or name not in coords
                or not _equal(stored.variables[name], coords[name])
            ):
                differences.append(f"another coordinate {name}")
        return differences

    def _conflict(self, group: str, differences: list[str]) -> StoreConflict:
        return StoreConflict(
            f"{self.path}: group {group} was stored with {'; '.join(differences)}; "
            f"ask for what is stored, or remove the folder {Path(self.path) / group} to measure it anew"
        )


def _check_name(group: str) -> None:
    if re.fullmatch(r"\w+(/\w+)*", group) is None:
        raise InvalidSpec(f"group names are words joined by '/', got {group!r}")


def _different_keys(stored: Any, asked: Any, name: str = "") -> list[str]:
    """``n_beta 30 (asked: 100)`` for every leaf that differs, nested keys joined by dots."""
    if isinstance(stored, dict) and isinstance(asked, dict):
        return [
            text
            for key in sorted(set(stored) | set(asked))
            for text in _different_keys(stored.get(key), asked.get(key), f"{name}.{key}".lstrip("."))
        ]
    if stored == asked:
        return []
    return [f"{name} {_words(stored)} (asked: {_words(asked)})"]


def _words(value: Any) -> str:
    if value is None:
        return "absent"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _shape(dims: tuple[Any, ...], shape: tuple[int, ...], dtype: Any) -> str:
    kind = "text" if dtype is str or np.dtype(dtype).kind in "UTO" else np.dtype(dtype).name
    return f"{kind} ({', '.join(f'{name}: {size}' for name, size in zip(dims, shape, strict=True))})"


def _as_variables(values: Mapping[str, Any]) -> dict[str, xr.Variable]:
    """What xarray takes as variables; a bare array is a coordinate along the dimension of its own name."""
    variables = {}
    for name, value in values.items():
        if isinstance(value, xr.DataArray | xr.Variable):
            variables[name] = value.variable if isinstance(value, xr.DataArray) else value
        else:
            variables[name] = xr.Variable(*value) if isinstance(value, tuple) else xr.Variable((name,), value)
    return {name: variable.to_base_variable() for name, variable in variables.items()}


def _equal(left: xr.Variable, right: xr.Variable) -> bool:
    """Equal dimensions and values, NaN equal to NaN, whatever dtype text has."""
    if left.dims != right.dims or left.shape != right.shape:
        return False
    a, b = np.asarray(left.values), np.asarray(right.values)
    if a.dtype.kind == "f" and b.dtype.kind in "fiu":
        return np.array_equal(a, b.astype(a.dtype), equal_nan=True)
    if a.dtype.kind in "OTU":
        return a.tolist() == b.tolist()
    return np.array_equal(a, b)
