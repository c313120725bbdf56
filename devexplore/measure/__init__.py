"""From parameters to arrays: what costs compute is measured once a checkpoint, and kept."""

import sys
from types import ModuleType

from devexplore.measure.llc import LLC
from devexplore.measure.losses import TokenLosses
from devexplore.measure.metrics import Metrics
from devexplore.measure.outputs import Outputs
from devexplore.measure.pipeline import DEFAULTS, ensure_outputs, measure
from devexplore.measure.references import References, ensure_references
from devexplore.measure.refined import RefinedLLC
from devexplore.measure.shared_probe import share_probe
from devexplore.measure.token_traces import TokenTraces

__all__ = [
    "DEFAULTS",
    "LLC",
    "Metrics",
    "Outputs",
    "References",
    "RefinedLLC",
    "TokenLosses",
    "TokenTraces",
    "ensure_outputs",
    "ensure_references",
    "measure",
    "share_probe",
]


class _MeasureModule(ModuleType):
    """Once imported, ``devexplore.measure`` is this module; ``dx.measure(run, …)`` must work all the same."""

    __call__ = staticmethod(measure)


sys.modules[__name__].__class__ = _MeasureModule
