"""Is this LLC to be believed? Every check of one sweep, its limits, and a verdict in plain words.

Pure numpy: the checks were recorded when the chains ran, so that a verdict can be given again, with other
limits, at any time. A check that was not recorded (NaN, or absent) accuses nobody.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float, Int8

from devexplore.sampling import anchor_checks, chain_checks
from devexplore.sampling.sweep import Finding, Setting, Sweep
from devexplore.sampling.thresholds import Thresholds

TRUSTED: Final = 0
DOUBTFUL: Final = 1
NOT_AN_LLC: Final = 2

VERDICT_WORDS: Final = ("trusted", "doubtful", "not an LLC")


_CHECKS: Final[Sequence[Callable[[Sweep, Thresholds], Iterator[Finding]]]] = (
    chain_checks.no_value,
    chain_checks.unstable,
    chain_checks.unmoved,
    anchor_checks.forgotten,
    anchor_checks.upside_down,
    anchor_checks.negative,
    anchor_checks.ceiling,
    anchor_checks.slope,
    anchor_checks.saddle,
    chain_checks.distance,
    chain_checks.drift,
    chain_checks.mixing,
)
"""Every check, in the order in which reasons of equal weight are given."""


class Verdicts(NamedTuple):
    """One verdict a checkpoint, and why."""

    verdict: Int8[np.ndarray, " step"]
    """0 trusted, 1 doubtful, 2 not an LLC."""
    reasons: list[tuple[str, ...]]
    """In plain words with the numbers, the gravest first; empty where trusted."""
    kinds: list[tuple[str, ...]]
    """The same reasons in a few words without numbers, to be counted."""


def judge(
    checks: Mapping[str, Float[np.ndarray, " step"]],
    setting: Setting,
    thresholds: Thresholds | None = None,
) -> Verdicts:
    """A verdict for each checkpoint of a sweep, with reasons.

    checks: named as in the store's /llc, along training in the order of steps: llc (the only one required),
        llc_se, rhat, ess, excess_loss, init_loss, relative_distance, spread, half_drift,
        half_drift_z, diverged_chains, h_max, h_min, descent, stability, slope_shift.

    Some checks look at neighbours (is λ̂ the loss upside down?), so give a sweep whole.
    """
    limits = Thresholds() if thresholds is None else thresholds
    sweep = Sweep(checks, setting)
    findings = [finding for check in _CHECKS for finding in check(sweep, limits)]
    findings.sort(key=lambda finding: not finding.fatal)  # stable: among equals, in the order of the checks
    verdict = np.zeros(sweep.size, dtype=np.int8)
    reasons: list[list[str]] = [[] for _ in range(sweep.size)]
    kinds: list[list[str]] = [[] for _ in range(sweep.size)]
    for name, where, words, fatal in findings:
        verdict[where] = np.maximum(verdict[where], NOT_AN_LLC if fatal else DOUBTFUL)
        for at in np.flatnonzero(where):
            reasons[at].append(words(int(at)))
            kinds[at].append(name)
    return Verdicts(verdict, [tuple(each) for each in reasons], [tuple(each) for each in kinds])
