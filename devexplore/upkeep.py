"""Keeping runs whole, and making them small enough to ship."""

import hashlib
import json
import os
import shutil
from pathlib import Path

from devexplore.errors import CheckpointNotFound, DamagedStore, DevexploreError, NotWritable, StoreConflict
from devexplore.paths import as_argument, is_there
from devexplore.run import open_run
from devexplore.schema import (
    ANNOTATIONS_FILE,
    CHECKPOINTS_FOLDER,
    FORM_NOTES,
    ON_PROBE,
    OUTPUTS,
    RUN_FILE,
    SEEDS_FOLDER,
    STORE_FOLDER,
    STORE_ZIP,
    TOKENIZER_FILE,
    TRAINING_LOG,
    check,
)
from devexplore.store import Store, pack


def check_run(path: str | os.PathLike[str], *, repair: bool = False) -> list[str]:
    """Read every stored file and load every checkpoint; one line for each that is damaged.

    ``repair`` marks damaged blocks of the store unmeasured, so that measuring again fills exactly these in.
    Damaged checkpoints can only be brought back from where they came.
    """
    run = open_run(path)
    problems: list[str] = []
    if run.store_path.exists():
        with Store(run.store_path, mode="a" if repair else "r") as store:
            problems += store.verify()
            if repair:
                store.repair()
            if not problems:
                check(store.open(), run.system)
    try:
        checkpoints = run.checkpoints
    except CheckpointNotFound:
        return problems
    for step in checkpoints.steps:
        try:
            checkpoints.load(step)
        except DevexploreError as error:
            problems.append(str(error))
    return problems


def pack_run(path: str | os.PathLike[str], out: Path) -> Path:
    """Copy a run without what can be computed again (outputs) or was only needed to go on training.

    The copy holds run.json, the tokenizer, the training log, the user's annotations, the checkpoints and one
    zip file with the measurements. Raises StoreConflict if ``out`` exists and is not empty, NotWritable if it
    cannot be made.
    """
    run = open_run(path)
    if is_there(out) and not out.is_dir():
        raise StoreConflict(f"{out} is a file; choose another folder with --out")
    if run.recipe.get("finished") is False:
        raise StoreConflict(f"{run.path} is still to be trained to its end; train it first, then pack it")
    if is_there(out) and any(out.iterdir()):
        raise StoreConflict(f"{out} exists and is not empty; choose another folder with --out")
    if out.resolve().is_relative_to(run.path.resolve()):
        raise StoreConflict(f"{out} lies inside the run itself; choose a folder outside it with --out")
    damaged = check_run(path)
    if damaged:
        raise DamagedStore(
            f"{damaged[0]}; `devexplore check {as_argument(run.path)}` names all; repair it before packing"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotWritable(f"{out}: cannot make this folder ({error.strerror}); choose another") from error
    recipe = json.loads((run.path / RUN_FILE).read_text(encoding="utf-8")) | {"name": out.resolve().name}
    (out / RUN_FILE).write_text(json.dumps(recipe, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for name in (TOKENIZER_FILE, TRAINING_LOG):
        if (run.path / name).exists():
            shutil.copyfile(run.path / name, out / name)
    for name in (ANNOTATIONS_FILE, FORM_NOTES):
        if run.annotations_file(name).is_file():
            shutil.copyfile(run.annotations_file(name), out / name)
    for folder in (CHECKPOINTS_FOLDER, SEEDS_FOLDER):
        if (run.path / folder).is_dir():
            shutil.copytree(run.path / folder, out / folder)
    if run.store_path.is_dir():
        shipped = out / STORE_FOLDER
        shutil.copytree(run.store_path, shipped, ignore=shutil.ignore_patterns(OUTPUTS, ON_PROBE))
        pack(shipped, out / STORE_ZIP)
        shutil.rmtree(shipped)
    elif run.store_path.is_file():
        shutil.copyfile(run.store_path, out / STORE_ZIP)
    return out


def digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 over the names and contents of a run folder's files: the checksum in data/README.md."""
    total, folder = hashlib.sha256(), Path(path)
    for file in sorted(folder.rglob("*"), key=lambda file: file.relative_to(folder).as_posix()):
        if file.is_file():
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            total.update(f"{content}  {file.relative_to(folder).as_posix()}\n".encode())
    return total.hexdigest()
