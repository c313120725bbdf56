"""A development on one sheet (the paper's figures 1 and 2), and its trajectory at full size (figure 9)."""

import xarray as xr
from plotly.graph_objects import Figure

from devexplore.errors import NotMeasured
from devexplore.figures.gather import curves_caption, dynamics_of, forms_of, llc_panel, loss_panel, staged
from devexplore.run import Run
from devexplore.views.development import development_figure, trajectory_figure
from devexplore.views.style import ThemeName


def development(
    run: Run,
    *,
    stages: xr.Dataset | None = None,
    dynamics: xr.Dataset | None = None,
    theme: ThemeName = "light",
) -> Figure:
    """Loss and LLC over training with the stages behind them; beside them the trajectory through function
    space, in three planes and in the stages' colours.

    What the paper shows in its figures 1 and 2 (Hoogland et al. 2024). Estimates of the LLC are drawn by
    their verdict: hollow where doubtful, a cross where it is not an LLC.

    Args:
        stages: of ``dx.find_stages`` (None: the run's).
        dynamics: of ``dx.essential_dynamics`` (None: computed now, which may need a forward pass at every
            checkpoint the first time).

    What the run lacks is said in its place. Raises ``NotMeasured`` where nothing is measured.
    """
    found = staged(run, stages, theme)
    ed, why = dynamics_of(run, dynamics)
    panels = (loss_panel(run, found.theme), llc_panel(run, found.theme))
    return development_figure(
        panels,
        ed,
        why,
        found.marks,
        found.last_step,
        found.theme,
        f"Development of {run.name}",
        found.said_of_lines,
        curves_caption(run),
    )


def trajectory(
    run: Run,
    *,
    stages: xr.Dataset | None = None,
    dynamics: xr.Dataset | None = None,
    forms: xr.Dataset | None = None,
    theme: ThemeName = "light",
) -> Figure:
    """The trajectory in three planes with osculating circles, their centres (the evolute), cusps and forms.

    What the paper shows in its figure 9 (Hoogland et al. 2024). The curve is coloured by stages; stars are
    forms, which are sought beside random walks (``dx.find_forms``): the line below says what was found.

    Args:
        stages, dynamics: as for ``development``.
        forms: of ``dx.find_forms`` (None: sought now, some seconds).

    Raises ``NotMeasured`` where the run has no outputs and no checkpoints to compute them from.
    """
    ed, why = dynamics_of(run, dynamics)
    if ed is None:
        raise NotMeasured(f"{run.name} has no trajectory: {why}")
    found = staged(run, stages, theme)
    sought, conclusion = forms_of(ed, forms)
    return trajectory_figure(ed, sought, conclusion, found.marks, found.theme, f"Trajectory of {run.name}")
