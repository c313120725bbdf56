"""Every pane of the page, by name: the first two are always there, the others share one place as tabs."""

from typing import Final

from devexplore.app.pane import Pane
from devexplore.app.panes.behaviour import BehaviourPane
from devexplore.app.panes.chains import ChainsPane
from devexplore.app.panes.compare import ComparePane
from devexplore.app.panes.forms import FormsPane
from devexplore.app.panes.landscape import LandscapePane
from devexplore.app.panes.timeline import TimelinePane
from devexplore.app.panes.tokens import TokensPane
from devexplore.app.panes.trajectory import TrajectoryPane

PANES: Final[dict[str, Pane]] = {
    "timeline": TimelinePane(),
    "trajectory": TrajectoryPane(),
    "tokens": TokensPane(),
    "forms": FormsPane(),
    "behaviour": BehaviourPane(),
    "chains": ChainsPane(),
    "landscape": LandscapePane(),
    "compare": ComparePane(),
}

ALWAYS: Final = ("timeline", "trajectory")
"""Panes with a place of their own."""
