"""Random walks to look at: they are the surrogates of find_forms, at the run's size."""

import numpy as np
import pytest

from devexplore.analysis import essential_dynamics
from devexplore.analysis.null_walks import null_walks
from devexplore.errors import InvalidSpec
from devexplore.geometry import extent
from devexplore.stats.surrogates import WalkModel, draw_walk

from .planted import random_walk


@pytest.fixture(scope="module")
def dynamics():
    return essential_dynamics(random_walk(np.random.default_rng(0), 40, count=60))


def test_a_walk_is_the_surrogate_of_its_number_but_for_its_size(dynamics):
    walks = null_walks(dynamics, count=2, seed=5)
    model = WalkModel(
        dynamics["walk_step_variance"].values,
        dynamics["walk_noise_variance"].values,
        float(dynamics["walk_directions"]),
        float(dynamics["walk_noise_directions"]),
    )
    for k in range(2):
        drawn = draw_walk(model, 4, np.random.default_rng([5, k]))
        shown = walks["score"].isel(walk=k).values
        scale = np.linalg.norm(shown) / np.linalg.norm(drawn.scores)
        np.testing.assert_allclose(shown, scale * drawn.scores, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(walks["explained_variance_ratio"][k], drawn.explained_variance_ratio)


def test_curves_have_the_extent_of_the_runs_and_begin_and_end_with_it(dynamics):
    walks = null_walks(dynamics)
    across = extent(dynamics["curve_score"].values)
    for k in range(3):
        assert extent(walks["curve_score"].isel(walk=k).values) == pytest.approx(across)
    assert walks["curve_step"].values[0, [0, -1]] == pytest.approx(dynamics["step"].values[[0, -1]])


def test_a_declared_bandwidth_is_that_of_the_walks_too_and_else_each_has_its_own(dynamics):
    outputs = random_walk(np.random.default_rng(0), 40, count=60)
    declared = essential_dynamics(outputs, bandwidth=0.7)
    assert null_walks(declared)["bandwidth"].values.tolist() == [0.7] * 3
    assert np.isin(null_walks(dynamics)["bandwidth"], dynamics["candidate"]).all()


def test_arc_length_is_each_walks_own():
    outputs = random_walk(np.random.default_rng(1), 40, count=60)
    walks = null_walks(essential_dynamics(outputs, time="arc_length"), count=2)
    assert np.isfinite(walks["curve_score"]).all()
    assert not np.allclose(walks["curve_step"][0], walks["curve_step"][1])


def test_a_count_below_one_is_told(dynamics):
    with pytest.raises(InvalidSpec, match="at least 1 random walk"):
        null_walks(dynamics, count=0)
