"""SGLD chains at a checkpoint and the local learning coefficient they give."""

from devexplore.sampling.chains import ChainTraces
from devexplore.sampling.estimate import LLCResult, estimate_llc
from devexplore.sampling.estimator import LLCEstimate, llc_from_traces
from devexplore.sampling.network import PerSampleLoss
from devexplore.sampling.sgld import sgld_step
from devexplore.sampling.spec import LLCSpec

__all__ = [
    "ChainTraces",
    "LLCEstimate",
    "LLCResult",
    "LLCSpec",
    "PerSampleLoss",
    "estimate_llc",
    "llc_from_traces",
    "sgld_step",
]
