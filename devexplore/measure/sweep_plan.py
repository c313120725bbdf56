"""What a calibration sweep runs: which checkpoints, which grid, and how long a walk fits into the time."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from devexplore.errors import InvalidSpec, NonFiniteWeights
from devexplore.measure.subject import Subject
from devexplore.sampling.engine import Engine
from devexplore.sampling.execution import Execution
from devexplore.sampling.spec import LLCSpec

STABILITIES: Final = (0.08, 0.2, 0.5, 1.25)
"""ε(nβ·h_max + γ) of the step sizes tried where none are given; SGLD is unstable from 4 on."""

THINNING: Final = 4

_CHECKPOINTS: Final = 4
_CONSIDERED: Final = 40
_LEARNED: Final = 0.75
_HELD_SHARES: Final = (1e-2, 1e-1, 1e-3)
_LENGTHS: Final = ((8, 6400), (8, 3200), (4, 3200), (4, 1600))
"""(chains, updates of each) from generous to sparing; then the grid gets thinner, then come the shortest."""
_SHORTEST: Final = ((3, 1600), (3, 800), (2, 800), (2, 400), (2, 200))
_FEWEST_VALUES: Final = {"stabilities": 3, "localizations": 2, "n_betas": 2, "steps": 2}
_TRIAL_ROWS: Final = 64
_TRIAL_UPDATES: Final = (16, 1024)
_TRIAL_SECONDS: Final = 4.0
"""A much shorter trial would mostly time what comes on top of the updates."""


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep runs. It is stored with the sweep, so that one cut short goes on as it was planned."""

    steps: tuple[int, ...]
    step_sizes: tuple[float, ...]
    """The step sizes tried at every (nβ, γ); empty: one for each of ``stabilities``."""
    stabilities: tuple[float, ...]
    n_betas: tuple[float, ...]
    localizations: tuple[float, ...]
    chains: int
    updates: int
    """Of each chain; the first half is burn-in."""
    h_max: float
    """The largest curvature found at these checkpoints."""
    seconds_per_update: float
    """Of one row."""

    def grid(self) -> Float[np.ndarray, "rung n_beta localization"]:
        """ε at each point: as given, or stability/(nβ·h_max + γ)."""
        n_beta, localization = np.array(self.n_betas)[:, None], np.array(self.localizations)
        if self.step_sizes:
            shape = (len(self.step_sizes), len(self.n_betas), len(self.localizations))
            return np.broadcast_to(np.array(self.step_sizes)[:, None, None], shape).copy()
        return np.array(self.stabilities)[:, None, None] / (n_beta * self.h_max + localization)

    @property
    def points(self) -> int:
        return self.grid().size

    @property
    def seconds(self) -> float:
        return len(self.steps) * self.points * self.chains * self.updates * self.seconds_per_update

    def spec(self, base: LLCSpec) -> LLCSpec:
        """The base settings with the plan's chains: half of the updates are burn-in."""
        draws = max(self.updates // 2 // THINNING, 4)
        burn_in = max(self.updates - draws * THINNING, 0)
        return replace(base, chains=self.chains, draws=draws, burn_in=burn_in, thinning=THINNING)

    def words(self) -> str:
        rungs = len(self.step_sizes or self.stabilities)
        steps = ", ".join(f"{step:,}" for step in self.steps)
        return (
            f"sweep at steps {steps}: {rungs} step sizes × nβ {_listed(self.n_betas)} × γ "
            f"{_listed(self.localizations)} = {self.points} points, {self.chains} chains of {self.updates:,} "
            f"updates at each, about {_duration(self.seconds)} (largest curvature {self.h_max:.3g})"
        )


def plan_sweep(
    subject: Subject,
    base: LLCSpec,
    steps: tuple[int, ...],
    asked: "dict[str, tuple[float, ...]]",
    *,
    seconds: float,
    execution: Execution,
    fixed_steps: bool,
) -> SweepPlan:
    """The most thorough plan that fits, by curvature and a short timing. Axes that were asked for stay whole.

    asked: step_sizes, n_betas and localizations; an empty one is chosen here.
    fixed_steps: whether the checkpoints were asked for, too.
    """
    weights = [snapshot(subject, step) for step in steps]
    h_max, roughly = _first_look(subject, base, weights, execution)
    n_betas, localizations = default_axes(
        h_max,
        n_beta=base.n_beta_for(len(subject.pool[0])),
        localization=base.localization,
        n=len(subject.pool[0]),
    )
    plan = SweepPlan(
        steps=steps,
        step_sizes=asked["step_sizes"],
        stabilities=() if asked["step_sizes"] else STABILITIES,
        n_betas=asked["n_betas"] or n_betas,
        localizations=asked["localizations"] or localizations,
        chains=_LENGTHS[0][0],
        updates=_LENGTHS[0][1],
        h_max=h_max,
        seconds_per_update=0.0,
    )
    plan = replace(plan, seconds_per_update=_time(subject, plan, base, weights[-1], execution, roughly))
    fixed = {name for name in ("n_betas", "localizations") if asked[name]}
    return fit(plan, seconds, fixed | ({"steps"} if fixed_steps else set()))


def fit(plan: SweepPlan, seconds: float, fixed: "set[str]") -> SweepPlan:
    """The first of ever smaller plans that takes at most ``seconds``, or the smallest.

    First walks get shorter, then the grid gets thinner (step sizes, γ, nβ; checkpoints, but for the last),
    then walks get shorter still.
    """
    for smaller in _ever_smaller(plan, fixed):
        plan = smaller
        if plan.seconds <= seconds:
            break
    return plan


def _ever_smaller(plan: SweepPlan, fixed: "set[str]") -> Iterator[SweepPlan]:
    for chains, updates in _LENGTHS:
        plan = replace(plan, chains=chains, updates=updates)
        yield plan
    for name, fewest in _FEWEST_VALUES.items():
        values = getattr(plan, name)
        while name not in fixed and len(values) > fewest:
            values = values[1:]  # small steps and weak pulls take the longest to settle
            plan = replace(plan, **{name: values})
            yield plan
    for chains, updates in _SHORTEST:
        plan = replace(plan, chains=chains, updates=updates)
        yield plan


def default_axes(
    h_max: float, *, n_beta: float, localization: float, n: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """nβ and γ to try around a system's defaults.

    nβ: the default, n/ln n if it is within a factor 30, and the default times √10, 10 and 1/√10, each at
    least a factor 2 from those before it. γ: the default, and those that hold all directions flatter than
    1/100, 1/10 and 1/1,000 of the steepest (γ = share·nβ·h_max), each at least a factor 3 from those before.
    """
    theory = n / math.log(n) if n > 2 else n_beta
    others = [theory] if n_beta / 30 <= theory <= n_beta * 30 else []
    n_betas = _apart([n_beta, *others, *(n_beta * math.sqrt(10) ** power for power in (1, 2, -1))], 2.0)
    steepest = n_beta * max(h_max, 0.0)
    localizations = _apart([localization, *(share * steepest for share in _HELD_SHARES)], 3.0)
    return n_betas, localizations


def _apart(candidates: Sequence[float], factor: float) -> tuple[float, ...]:
    """In increasing order and to three digits, those at least a factor from all taken before them. None is 0
    but the first.
    """
    taken: list[float] = []
    for value in candidates:
        rounded = float(f"{value:.3g}")
        far = all(other == 0 or not 1 / factor < rounded / other < factor for other in taken)
        if far and (rounded > 0 or not taken):
            taken.append(rounded)
    return tuple(sorted(taken))


def spanning_steps(subject: Subject) -> tuple[int, ...]:
    """Four checkpoints evenly on a logarithmic scale of steps, from the first at which three quarters of what
    training takes off the loss are gone, to the last.

    The loss is that of the pool's first samples at up to 40 checkpoints, of which those are left out whose
    weights or loss are not finite. All checkpoints, where there are four or fewer.
    """
    steps = [int(step) for step in subject.run.checkpoints.steps]
    if len(steps) <= _CHECKPOINTS:
        return tuple(steps)
    looked_at = {step: _loss(subject, step) for step in _log_spaced(steps, 0, _CONSIDERED)}
    finite = [step for step, loss in looked_at.items() if math.isfinite(loss)]
    if not finite:
        raise InvalidSpec(
            "the loss is not finite at any checkpoint, so that there is nothing to calibrate on"
        )
    losses = np.array([looked_at[step] for step in finite])
    learned = losses[0] - losses >= _LEARNED * (losses[0] - losses.min())
    return tuple(_log_spaced(finite, finite[int(np.argmax(learned))], _CHECKPOINTS))


def _log_spaced(steps: Sequence[int], first: int, count: int) -> list[int]:
    """``count`` of the steps from ``first`` on (or all), nearest to even spacing in ln(1 + step)."""
    left = [step for step in steps if step >= first]
    place = np.log1p(np.array(left, dtype=float))
    taken: list[int] = []
    for target in np.linspace(place[0], place[-1], min(count, len(left))):
        nearest = sorted(range(len(left)), key=lambda i: abs(place[i] - target))
        taken.append(next(left[i] for i in nearest if left[i] not in taken))
    return sorted(taken)


def _loss(subject: Subject, step: int) -> float:
    try:
        model = subject.load(step)
    except NonFiniteWeights:
        return math.inf  # no chain can start there
    some = tuple(tensor[: subject.system.eval_batch] for tensor in subject.pool)
    with torch.no_grad():
        return float(subject.system.per_sample_loss(model, some).mean())


def snapshot(subject: Subject, step: int) -> dict[str, Tensor]:
    """The weights of one checkpoint, apart from the subject's network."""
    return {name: tensor.clone() for name, tensor in subject.load(step).state_dict().items()}


def engine(subject: Subject, spec: LLCSpec, execution: Execution, *, curvature: bool = True) -> Engine:
    return subject.new_engine(spec, execution, look_at_curvature=curvature)


def _first_look(
    subject: Subject, base: LLCSpec, weights: Sequence[dict[str, Tensor]], execution: Execution
) -> tuple[float, float]:
    """The largest Hessian eigenvalue over the checkpoints, and roughly the seconds of a row's update."""
    briefly = replace(base, chains=1, draws=4, burn_in=0, thinning=1, sampler="sgld")
    ready = engine(subject, briefly, execution)
    found = [result.checks["h_max"] for result in ready.run(weights)]
    h_max = max((value for value in found if math.isfinite(value)), default=float("nan"))
    if not h_max > 0:
        raise InvalidSpec(
            f"no upward curvature at these checkpoints (largest eigenvalue {h_max:.3g}), so that no step "
            "size follows; choose later checkpoints"
        )
    return h_max, ready.plan(weights[0], len(weights)).seconds


def _time(
    subject: Subject,
    plan: SweepPlan,
    base: LLCSpec,
    weights: dict[str, Tensor],
    execution: Execution,
    roughly: float,
) -> float:
    """Seconds of one update of one row beside 63 others; ``roughly`` is that of one with few beside it."""
    chains = 4
    updates = int(np.clip(_TRIAL_SECONDS / (_TRIAL_ROWS * roughly), *_TRIAL_UPDATES))
    trial = replace(base, chains=chains, draws=updates, burn_in=0, thinning=1, sampler="sgld")
    ready = engine(subject, trial, execution, curvature=False)
    points = grid_specs(plan, trial)[: _TRIAL_ROWS // chains]
    ready.plan(weights, len(points) * chains)
    baselines = [ready.baseline(weights)]
    begin = time.perf_counter()
    ready.run([weights], grid=points, baselines=baselines)
    return (time.perf_counter() - begin) / (len(points) * chains * updates)


def grid_specs(plan: SweepPlan, spec: LLCSpec) -> list[LLCSpec]:
    """One spec a grid point, in the order of ``plan.grid()``."""
    step_size = plan.grid()
    return [
        replace(
            spec,
            step_size=float(step_size[place]),
            n_beta=plan.n_betas[place[1]],
            localization=plan.localizations[place[2]],
        )
        for place in np.ndindex(step_size.shape)
    ]


def _listed(values: Sequence[float]) -> str:
    return "/".join(f"{value:.3g}" for value in values)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
