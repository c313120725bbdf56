"""What another bandwidth would have found: the same as asking for it."""

import numpy as np
import pytest

from devexplore.analysis import essential_dynamics, find_forms
from devexplore.analysis.sensitivity import bandwidth_sensitivity

from .planted import random_walk, sharp_turns


@pytest.fixture(scope="module")
def planted():
    return sharp_turns(np.random.default_rng(4), forms=2, noise=0.002, count=100)


@pytest.fixture(scope="module")
def dynamics(planted):
    return essential_dynamics(planted.outputs)


@pytest.fixture(scope="module")
def sensitivity(dynamics):
    return bandwidth_sensitivity(dynamics)


def test_at_the_chosen_bandwidth_the_vertices_are_those_of_the_run(dynamics, sensitivity):
    here = sensitivity["vertex_bandwidth"].values == dynamics.attrs["bandwidth"]
    for name in ("vertex_step", "vertex_persistence", "vertex_support"):
        np.testing.assert_allclose(sensitivity[name].values[here], dynamics[name])
    assert sensitivity["vertex_plane"].values[here].tolist() == dynamics["vertex_plane"].values.tolist()


def test_at_each_bandwidth_the_agreeing_turns_are_those_of_a_user_who_declares_it(planted, sensitivity):
    for bandwidth in sensitivity["candidate"].values[[1, 6]]:
        declared = essential_dynamics(planted.outputs, bandwidth=float(bandwidth))
        found = find_forms(declared, max_p=1.0, n_surrogates=0)
        here = sensitivity["agreeing_bandwidth"].values == bandwidth
        np.testing.assert_allclose(
            np.sort(sensitivity["agreeing_step"].values[here]), np.sort(found["step"]), rtol=1e-6
        )


def test_planted_turns_are_found_at_every_bandwidth_that_predicts_well(planted, sensitivity):
    error = sensitivity["cross_validation"].values
    for bandwidth in sensitivity["candidate"].values[error < 1.5 * error.min()]:
        here = sensitivity["agreeing_bandwidth"].values == bandwidth
        for step in planted.step:
            off = np.abs(np.log(sensitivity["agreeing_step"].values[here] / step))
            assert off.min() < 0.1


def test_counts_are_those_of_the_lists(sensitivity):
    for name in ("vertex", "agreeing"):
        listed = [
            np.sum(sensitivity[f"{name}_bandwidth"].values == one) for one in sensitivity["candidate"].values
        ]
        assert sensitivity["n_vertices" if name == "vertex" else "n_agreeing"].values.tolist() == listed


def test_p_values_come_with_surrogates_only(dynamics, sensitivity):
    assert sensitivity["agreeing_p_value"].isnull().all()
    tested = bandwidth_sensitivity(dynamics, n_surrogates=3)
    assert set(tested["agreeing_p_value"].values.tolist()) <= {0.25, 0.5, 0.75, 1.0}


def test_a_run_of_four_checkpoints_has_nothing_to_show():
    few = essential_dynamics(random_walk(np.random.default_rng(2), 20, count=4))
    table = bandwidth_sensitivity(few)
    assert (table.sizes["vertex"], table.sizes["agreeing"]) == (0, 0)
    assert table.sizes["candidate"] == few.sizes["candidate"]
