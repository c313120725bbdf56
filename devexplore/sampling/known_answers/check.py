"""``devexplore check-llc``: the public estimator on models with known answers."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from devexplore.sampling.estimate import estimate_llc
from devexplore.sampling.execution import Execution
from devexplore.sampling.known_answers.answers import KnownAnswer, known_answers
from devexplore.sampling.trust import VERDICT_WORDS

_SHARPEST_EXACT = 0.01


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One estimate beside the truth."""

    name: str
    truth: float
    """λ: the limit nβ → ∞ (of the quadratic: exact at its ε)."""
    expected: float
    """What theory expects at the nβ and γ of the measurement."""
    llc: float
    llc_se: float
    tolerance: float
    """Largest |llc/expected − 1| that agrees; 0: |z| < 4 and a standard error below 1 % of llc."""
    z: float
    """(llc − expected) ÷ standard error of both. Holds the bias of step size and batch noise too."""
    agrees: bool
    verdict: int
    """0 trusted, 1 doubtful, 2 not an LLC, as for any estimate."""
    reasons: tuple[str, ...]
    seconds: float


def check_llc(
    report: Callable[[str], None] = print,
    answers: Iterable[KnownAnswer] | None = None,
    *,
    execution: Execution | None = None,
) -> list[Answer]:
    """Estimate λ of every model with a known one, and report each beside the truth as it comes.

    report: takes one line at a time.
    answers: the models; None: all of ``known_answers``, which takes under a minute on one CPU core.
    execution: see ``estimate_llc``.
    """
    report(
        f"{'model':33}{'λ':>6}{'λ̂ ± SE':>17}{'off λ':>8}{'theory at nβ':>14}{'off it':>8}{'z':>6}  verdict"
    )
    checked, notes = [], []
    for known in known_answers() if answers is None else answers:
        checked.append(check_answer(known, execution))
        report(_line(checked[-1]))
        if known.note:
            notes.append(f"{known.name}: {known.note}.")
    for note in notes:
        report(note)
    wrong = [answer.name for answer in checked if not answer.agrees]
    report(
        f"{len(checked) - len(wrong)} of {len(checked)} agree with theory, "
        f"in {sum(answer.seconds for answer in checked):.0f} s"
        + (f"; not so: {', '.join(wrong)}" if wrong else "")
    )
    return checked


def check_answer(known: KnownAnswer, execution: Execution | None = None) -> Answer:
    """Estimate λ of one model and hold it against theory."""
    started = time.perf_counter()
    result = estimate_llc(
        known.model,
        known.loss,
        known.data,
        known.spec,
        trivial_loss=known.trivial_loss,
        baseline_batch=len(known.data[0]),
        execution=execution,
    )
    llc, error = result.estimate.llc, result.estimate.llc_se
    expected = known.expected.value
    z = (llc - expected) / math.hypot(error, known.expected.standard_error)
    if known.tolerance > 0:
        agrees = abs(llc - expected) <= known.tolerance * expected
    else:
        agrees = abs(z) < 4 and error < _SHARPEST_EXACT * llc
    return Answer(
        name=known.name,
        truth=known.truth,
        expected=expected,
        llc=llc,
        llc_se=error,
        tolerance=known.tolerance,
        z=z,
        agrees=agrees,
        verdict=result.verdict.code,
        reasons=result.verdict.reasons,
        seconds=time.perf_counter() - started,
    )


def _line(answer: Answer) -> str:
    value = f"{answer.llc:.4g} ± {answer.llc_se:.2g}"
    off_truth, off_expected = (
        f"{answer.llc / theory - 1:+.1%}" for theory in (answer.truth, answer.expected)
    )
    return (
        f"{answer.name:33}{answer.truth:6.4g}{value:>17}{off_truth:>8}{answer.expected:14.4g}"
        f"{off_expected:>8}{answer.z:+6.1f}  "
        f"{VERDICT_WORDS[answer.verdict]}{'' if answer.agrees else '  ← disagrees with theory'}"
    )
