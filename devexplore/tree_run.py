"""A tree of measured groups, or a single group, read as a run."""

import json
import os
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Never

import numpy as np
import xarray as xr

from devexplore.checkpoints import LocalCheckpoints
from devexplore.errors import CheckpointNotFound, InvalidSpec, NotMeasured, NotWritable
from devexplore.run import Run, open_run
from devexplore.schema import (
    ANNOTATIONS_FILE,
    CHAINS,
    CHECKPOINTS,
    CONTENT_HASH,
    LLC,
    LOSSES,
    MEASURED,
    METRICS,
    RUN_FILE,
    STEP,
    SYSTEMS,
    TABLE,
)
from devexplore.store import Store

SOURCE: Final = "source"
"""Where xarray keeps, in a tree's ``encoding``, the path of the store that it was opened from."""

Source = Run | xr.DataTree | xr.Dataset
"""What is drawn: a run, a tree of its groups, or a Dataset, of those that each figure names."""

_NAMED: Final = 6
"""Variables that an error names of a Dataset."""

_TOLD_BY: Final = {
    LLC: ("llc",),
    CHAINS: ("loss", "init_loss"),
    LOSSES: ("test_loss",),
    CHECKPOINTS: ("train_loss",),
    METRICS: ("weight_norm",),
}
"""Variables by which a group of measurements is recognised."""


class TreeRun(Run):
    """A run whose groups are those of a tree, whatever was done to them; what they lack is the folder's, if
    there is one.

    Without a folder there are no checkpoints, no recipe and no boundaries of the user's own: name and system
    are what the groups say of themselves.
    """

    def __init__(self, tree: xr.DataTree, folder: Path | None = None):
        self._given = {
            node.path.removeprefix(tree.path).strip("/"): _measured(node.to_dataset(inherit=False))
            for node in tree.subtree
            if node.path != tree.path and len(node.variables) > 0
        }
        self.folder = folder
        if folder is not None:
            super().__init__(folder)
            return
        said = {key: value for held in self._given.values() for key, value in _said(held).items()}
        self.name = str(said.get("run") or tree.name or "the tree")
        self.system = said.get("system") if said.get("system") in SYSTEMS else TABLE
        self.path, self.recipe = Path(self.name), {"system": self.system}
        self._stores, self._trees = [], []

    @property
    def groups(self) -> tuple[str, ...]:
        held = {name for name, group in self._given.items() if group.sizes.get(STEP, 1) > 0}
        return tuple(sorted(held | set(super().groups)))

    def dataset(self, group: str) -> xr.Dataset:
        return self._given[group] if group in self._given else super().dataset(group)

    def remedy(self, only: str) -> str:
        if self.folder is not None:
            return super().remedy(only)
        return "these are groups of measurements alone; open their run: dx.open(path)"

    @property
    def tree(self) -> xr.DataTree:
        return xr.DataTree.from_dict({f"/{name}": group for name, group in self._given.items()})

    @property
    def seeds(self) -> tuple[Run, ...]:  # type: ignore[override]
        return Run(self.folder).seeds if self.folder is not None else ()

    @cached_property
    def checkpoints(self) -> LocalCheckpoints:
        if self.folder is not None:
            return Run(self.folder).checkpoints
        raise CheckpointNotFound(f"{self.name}: groups of measurements hold no checkpoints")

    def annotations_file(self, name: str = ANNOTATIONS_FILE, *, writing: bool = False) -> Path:
        if self.folder is not None:
            return super().annotations_file(name, writing=writing)
        return Path(os.devnull) if not writing else self._nowhere()

    def output_store(self) -> Store:
        return super().output_store() if self.folder is not None else self._nowhere()

    def refresh(self) -> None:
        if self.folder is not None:
            super().refresh()

    def __repr__(self) -> str:
        return f"TreeRun({self.name!r}, system={self.system!r}, groups={list(self.groups)})"

    def _nowhere(self) -> Never:
        raise NotWritable(
            f"{self.name}: a tree in memory has no place for results; open its run: dx.open(path)"
        )


def run_of(source: Any, or_what: str = "") -> Run:
    """The run itself; of an opened tree, its groups with its run's folder beneath, if that can be found; of
    one group (losses, llc, chains, checkpoints or metrics), a run that holds it alone.

    Raises ``InvalidSpec`` for anything else; ``or_what``, in words, would have been taken as well.
    """
    if isinstance(source, xr.DataTree):
        return TreeRun(source, folder_of(source))
    if isinstance(source, xr.Dataset):
        for group, names in _TOLD_BY.items():
            if all(name in source.data_vars and STEP in source[name].dims for name in names):
                return TreeRun(xr.DataTree.from_dict({f"/{group}": source}))
        names = [str(name) for name in source.data_vars]
        held = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
        raise InvalidSpec(
            f"expected a run, a DataTree of one, one of its groups ({', '.join(_TOLD_BY)})"
            f"{f', or {or_what}' if or_what else ''}; got a Dataset of {held or 'no variables'}"
        )
    if hasattr(source, "has") and hasattr(source, "dataset"):
        return source
    name = repr(source) if isinstance(source, str | os.PathLike) and len(str(source)) < 60 else "…"
    raise InvalidSpec(
        f"expected a run{f' (or {or_what})' if or_what else ''}, got {type(source).__name__}; "
        f"give a Run: dx.open({name})"
    )


def folder_of(tree: xr.DataTree) -> Path | None:
    """The folder of the run whose store this tree was opened from; None where that is not known."""
    for node in (tree, *tree.children.values()):
        place = node.encoding.get(SOURCE)
        if isinstance(place, str) and (Path(place).parent / RUN_FILE).is_file():
            return Path(place).parent
    return None


def run_folder(tree: xr.DataTree) -> Run:
    """The run whose store this tree was opened from. Raises ``NotMeasured`` where it cannot be found."""
    folder = folder_of(tree)
    if folder is None:
        raise NotMeasured("this tree does not tell which run it is of; open that: dx.open(path)")
    return Run(folder)


def _measured(group: xr.Dataset) -> xr.Dataset:
    """The measured steps, in order, as a run's own store shows them: of a tree that xarray opened."""
    if MEASURED in group:
        rows = np.flatnonzero(group[MEASURED].values.astype(bool))
        group = group.drop_vars(MEASURED).isel({STEP: rows}).sortby(STEP)
        return group.set_coords([name for name in (CONTENT_HASH,) if name in group])
    return group


def _said(group: xr.Dataset) -> dict[str, Any]:
    """What a group says of the run that it was measured on."""
    try:
        sources = json.loads(str(group.attrs.get("sources", "{}")))
    except ValueError:
        sources = {}
    own = {name: group.attrs[name] for name in ("system",) if name in group.attrs}
    return (sources if isinstance(sources, dict) else {}) | own


def stored_run(run: Run | str | os.PathLike[str]) -> Run:
    """A run (opened where it is named) whose own files are what is shown of it.

    Raises ``InvalidSpec`` for a tree, which may be other than its files, and what opening the run raises.
    """
    if isinstance(run, TreeRun | xr.DataTree | xr.Dataset):
        raise InvalidSpec(
            "a tree in memory may be other than its files, which the page shows: give the run itself, "
            "dx.open(path), or tree.dx.explore() for the run that the tree was opened from"
        )
    return run if isinstance(run, Run) else open_run(run)
