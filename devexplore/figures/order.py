"""What comes when: boundaries that probes agree on, and the order of developments."""

from collections.abc import Mapping, Sequence

import xarray as xr
from plotly.graph_objects import Figure

from devexplore.analysis.agreement import agreement as find_agreement
from devexplore.analysis.developments import developments as find_developments
from devexplore.arguments import as_runs
from devexplore.figures.gather import staged
from devexplore.run import Run
from devexplore.schema import METRIC_BLOCKS
from devexplore.tree_run import Source, run_of
from devexplore.views.agreement_chart import agreement_chart
from devexplore.views.development_chart import development_chart
from devexplore.views.metric_panels import metric_titles
from devexplore.views.style import ThemeName
from devexplore.views.visuals import How, Visuals


def agreement(
    source: Source,
    curves: Sequence[str] | None = None,
    *,
    stages: xr.Dataset | None = None,
    theme: ThemeName = "light",
    visuals: Mapping[str, How] | None = None,
) -> Figure:
    """The boundaries that each probe and metric sees by itself, on one time axis, beside the run's stages.

    Draws ``dx.agreement`` (``curves`` as there); raises as that. Right: the share of the first row's
    boundaries that each curve sees too, what chance would give, and ``p_value``. ``source``: a run, or a
    DataTree of one. ``visuals``: layers and how they are drawn (``dx.figures.LAYERS["agreement"]``).
    """
    look = Visuals("agreement", visuals)
    run = run_of(source)
    found = staged(run, stages, theme)
    seen = find_agreement(run, curves)
    title, words = f"Boundaries of {run.name}, by probe", metric_titles(run.system)
    said = found.said_of_lines(look)
    return look.applied(agreement_chart(seen, found.marks, found.theme, title, said, words, look))


def developments(
    source: Source | Sequence[Source],
    *,
    stages: xr.Dataset | None = None,
    theme: ThemeName = "light",
    visuals: Mapping[str, How] | None = None,
) -> Figure:
    """When each development of a run begins, is half done and ends, in the order that the literature expects.

    Draws ``dx.developments``; raises as that. Of several runs (seeds) each has its own colour, and the stages
    are those of the first. ``source``: runs, DataTrees of them, or their metrics. ``visuals``: layers and how
    they are drawn (``dx.figures.LAYERS["developments"]``).
    """
    look = Visuals("developments", visuals)
    if isinstance(source, Run | xr.DataTree | xr.Dataset | str) or not isinstance(source, Sequence):
        runs = [run_of(source)]
        measured = find_developments(runs[0])
    else:
        runs = as_runs([run_of(one) for one in source])
        measured = find_developments(runs)
    found = staged(runs[0], stages, theme)
    said, title = found.said_of_lines(look), f"Developments of {runs[0].name}"
    if len(runs) > 1:
        title = f"Developments of {len(runs)} runs"
        if look.draws_any("band", "boundary"):
            said = f"{said} The stages are those of {runs[0].name}.".strip()
    without = [run.name for run in runs if not run.has(METRIC_BLOCKS)]
    note = f"No intervals for {', '.join(without)}: no blocks of samples are stored."
    note = note if without and look.draws("intervals") else ""
    return look.applied(
        development_chart(measured, found.marks, found.last_step, found.theme, title, said, note, look)
    )
