"""What comes when: boundaries that probes agree on, and the order of developments."""

from collections.abc import Sequence

import xarray as xr
from plotly.graph_objects import Figure

from devexplore.analysis.agreement import agreement as find_agreement
from devexplore.analysis.developments import developments as find_developments
from devexplore.arguments import as_runs
from devexplore.figures.gather import staged
from devexplore.run import Run
from devexplore.schema import METRIC_BLOCKS
from devexplore.views.agreement_chart import agreement_chart
from devexplore.views.development_chart import development_chart
from devexplore.views.metric_panels import metric_titles
from devexplore.views.style import ThemeName


def agreement(
    run: Run,
    curves: Sequence[str] | None = None,
    *,
    stages: xr.Dataset | None = None,
    theme: ThemeName = "light",
) -> Figure:
    """The boundaries that each probe and metric sees by itself, on one time axis, beside the run's stages.

    Draws ``dx.agreement`` (``curves`` as there); raises as that. Right: the share of the first row's
    boundaries that each curve sees too, what chance would give, and ``p_value``.
    """
    found = staged(run, stages, theme)
    seen = find_agreement(run, curves)
    title, words = f"Boundaries of {run.name}, by probe", metric_titles(run.system)
    return agreement_chart(seen, found.marks, found.theme, title, found.said_of_lines, words)


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
    said, title = found.said_of_lines, f"Developments of {runs[0].name}"
    if len(runs) > 1:
        title = f"Developments of {len(runs)} runs"
        said = f"{said} The stages are those of {runs[0].name}.".strip()
    without = [run.name for run in runs if not run.has(METRIC_BLOCKS)]
    note = f"No intervals for {', '.join(without)}: no blocks of samples are stored." if without else ""
    return development_chart(measured, found.marks, found.last_step, found.theme, title, said, note)
