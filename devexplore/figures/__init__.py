"""One function a figure: what the paper shows, of any run (``dx.figures.stages(run)``).

Each takes a run (or a DataTree opened from its store, or the Dataset that it draws, as it says itself) and,
where they are at hand, what was derived from it, so that it is not derived twice; gives a Plotly figure
(``token_changes``: HTML); and says in its place what the run does not hold. Nothing that is given is changed.

``visuals`` switches the layers of a figure and sets their properties:
``dx.figures.trajectory(run, visuals={"evolute": False, "raw": True, "circles": {"line": {"width": 2}}})``.
``LAYERS`` names those of each figure.
"""

from devexplore.figures.chains import chains as chains
from devexplore.figures.development import development as development
from devexplore.figures.development import trajectory as trajectory
from devexplore.figures.landscape import landscape as landscape
from devexplore.figures.order import agreement as agreement
from devexplore.figures.order import developments as developments
from devexplore.figures.stage_analysis import stage_analysis as stage_analysis
from devexplore.figures.stages import stages as stages
from devexplore.figures.stills import save as save
from devexplore.figures.tokens import token_changes as token_changes
from devexplore.figures.tokens import token_groups as token_groups
from devexplore.figures.tokens import token_history as token_history
from devexplore.figures.tokens import token_rankings as token_rankings
from devexplore.figures.toy_models import k_gons as k_gons
from devexplore.figures.toy_models import staircase as staircase
from devexplore.views.visuals import LAYERS as LAYERS

__all__ = [
    "LAYERS",
    "agreement",
    "chains",
    "development",
    "developments",
    "k_gons",
    "landscape",
    "save",
    "stage_analysis",
    "stages",
    "staircase",
    "token_changes",
    "token_groups",
    "token_history",
    "token_rankings",
    "trajectory",
]
