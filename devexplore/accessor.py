"""``tree.dx`` and ``dataset.dx``: the functions of devexplore, called on what they are given.

Nothing is computed here; every method forwards to the function that its docstring names, with all arguments.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import xarray as xr

from devexplore.errors import InvalidSpec
from devexplore.schema import FORMS, KIND, STAGES, STEP

if TYPE_CHECKING:
    from devexplore.run import Run

NAME: Final = "dx"


class TreeAccessor:
    """What devexplore does with a tree of measured groups: ``run.tree.dx``, ``xr.open_datatree(…).dx``."""

    def __init__(self, tree: xr.DataTree):
        self._tree = tree

    @property
    def run(self) -> "Run":
        """These groups as a run; what they lack is its folder's, if the tree was opened from one."""
        return import_module("devexplore.tree_run").run_of(self._tree)

    def stages(self, **options: Any) -> xr.Dataset:
        """Stages of training: ``dx.find_stages``."""
        return _public("find_stages")(self.run, **options)

    def milestones(self, curve: str, **options: Any) -> xr.Dataset:
        """Critical points of a curve: ``dx.find_milestones``."""
        return _public("find_milestones")(self.run, curve, **options)

    def dynamics(self, **options: Any) -> xr.Dataset:
        """Essential dynamics of the stored outputs: ``dx.essential_dynamics``."""
        return _public("essential_dynamics")(self.run, **options)

    def forms(self, **options: Any) -> xr.Dataset:
        """Forms of the essential dynamics: ``dx.find_forms(dx.essential_dynamics(…))``."""
        return _public("find_forms")(self.dynamics(), **options)

    def explore(self, **options: Any) -> Any:
        """The explorer on the run of this tree: ``dx.explore``."""
        return _public("explore")(import_module("devexplore.tree_run").run_folder(self._tree), **options)

    def figure(self, name: str, *arguments: Any, **options: Any) -> Any:
        """A figure by its name: ``dx.figures.<name>``."""
        return _figure(name)(self._tree, *arguments, **options)

    def __repr__(self) -> str:
        return _listing(self, "tree.dx")


class DatasetAccessor:
    """What devexplore does with a Dataset: groups of measurements, essential dynamics, stages, forms."""

    def __init__(self, dataset: xr.Dataset):
        self._dataset = dataset

    def stages(self, **options: Any) -> xr.Dataset:
        """Stages, of a group with the LLC or losses: ``dx.find_stages``."""
        return _public("find_stages")(import_module("devexplore.tree_run").run_of(self._dataset), **options)

    def forms(self, **options: Any) -> xr.Dataset:
        """Forms, of essential dynamics: ``dx.find_forms``."""
        return _public("find_forms")(self._dataset, **options)

    def figure(self, name: str | None = None, *arguments: Any, **options: Any) -> Any:
        """A figure of this Dataset: ``dx.figures.<name>``; None: the one that draws it."""
        return _figure(self._drawn_as() if name is None else name)(self._dataset, *arguments, **options)

    def _drawn_as(self) -> str:
        dataset = self._dataset
        for name, drawn in (
            ("stages", dataset.attrs.get(KIND) == STAGES or (STEP in dataset.dims and "llc" in dataset)),
            ("trajectory", "smooth_score" in dataset),
            ("chains", {"chain", "draw"} <= set(dataset.dims)),
            ("stage_analysis", "weight_norm" in dataset),
            ("development", "test_loss" in dataset or "train_loss" in dataset),
        ):
            if drawn:
                return name
        what = (
            "forms lie on a trajectory: dynamics.dx.figure(forms=forms)" if _is_forms(dataset) else _names()
        )
        raise InvalidSpec(f"no figure is known for this Dataset by itself; {what}")

    def __repr__(self) -> str:
        return _listing(self, "dataset.dx")


def register() -> None:
    """Make ``.dx`` known to xarray, once: registering again would warn."""
    if not hasattr(xr.Dataset, NAME):
        xr.register_dataset_accessor(NAME)(DatasetAccessor)
    if not hasattr(xr.DataTree, NAME):
        xr.register_datatree_accessor(NAME)(TreeAccessor)


def _is_forms(dataset: xr.Dataset) -> bool:
    return dataset.attrs.get(KIND) == FORMS


def _public(name: str) -> Any:
    return getattr(import_module("devexplore"), name)


def _names() -> str:
    figures = import_module("devexplore.figures")
    return f"name one of {', '.join(sorted(figures.LAYERS))}"


def _figure(name: object) -> Any:
    figures = import_module("devexplore.figures")
    if name not in figures.LAYERS:
        raise InvalidSpec(f"no figure {name!r}; {_names()}")
    return getattr(figures, str(name))


def _listing(accessor: object, called: str) -> str:
    """The methods with the first line of what each says."""
    rows = []
    for name in sorted(vars(type(accessor))):
        if not name.startswith("_"):
            said = (getattr(type(accessor), name).__doc__ or "").split("\n")[0]
            rows.append(f"  {called}.{name}: {said}")
    return "\n".join([f"devexplore on {called.split('.')[0]}s:", *rows])
