"""The change of λ̂ between checkpoints, with the error of paired chains."""

import numpy as np
import pytest
import xarray as xr

from devexplore.analysis.llc_change import llc_change
from devexplore.errors import InvalidSpec


def chains(seed: int, shared: float, *, n_beta: float = 50.0) -> xr.Dataset:
    """Two checkpoints whose λ̂ are 5 and 6; a share of the noise is common to both; correlated along draws."""
    rng = np.random.default_rng(seed)
    white = rng.standard_normal((3, 4, 200))
    noise = np.zeros_like(white)
    for draw in range(1, 200):
        noise[..., draw] = 0.7 * noise[..., draw - 1] + white[..., draw]
    common, own = noise[:1], noise[1:]
    excess = np.array([5.0, 6.0])[:, None, None] + np.sqrt(shared) * common + np.sqrt(1 - shared) * own
    baseline = rng.uniform(1, 2, excess.shape)
    return xr.Dataset(
        {
            "loss": (("step", "chain", "draw"), baseline + excess / n_beta),
            "baseline": (("step", "chain", "draw"), baseline),
            "status": (("step", "chain"), np.zeros((2, 4), dtype=np.int8)),
        },
        coords={"step": [100, 200]},
        attrs={"n_beta": n_beta, "shared_noise": 1},
    )


@pytest.mark.parametrize("shared", [0.0, 0.95])
def test_the_quoted_error_equals_the_scatter_over_seeds(shared: float) -> None:
    found = [llc_change(chains(seed, shared), 100, 200) for seed in range(120)]
    scatter = np.std([one.change for one in found], ddof=1)
    quoted = np.sqrt(np.mean([one.standard_error**2 for one in found]))
    assert 0.8 < quoted / scatter < 1.35
    assert np.mean([one.change for one in found]) == pytest.approx(1.0, abs=4 * scatter / np.sqrt(120))


def test_common_noise_makes_the_paired_error_smaller_by_what_is_common() -> None:
    found = [llc_change(chains(seed, 0.95), 100, 200) for seed in range(40)]
    ratio = np.mean([one.unpaired_error / one.standard_error for one in found])
    assert ratio == pytest.approx(1 / np.sqrt(0.05), rel=0.25)


def test_a_chain_that_diverged_at_one_step_is_left_out_of_both() -> None:
    whole = chains(0, 0.5)
    broken = whole.copy(deep=True)
    broken["status"][1, 2] = 1
    broken["loss"][1, 2, 50:] = np.nan
    expected = llc_change(whole.isel(chain=[0, 1, 3]), 100, 200)
    assert llc_change(broken, 100, 200) == pytest.approx(expected)


def test_steps_without_chains_and_independent_chains_are_refused() -> None:
    held = chains(0, 0.5)
    with pytest.raises(InvalidSpec, match="no chains at step 150"):
        llc_change(held, 100, 150)
    with pytest.raises(InvalidSpec, match="shared_noise=False"):
        llc_change(held.assign_attrs(shared_noise=0), 100, 200)
    held["status"][0] = 1
    with pytest.raises(InvalidSpec, match="every chain diverged"):
        llc_change(held, 100, 200)
