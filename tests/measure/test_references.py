"""Idealised predictors kept with a run, and several runs met on one probe."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import devexplore as dx
from devexplore import systems
from devexplore.errors import InvalidSpec, NotMeasured
from devexplore.measure import ensure_outputs, ensure_references, references
from devexplore.measure.subject import Subject
from devexplore.stats.sketch import sketch_error
from devexplore.systems.training import train
from devexplore.upkeep import pack_run


@pytest.fixture
def another(tmp_path: Path, smallest):
    """Train a run of a system with some hyper-parameters, or the seed, changed."""

    def make(name: str, folder: str, seed: int = 0, **changes) -> dx.Run:
        out = tmp_path / folder
        system = systems.from_preset(name, "small", smallest(name, **changes), out)
        train(system, out, preset="small", seed=seed, device="cpu", progress=False, log=lambda _: None)
        return dx.open(out)

    return make


@pytest.mark.parametrize("name", systems.NAMES)
def test_what_is_stored_is_what_the_system_says_on_the_stored_probe(name, trained_run):
    run = dx.open(trained_run(name))
    dx.measure(run, [dx.TokenLosses(), dx.Outputs(), dx.References()], progress=False)
    subject = Subject(run, torch.device("cpu"))
    kind = subject.system.output_kinds[0]
    stored, expected = (
        ensure_references(run),
        subject.system.references(subject.probe_batch, kind, subject.seed),
    )
    assert stored["predictor"].values.tolist() == list(expected)
    for predictor, values in expected.items():
        np.testing.assert_array_equal(stored.sel(predictor=predictor), values)
    outputs = run.dataset(f"outputs/{kind}")["output"]
    assert stored.dims == ("predictor", *outputs.dims[1:])
    np.testing.assert_array_equal(stored["position"], outputs["position"])
    assert run.dataset(f"references/{kind}").attrs["missing"] == ""


def test_a_packed_run_keeps_its_references_in_the_cache(trained_run, tmp_path: Path, monkeypatch, contents):
    monkeypatch.setenv("DEVEXPLORE_CACHE", str(tmp_path / "cache"))
    run = dx.measure(dx.open(trained_run("deep_linear")), [dx.TokenLosses()], progress=False)
    packed = pack_run(run.path, tmp_path / "packed")
    before = contents(packed)
    assert ensure_references(dx.open(packed))["predictor"].values.tolist() == ["zero", "teacher"]
    assert dx.open(packed).has("references/predictions")
    assert contents(packed) == before


@pytest.mark.parametrize("name", systems.NAMES)
def test_predictors_computed_a_sequence_at_a_time_are_the_same(name, trained_run, monkeypatch):
    run = dx.open(trained_run(name))
    monkeypatch.setattr(references, "_AT_ONCE", 1)
    stored = ensure_references(run)
    subject = Subject(run, torch.device("cpu"))
    expected = subject.system.references(subject.probe_batch, stored.attrs["kind"], subject.seed)
    np.testing.assert_allclose(stored, np.stack([*expected.values()]), rtol=1e-5, atol=1e-6)


def test_without_the_text_the_uniform_comes_alone_and_the_others_when_the_text_is_back(
    text_folder: Path, tmp_path: Path, smallest, monkeypatch
):
    text = Path(shutil.copytree(text_folder, tmp_path / "text"))
    out = tmp_path / "run"
    system = systems.from_preset("language", "small", smallest("language", text=f"folder:{text}"), out)
    train(system, out, device="cpu", progress=False, log=lambda _: None)
    run = dx.measure(dx.open(out), [dx.TokenLosses()], progress=False)
    text.rename(tmp_path / "gone")
    assert ensure_references(run)["predictor"].values.tolist() == ["uniform"]
    assert "no such folder" in run.dataset("references/log_probs").attrs["missing"]
    with monkeypatch.context() as patch:
        patch.setattr(torch, "full", None)  # the uniform is not computed again
        assert ensure_references(run)["predictor"].values.tolist() == ["uniform"]
    (tmp_path / "gone").rename(text)
    assert ensure_references(run)["predictor"].values.tolist() == ["uniform", "unigram", "bigram"]
    text.rename(tmp_path / "gone")
    assert ensure_references(run).sizes["predictor"] == 3  # what is there stays


def test_kinds_that_no_ideal_fixes_are_refused_with_those_that_one_does(trained_run):
    run = dx.open(trained_run("language"))
    with pytest.raises(InvalidSpec, match="'logits', which it does not fix; choose log_probs"):
        dx.measure(run, [dx.References("logits")], progress=False)


def test_runs_of_other_seeds_are_run_on_the_first_ones_probe(another):
    first, second = another("regression", "a"), another("regression", "b", seed=1, tasks=2)
    first, second = dx.share_probe([first, second])
    group = f"on_probe/{first.probe_id}"
    assert not second.has("outputs/predictions")
    shared = second.dataset(f"{group}/outputs/predictions")["output"]
    ours, theirs = (Subject(run, torch.device("cpu")) for run in (first, second))
    with torch.no_grad():
        expected = theirs.system.outputs(theirs.load(6), ours.probe_batch, "predictions")
    np.testing.assert_array_equal(shared.sel(step=6), expected)
    references = second.dataset(f"{group}/references/predictions")["output"]
    assert references["predictor"].values.tolist() == ["zero", "ridge", "dmmse"]  # dmmse of its own tasks
    np.testing.assert_array_equal(
        references.sel(predictor="dmmse"),
        theirs.system.reference("dmmse", ours.probe_batch, "predictions", 1),
    )
    np.testing.assert_array_equal(
        references.sel(predictor="ridge"), ensure_references(first).sel(predictor="ridge")
    )


def test_sharing_a_probe_again_computes_nothing(another, contents, monkeypatch):
    runs = [another("deep_linear", "a"), another("deep_linear", "b", seed=1)]
    dx.share_probe(runs)
    before = [contents(run.path) for run in runs]
    monkeypatch.setattr(Subject, "load", None)
    dx.share_probe([dx.open(run.path) for run in runs])
    assert [contents(run.path) for run in runs] == before


def test_runs_with_the_same_probe_keep_their_own_outputs(another):
    first, second = another("superposition", "a"), another("superposition", "b", seed=1)
    for run in (first, second):
        dx.measure(run, [dx.TokenLosses()], progress=False)
    assert first.probe_id == second.probe_id  # all features at all values: no randomness
    dx.share_probe([first, second])
    assert second.has("outputs/predictions")
    assert not any(group.startswith("on_probe") for group in second.groups)


@pytest.mark.parametrize("name", ["language", "regression"])
def test_runs_on_one_probe_have_joint_dynamics_with_their_predictors(name, another):
    runs = [another(name, "a"), another(name, "b", seed=1)]
    with pytest.raises((InvalidSpec, NotMeasured), match="share_probe"):
        dx.joint_dynamics(runs)
    joint = dx.joint_dynamics(dx.share_probe(runs))
    assert joint.sizes["point"] == 2 * len(runs[0].recipe["schedule"])
    expected = ["uniform", "unigram", "bigram"] if name == "language" else ["zero", "ridge"]
    assert joint["predictor"].values.tolist() == expected
    assert joint.attrs["references"] == ""


def test_sketched_runs_have_the_joint_dynamics_of_whole_ones_to_the_sketchs_error(another):
    changes = {"steps": 200, "linear_checkpoints": 10, "widths": (3, 3, 2500)}
    runs = [another("deep_linear", name, seed, **changes) for name, seed in (("a", 0), ("b", 1))]
    again = [another("deep_linear", name, seed, **changes) for name, seed in (("c", 0), ("d", 1))]
    dx.measure(again[0], [dx.Outputs(sketch=4000)], progress=False)
    sketched = dx.joint_dynamics(dx.share_probe(again))  # as the first is kept
    whole = dx.joint_dynamics(dx.share_probe(runs))
    assert (sketched.attrs["sketched"], sketched.attrs["n_features"]) == (4000, 5000)
    assert "sketched" not in whole.attrs
    error = sketch_error(4000)
    extent = float(np.abs(whole["score"]).max())
    for component in (1, 2):
        one, other = (joint["score"].sel(component=component) for joint in (sketched, whole))
        np.testing.assert_allclose(one, other, atol=3 * error * extent)
    np.testing.assert_allclose(sketched["predictor_distance"], whole["predictor_distance"], rtol=3 * error)
    fewer = dx.share_probe([another("deep_linear", "e", 2, **changes), again[1]], sketch=300)
    other = another("deep_linear", "f", 2, **changes)
    dx.share_probe([other], sketch=200)
    assert dx.joint_dynamics(fewer).attrs["sketched"] == 300
    with pytest.raises(InvalidSpec, match=r"sketch 300 and 200; dx\.share_probe"):
        dx.joint_dynamics([fewer[0], other])


def test_a_run_that_held_a_sketch_is_given_what_the_whole_first_one_has(another):
    first, second = another("superposition", "a"), another("superposition", "b", seed=1)
    dx.measure(first, [dx.TokenLosses(), dx.Outputs()], progress=False)
    dx.measure(second, [dx.TokenLosses(), dx.Outputs(sketch=64)], progress=False)
    assert first.probe_id == second.probe_id
    joint = dx.joint_dynamics(dx.share_probe([first, second]))
    assert "sketched" not in joint.attrs
    assert joint.sizes["point"] == 2 * len(first.recipe["schedule"])


def test_packed_runs_and_runs_without_checkpoints_share_what_they_hold(another, tmp_path, monkeypatch):
    monkeypatch.setenv("DEVEXPLORE_CACHE", str(tmp_path / "cache"))
    runs = [another("superposition", "a"), another("superposition", "b", seed=1)]
    for run in runs:
        dx.measure(run, [dx.TokenLosses(), dx.Outputs()], progress=False)
    packed = dx.open(pack_run(runs[0].path, tmp_path / "packed"))
    ensure_outputs(packed)  # kept in the cache
    shutil.rmtree(runs[1].path / "checkpoints")
    monkeypatch.setattr(Subject, "load", None)
    joint = dx.joint_dynamics(dx.share_probe([packed, dx.open(runs[1].path)]))
    assert joint.sizes["point"] == 2 * len(runs[0].recipe["schedule"])


def test_packing_leaves_outputs_on_other_probes_out(another, tmp_path: Path):
    runs = dx.share_probe([another("deep_linear", "a"), another("deep_linear", "b", seed=1)])
    packed = dx.open(pack_run(runs[1].path, tmp_path / "packed"))
    assert not any("outputs" in group for group in packed.groups)


def test_runs_that_cannot_share_a_probe_are_told_why(another, tmp_path: Path):
    regression = another("regression", "a")
    with pytest.raises(InvalidSpec, match="regression run, the other deep_linear"):
        dx.share_probe([regression, another("deep_linear", "b")])
    with pytest.raises(InvalidSpec, match="samples of shape"):
        dx.share_probe([regression, another("regression", "c", examples=3)])
    with pytest.raises(InvalidSpec, match="at least one run"):
        dx.share_probe([])
    with pytest.raises(InvalidSpec, match="tokenizers differ"):
        dx.share_probe([another("language", "d"), another("language", "e", seed=1, vocabulary=272)])
    assert ensure_outputs(regression).sizes["step"] == 3
