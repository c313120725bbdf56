"""What a run's files look like from outside, cheaply: so that the page notices that a run goes on."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from devexplore.run import Run
from devexplore.schema import (
    ANNOTATIONS_FILE,
    CHECKPOINTS,
    CHECKPOINTS_FOLDER,
    FORM_NOTES,
    MEASURED,
    OUTPUTS,
    RUN_FILE,
    STORE_ZIP,
    TRAINING_LOG,
)

RECIPE: Final = "recipe"
WEIGHTS: Final = "weights"
ANNOTATIONS: Final = "annotations"
LOG: Final = "training log"
EVERY_FILE: Final = "every file"
"""Parts of a run beside its measured groups, which stand under their own names."""

Stamp = tuple[tuple[str, int, int, int], ...]
"""Files of one part with the time of their last change (ns), size and number: two changes within one tick of
the clock differ in the last, as files are replaced whole."""

Fingerprint = Mapping[str, Stamp]


def fingerprint(run: Run, *, thorough: bool = False) -> Fingerprint:
    """The stamps of a run's parts. It reads names, times and sizes, nothing else, and raises nothing: what
    cannot be looked at is not there.

    Of a group on steps only the flags of finished blocks count, so that a block that is being written is no
    change. ``thorough`` adds every file of the run: for one that is broken, which any file may mend.

    Outputs are left out where the run has its checkpoints: the page computes them itself, of exactly those.
    """
    parts = {
        RECIPE: _stamp(run.path / RUN_FILE),
        WEIGHTS: _folder(run.path / CHECKPOINTS_FOLDER),
        ANNOTATIONS: annotations_stamp(run),
    }
    store = run.store_path
    if store.is_dir():
        groups = _groups(store)
        parts |= {
            name: stamp
            for name, stamp in groups.items()
            if not (parts[WEIGHTS] and name.split("/")[0] == OUTPUTS)
        }
    elif store.is_file():
        parts[store.name] = _stamp(store)
    if CHECKPOINTS not in parts and STORE_ZIP not in parts:  # else what it says of them is stored
        parts[LOG] = _stamp(run.path / TRAINING_LOG)
    if thorough:
        parts[EVERY_FILE] = tuple(_every_file(run.path))
    return parts


def changed_parts(before: Fingerprint, after: Fingerprint) -> set[str]:
    """The parts that are new, gone or different."""
    return {part for part in {*before, *after} if before.get(part) != after.get(part)}


def annotations_stamp(run: Run) -> Stamp:
    """Of the files with the user's own boundaries, names and notes."""
    try:
        files = [run.annotations_file(name) for name in (ANNOTATIONS_FILE, FORM_NOTES)]
    except OSError:  # their place is named after run.json, which is not there any more
        return ()
    return tuple(stamp for file in files for stamp in _stamp(file))


def _groups(store: Path) -> dict[str, Stamp]:
    """The stamp of each group, by name; of arrays only their metadata."""
    groups: dict[str, Stamp] = {}
    for folder, inside, files in os.walk(store):
        name = Path(folder).relative_to(store).as_posix()
        if "zarr.json" not in files:
            inside.clear()  # being written, or none of ours
            continue
        if MEASURED in inside:
            groups[name] = (*_folder(Path(folder) / MEASURED / "c"), *_stamp(Path(folder) / "zarr.json"))
            inside.clear()
        elif "c" in inside or "c" in files:  # an array of a group without steps
            group = name.rpartition("/")[0]
            groups[group] = (*groups.get(group, ()), *_stamp(Path(folder) / "zarr.json"))
            inside.clear()
    return groups


def _folder(folder: Path) -> Stamp:
    """The files that lie in a folder, by name."""
    try:
        with os.scandir(folder) as entries:
            found = sorted((entry.name, entry.path) for entry in entries if not entry.name.startswith("."))
    except OSError:
        return ()
    return tuple(stamp for _, path in found for stamp in _stamp(Path(path)))


def last_written(parts: Fingerprint, name: str) -> float:
    """When a part was last written, in seconds since 1970; 0 where it is not there."""
    return max((at for _, at, _, _ in parts.get(name, ())), default=0) / 1e9


def _stamp(file: Path) -> Stamp:
    try:
        held = file.stat()
    except OSError:
        return ()
    return ((file.name, held.st_mtime_ns, held.st_size, held.st_ino),)


def _every_file(folder: Path) -> Iterator[tuple[str, int, int, int]]:
    for place, inside, files in os.walk(folder):
        inside.sort()
        for name in sorted(files):
            for _, time, size, number in _stamp(Path(place) / name):
                yield f"{place}/{name}", time, size, number
