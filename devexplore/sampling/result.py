"""What chains at one checkpoint say: a local learning coefficient, every check of it, and a verdict."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import NamedTuple

import numpy as np

from devexplore.sampling.chains import ChainTraces
from devexplore.sampling.curvature import Curvature, Ritz, slope_shift, stability
from devexplore.sampling.estimator import LLCEstimate, llc_from_traces
from devexplore.sampling.spec import LLCSpec
from devexplore.sampling.sweep import Setting
from devexplore.sampling.trust import VERDICT_WORDS, judge


class Verdict(NamedTuple):
    """Whether to believe one estimate."""

    code: int
    """0 trusted, 1 doubtful, 2 not an LLC."""
    reasons: tuple[str, ...]
    """In plain words with the numbers, the gravest first; empty where trusted."""

    def __str__(self) -> str:
        return ": ".join([VERDICT_WORDS[self.code], *(["; ".join(self.reasons)] if self.reasons else [])])


class LLCResult(NamedTuple):
    """One local learning coefficient, how it came about and whether to believe it."""

    traces: ChainTraces
    estimate: LLCEstimate
    checks: Mapping[str, float]
    """Every number that the verdict looks at (see ``trust``)."""
    verdict: Verdict


def result_of(
    traces: ChainTraces,
    spec: LLCSpec,
    *,
    n_samples: int,
    n_parameters: int,
    bends: Curvature | None,
    component: int,
    trivial: tuple[float | None, str],
) -> LLCResult:
    """The estimate of chains that were run at these settings, checked and judged.

    n_parameters: weights that moved. bends: curvature and slope at w*, with the row ``component``; None: not
    looked at. trivial: loss and name of a predictor that ignores its input.
    """
    n_beta = spec.n_beta_for(n_samples)
    estimate = llc_from_traces(
        traces.loss,
        traces.baseline,
        traces.status,
        n_beta=n_beta,
        distance=traces.distance,
        anchor_norm=traces.anchor_norm,
        localization=spec.localization,
        n_parameters=n_parameters,
        init_loss=traces.init_loss,
    )
    checks = {**estimate._asdict(), "n_parameters": float(n_parameters)}
    if bends is not None:
        checks |= _bent(bends, component, spec, n_beta)
    trivial_loss, trivial_name = trivial
    setting = Setting.of_attributes(
        {
            **asdict(replace(spec, n_beta=n_beta)),
            "n_parameters": n_parameters,
            "trivial_loss": trivial_loss,
            "trivial_name": trivial_name,
        }
    )
    judged = judge({name: np.array([value]) for name, value in checks.items()}, setting)
    return LLCResult(traces, estimate, checks, Verdict(int(judged.verdict[0]), judged.reasons[0]))


def _bent(bends: Curvature, component: int, spec: LLCSpec, n_beta: float) -> dict[str, float]:
    """What curvature and slope at w* say about chains at these settings."""
    row = slice(component, component + 1)
    plain = spec.sampler == "sgld"  # a preconditioned step has no one ε
    values, weights = bends.slope
    shift = slope_shift(
        Ritz(values[row], weights[row]),
        bends.gradient_norm[row],
        n_beta=n_beta,
        localization=spec.localization,
        step_size=spec.step_size if plain else None,
        burn_in=spec.burn_in,
        updates=spec.updates,
    )
    h_max = bends.h_max[row]
    step_size = spec.step_size if plain else float("nan")
    steady = stability(h_max, step_size=step_size, n_beta=n_beta, localization=spec.localization)
    return {
        "h_max": float(h_max[0]),
        "h_min": float(bends.h_min[component]),
        "stability": float(steady[0]),
        "slope_shift": float(shift.shift[0]),
        "unheld": float(shift.unheld[0]),
        "descent": float(bends.descent[component]),
    }
