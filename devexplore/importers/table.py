"""A table (CSV or Parquet) with a column ``step`` as a run: any published or logged curve gets stages."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np

from devexplore.errors import NotWritable, RunNotFound, SchemaError, StoreConflict
from devexplore.importers.read_table import Table, read_table
from devexplore.paths import as_path, is_there
from devexplore.run import Run, open_run
from devexplore.schema import FORMAT, FORMAT_VERSION, LLC, RUN_FILE, STORE_FOLDER, TABLE
from devexplore.store import Store, Variable, provenance


def import_table(table: str | os.PathLike[str], out: str | os.PathLike[str]) -> Run:
    """Make a run of a table: it opens, has stages and a page; it cannot be measured, for it has no network.

    The table is CSV (also with semicolons or tabs) or Parquet, one row a step in any order, with a column
    ``step`` (training steps, whole numbers) and at least one of: ``llc`` (with ``llc_se``, its standard
    error), ``loss`` (or ``test_loss``), ``train_loss``, ``learning_rate``; every other column of numbers
    becomes a metric. Names are taken in lower case, with _ for what is no letter or digit. An empty cell
    means that there is no value. Columns without a number are left out: ``run.recipe["table"]`` names them.

    An LLC without its chains can be judged by its sign alone, and its standard error is taken as it is.

    Raises:
        RunNotFound: no such file.
        SchemaError: no table, or one that cannot be a curve; names the line and what is expected there.
        StoreConflict: ``out`` exists and is not empty.
        InvalidSpec: what is no path.
        MissingExtra: a Parquet file, and nothing to read it with.
        NotWritable: the run cannot be written. Nothing is left half-written.
    """
    source, out = as_path(table, "a table"), as_path(out, "a folder for the run")
    if not is_there(source) or not source.is_file():
        raise RunNotFound(f"{source}: no such file; give a table in CSV or Parquet with a column step")
    if is_there(out) and (out.is_file() or any(out.iterdir())):
        raise StoreConflict(f"{out} exists and is not empty; choose another folder with --out")
    try:
        read = read_table(source)
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
    except PermissionError as error:
        raise SchemaError(f"{source}: cannot be read ({error.strerror})") from error
    recipe = {"format": FORMAT, "version": FORMAT_VERSION, "name": out.resolve().name, "system": TABLE}
    recipe["table"] = {"file": source.name, "sha256": digest, "left_out": read.left_out}
    place = out.absolute()  # "." has no name of its own
    workshop = place.with_name(f".{place.name}.{os.getpid()}.partial")
    try:
        workshop.mkdir(parents=True)
        _write_groups(workshop / STORE_FOLDER, read, digest[:16])
        text = json.dumps(recipe, indent=1, ensure_ascii=False) + "\n"
        (workshop / RUN_FILE).write_text(text, encoding="utf-8")
        out.mkdir(exist_ok=True)
        for name in (STORE_FOLDER, RUN_FILE):  # the last makes it a run
            (workshop / name).rename(out / name)
    except NotWritable:
        raise
    except OSError as error:
        raise NotWritable(f"{out}: not written ({error.strerror}); choose another folder") from error
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    return open_run(out)


def _write_groups(path: Path, table: Table, digest: str) -> None:
    """Each group at the steps at which it has a value."""
    groups: dict[str, dict[str, np.ndarray]] = {}
    for (group, variable), values in table.columns.items():
        groups.setdefault(group, {})[variable] = values
    if LLC in groups:  # an error that is not known is one that has no value
        groups[LLC].setdefault("llc_se", np.full(len(table.step), np.nan))
    with Store(path, mode="a") as store:
        for group, columns in groups.items():
            decisive = [columns["llc"]] if group == LLC else list(columns.values())
            there = np.isfinite(decisive).any(axis=0)
            layout = {name: Variable((), (), np.float64) for name in columns}
            writer = store.writer(group, {}, layout, {}, {}, provenance(None, {TABLE: digest}))
            blocks = {name: values[there] for name, values in columns.items()}
            writer.write_rows(table.step[there], [digest] * int(there.sum()), blocks)
