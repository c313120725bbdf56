"""Finding damaged files, and giving up exactly the blocks that they belong to."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from devexplore.schema import MEASURED, STEP
from devexplore.store.files import CHUNK
from devexplore.store.group import LOST_STEP, open_for_writing
from devexplore.store.lazy import DECODING_ERRORS, damaged_chunks

if TYPE_CHECKING:
    from zarr.abc.store import Store as ZarrStore

_METADATA = "zarr.json"


class Damage(NamedTuple):
    """One damaged file. ``rows`` are the positions along ``step`` it holds; None if it concerns them all."""

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
    """Every file that is truncated, corrupted or missing, by reading all of them once."""
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
    for node in arrays:
        if _parent(node) not in unreadable:  # without its metadata nothing in a group can be judged
            found.extend(_damage_in_array(files, node, names))
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


def _damage_in_array(files: "ZarrStore", node: str, names: set[str]) -> list[Damage]:
    array = zarr.open_array(files, path=node, mode="r")
    group = _parent(node)
    on_steps = STEP in (getattr(array.metadata, "dimension_names", None) or ())
    found = []
    for file, reason in damaged_chunks(array):
        found.append(Damage(group, file, reason, _rows(array, file) if on_steps else None))
    if not on_steps:
        expected = {
            f"{node}/{array.metadata.encode_chunk_key(chunk)}" for chunk in np.ndindex(array.cdata_shape)
        }
        return found + [
            Damage(group, file, "this file is missing", None) for file in sorted(expected - names)
        ]
    for row in _measured_rows(files, group):
        chunk = (row // array.chunks[0], *(0 for _ in array.chunks[1:]))
        file = f"{node}/{array.metadata.encode_chunk_key(chunk)}"
        lost = Damage(group, file, "this file is missing", _rows(array, file))
        if file not in names and lost not in found and np.prod(array.shape) > 0:
            found.append(lost)
    return found


def _measured_rows(files: "ZarrStore", group: str) -> list[int]:
    flags = zarr.open_array(files, path=f"{group}/{MEASURED}", mode="r")
    try:
        return np.flatnonzero(flags[...]).tolist()
    except DECODING_ERRORS:  # listed as damaged itself
        return []


def _rows(array: zarr.Array[Any], file: str) -> tuple[int, ...]:
    """Positions along step of the chunk in this file; chunks are whole in every other dimension."""
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
        return str(json.loads(content.to_bytes())["node_type"])
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
