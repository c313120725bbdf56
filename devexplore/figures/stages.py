"""The stages of a development, hidden in the loss and seen in the LLC (the paper's figure 8)."""

import xarray as xr
from plotly.graph_objects import Figure

from devexplore.errors import NotMeasured
from devexplore.figures.gather import llc_panel, loss_panel, staged
from devexplore.run import Run
from devexplore.views.development import LLC_KEY
from devexplore.views.stage_sheet import stage_sheet
from devexplore.views.style import ThemeName


def stages(run: Run, *, stages: xr.Dataset | None = None, theme: ThemeName = "light") -> Figure:
    """Loss above, LLC below, each boundary with its 90 % interval, and a table of what changed in each stage.

    What the paper shows in its figure 8 (Hoogland et al. 2024). Δ loss is of the recorded loss, Δ LLC of the
    smoothed curve ± one standard error.

    Args:
        stages: of ``dx.find_stages`` (None: the run's).

    Raises ``NotMeasured`` for a run with neither LLC nor losses.
    """
    found = staged(run, stages, theme)
    if found.stages is None:
        raise NotMeasured(f"{run.name} has neither LLC nor losses; {run.remedy('losses,llc')}")
    panels = (loss_panel(run, found.theme), llc_panel(run, found.theme))
    foot = f"Bars at the lower edge: 90 % intervals of the boundaries. {LLC_KEY}"
    if "trusted" in found.stages and not found.stages["trusted"].values.all():
        foot += " *: between estimates that are not trusted."
    return stage_sheet(
        panels,
        found.stages,
        found.marks,
        found.last_step,
        found.theme,
        title=f"Stages of {run.name}",
        said=found.said,
        foot=foot,
    )
