"""How far λ̂ scatters over seeds, what each side says about it, and what an error bar of one size costs.

Scatters are those of repeated runs, never the quoted ones. A scatter over n seeds is itself known to
1/√(2(n − 1)): 18 % for 16 seeds, 9 % for 64.
"""

from dataclasses import replace
from time import process_time

import numpy as np
import pytest

from devexplore.sampling import LLCResult, LLCSpec, estimate_llc

from .peers import devinterp_llc, fast_loader, require_devinterp
from .problems import bundled, reduced_rank

pytestmark = pytest.mark.usefixtures("one_thread")

THEORY = 19.5
REDUCED_RANK = LLCSpec(
    step_size=3e-4, n_beta=200, localization=1, batch_size=128, chains=8, draws=1000, burn_in=500
)
TRANSFORMER = LLCSpec(
    step_size=1e-5, n_beta=1000, localization=1000, batch_size=256, chains=1, draws=150, burn_in=100
)


@pytest.fixture(scope="module", autouse=True)
def _peer() -> None:
    require_devinterp("1.3.2", "benchmark")


def test_scatter_over_seeds_and_quoted_errors_on_reduced_rank_regression(benchmark, report) -> None:
    """λ = 19.5 (Aoyagi & Watanabe 2005); method and settings equal, 8 chains × 1,500 steps a seed."""
    problem = reduced_rank()

    def ours() -> list:
        return [estimate_llc(*problem, replace(REDUCED_RANK, seed=seed)) for seed in range(64)]

    found = benchmark.pedantic(ours, rounds=1)
    init_loss = found[0].traces.init_loss
    theirs = [
        devinterp_llc(*problem, replace(REDUCED_RANK, seed=seed), loader=fast_loader) for seed in range(16)
    ]

    our_llc = np.array([result.estimate.llc for result in found])
    their_llc = np.array([result.llc for result in theirs])
    mended = np.array([REDUCED_RANK.n_beta * (result.loss.mean() - init_loss) for result in theirs])
    benchmark.extra_info |= {
        "ours": our_llc.tolist(),
        "theirs": their_llc.tolist(),
        "mended": mended.tolist(),
    }
    our_scatter, their_scatter = our_llc[:16].std(ddof=1), their_llc.std(ddof=1)
    our_quoted = np.sqrt(np.mean([result.estimate.llc_se**2 for result in found])) / our_llc.std(ddof=1)
    their_quoted = np.sqrt(np.mean([result.std**2 for result in theirs])) / their_scatter
    report(
        "reduced rank 8-4-8, λ = 19.5, nβ = 200: range of λ̂ over 16 seeds",
        f"{our_llc[:16].min():.1f} … {our_llc[:16].max():.1f}",
        f"{their_llc.min():.1f} … {their_llc.max():.1f}",
        "",
    )
    report(
        "same, scatter (standard deviation) over 16 seeds",
        f"{our_scatter:.2f}",
        f"{their_scatter:.1f}; its traces with L(w*) of all data: {mended.std(ddof=1):.2f}",
        f"{their_scatter / our_scatter:.0f}",
    )
    report(
        "same, quoted error ÷ true scatter",
        f"{our_quoted:.2f} (64 seeds)",
        f"{their_quoted:.2f} (its std over chains; ÷ √8: {their_quoted / 8**0.5:.3f})",
        "",
    )
    assert abs(our_llc.mean() - mended.mean()) < 4 * np.hypot(our_llc.std(ddof=1) / 8, mended.std(ddof=1) / 4)
    assert abs(our_llc.mean() - THEORY) < 0.1 * THEORY
    assert our_scatter < 0.1 * their_scatter
    assert 0.7 < our_quoted < 1.3


def test_time_to_equal_error_on_the_regression_transformer(benchmark, report) -> None:
    """64 of our chains at batch 32, the whole call, beside 16 of devinterp's at batch 256.

    Chains are independent: a standard error e costs time ∝ 1/e², so the ratio of time × e² is that of times
    to equal error. nβ stands apart from the batch size, so both sample the same posterior.
    """
    problem = bundled("regression")
    spec = replace(TRANSFORMER, batch_size=32, chains=64)

    def whole_call() -> tuple[float, LLCResult]:
        start = process_time()
        result = estimate_llc(*problem, spec)
        return process_time() - start, result

    our_seconds, found = benchmark.pedantic(whole_call, rounds=1)
    start = process_time()
    theirs = [devinterp_llc(*problem, replace(TRANSFORMER, seed=seed)) for seed in range(16)]
    their_seconds = process_time() - start

    our_llc = spec.n_beta * (found.traces.loss - found.traces.baseline).mean(axis=1)
    their_llc = np.array([result.llc for result in theirs])
    mended = spec.n_beta * (np.array([result.loss.mean() for result in theirs]) - found.traces.init_loss)
    ours, raw, given = ((x.mean(), x.std(ddof=1) / len(x) ** 0.5) for x in (our_llc, their_llc, mended))
    benchmark.extra_info |= {
        "ours": our_llc.tolist(),
        "theirs": their_llc.tolist(),
        "mended": mended.tolist(),
        "seconds": [our_seconds, their_seconds],
    }
    for name, (llc, error) in (("as it is", raw), ("given L(w*) of all data", given)):
        ratio = their_seconds * error**2 / (our_seconds * ours[1] ** 2)
        report(
            f"51k regression transformer, time to equal standard error, devinterp {name}",
            f"{our_seconds:.3g} s for {ours[0]:.1f} ± {ours[1]:.2g}",
            f"{their_seconds:.3g} s for {llc:.1f} ± {error:.2g}",
            f"{ratio:.2g}",
        )
    assert abs(ours[0] - given[0]) < 4 * np.hypot(ours[1], given[1])
