"""SGLD chains at checkpoints, the local learning coefficients they give, and whether to believe them.

Importing this package loads no torch, so that ``sampling.trust`` serves those who only read results; each
name loads what it needs when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from devexplore.sampling.chains import ChainTraces as ChainTraces
    from devexplore.sampling.engine import Engine as Engine
    from devexplore.sampling.estimate import estimate_llc as estimate_llc
    from devexplore.sampling.estimate import estimate_llcs as estimate_llcs
    from devexplore.sampling.estimator import LLCEstimate as LLCEstimate
    from devexplore.sampling.estimator import llc_from_traces as llc_from_traces
    from devexplore.sampling.execution import Execution as Execution
    from devexplore.sampling.network import PerSampleLoss as PerSampleLoss
    from devexplore.sampling.result import LLCResult as LLCResult
    from devexplore.sampling.sgld import sgld_step as sgld_step
    from devexplore.sampling.spec import LLCSpec as LLCSpec

_HOMES = {
    "ChainTraces": "chains",
    "Engine": "engine",
    "Execution": "execution",
    "LLCEstimate": "estimator",
    "LLCResult": "result",
    "LLCSpec": "spec",
    "PerSampleLoss": "network",
    "estimate_llc": "estimate",
    "estimate_llcs": "estimate",
    "llc_from_traces": "estimator",
    "sgld_step": "sgld",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'devexplore.sampling' has no attribute {name!r}")
    return getattr(import_module(f"devexplore.sampling.{_HOMES[name]}"), name)
