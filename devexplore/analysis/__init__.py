"""From measured datasets to derived ones, in seconds: essential dynamics, stages, tokens."""

from devexplore.analysis.covariance import loss_covariance
from devexplore.analysis.dynamics import essential_dynamics
from devexplore.analysis.forms import find_forms
from devexplore.analysis.joint import joint_dynamics
from devexplore.analysis.learning_groups import when_learned
from devexplore.analysis.llc_change import llc_change
from devexplore.analysis.stages import find_stages
from devexplore.analysis.token_rankings import mean_change, most_changed
from devexplore.analysis.tokens import loss_change, loss_history

__all__ = [
    "essential_dynamics",
    "find_forms",
    "find_stages",
    "joint_dynamics",
    "llc_change",
    "loss_change",
    "loss_covariance",
    "loss_history",
    "mean_change",
    "most_changed",
    "when_learned",
]
