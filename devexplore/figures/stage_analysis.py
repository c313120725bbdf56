"""What gives the stages their meaning: the metrics of the run's system over training (figures 3 and 5)."""

from collections.abc import Mapping

import xarray as xr
from plotly.graph_objects import Figure

from devexplore.analysis.metric_intervals import metric_intervals
from devexplore.figures.gather import loaded, metrics_of, staged
from devexplore.schema import METRIC_BLOCKS
from devexplore.tree_run import Source, run_of
from devexplore.views.metric_panels import MetricPanel, drawn, panels_of, quotients
from devexplore.views.panels import panel_grid
from devexplore.views.style import ThemeName
from devexplore.views.visuals import How, Visuals, layered


def stage_analysis(
    source: Source,
    *,
    stages: xr.Dataset | None = None,
    theme: ThemeName = "light",
    visuals: Mapping[str, How] | None = None,
) -> Figure:
    """The metrics of this run's system over training, with the stages behind them.

    What the paper shows in its figures 3 and 5 (Hoogland et al. 2024). Bands: 90 % of a bootstrap over the
    16 groups of held-out samples on which averages were also measured (``metric_blocks``); they tell how the
    samples vary, not how trainings do. Of many heads, those that change most are named and the others grey.

    Args:
        source: a run, a DataTree of one, or its metrics alone (``run.dataset("metrics")``).
        stages: of ``dx.find_stages`` (None: the run's).
        visuals: layers and how they are drawn (``dx.figures.LAYERS["stage_analysis"]``).

    Raises ``NotMeasured`` for a run without metrics. A metric that is not among them is named in its panel.
    """
    look = Visuals("stage_analysis", visuals)
    run = run_of(source)
    metrics = metrics_of(run)
    blocks = loaded(run, METRIC_BLOCKS)
    found = staged(run, stages, theme)
    wanted: list[MetricPanel] = panels_of(run.system, metrics)
    intervals = {} if blocks is None else metric_intervals(metrics, blocks, quotients(run.system))
    panels = [drawn(one, metrics, intervals, run.remedy("metrics"), found.theme) for one in wanted]
    bands = "" if blocks is None else "Bands: 90 % of a bootstrap over groups of held-out samples."
    heads = "Lx Hy: head y of layer x." if "head" in metrics.dims else ""
    figure = panel_grid(
        [layered(panel, "metrics", "intervals") for panel in panels],
        found.marks,
        found.last_step,
        found.theme,
        title=f"Behaviour and structure of {run.name} through its stages",
        said=found.said_of_lines(look),
        foot=look.said(("intervals", bands), ("labels", heads)),
    )
    return look.applied(figure)
