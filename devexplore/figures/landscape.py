"""The developmental landscape: stages as wells, and which of them a posterior prefers (figure 7)."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from plotly.graph_objects import Figure

from devexplore.analysis.free_energy import free_energy, in_sight
from devexplore.errors import NotMeasured
from devexplore.figures.gather import staged
from devexplore.schema import LLC
from devexplore.tree_run import Source, run_of
from devexplore.views.landscape import landscape_figure
from devexplore.views.style import ThemeName
from devexplore.views.visuals import How, Visuals


def landscape(
    source: Source,
    *,
    stages: xr.Dataset | None = None,
    n: Sequence[float] | np.ndarray | None = None,
    theme: ThemeName = "light",
    visuals: Mapping[str, How] | None = None,
) -> Figure:
    """Each stage's solution as a well, with a slider over the number n of samples that moves their depths.

    The paper's figure 7, computed: a well stands at its λ̂, and is as low as its free energy F = n·L + λ̂·ln n
    (``dx.free_energy``, which says what such a number is not). At small n the wells of low λ̂ are lowest, at
    large n those of low loss. Beside it the probability that each is the lowest one.

    Args:
        source: a run, or a DataTree of one.
        stages: of ``dx.find_stages`` (None: the run's).
        n: numbers of samples that the slider visits (at most 60 of them), rising; None: from 10 to where the
            last crossing of neighbours is well behind.
        visuals: layers and how they are drawn (``dx.figures.LAYERS["landscape"]``).

    Raises ``NotMeasured`` for a run without LLC, or where no stage's end has both LLC and loss.
    """
    look = Visuals("landscape", visuals)
    run = run_of(source)
    run.dataset(LLC)
    found = staged(run, stages, theme)
    energies = free_energy(run, found.stages, n=n)
    if n is None:
        energies = in_sight(energies)
    if not np.isfinite(energies["free_energy"].values).any():
        why = "; ".join(str(words) for words in energies["why"].values if words)
        raise NotMeasured(f"{run.name}: no stage ends at a checkpoint with both loss and LLC ({why})")
    title = f"Landscape of {run.name}"
    return look.applied(landscape_figure(energies, found.marks, found.theme, title, found.said, look))
