"""Joint PCA of planted runs: halves make the whole, and projected predictors say how far off they lie."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from devexplore.analysis import essential_dynamics, joint_dynamics
from devexplore.errors import InvalidSpec, NotMeasured, SchemaError
from devexplore.stats import affine_weights

STEPS = np.array([0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000])
FEATURES = (6, 5, 4)
DIMS = ("sequence", "position", "vocab")


def curve(seed: int = 0, steps: np.ndarray = STEPS) -> np.ndarray:
    """A random smooth path in the 120 features, about an offset."""
    rng = np.random.default_rng(seed)
    time = np.log1p(steps)[:, None] / 8
    waves = np.cos(np.pi * time * np.arange(1, 7)) * [20, 10, 5, 3, 2, 1]
    return 5 + waves @ rng.normal(size=(6, 120))


def planted(values, name="a", steps=STEPS, references=None, probe=0, **attrs):
    """A run that holds these outputs, and predictors, on a probe with this number."""
    output = xr.DataArray(
        values.reshape(-1, *FEATURES),
        dims=("step", *DIMS),
        coords={"step": steps},
        attrs={"kind": "log_probs"},
    )
    held = {
        "outputs/log_probs": output.to_dataset(name="output"),
        "probe": xr.Dataset({"token_id": (("sequence", "position"), np.full((6, 5), probe))}),
    }
    if references is not None:
        stacked = np.stack([np.reshape(value, FEATURES) for value in references.values()])
        held["references/log_probs"] = xr.Dataset(
            {"output": (("predictor", *DIMS), stacked)}, {"predictor": list(references)}, attrs
        )
    return SimpleNamespace(
        name=name, path=name, has=held.__contains__, dataset=held.__getitem__, probe_id=f"p{probe}", held=held
    )


def test_one_run_has_the_scores_of_its_own_essential_dynamics():
    run = planted(curve())
    joint, own = joint_dynamics([run]), essential_dynamics(run)
    np.testing.assert_allclose(joint["score"], own["score"], atol=1e-9)
    np.testing.assert_allclose(joint["weights"], own["weights"], atol=1e-9)
    np.testing.assert_allclose(joint["explained_variance_ratio"], own["explained_variance_ratio"])
    assert joint["step"].values.tolist() == STEPS.tolist()
    xr.testing.assert_identical(joint_dynamics(run), joint)


def test_a_run_joined_with_itself_is_itself_with_each_point_twice():
    run = planted(curve())
    joint, own = joint_dynamics([run, run]), essential_dynamics(run)
    np.testing.assert_allclose(joint["score"], np.tile(own["score"], (2, 1)), atol=1e-7)
    np.testing.assert_allclose(joint["explained_variance_ratio"], own["explained_variance_ratio"])
    assert list(dict.fromkeys(joint["run"].values)) == ["a", "a (2)"]


@settings(max_examples=15)
@given(st.integers(0, 500), st.integers(2, 10))
def test_two_halves_of_a_run_are_the_run(seed, cut):
    values = curve(seed)
    halves = [planted(values[:cut], "a", STEPS[:cut]), planted(values[cut:], "b", STEPS[cut:])]
    joint, own = joint_dynamics(halves), essential_dynamics(planted(values))
    np.testing.assert_allclose(joint["score"], own["score"], atol=1e-7)
    assert joint["run"].values.tolist() == ["a"] * cut + ["b"] * (12 - cut)


@settings(max_examples=15)
@given(st.integers(0, 500))
def test_turning_and_shifting_function_space_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    turn, shift = np.linalg.qr(rng.normal(size=(120, 120)))[0], rng.normal(size=120)
    ideal = 10 * rng.normal(size=120)
    first, second = curve(seed), curve(seed + 1)
    before = joint_dynamics([planted(first, references={"ideal": ideal}), planted(second, "b")])
    after = joint_dynamics(
        [
            planted(first @ turn + shift, references={"ideal": ideal @ turn + shift}),
            planted(second @ turn + shift, "b"),
        ]
    )
    for name in ("score", "predictor_score", "predictor_residual_share", "nearest_distance"):
        np.testing.assert_allclose(after[name], before[name], atol=1e-6, err_msg=name)


def test_a_predictor_equal_to_a_checkpoint_falls_on_it_and_moves_nothing():
    values = curve()
    run = planted(values, references={"ideal": values[7]})
    joint, alone = joint_dynamics([run]), joint_dynamics([run], references=False)
    np.testing.assert_allclose(joint["predictor_score"][0], joint["score"][7], atol=1e-9)
    assert (joint["nearest_run"].item(), joint["nearest_step"].item()) == ("a", STEPS[7])
    assert float(joint["nearest_distance"][0]) < 1e-5
    np.testing.assert_allclose(joint["predictor_residual_share"][0], joint["residual_share"][7], atol=1e-12)
    np.testing.assert_allclose(joint["score"], alone["score"], atol=1e-9)
    assert alone.sizes["predictor"] == 0


def test_a_predictor_orthogonal_to_all_runs_lies_wholly_outside_at_the_mean_of_the_picture():
    values = curve()
    centred = values - values.mean(axis=0)
    across = np.random.default_rng(1).normal(size=120)
    across -= centred.T @ np.linalg.lstsq(centred.T, across, rcond=None)[0]
    joint = joint_dynamics([planted(values, references={"ideal": values.mean(axis=0) + 30 * across})])
    np.testing.assert_allclose(joint["predictor_score"], 0, atol=1e-9)
    assert float(joint["predictor_residual_share"][0]) == pytest.approx(1)
    assert float(joint["predictor_distance"][0]) == pytest.approx(30 * np.linalg.norm(across))


def test_distances_and_shares_are_those_of_function_space():
    first, second = curve(0), curve(1)
    ideal = 5 + 10 * np.random.default_rng(2).normal(size=120)
    joint = joint_dynamics(
        [planted(first, references={"ideal": ideal}), planted(second, "b")], n_components=3
    )
    both = np.concatenate([first, second])
    mean = both.mean(axis=0)
    directions = np.linalg.svd(both - mean, full_matrices=False)[2][:3]
    np.testing.assert_allclose(np.abs(joint["predictor_score"][0]), np.abs(directions @ (ideal - mean)))
    distance = np.linalg.norm(ideal - mean)
    assert float(joint["predictor_distance"][0]) == pytest.approx(distance)
    inside = ((directions @ (ideal - mean)) ** 2) / distance**2
    np.testing.assert_allclose(joint["predictor_share"][0], inside)
    assert float(joint["predictor_residual_share"][0]) == pytest.approx(1 - inside.sum())
    gaps = np.linalg.norm(both - ideal, axis=1)
    assert float(joint["nearest_distance"][0]) == pytest.approx(gaps.min())
    assert int(joint["nearest_step"][0]) == np.tile(STEPS, 2)[gaps.argmin()]


def test_weights_give_back_every_point_of_the_principal_subspace():
    both = np.concatenate([curve(0), curve(1)])
    joint = joint_dynamics([planted(both[:12]), planted(both[12:], "b")], n_components=12)
    alpha = affine_weights(joint["weights"].values, joint["score"].values)
    np.testing.assert_allclose(alpha @ both, both, atol=1e-6)


def test_predictors_that_all_runs_share_come_once_and_their_own_under_the_runs_names():
    rng = np.random.default_rng(0)
    zero, ours, theirs, only = rng.normal(size=(4, 120))
    joint = joint_dynamics(
        [
            planted(curve(0), references={"zero": zero, "dmmse": ours}),
            planted(curve(1), "b", references={"zero": zero * (1 + 1e-7), "dmmse": theirs, "own": only}),
        ]
    )
    assert joint["predictor"].values.tolist() == ["zero", "dmmse (a)", "dmmse (b)", "own (b)"]
    assert joint.attrs["references"] == ""


def test_missing_predictors_are_told():
    joint = joint_dynamics([planted(curve())])
    assert joint.sizes["predictor"] == 0
    assert "share_probe" in joint.attrs["references"]
    lost = planted(curve(), references={"uniform": np.zeros(120)}, missing="no such folder")
    assert "no such folder" in joint_dynamics([lost]).attrs["references"]


def test_outputs_in_many_blocks_give_the_same(monkeypatch):
    runs = [planted(curve(0), references={"ideal": np.arange(120.0)}), planted(curve(1), "b")]
    whole = joint_dynamics(runs)
    monkeypatch.setattr("devexplore.analysis.joint._BLOCK_BYTES", 2000)
    xr.testing.assert_allclose(joint_dynamics(runs), whole)


def test_runs_on_other_probes_are_refused_with_what_differs_until_they_have_met_one():
    first, second = planted(curve(0)), planted(curve(1), "b", probe=7)
    with pytest.raises(InvalidSpec, match=r"a and b .* \(other values of token_id\); dx.share_probe"):
        joint_dynamics([first, second])
    second.held["on_probe/p0/outputs/log_probs"] = planted(curve(2)).held["outputs/log_probs"]
    met = joint_dynamics([first, second])
    same = joint_dynamics([first, planted(curve(2), "b")])
    np.testing.assert_allclose(met["score"], same["score"])
    del second.held["probe"]
    xr.testing.assert_identical(joint_dynamics([first, second]), met)
    del second.held["on_probe/p0/outputs/log_probs"]
    with pytest.raises(NotMeasured, match="b holds no probe"):
        joint_dynamics([first, second])


def test_errors_say_what_to_do():
    run = planted(curve())
    with pytest.raises(InvalidSpec, match="at least one run"):
        joint_dynamics([])
    with pytest.raises(InvalidSpec, match="n_components"):
        joint_dynamics([run], n_components=0)
    with pytest.raises(NotMeasured, match=r"kind 'logits' in every run \(a: outputs/log_probs\)"):
        joint_dynamics([run], kind="logits")
    smaller = planted(curve())
    smaller.held["outputs/log_probs"] = smaller.held["outputs/log_probs"].isel(vocab=slice(3))
    smaller.name = "b"
    with pytest.raises(InvalidSpec, match=r"a have the shape .*'vocab': 4.* of b .*'vocab': 3"):
        joint_dynamics([run, smaller])
    elsewhere = planted(curve(), "b")
    held = elsewhere.held["outputs/log_probs"]
    elsewhere.held["outputs/log_probs"] = held.assign_coords(position=np.arange(5) * 2)
    run.held["outputs/log_probs"] = run.held["outputs/log_probs"].assign_coords(position=np.arange(5))
    with pytest.raises(InvalidSpec, match="other values of position"):
        joint_dynamics([run, elsewhere])
    broken = curve()
    broken[3, 5] = np.nan
    with pytest.raises(SchemaError, match=r"rows \[3\]"):
        joint_dynamics([planted(broken)])


def test_of_two_runs_of_one_name_what_each_lacks_is_told():
    whole, other = planted(curve()), planted(curve(1))
    whole.held["outputs/logits"] = whole.held["outputs/log_probs"]
    with pytest.raises(
        NotMeasured, match=r"a: outputs/log_probs, outputs/logits; a \(2\): outputs/log_probs\)"
    ):
        joint_dynamics([whole, other], kind="true_token_logit")
    with pytest.raises(
        NotMeasured, match=r"a: outputs/log_probs; a \(2\): outputs/log_probs, outputs/logits"
    ):
        joint_dynamics([other, whole], kind="logits")
