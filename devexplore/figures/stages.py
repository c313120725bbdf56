"""The stages of a development, hidden in the loss and seen in the LLC (the paper's figure 8)."""

import numpy as np
import xarray as xr
from plotly.graph_objects import Figure

from devexplore.errors import NotMeasured
from devexplore.figures.gather import curves_caption, llc_panel, loss_panel, staged
from devexplore.run import Run
from devexplore.views.stage_sheet import UNSUPPORTED, stage_sheet
from devexplore.views.style import ThemeName


def stages(run: Run, *, stages: xr.Dataset | None = None, theme: ThemeName = "light") -> Figure:
    """Loss above, LLC below, each boundary with its 90 % interval, and a table of what changed in each stage.

    What the paper shows in its figure 8 (Hoogland et al. 2024). Δ loss is of the recorded loss, Δ LLC of the
    smoothed curve ± one standard error. A stage whose end lies among checkpoints that are no LLC is marked †
    and of no type, however large its Δ LLC.

    Args:
        stages: of ``dx.find_stages`` (None: the run's).

    Raises ``NotMeasured`` for a run with neither LLC nor losses.
    """
    found = staged(run, stages, theme)
    if found.stages is None:
        raise NotMeasured(f"{run.name} has neither LLC nor losses; {run.remedy('losses,llc')}")
    panels = (loss_panel(run, found.theme), llc_panel(run, found.theme))
    bars = "Bars at the lower edge: 90 % intervals of the boundaries."
    foot = f"{bars} {curves_caption(run)} {_marks_of(found.stages)}".strip()
    return stage_sheet(
        panels,
        found.stages,
        found.marks,
        found.last_step,
        found.theme,
        title=f"Stages of {run.name}",
        said=found.said_of_lines,
        foot=foot,
    )


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
