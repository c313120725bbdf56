"""A development on one sheet (the paper's figures 1 and 2), and its trajectory at full size (figure 9)."""

from collections.abc import Mapping

import xarray as xr
from plotly.graph_objects import Figure

from devexplore.analysis.null_walks import null_walks
from devexplore.analysis.requirements import require_dynamics
from devexplore.errors import NotMeasured
from devexplore.figures.gather import (
    curves_caption,
    drawable,
    dynamics_of,
    forms_of,
    llc_panel,
    loss_panel,
    staged,
    theme_of,
)
from devexplore.tree_run import Source, run_of
from devexplore.views.development import development_figure, trajectory_figure
from devexplore.views.stages import stage_marks
from devexplore.views.style import ThemeName
from devexplore.views.visuals import How, Visuals
from devexplore.views.walk_layer import WALKS


def development(
    source: Source,
    *,
    stages: xr.Dataset | None = None,
    dynamics: xr.Dataset | None = None,
    theme: ThemeName = "light",
    visuals: Mapping[str, How] | None = None,
) -> Figure:
    """Loss and LLC over training with the stages behind them; beside them the trajectory through function
    space, in three planes and in the stages' colours.

    What the paper shows in its figures 1 and 2 (Hoogland et al. 2024). Estimates of the LLC are drawn by
    their verdict: hollow where doubtful, a cross where it is not an LLC.

    Args:
        source: a run, a DataTree of one, or one of its groups (losses, llc or checkpoints).
        stages: of ``dx.find_stages`` (None: the run's).
        dynamics: of ``dx.essential_dynamics`` (None: computed now, which may need a forward pass at every
            checkpoint the first time).
        visuals: layers and how they are drawn (``dx.figures.LAYERS["development"]``); raw scores, circles,
            evolute and vertices are those of the planes.

    What the run lacks is said in its place. Raises ``NotMeasured`` where nothing is measured.
    """
    look = Visuals("development", visuals)
    run = run_of(source)
    found = staged(run, stages, theme)
    ed, why = dynamics_of(run, dynamics)
    panels = (loss_panel(run, found.theme), llc_panel(run, found.theme))
    figure = development_figure(
        panels,
        ed,
        why,
        found.marks,
        found.last_step,
        found.theme,
        f"Development of {run.name}",
        found.said_of_lines(look),
        curves_caption(run, look),
        look,
    )
    return look.applied(figure)


def trajectory(
    source: Source,
    *,
    stages: xr.Dataset | None = None,
    dynamics: xr.Dataset | None = None,
    forms: xr.Dataset | None = None,
    theme: ThemeName = "light",
    visuals: Mapping[str, How] | None = None,
) -> Figure:
    """The trajectory in three planes with osculating circles, their centres (the evolute), cusps and forms.

    What the paper shows in its figure 9 (Hoogland et al. 2024). The curve is coloured by stages; stars are
    forms, which are sought beside random walks (``dx.find_forms``): the line below says what was found.

    Args:
        source: a run, a DataTree of one, or the dynamics themselves (``dx.essential_dynamics(run)``); these
            know no stages, and are coloured by training steps where none are given.
        stages, dynamics: as for ``development``.
        forms: of ``dx.find_forms`` (None: sought now, some seconds, unless they are not drawn).
        visuals: layers and how they are drawn (``dx.figures.LAYERS["trajectory"]``); off by themselves are
            raw (scores before smoothing), step (the curve coloured by training steps) and null (a few of the
            random walks with which forms are compared).

    Raises ``NotMeasured`` where the run has no outputs and no checkpoints to compute them from.
    """
    look = Visuals("trajectory", visuals)
    if isinstance(source, xr.Dataset) and "smooth_score" in source:
        require_dynamics(source)
        run, title = None, "Trajectory"
        ed, why = drawable(source)
    else:
        run = run_of(source, "its essential dynamics")
        title = f"Trajectory of {run.name}"
        ed, why = dynamics_of(run, dynamics)
    if ed is None:
        raise NotMeasured(f"{'this Dataset' if run is None else run.name} has no trajectory: {why}")
    if run is None:
        drawn = theme_of(theme)
        marks = stage_marks(stages, drawn)
    else:
        found = staged(run, stages, theme)
        drawn, marks = found.theme, found.marks
    sought, conclusion = forms_of(ed, forms) if forms is not None or look.draws("forms") else (None, "")
    walks = null_walks(ed, WALKS) if look.draws("null", by_itself=False) else None
    return look.applied(trajectory_figure(ed, sought, conclusion, marks, drawn, title, look, walks))
