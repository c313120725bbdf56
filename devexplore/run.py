"""A run: one folder with its recipe, its checkpoints and what was measured on them.

Importing this module loads neither torch nor panel.
"""

import hashlib
import os
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import platformdirs
import xarray as xr

from devexplore.checkpoints import LocalCheckpoints
from devexplore.errors import (
    CheckpointNotFound,
    DevexploreError,
    NotMeasured,
    NotWritable,
    RunNotFound,
    SchemaError,
)
from devexplore.paths import as_argument, as_path, is_there
from devexplore.run_folder import no_run, nothing_there, read_recipe
from devexplore.schema import (
    ANNOTATIONS_FILE,
    CHECKPOINTS_FOLDER,
    METRIC_BLOCKS,
    METRICS,
    PROBE,
    RUN_FILE,
    SEEDS_FOLDER,
    STEP,
    STORE_FOLDER,
    STORE_ZIP,
    TABLE,
    output_groups,
)
from devexplore.store import Store

CACHE_VARIABLE: Final = "DEVEXPLORE_CACHE"
"""Environment variable that moves the user cache."""

ANNOTATIONS_VARIABLE: Final = "DEVEXPLORE_ANNOTATIONS"
"""Environment variable that moves the folder of annotations of runs that cannot hold them themselves."""

_MEASURED_BY: Final = {
    "chains": "llc",
    "trust": "llc",
    "metric_blocks": "metrics",
}  # groups that come with another


class Run:
    """A thin, lazy view of one run folder. Nothing is read before it is asked for, except ``run.json``.

    ``dataset("losses")`` is what most need. Groups that the run's own store lacks are looked for in a store
    in the user's cache, where outputs of packed or read-only runs are kept.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self.recipe: dict[str, Any] = read_recipe(self.path)
        self.name = str(self.recipe.get("name") or self.path.resolve().name)
        self.system = str(self.recipe["system"])
        self._stores: list[Store] = []
        self._trees: list[xr.DataTree] | None = None

    @property
    def store_path(self) -> Path:
        """The run's own store: the folder, or the packed zip if there is no folder."""
        folder, packed = self.path / STORE_FOLDER, self.path / STORE_ZIP
        return packed if packed.is_file() and not folder.is_dir() else folder

    @property
    def tree(self) -> xr.DataTree:
        """Everything measured in the run's own store, lazily. ``refresh`` looks again."""
        return self._open_trees()[0]

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups that hold something, such as ``losses`` and ``outputs/log_probs``, sorted."""
        found = {
            node.path.lstrip("/")
            for tree in self._open_trees()
            for node in tree.subtree
            if node.path != "/" and len(node.variables) > 0 and node.sizes.get(STEP, 1) > 0
        }
        return tuple(sorted(found))

    def has(self, group: str) -> bool:
        """Whether this group holds at least one measured step (or, without steps, is there)."""
        return group in self.groups

    def dataset(self, group: str) -> xr.Dataset:
        """One group, lazily. Damage is told as ``DamagedStore`` when the damaged file is read.

        Raises ``NotMeasured``, naming the command that makes it.
        """
        if group not in self.groups:
            held = ", ".join(self.groups) or "nothing yet"
            only = _MEASURED_BY.get(group.split("/")[0], group.split("/")[0])
            raise NotMeasured(
                f"{self.path}: {group!r} is not measured (measured: {held}); {self.remedy(only)}"
            )
        # The fullest: a sweep cut short in the run's own store must not hide a whole one in the cache.
        held = [tree[group].to_dataset() for tree in self._open_trees() if f"/{group}" in tree.groups]
        return max(held, key=lambda found: found.nbytes)

    def remedy(self, only: str) -> str:
        """How to come by what was not measured, in words; ``only`` as in `devexplore measure --only`."""
        if self.system == TABLE:
            return "this run was imported from a table and has no network that could be measured"
        command = f"run `{self.measure_command(only)}`"
        stale = [group for group in (METRICS, METRIC_BLOCKS) if only == METRICS and self.has(group)]
        if stale:  # what they lack, they lack for being older; the store never mixes versions
            return f"remove {' and '.join(stale)} from {self.store_path}, then {command}"
        return command

    def measure_command(self, only: str) -> str:
        """The command that measures it, as it is typed."""
        return f"devexplore measure {as_argument(self.path)} --only {only}"

    @cached_property
    def seeds(self) -> tuple["Run", ...]:
        """The same training from other seeds: runs in this one's folder ``seeds``, by name; () without."""
        found = sorted((self.path / SEEDS_FOLDER).glob(f"*/{RUN_FILE}"))
        return tuple(Run(file.parent) for file in found)

    @cached_property
    def checkpoints(self) -> LocalCheckpoints:
        """The checkpoints in the run's folder. Raises ``CheckpointNotFound`` if it was shipped without."""
        folder = self.path / CHECKPOINTS_FOLDER
        if not folder.is_dir():
            raise CheckpointNotFound(
                f"{self.path}: no folder {CHECKPOINTS_FOLDER}/ in this run; it shows what was measured"
            )
        return LocalCheckpoints(folder)

    @cached_property
    def cache_dir(self) -> Path:
        """This run's folder in the user's cache (``DEVEXPLORE_CACHE`` if set); it may not exist yet.

        Its name holds a hash of run.json and of every checkpoint: other weights never find old results.
        """
        digest = hashlib.sha256((self.path / RUN_FILE).read_bytes())
        try:
            for step in self.checkpoints.steps:
                digest.update(f"{step} {self.checkpoints.content_hash(step)}\n".encode())
        except CheckpointNotFound:
            pass  # shipped without, or not yet trained
        return user_cache() / f"{self.path.resolve().name}-{digest.hexdigest()[:16]}"

    def annotations_file(self, name: str = ANNOTATIONS_FILE, *, writing: bool = False) -> Path:
        """Where the user's own boundaries, names and notes are (``writing``: are to go), if there are any.

        A small text file in the run's folder, so that it is read, edited, versioned and copied with the run;
        not a group of the store, which is measured and never changed. For a run that cannot be written, or
        that comes with the package (an upgrade would take it away), a file in the user's data folder
        (``DEVEXPLORE_ANNOTATIONS`` if set), which counts wherever it is there. It is named after the run's
        folder and its run.json, so copies of a run under one name share it. Never the cache: that is
        disposable, and this is the user's work.
        """
        beside = self.path / name
        try:
            recipe = (self.path / RUN_FILE).read_bytes()
        except OSError as error:
            raise RunNotFound(f"{self.path} is not there any more ({error.strerror})") from error
        digest = hashlib.sha256(recipe).hexdigest()[:16]
        ending = ".toml" if name == ANNOTATIONS_FILE else f".{name}"
        own = _user_annotations() / f"{self.path.resolve().name}-{digest}{ending}"
        if own.is_file():
            return own
        return own if writing and (is_bundled(self.path) or not os.access(self.path, os.W_OK)) else beside

    @property
    def probe_id(self) -> str:
        """Hash of the numbers of the stored probe: runs with the same one have comparable outputs.

        Raises ``NotMeasured`` where no probe is stored.
        """
        probe = self.dataset(PROBE)
        digest = hashlib.sha256()
        for name in sorted(map(str, probe.data_vars)):
            values = probe[name].values
            if values.dtype.kind in "iuf":  # texts of tokens are a reading of their numbers
                digest.update(f"{name} {values.dtype} {values.shape}\n".encode() + values.tobytes())
        return digest.hexdigest()[:12]

    def output_store(self) -> Store:
        """The store, open for writing, in which outputs of this run go; close it, or use it in ``with``.

        The run's own store; or, if that is packed, cannot be written, or is being measured by another
        process, one in ``cache_dir``. Call ``refresh`` after writing. Raises ``NotWritable`` if neither can
        be written.
        """
        own = self.store_path
        if not own.is_file() and os.access(own if own.is_dir() else self.path, os.W_OK):
            try:
                return Store(own, mode="a").claim()
            except NotWritable:
                pass  # another process measures this run; its outputs need not wait for that
        try:
            return Store(self.cache_dir / STORE_FOLDER, mode="a").claim()
        except NotWritable as error:
            raise NotWritable(
                f"{error}; outputs that {self.path} cannot hold itself go to the user's cache, "
                f"and the environment variable {CACHE_VARIABLE} puts that elsewhere"
            ) from error

    def refresh(self) -> None:
        """Forget what was opened, so that newly measured steps are seen."""
        for store in self._stores:
            store.close()
        self._stores, self._trees = [], None

    def close(self) -> None:
        """Let go of open files; the run opens them again when it needs them."""
        self.refresh()

    def __repr__(self) -> str:
        try:
            groups = str(list(self.groups))
        except (DevexploreError, OSError) as error:  # a damaged store is no reason to have no name
            groups = f"unreadable: {error}"
        return f"Run({str(self.path)!r}, system={self.system!r}, groups={groups})"

    def _open_trees(self) -> list[xr.DataTree]:
        if self._trees is None:
            paths = [self.store_path]
            # Hashing the checkpoints of a large run takes a while: only if something may be in the cache.
            if any(user_cache().glob(f"{self.path.resolve().name}-*")):
                paths.append(self.cache_dir / STORE_FOLDER)
            trees = []
            for path in paths:
                if path.exists():
                    self._stores.append(Store(path))
                    trees.append(self._stores[-1].open())
                else:
                    trees.append(xr.DataTree())
            self._trees = trees
        return self._trees


def held_outputs(run: Run, kind: str | None = None) -> list[str]:
    """Groups of outputs of this kind (None: of any) that the run holds, the one to be used first: that of the
    most checkpoints, and of equals in the order of ``schema.output_groups``."""
    held = [group for group in output_groups(kind) if run.has(group)]
    return sorted(held, key=lambda group: -run.dataset(group).sizes[STEP])


def open_run(path: str | os.PathLike[str]) -> Run:
    """Open a run's folder, or a bundled run by its name (``language``).

    Raises ``RunNotFound`` (nothing there; names what is near), ``SchemaError`` (there, but no run; says what
    was found and how to go on) or ``InvalidSpec`` (no path).
    """
    asked, bundled = as_path(path, "the folder of a run, or the name of a bundled one"), bundled_runs()
    if asked.name == RUN_FILE and is_there(asked) and asked.is_file():
        asked = asked.parent
    if not is_there(asked) and asked.name in bundled and str(asked.parent) in (".", "data"):
        asked = bundled[asked.name]
    if not is_there(asked):
        raise RunNotFound(nothing_there(asked, bundled))
    if not (asked / RUN_FILE).is_file():
        raise SchemaError(no_run(asked))
    return Run(asked)


def bundled_runs() -> dict[str, Path]:
    """Runs that come with the package, by name; in a checkout, those in its folder ``data``."""
    package = Path(__file__).parent
    runs: dict[str, Path] = {}
    for folder in (package.parent / "data", package / "bundled"):  # the later, the package's own, wins
        if folder.is_dir():
            runs.update({found.parent.name: found.parent for found in folder.glob(f"*/{RUN_FILE}")})
    return dict(sorted(runs.items()))


def is_bundled(path: Path) -> bool:
    """Whether a run comes with the package, or lies in one that does (``seeds``)."""
    return any(path.resolve().is_relative_to(run.resolve()) for run in bundled_runs().values())


def user_cache() -> Path:
    """Where disposable results are kept: the folder named by ``DEVEXPLORE_CACHE``, else the user's cache."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen) if chosen else platformdirs.user_cache_path("devexplore")


def user_data() -> Path:
    """Where small files of the user's are kept that belong to no run: the folder named by
    ``DEVEXPLORE_ANNOTATIONS``, else the user's data folder."""
    chosen = os.environ.get(ANNOTATIONS_VARIABLE)
    return Path(chosen) if chosen else platformdirs.user_data_path("devexplore")


def _user_annotations() -> Path:
    return user_data() if os.environ.get(ANNOTATIONS_VARIABLE) else user_data() / "annotations"
