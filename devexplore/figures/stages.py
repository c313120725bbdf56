"""The stages of a development, hidden in the loss and seen in the LLC (the paper's figure 8)."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import xarray as xr
from plotly.graph_objects import Figure

from devexplore.analysis.stages import require_stages
from devexplore.errors import NotMeasured
from devexplore.figures.gather import (
    curves_caption,
    llc_panel,
    loss_panel,
    staged,
    theme_of,
    told,
    words_of_lines,
)
from devexplore.schema import SHOWN, STAGES
from devexplore.tree_run import Source, run_of
from devexplore.views.panels import Panel
from devexplore.views.stage_sheet import UNSUPPORTED, stage_sheet
from devexplore.views.stages import stage_marks
from devexplore.views.style import ThemeName
from devexplore.views.visuals import How, Visuals


def stages(
    source: Source,
    *,
    stages: xr.Dataset | None = None,
    theme: ThemeName = "light",
    visuals: Mapping[str, How] | None = None,
) -> Figure:
    """Loss above, LLC below, each boundary with its 90 % interval, and a table of what changed in each stage.

    What the paper shows in its figure 8 (Hoogland et al. 2024). Δ loss is of the recorded loss, Δ LLC of the
    smoothed curve ± one standard error. A stage whose end lies among checkpoints that are no LLC is marked †
    and of no type, however large its Δ LLC.

    Args:
        source: a run, a DataTree of one, one of its groups (losses, llc or checkpoints), or the stages
            themselves (``dx.find_stages(run)``): these hold no curves, and are drawn as bands over the table.
        stages: of ``dx.find_stages`` (None: the run's).
        visuals: layers and how they are drawn (``dx.figures.LAYERS["stages"]``).

    Raises ``NotMeasured`` for a run with neither LLC nor losses.
    """
    look = Visuals("stages", visuals)
    if isinstance(source, xr.Dataset) and "stage" in source.dims:
        return look.applied(_alone(source, theme, look))
    run = run_of(source, "its stages")
    found = staged(run, stages, theme)
    if found.stages is None:
        raise NotMeasured(f"{run.name} has neither LLC nor losses; {run.remedy('losses,llc')}")
    panels = (loss_panel(run, found.theme), llc_panel(run, found.theme))
    foot = look.said(("interval", _BARS), curves_caption(run, look), ("table", _marks_of(found.stages)))
    figure = stage_sheet(
        panels,
        found.stages,
        found.marks,
        found.last_step,
        found.theme,
        title=f"Stages of {run.name}",
        said=found.said_of_lines(look),
        foot=foot,
    )
    return look.applied(figure)


def _alone(stages: xr.Dataset, theme: ThemeName, look: Visuals) -> Figure:
    """Stages without their curves: bands, boundaries and table."""
    require_stages(stages, SHOWN[STAGES])
    drawn = theme_of(theme)
    marks = stage_marks(stages, drawn)
    foot = look.said(("interval", _BARS), ("table", _marks_of(stages)))
    figure = stage_sheet(
        [Panel("", "")],
        stages,
        marks,
        marks[-1].end,
        drawn,
        title="Stages",
        said=words_of_lines(told(stages), marks, look),
        foot=foot,
    )
    return figure.update_yaxes(showgrid=False, ticks="")


_BARS: Final = "Bars at the lower edge: 90 % intervals of the boundaries."


def _marks_of(stages: xr.Dataset) -> str:
    """What the marks in the table mean, as far as they are in it."""
    known = np.isfinite(stages["delta_llc"].values)
    supported, trusted = (
        stages[name].values.astype(bool) if name in stages else np.ones_like(known)
        for name in ("supported", "trusted")
    )
    words = ""
    if (known & supported & ~trusted).any():
        words += "*: an end lies among estimates that are not trusted. "
    if (known & ~supported).any():
        words += f"{UNSUPPORTED.strip()}: an end lies among checkpoints that are no LLC: no type is told."
    return words.strip()
