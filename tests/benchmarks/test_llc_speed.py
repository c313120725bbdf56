"""How long SGLD chains take, beside devinterp 1.3.2 in the same process, one thread each side.

Run with ``pytest tests/benchmarks --benchmark-only``; times are reported, never asserted. What is asserted is
that both sides did the same work: the same chains' mean loss, within their errors.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from time import process_time

import numpy as np
import pytest

from devexplore.sampling import Execution, LLCSpec, estimate_llc, estimate_llcs
from devexplore.sampling.engine import Engine

from .peers import devinterp_llc, fast_loader, require_devinterp, usual_loader
from .problems import Problem, bundled, deep_linear_trajectory

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.benchmark(timer=process_time)]

DEEP_LINEAR = LLCSpec(
    step_size=1e-4, n_beta=200, localization=1, batch_size=128, chains=8, draws=600, burn_in=0
)
TRANSFORMER = LLCSpec(
    step_size=1e-5, n_beta=1000, localization=1000, batch_size=256, chains=2, draws=40, burn_in=0
)


@pytest.fixture(scope="module", autouse=True)
def _peer() -> None:
    require_devinterp("1.3.2", "benchmark")


@pytest.fixture(scope="module")
def trajectory() -> tuple[Problem, list]:
    return deep_linear_trajectory(40)


def seconds(value: float) -> str:
    """A time with a unit that suits it."""
    for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g} s"


@pytest.mark.parametrize("chains", [8, 64, 256])
@pytest.mark.parametrize("loader", [usual_loader, fast_loader])
def test_300_parameter_network(race, report, trajectory, chains: int, loader: Callable) -> None:
    """What one more step of one more chain costs, without what comes before the first."""
    problem, _ = trajectory
    steps, few = 19_200 // chains, replace(DEEP_LINEAR, chains=2)
    engine = Engine(*problem, replace(DEEP_LINEAR, chains=chains, draws=steps), look_at_curvature=False)
    baseline = engine.baseline(None)  # shared by all rounds, as is the plan
    times = race(
        lambda: engine.run([None], baselines=[baseline]),
        lambda: devinterp_llc(*problem, replace(few, draws=204), loader=loader),
        startup=(lambda: None, lambda: devinterp_llc(*problem, replace(few, draws=4), loader=loader)),
        rounds=5,
        per=(chains * steps, 2 * 200),
    )
    report(
        f"300-parameter deep linear network, {chains} chains, per step and chain "
        f"({loader.__name__.replace('_', ' ')})",
        seconds(np.median(times.ours)),
        seconds(np.median(times.theirs)),
        f"{times.ratio:.1f} ({times.spread})",
    )


def test_whole_call(race, report, trajectory) -> None:
    """One checkpoint, 8 chains × 600 steps, from the call to the verdict."""
    problem, _ = trajectory
    times = race(
        lambda: estimate_llc(*problem, DEEP_LINEAR), lambda: devinterp_llc(*problem, DEEP_LINEAR), rounds=5
    )
    report(
        "same, whole call: 8 chains × 600 steps and every check",
        seconds(np.median(times.ours)),
        seconds(np.median(times.theirs)),
        f"{times.ratio:.1f} ({times.spread})",
    )


def test_both_walk_the_same_chains_in_law(benchmark, trajectory) -> None:
    """Mean batch loss over draws, ours and theirs, from 16 chains each: equal within four standard errors."""
    problem, _ = trajectory
    spec = replace(DEEP_LINEAR, chains=16)
    ours = benchmark.pedantic(lambda: estimate_llc(*problem, spec), rounds=1).traces.loss.mean(axis=1)
    theirs = devinterp_llc(*problem, spec, loader=fast_loader).loss.mean(axis=1)
    error = np.hypot(ours.std(ddof=1), theirs.std(ddof=1)) / 4
    excess = ours.mean() - estimate_llc(*problem, replace(spec, draws=4)).traces.init_loss
    assert error < 0.1 * excess
    assert abs(ours.mean() - theirs.mean()) < 4 * error


def test_whole_trajectory(race, report, trajectory) -> None:
    """40 checkpoints × 8 chains × 600 steps, to the end on both sides: nothing is extrapolated.

    Ours runs whole after every tenth checkpoint of theirs, so that both see the same machine.
    """
    problem, weights = trajectory
    parts = iter([weights[first : first + 10] for first in range(0, 40, 10)])

    def theirs() -> None:
        for w_star in next(parts):
            problem.model.load_state_dict(w_star)
            devinterp_llc(*problem, DEEP_LINEAR)

    times = race(lambda: estimate_llcs(*problem, DEEP_LINEAR, weights), theirs, rounds=4, warmup_rounds=0)
    ours, whole = np.median(times.ours), sum(times.theirs)
    report(
        "whole trajectory: 40 checkpoints × 8 chains × 600 steps",
        seconds(ours),
        seconds(whole),
        f"{whole / ours:.1f}",
    )


def test_sweep_grid(race, report, trajectory) -> None:
    """4 ε × 3 nβ × 3 γ at one checkpoint, 4 chains × 200 steps each. None diverges: that ends the peer."""
    problem, weights = trajectory
    base = replace(DEEP_LINEAR, chains=4, draws=200)
    grid = [
        replace(base, step_size=step_size, n_beta=n_beta, localization=localization)
        for step_size, n_beta, localization in product(
            (1e-5, 3e-5, 1e-4, 3e-4), (50, 200, 1000), (1, 10, 100)
        )
    ]
    times = race(
        lambda: estimate_llcs(*problem, base, weights[-1:], grid=grid),
        lambda: [devinterp_llc(*problem, spec) for spec in grid],
        rounds=1,
        warmup_rounds=0,
    )
    report(
        f"sweep: {len(grid)} settings of (ε, nβ, γ) × 4 chains × 200 steps",
        seconds(np.median(times.ours)),
        seconds(np.median(times.theirs)),
        f"{times.ratio:.1f}",
    )


@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")  # torch.compile's own imports
@pytest.mark.parametrize("path", ["auto", "compiled"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_51k_regression_transformer(race, report, precision: str, path: str) -> None:
    """Batch 256 on both sides; what one more step of one more chain costs, without what comes before it."""
    if path == "compiled" and shutil.which("c++") is None:
        pytest.skip("torch.compile needs a C++ compiler")
    problem = bundled("regression")
    spec = replace(TRANSFORMER, precision=precision)
    engine = Engine(*problem, spec, look_at_curvature=False, execution=Execution(path=path))
    baseline = engine.baseline(None)  # shared by all rounds, as are the plan and what torch.compile made
    times = race(
        lambda: engine.run([None], baselines=[baseline]),
        lambda: devinterp_llc(*problem, TRANSFORMER),
        startup=(lambda: None, lambda: devinterp_llc(*problem, replace(TRANSFORMER, draws=4))),
        rounds=5,
        per=(spec.chains * spec.draws, TRANSFORMER.chains * (TRANSFORMER.draws - 4)),
    )
    report(
        "51,717-parameter regression transformer, batch 256, per step and chain "
        f"({precision}{', compiled' if path == 'compiled' else ''})",
        seconds(np.median(times.ours)),
        seconds(np.median(times.theirs)),
        f"{times.ratio:.2f} ({times.spread})",
    )
