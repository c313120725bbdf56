"""Finding damaged files, and giving up exactly the blocks that they belong to."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from devexplore.schema import MEASURED, STEP
from devexplore.store.files import CHUNK
from devexplore.store.group import LOST_STEP, open_for_writing
from devexplore.store.lazy import DECODING_ERRORS, damaged_chunks, dimensions_of, wrong_length

if TYPE_CHECKING:
    from zarr.abc.store import Store as ZarrStore

_METADATA = "zarr.json"


class Damage(NamedTuple):
    """One damaged file. ``rows`` are the positions along ``step`` of which it holds all or a part; None if it
    concerns them all."""

    group: str
    file: str
    reason: str
    rows: tuple[int, ...] | None


class Repair(NamedTuple):
    """What was given up in one group: its damaged files, and the steps to measure again.

    ``moved_to`` is set when the whole group was given up (unreadable metadata, or a group without steps): it
    lies there, for whoever wants to look, and is to be measured again from the start.
    """

    group: str
    files: tuple[str, ...]
    steps: tuple[int, ...]
    moved_to: Path | None


def find_damage(files: "ZarrStore") -> list[Damage]:
    """Every file that is truncated, corrupted, missing or at odds with others, by reading all once."""
    names = set(sync(_names(files)))
    nodes = {node for name in names for node in _with_parents(name)}
    groups = {_parent(node) for node in nodes if node != ""} | {""}
    found: list[Damage] = []
    arrays: list[str] = []
    for node in sorted(nodes):
        name = f"{node}/{_METADATA}".lstrip("/")
        kind = _kind(files, name)
        if kind == "array":
            arrays.append(node)
        elif kind != "group":
            found.append(Damage(node if node in groups else _parent(node), name, kind, None))
    unreadable = {damage.group for damage in found}
    for group in sorted({_parent(node) for node in arrays} - unreadable):  # others cannot be judged
        members = [zarr.open_array(files, path=node, mode="r") for node in arrays if _parent(node) == group]
        at_odds = list(_at_odds(group, members))
        if at_odds:  # which files there must be cannot be told
            found.extend(at_odds)
            continue
        for array in members:
            found.extend(_damage_in_array(files, array, names))
    return found


def repair_group(store_path: Path, group: str, damages: list[Damage]) -> Repair:
    """Mark the damaged blocks of one group unmeasured and drop the damaged files; touches nothing else."""
    files = tuple(damage.file for damage in damages)
    if any(damage.rows is None for damage in damages):
        return Repair(group, files, (), _give_up(store_path, group))
    lost = sorted({row for damage in damages for row in damage.rows or ()})
    for damage in damages:
        if damage.file.startswith(f"{group}/{MEASURED}/"):
            (store_path / damage.file).unlink(missing_ok=True)  # absent means: not measured
    root = open_for_writing(store_path)
    measured, step = _array(root, f"{group}/{MEASURED}"), _array(root, f"{group}/{STEP}")
    flags = np.asarray(measured[...])
    flags[lost] = False
    measured[...] = flags
    # Only now, when no lost block counts any more, may their files go: a kill in between changes nothing.
    for damage in damages:
        (store_path / damage.file).unlink(missing_ok=True)
    steps = sorted(set(np.asarray(step[...])[lost].tolist()) - {LOST_STEP})
    return Repair(group, files, tuple(steps), None)


def _at_odds(group: str, members: list[zarr.Array[Any]]) -> Iterator[Damage]:
    """Arrays whose metadata can be read and not be true: others of the group have other sizes."""
    sizes: dict[str, tuple[int, str]] = {}
    lengths = {array.basename: array.shape[0] for array in members if _on_steps(array)}
    if lengths and MEASURED not in lengths:
        yield Damage(group, f"{group}/{MEASURED}/{_METADATA}", "this file is missing", None)
        return
    for array in members:
        file = f"{array.path}/{_METADATA}"
        for name, size in zip(dimensions_of(array), array.shape, strict=True):
            if name == STEP:
                # One more is what a kill leaves that comes before `measured`, the last, has grown as well.
                if not lengths[MEASURED] <= size <= lengths[MEASURED] + 1:
                    yield Damage(group, file, wrong_length(size, lengths[MEASURED]), None)
            elif sizes.setdefault(name, (size, array.path))[0] != size:
                there, other = sizes[name]
                yield Damage(group, file, f"says that {name} is {size} long, where {other} has {there}", None)


def _damage_in_array(files: "ZarrStore", array: zarr.Array[Any], names: set[str]) -> list[Damage]:
    group, on_steps = _parent(array.path), _on_steps(array)
    unreadable = dict(damaged_chunks(array))
    rows = {row // array.chunks[0] for row in _measured_rows(files, group)} if on_steps else None
    expected = {
        f"{array.path}/{array.metadata.encode_chunk_key(chunk)}"
        for chunk in np.ndindex(array.cdata_shape)
        if rows is None or chunk[0] in rows
    }
    missing = dict.fromkeys(sorted(expected - names), "this file is missing")
    return [
        Damage(group, file, reason, _rows(array, file) if on_steps else None)
        for file, reason in {**missing, **unreadable}.items()
    ]


def _on_steps(array: zarr.Array[Any]) -> bool:
    return STEP in dimensions_of(array)


def _measured_rows(files: "ZarrStore", group: str) -> list[int]:
    flags = zarr.open_array(files, path=f"{group}/{MEASURED}", mode="r")
    try:
        return np.flatnonzero(flags[...]).tolist()
    except DECODING_ERRORS:  # listed as damaged itself
        return []


def _rows(array: zarr.Array[Any], file: str) -> tuple[int, ...]:
    """Positions along step of the chunk in this file, which may hold only a part of each."""
    first = int(file.rsplit("/c/", 1)[1].split("/")[0]) * array.chunks[0]
    return tuple(range(first, min(first + array.chunks[0], array.shape[0])))


def _give_up(store_path: Path, group: str) -> Path | None:
    """Move an unreadable group beside the store; a mere parent of groups is written anew instead."""
    folder = store_path / group
    children = [child for child in folder.iterdir() if child.is_dir()] if folder.is_dir() else []
    if group == "" or any(
        (grandchild / _METADATA).exists() for child in children for grandchild in child.iterdir()
    ):
        (folder / _METADATA).unlink(missing_ok=True)
        open_for_writing(store_path).require_group(group) if group else open_for_writing(store_path)
        return None
    number = 1
    while (
        target := store_path.with_name(f"{store_path.name}.damaged") / f"{group.replace('/', '-')}-{number}"
    ).exists():
        number += 1
    target.parent.mkdir(exist_ok=True)
    shutil.move(folder, target)
    return target


def _kind(files: "ZarrStore", name: str) -> str:
    """``group`` or ``array``, or else why this metadata file cannot be used."""
    try:
        content = sync(files.get(name, default_buffer_prototype()))
        if content is None:
            return "this file is missing"
        kind = str(json.loads(content.to_bytes())["node_type"])
        if kind == "array":
            array = zarr.open_array(files, path=_parent(name), mode="r")
            if len(dimensions_of(array)) != array.ndim:
                return "names no dimensions"
        return kind
    except (*DECODING_ERRORS, KeyError) as error:
        return f"truncated or corrupted ({str(error).splitlines()[0] if str(error) else 'empty'})"


def _with_parents(name: str) -> list[str]:
    """The array or group that this file belongs to, and all groups above it; the root is the empty string."""
    if name.rpartition("/")[2] != _METADATA and CHUNK.search(name) is None:
        return []
    node = CHUNK.sub("", name) if CHUNK.search(name) else _parent(name)
    parts = node.split("/") if node else []
    return ["/".join(parts[:count]) for count in range(len(parts) + 1)]


def _parent(node: str) -> str:
    return node.rpartition("/")[0]


def _array(root: zarr.Group, path: str) -> zarr.Array[Any]:
    return zarr.open_array(root.store, path=path, mode="r+", config={"write_empty_chunks": True})


async def _names(files: "ZarrStore") -> list[str]:
    return [name async for name in files.list()]
