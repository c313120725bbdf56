"""From parameters to arrays: what costs compute is measured once a checkpoint, and kept."""

from devexplore.measure.llc import LLC
from devexplore.measure.losses import TokenLosses
from devexplore.measure.metrics import Metrics
from devexplore.measure.outputs import Outputs
from devexplore.measure.pipeline import DEFAULTS, ensure_outputs, measure

__all__ = ["DEFAULTS", "LLC", "Metrics", "Outputs", "TokenLosses", "ensure_outputs", "measure"]
