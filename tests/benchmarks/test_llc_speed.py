"""How long SGLD chains take, beside devinterp 1.3.2 in the same process, one thread each side.

Run with ``pytest tests/benchmarks --benchmark-only``; times are reported, never asserted. What is asserted is
that both sides did the same work: the same chains' mean loss, within their errors.
"""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from devexplore.sampling import LLCSpec, estimate_llc

from .peers import PeerLLC, devinterp_llc, fast_loader, require_devinterp
from .problems import Problem, bundled, deep_linear_trajectory

pytestmark = pytest.mark.usefixtures("one_thread")

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


@pytest.mark.parametrize(("chains", "steps"), [(8, 600), (64, 300), (256, 150)])
@pytest.mark.parametrize("loader", ["usual loader", "fast loader"])
def test_300_parameter_network(race, report, trajectory, chains: int, steps: int, loader: str) -> None:
    """One checkpoint; the whole call, with the pass at w* over all data (devinterp: over a few batches)."""
    problem, _ = trajectory
    ours = replace(DEEP_LINEAR, chains=chains, draws=steps)
    theirs = replace(DEEP_LINEAR, chains=2, draws=200)
    loaders = {} if loader == "usual loader" else {"loader": fast_loader}
    times = race(
        lambda: estimate_llc(*problem, ours),
        lambda: devinterp_llc(*problem, theirs, **loaders),
        rounds=7,
        per=(chains * steps, 2 * 200),
    )
    report(
        f"300-parameter deep linear network, {chains} chains, per step and chain ({loader})",
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
    """40 checkpoints × 8 chains × 600 steps, to the end on both sides: nothing is extrapolated."""
    problem, weights = trajectory

    def ours() -> list:
        return [estimate_llc(*problem, DEEP_LINEAR, w_star=w_star) for w_star in weights]

    def theirs() -> list[PeerLLC]:
        found = []
        for w_star in weights:
            problem.model.load_state_dict(w_star)
            found.append(devinterp_llc(*problem, DEEP_LINEAR))
        return found

    times = race(ours, theirs, rounds=1, warmup_rounds=0)
    report(
        "whole trajectory: 40 checkpoints × 8 chains × 600 steps",
        seconds(np.median(times.ours)),
        seconds(np.median(times.theirs)),
        f"{times.ratio:.1f}",
    )


def test_sweep_grid(race, report, trajectory) -> None:
    """4 ε × 3 nβ × 3 γ at one checkpoint, 4 chains × 200 steps each."""
    problem, _ = trajectory
    base = replace(DEEP_LINEAR, chains=4, draws=200)
    grid = [
        replace(base, step_size=step_size, n_beta=n_beta, localization=localization)
        for step_size, n_beta, localization in product(
            (3e-5, 1e-4, 3e-4, 1e-3), (50, 200, 1000), (1, 10, 100)
        )
    ]
    times = race(
        lambda: [estimate_llc(*problem, spec) for spec in grid],
        lambda: [devinterp_llc(*problem, spec) for spec in grid],
        rounds=3,
        warmup_rounds=0,
    )
    report(
        f"sweep: {len(grid)} settings of (ε, nβ, γ) × 4 chains × 200 steps",
        seconds(np.median(times.ours)),
        seconds(np.median(times.theirs)),
        f"{times.ratio:.1f} ({times.spread})",
    )


def test_51k_regression_transformer(race, report) -> None:
    """Batch 256 on both sides; what one more step of one more chain costs, without the pass at w*."""
    problem, per = bundled("regression"), TRANSFORMER.chains * (TRANSFORMER.draws - 4)
    short = replace(TRANSFORMER, draws=4)
    times = race(
        lambda: estimate_llc(*problem, TRANSFORMER),
        lambda: devinterp_llc(*problem, TRANSFORMER),
        startup=(lambda: estimate_llc(*problem, short), lambda: devinterp_llc(*problem, short)),
        rounds=5,
        per=(per, per),
    )
    report(
        "51,717-parameter regression transformer, batch 256, per step and chain",
        seconds(np.median(times.ours)),
        seconds(np.median(times.theirs)),
        f"{times.ratio:.2f} ({times.spread})",
    )
