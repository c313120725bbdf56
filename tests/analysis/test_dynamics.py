"""Essential dynamics of planted trajectories, through float16, blocks and uneven steps."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from devexplore.analysis import essential_dynamics
from devexplore.analysis.function_gram import feature_blocks
from devexplore.errors import InvalidSpec, NotMeasured, SchemaError
from devexplore.stats import affine_weights

STEPS = np.unique(np.concatenate([[0], np.geomspace(1, 14_000, 80), np.linspace(0, 14_000, 60)]).astype(int))


def outputs(curve: np.ndarray, steps: np.ndarray = STEPS, noise: float = 0.0, seed: int = 0) -> xr.DataArray:
    """A curve in a few dimensions, turned into outputs of shape (step, sequence 6, position 10, vocab 5)."""
    rng = np.random.default_rng(seed)
    frame = np.linalg.qr(rng.normal(size=(300, curve.shape[1])))[0]
    values = 5 + curve @ frame.T + noise * rng.normal(size=(len(steps), 300))
    return xr.DataArray(
        values.reshape(len(steps), 6, 10, 5),
        dims=("step", "sequence", "position", "vocab"),
        coords={"step": steps},
        name="output",
        attrs={"kind": "log_probs"},
    )


def ellipse(steps: np.ndarray = STEPS) -> np.ndarray:
    """An ellipse with axes 20 and 10 traversed in log time: from angle .4, a bit more than once round."""
    angle = 0.4 + 1.05 * 2 * np.pi * np.log1p(steps) / np.log1p(steps[-1])
    return np.stack([20 * np.cos(angle), 10 * np.sin(angle)], axis=1)


def test_scores_equal_the_svd_and_the_last_is_not_negative() -> None:
    output = outputs(ellipse(), noise=0.1)
    ed = essential_dynamics(output, n_components=3)
    flat = output.values.reshape(len(STEPS), -1)
    left, size, _ = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    truth = (left * size * np.where(left[-1] < 0, -1, 1))[:, :3]
    np.testing.assert_allclose(ed.score.values, truth, atol=1e-6 * size[0])
    np.testing.assert_allclose(ed.explained_variance_ratio, (size**2 / np.sum(size**2))[:3], rtol=1e-6)


def test_a_planted_ellipse_has_its_cusps_at_the_planted_steps() -> None:
    ed = essential_dynamics(outputs(ellipse(), noise=0.02), n_components=2)
    angle = 0.4 + 1.05 * 2 * np.pi * np.log1p(ed.vertex_step.values) / np.log1p(14_000)
    np.testing.assert_allclose(angle, np.pi / 2 * np.arange(1, 5), atol=0.1)
    # In score space the ellipse is turned and shifted, so compare lengths: (a²−b²)/a and (a²−b²)/b.
    middle = ed.cusp.mean("vertex")
    distance = np.linalg.norm(ed.cusp - middle, axis=1)
    np.testing.assert_allclose(np.sort(distance), [15, 15, 30, 30], rtol=0.1)


def test_circles_of_a_planted_circle_are_it_in_the_plane_and_in_space() -> None:
    angle = 0.5 * np.log1p(STEPS)
    ed = essential_dynamics(outputs(7 * np.stack([np.cos(angle), np.sin(angle)], axis=1)), n_components=2)
    # Steps 0, 1, 2 … lie far apart in log time, where the bandwidth widens: look at the rest.
    # The acceleration of a local cubic errs by a share of order (angular speed × bandwidth)².
    dense = ed.sel(step=slice(5, None))
    tolerance = (0.5 * ed.attrs["bandwidth"]) ** 2
    assert tolerance < 0.04
    np.testing.assert_allclose(dense.radius.values, 7, rtol=tolerance)
    np.testing.assert_allclose(dense.space_radius.values, 7, rtol=tolerance)
    assert float(np.ptp(dense.center.values, axis=0).max()) < 2 * 7 * tolerance
    assert ed.sizes["vertex"] == 0


def test_noise_in_the_weak_components_makes_no_crowd_of_vertices() -> None:
    for seed in range(8):
        ed = essential_dynamics(outputs(ellipse(), noise=0.1, seed=seed))
        assert (ed.vertex_plane == "PC1–PC2").sum() == 4
        assert ed.sizes["vertex"] < 30  # in six planes; without the test of significance there are about 60


def test_a_run_of_straight_outputs_has_infinite_radius_and_no_vertex() -> None:
    line = np.outer(np.log1p(STEPS), [2.0])
    ed = essential_dynamics(outputs(line), n_components=2)
    assert ed.explained_variance_ratio[0] == pytest.approx(1)
    assert np.isinf(ed.radius).all()
    assert ed.sizes["vertex"] == 0


def test_float16_and_many_blocks_change_nothing_but_rounding() -> None:
    output = outputs(ellipse(), noise=0.1)
    plain = essential_dynamics(output)
    half = essential_dynamics(output.astype(np.float16), n_components=2)
    np.testing.assert_allclose(half.score, plain.score[:, :2], atol=0.1)
    blocks = list(feature_blocks(output, block_bytes=output.nbytes // 4))
    assert len(blocks) > 3
    assert max(block.nbytes for block in blocks) <= output.nbytes // 4
    np.testing.assert_array_equal(
        np.sort(np.concatenate(blocks, axis=1), axis=None), np.sort(output.values, axis=None)
    )


def test_weights_bring_back_every_checkpoint() -> None:
    output = outputs(ellipse())
    ed = essential_dynamics(output, n_components=2)
    alpha = affine_weights(ed.weights.values, ed.score.values)
    flat = output.values.reshape(len(STEPS), -1)
    np.testing.assert_allclose(alpha @ flat, flat, atol=1e-6)


@pytest.mark.parametrize("time", ["log_step", "step", "index", "arc_length"])
def test_every_time_coordinate_keeps_steps_within_the_run_and_declares_itself(time) -> None:
    ed = essential_dynamics(outputs(ellipse(), noise=0.1), time=time)
    assert ed.attrs["time"] == time
    assert ed.attrs["bandwidth"] > 0
    assert "bandwidth" in ed.attrs["smoothing"]
    for step in (ed.curve_step, ed.vertex_step):
        assert (step >= 0).all()
        assert (step <= 14_000).all()
    assert (np.diff(ed.curve_step) >= 0).all()
    np.testing.assert_allclose(ed.curve_score[0], ed.smooth_score[0], atol=1e-6)
    np.testing.assert_allclose(ed.curve_score[-1], ed.smooth_score[-1], atol=1e-6)


@pytest.mark.parametrize(("count", "components", "planes"), [(2, 1, 0), (3, 2, 1), (4, 3, 3), (5, 4, 6)])
def test_few_checkpoints_give_fewer_components_and_no_error(count, components, planes) -> None:
    steps = STEPS[:: len(STEPS) // count][:count]
    ed = essential_dynamics(outputs(np.random.default_rng(0).normal(size=(count, 6)), steps))
    assert (ed.sizes["component"], ed.sizes["plane"]) == (components, planes)
    assert ed.sizes["vertex"] == 0 or count >= 5
    assert np.isfinite(ed.smooth_score).all()


def test_checkpoints_that_are_all_alike_give_zero_scores() -> None:
    for time in ("log_step", "arc_length"):
        ed = essential_dynamics(outputs(np.zeros((len(STEPS), 2))), n_components=2, time=time)
        assert (ed.score == 0).all()
        assert ed.sizes["vertex"] == 0


def test_a_run_gives_the_kind_asked_for_or_the_first_it_has_and_without_outputs_says_how_to_get_them() -> (
    None
):
    held = {
        f"outputs/{kind}": outputs(ellipse()).to_dataset() for kind in ("true_token_logit", "predictions")
    }
    run = SimpleNamespace(
        name="planted",
        path="planted",
        has=held.__contains__,
        dataset=held.__getitem__,
        remedy="devexplore measure planted --only {}".format,
    )
    assert essential_dynamics(run).attrs["output_kind"] == "predictions"
    assert essential_dynamics(run, kind="true_token_logit").attrs["output_kind"] == "true_token_logit"
    with pytest.raises(NotMeasured, match="devexplore measure planted"):
        essential_dynamics(run, kind="logits")


def test_unsorted_checkpoints_are_sorted_and_repeated_ones_refused() -> None:
    output = outputs(ellipse())
    shuffled = essential_dynamics(output.isel(step=slice(None, None, -1)), n_components=2)
    np.testing.assert_allclose(shuffled.score, essential_dynamics(output, n_components=2).score, atol=1e-9)
    with pytest.raises(InvalidSpec, match="once"):
        essential_dynamics(xr.concat([output, output], "step"))


def test_errors_say_what_to_do() -> None:
    output = outputs(ellipse())
    with pytest.raises(NotMeasured, match="at least two"):
        essential_dynamics(output[:1])
    with pytest.raises(InvalidSpec, match="log_step"):
        essential_dynamics(output, time="epoch")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidSpec, match="bandwidth"):
        essential_dynamics(output, bandwidth=-1.0)
    with pytest.raises(InvalidSpec, match="n_components"):
        essential_dynamics(output, n_components=0)
    broken = output.copy(
        data=np.where(output["step"].values[:, None, None, None] == 0, np.nan, output.values)
    )
    with pytest.raises(SchemaError, match=r"rows \[0\]"):
        essential_dynamics(broken)


@pytest.mark.slow
def test_the_intervals_of_vertices_hold_the_truth_nine_times_in_ten() -> None:
    held, total, support = 0, 0, []
    for seed in range(60):
        ed = essential_dynamics(outputs(ellipse(), noise=0.3, seed=seed), n_components=2)
        angle = 0.4 + 1.05 * 2 * np.pi * np.log1p(
            np.stack([ed.vertex_step_low, ed.vertex_step_high])
        ) / np.log1p(14_000)
        for truth in np.pi / 2 * np.arange(2, 5):  # the first lies where checkpoints are sparse
            near = np.flatnonzero(np.abs(angle.mean(axis=0) - truth) < np.pi / 4)
            total += 1
            held += any(angle[0, i] <= truth <= angle[1, i] for i in near)
        support.append(float(ed.vertex_support.mean()))
    assert 0.8 <= held / total <= 0.97, held / total
    assert np.mean(support) > 0.8
