"""Models whose learning coefficient is known: what the estimator is held against.

``check_llc`` runs it on all of them; each model is also there to be measured in other ways.
"""

from devexplore.sampling.known_answers.answers import (
    KnownAnswer,
    crossings,
    known_answers,
    linear_network,
    quadratic,
    superposition,
)
from devexplore.sampling.known_answers.check import Answer, check_answer, check_llc

__all__ = [
    "Answer",
    "KnownAnswer",
    "check_answer",
    "check_llc",
    "crossings",
    "known_answers",
    "linear_network",
    "quadratic",
    "superposition",
]
