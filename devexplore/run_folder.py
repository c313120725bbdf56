"""Is this the folder of a run? Its recipe; or what lies there instead, and how to go on."""

import difflib
import json
from pathlib import Path
from typing import Any

from devexplore.checkpoints import LocalCheckpoints
from devexplore.errors import CheckpointNotFound, SchemaError
from devexplore.paths import is_there
from devexplore.schema import CHECKPOINTS_FOLDER, FORMAT, FORMAT_VERSION, RUN_FILE, SYSTEMS, TABLE


def read_recipe(folder: Path) -> dict[str, Any]:
    """The content of ``run.json``. Raises ``SchemaError`` if it is broken, foreign or too new."""
    file = folder / RUN_FILE
    try:
        recipe = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:  # broken JSON or broken UTF-8
        raise SchemaError(
            f"{file}: no readable JSON ({error}); restore it from where the run came"
        ) from error
    except FileNotFoundError as error:
        raise SchemaError(no_run(folder)) from error
    if not isinstance(recipe, dict) or recipe.get("format") != FORMAT:
        raise SchemaError(f'{file}: expected "format": "{FORMAT}" in it; this is no run of devexplore')
    version = recipe.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise SchemaError(f'{file}: expected "version": {FORMAT_VERSION}, got {version!r}')
    if version > FORMAT_VERSION:
        raise SchemaError(
            f"{file}: written by a newer devexplore (format {version}, this one reads {FORMAT_VERSION}); "
            "`pip install --upgrade devexplore`"
        )
    if recipe.get("system") not in (*SYSTEMS, TABLE):
        raise SchemaError(
            f'{file}: expected "system" to be one of {", ".join(SYSTEMS)}, got {recipe.get("system")!r}'
        )
    return recipe


def nothing_there(asked: Path, bundled: dict[str, Path]) -> str:
    """That there is nothing, and what is near: a run beside it, the bundled ones."""
    siblings = {}
    if is_there(asked.parent) and asked.parent.is_dir():
        siblings = {found.parent.name: found.parent for found in asked.parent.glob(f"*/{RUN_FILE}")}
    near = difflib.get_close_matches(asked.name, [*siblings, *bundled], n=1, cutoff=0.5)
    hint = f"; did you mean {siblings.get(near[0], near[0])}?" if near else ""
    names = f"; bundled runs: {', '.join(bundled)}" if bundled else ""
    return f"{asked}: no such run{hint}{names}"


def no_run(asked: Path) -> str:
    """What lies here instead of a run, and how to go on."""
    if not asked.is_dir():
        return f"{asked}: expected the folder of a run, which holds {RUN_FILE}; this is a file"
    if (asked.resolve().parent / RUN_FILE).is_file():
        return f"{asked}: no {RUN_FILE} here, it is a part of {asked.resolve().parent}; open that"
    inside = sorted(found.parent.name for found in asked.glob(f"*/{RUN_FILE}"))
    if inside:
        return (
            f"{asked}: no {RUN_FILE} here, but runs lie in it: {', '.join(inside)}; open {asked / inside[0]}"
        )
    for folder in (asked, asked / CHECKPOINTS_FOLDER):
        try:
            count = len(LocalCheckpoints(folder))
        except (CheckpointNotFound, SchemaError):
            continue
        return (
            f"{asked}: no {RUN_FILE} here, but {count} checkpoints in {folder}; "
            f"a run also has a {RUN_FILE} that names its system and spec, as `devexplore train` writes it"
        )
    found = sorted(entry.name for entry in asked.iterdir())
    listing = ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
    return f"{asked}: no run, for want of {RUN_FILE}; found {listing or 'an empty folder'}"
