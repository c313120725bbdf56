"""What comes when: boundaries that probes agree on, and the order of developments."""

from collections.abc import Sequence

import xarray as xr
from plotly.graph_objects import Figure

from devexplore.analysis.agreement import agreement as find_agreement
from devexplore.analysis.developments import developments as find_developments
from devexplore.arguments import as_runs
from devexplore.figures.gather import staged
from devexplore.run import Run
from devexplore.views.row_chart import agreement_chart, development_chart
from devexplore.views.style import ThemeName


def agreement(
    run: Run,
    curves: Sequence[str] | None = None,
    *,
    stages: xr.Dataset | None = None,
    theme: ThemeName = "light",
) -> Figure:
    """The boundaries that each probe and metric sees by itself, on one time axis, beside the run's stages.

    Draws ``dx.agreement`` (``curves`` as there); raises as that.
    """
    found = staged(run, stages, theme)
    seen = find_agreement(run, curves)
    return agreement_chart(seen, found.marks, found.theme, f"Boundaries of {run.name}, by probe", found.said)


def developments(
    source: Run | Sequence[Run], *, stages: xr.Dataset | None = None, theme: ThemeName = "light"
) -> Figure:
    """When each development of a run begins, is half done and ends, in the order that the literature expects.

    Draws ``dx.developments``; raises as that. Of several runs (seeds) each has its own colour, and the stages
    are those of the first.
    """
    runs = as_runs(source)
    measured = find_developments(source)
    found = staged(runs[0], stages, theme)
    title = f"Developments of {runs[0].name if len(runs) == 1 else f'{len(runs)} runs'}"
    return development_chart(measured, found.marks, found.last_step, found.theme, title, found.said)
