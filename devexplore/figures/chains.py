"""The chains behind an LLC: whether they mixed, and whether λ̂ had settled."""

from collections.abc import Mapping

import xarray as xr
from plotly.graph_objects import Figure

from devexplore.analysis.chain_readings import chain_readings
from devexplore.analysis.trust import trust
from devexplore.errors import InvalidSpec
from devexplore.figures.gather import llc_panel, loaded, staged
from devexplore.schema import CHAINS, LLC, STEP
from devexplore.tree_run import Source, run_of
from devexplore.views.chains_figure import chains_figure
from devexplore.views.style import ThemeName
from devexplore.views.visuals import How, Visuals


def chains(
    source: Source,
    step: int | None = None,
    *,
    stages: xr.Dataset | None = None,
    theme: ThemeName = "light",
    visuals: Mapping[str, How] | None = None,
) -> Figure:
    """Every chain's trace at a checkpoint, λ̂ as it came about, and the verdict, over the LLC of all training.

    A trace is the batch loss less the same batch's loss at w*, whose mean over draws and chains is λ̂/nβ. The
    running λ̂ is that mean had the chains ended there; its band is one standard error, and both end where
    the stored estimate is. A predictor that learned nothing is drawn where it is near: chains that sit there
    forgot what w* learned.

    Args:
        source: a run, a DataTree of one, or its chains alone (``run.dataset("chains")``).
        step: a checkpoint with chains or an LLC; None: the last.
        stages: of ``dx.find_stages`` (None: the run's).
        visuals: layers and how they are drawn (``dx.figures.LAYERS["chains"]``).

    Raises ``NotMeasured`` for a run without LLC, ``InvalidSpec`` for a step that was not measured. An LLC
    without its chains (imported, published) is drawn alone, and that is said.
    """
    look = Visuals("chains", visuals)
    run = run_of(source)
    if not run.has(CHAINS):
        run.dataset(LLC)  # raises, naming the command
    llc = loaded(run, LLC)
    readings = chain_readings(loaded(run, CHAINS), llc, None if llc is None else trust(llc))
    found = staged(run, stages, theme)
    held = readings[STEP].values
    at = int(held[-1]) if step is None else step
    if at not in held:
        near = sorted(held.tolist(), key=lambda one: abs(one - at))[:2]
        raise InvalidSpec(
            f"step: {run.name} has no chains at {at!r}; the nearest are {', '.join(f'{n:,}' for n in near)}"
        )
    title = f"Chains of {run.name} at step {at:,}"
    llc_over_training = llc_panel(run, found.theme)
    return look.applied(
        chains_figure(readings, at, llc_over_training, found.marks, found.last_step, found.theme, title, look)
    )
