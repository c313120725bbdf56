"""What is stored is what the networks do, on every system; nothing is measured twice, nothing overwritten."""

import json
import shutil
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import devexplore as dx
from devexplore import schema, systems
from devexplore.errors import (
    CheckpointMismatch,
    CheckpointNotFound,
    DamagedCheckpoint,
    InvalidSpec,
    NonFiniteWeights,
    NotMeasured,
    NotWritable,
    StoreConflict,
    UntrustedCheckpoint,
)
from devexplore.measure import ensure_outputs
from devexplore.measure.pipeline import coarse_to_fine
from devexplore.measure.subject import Subject
from devexplore.sampling import Engine
from devexplore.systems import language
from devexplore.upkeep import pack_run

STEPS = [0, 1, 2, 3, 6]
"""Checkpoints of the smallest superposition and deep_linear runs."""


@pytest.fixture(params=systems.NAMES)
def measured(request: pytest.FixtureRequest, measured_run) -> dx.Run:
    return dx.open(measured_run(request.param))


def steps(run: dx.Run) -> list[int]:
    return run.recipe["schedule"]


def measure(path: Path, *measurements) -> dx.Run:
    return dx.measure(dx.open(path), measurements, progress=False)


def unchanged_but_refused(error, path: Path, contents, *measurements) -> str:
    """Measuring raises this error with one line and leaves every stored file as it was."""
    before = contents(path)
    with pytest.raises(error) as refused:
        measure(path, *measurements)
    assert contents(path) == before
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_every_group_is_there_at_every_checkpoint_as_the_schema_says(measured: dx.Run):
    kind = systems.from_recipe(measured.recipe, measured.path).output_kinds[0]
    groups = ["chains", "checkpoints", "llc", "losses", "metrics", f"outputs/{kind}", "probe", "trust"]
    if measured.system in ("language", "regression"):  # the toy systems' metrics are of their weights alone
        groups.append("metric_blocks")
    assert list(measured.groups) == sorted(groups)
    schema.check(measured.tree)
    for group in set(groups) - {"probe"}:
        assert measured.dataset(group)["step"].values.tolist() == steps(measured)
        hashes = measured.dataset(group)["content_hash"].values
        assert hashes.tolist() == [measured.checkpoints.content_hash(step) for step in steps(measured)]


def test_nothing_finite_is_stored_as_nan(measured: dx.Run):
    for group in ("checkpoints", "losses", "metrics", "chains", "llc"):
        for name, variable in measured.dataset(group).data_vars.items():
            if variable.dtype.kind == "f" and name not in ("rhat", "half_drift", "half_drift_z", "descent"):
                assert np.isfinite(variable.values).all(), f"{group}/{name}"


def test_token_losses_follow_from_stored_outputs_and_probe(measured: dx.Run):
    """Two measurements, one through the loss and one through the outputs, agree by the definition."""
    (group,) = (name for name in measured.groups if name.startswith("outputs/"))
    output, probe = measured.dataset(group)["output"], measured.dataset("probe")
    loss = measured.dataset("losses")["token_loss"]
    if measured.system == "language":
        target = xr.DataArray(probe["target_id"].values, dims=("sequence", "position"))
        expected = -output.isel(vocab=target)
    elif measured.system == "regression":
        expected = (output - probe["targets"]) ** 2
    else:
        wanted, scale = ("inputs", 1) if measured.system == "superposition" else ("targets", 0.5)
        expected = scale * ((output - probe[wanted]) ** 2).sum("channel")
    np.testing.assert_allclose(expected.transpose(*loss.dims).values, loss.values, rtol=1e-4, atol=1e-5)


def test_the_test_loss_is_the_mean_over_all_held_out_samples(measured: dx.Run):
    system = systems.from_recipe(measured.recipe, measured.path)
    held_out = system.pool(system.held_out_size, 0, held_out=True)
    network, stored = system.network(), measured.dataset("losses")["test_loss"]
    for step in steps(measured):
        network.load_state_dict(load_file(measured.checkpoints.path(step)))
        with torch.no_grad():
            expected = system.position_loss(network, held_out).mean().item()
        assert stored.sel(step=step).item() == pytest.approx(expected, rel=1e-5)


def test_metrics_agree_with_weights_and_with_each_other(measured: dx.Run):
    metrics = measured.dataset("metrics")
    for step in steps(measured):
        weights = load_file(measured.checkpoints.path(step))
        norm = sum((tensor.double() ** 2).sum().item() for tensor in weights.values()) ** 0.5
        assert metrics["weight_norm"].sel(step=step).item() == pytest.approx(norm, rel=1e-6)
    if "position_loss" in metrics:
        mean = metrics["position_loss"].mean("position")
        np.testing.assert_allclose(mean, measured.dataset("losses")["test_loss"], rtol=1e-4)


def test_training_losses_are_those_of_the_log(measured: dx.Run):
    stored = measured.dataset("checkpoints")
    rows = (measured.path / "training.csv").read_text().splitlines()[1:]
    logged = {int(row.split(",")[0]): row.split(",") for row in rows}
    for step in steps(measured):
        assert stored["train_loss"].sel(step=step).item() == pytest.approx(float(logged[step][1]))
        assert stored["samples_seen"].sel(step=step).item() == int(logged[step][3])


def test_llc_is_n_beta_times_the_mean_excess_of_its_chains(measured: dx.Run):
    chains, found = measured.dataset("chains"), measured.dataset("llc")
    excess = (chains["loss"].astype(float) - chains["baseline"]).mean(("chain", "draw"))
    np.testing.assert_allclose(found["llc"], 10.0 * excess, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["excess_loss"], excess, rtol=1e-4, atol=1e-7)
    assert chains.attrs["n_beta"] == found.attrs["n_beta"] == 10.0
    assert "drift ε/2" in chains.attrs["convention"]
    system = systems.from_recipe(measured.recipe, measured.path)
    assert chains.attrs["n"] == len(system.pool(system.pool_size, 0)[0])
    assert found.attrs["trivial_loss"] == pytest.approx(system.trivial_loss)


def test_the_full_data_loss_of_the_chains_is_the_loss_on_the_pool(measured: dx.Run):
    system = systems.from_recipe(measured.recipe, measured.path)
    pool, network = system.pool(system.pool_size, 0), system.network()
    network.load_state_dict(load_file(measured.checkpoints.path(6)))
    with torch.no_grad():
        expected = system.per_sample_loss(network, pool).double().mean().item()
    assert measured.dataset("chains")["init_loss"].sel(step=6).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "kind", "shape"),
    [
        ("language", "logits", (32, 8, 270)),
        ("language", "true_token_logit", (32, 8)),
        ("regression", "predictions", (1024, 4)),
        ("regression", "logits", (1024, 8, 3)),
        ("superposition", "predictions", (5, 20, 5)),
        ("deep_linear", "predictions", (2, 1, 3)),
    ],
)
def test_every_kind_of_output_is_what_the_network_says(
    name: str, kind: str, shape: tuple[int, ...], trained_run
):
    run = measure(trained_run(name), dx.Outputs(kind))
    output = run.dataset(f"outputs/{kind}")["output"]
    assert output.shape == (len(steps(run)), *shape)
    assert output.attrs["kind"] == kind
    system = systems.from_recipe(run.recipe, run.path)
    network = system.network()
    network.load_state_dict(load_file(run.checkpoints.path(6)))
    with torch.no_grad():
        expected = system.outputs(network, system.probe(0).batch, kind).numpy()
    np.testing.assert_allclose(output.sel(step=6).values, expected, rtol=1e-4, atol=1e-5)


def test_log_probabilities_sum_to_one(measured_run):
    output = dx.open(measured_run("language")).dataset("outputs/log_probs")["output"]
    np.testing.assert_allclose(np.exp(output.astype(float)).sum("vocab"), 1, atol=1e-5)


def test_a_kind_that_a_system_has_not_is_refused_before_anything_is_measured(trained_run, contents):
    path = trained_run("regression")
    said = unchanged_but_refused(InvalidSpec, path, contents, dx.TokenLosses(), dx.Outputs("log_probs"))
    assert "choose one of predictions, logits" in said


def test_an_unknown_llc_setting_is_refused_before_anything_is_measured(trained_run, contents):
    path = trained_run("superposition")
    said = unchanged_but_refused(InvalidSpec, path, contents, dx.TokenLosses(), dx.LLC({"n_bta": 3.0}))
    assert "n_bta" in said
    assert "n_beta" in said


@given(st.sets(st.integers(0, 10_000), max_size=60).map(sorted))
def test_coarse_to_fine_is_every_step_once_and_the_ends_first(steps: list[int]):
    ordered = coarse_to_fine(steps)
    assert sorted(ordered) == steps
    assert ordered[:2] == [steps[0], steps[-1]][: len(steps)] if steps else ordered == []


def test_any_beginning_of_coarse_to_fine_spans_the_whole_evenly():
    ordered = coarse_to_fine(list(range(65)))
    for count in (2, 3, 5, 9, 17, 33):
        assert np.ptp(np.diff(sorted(ordered[:count]))) == 0


class Interrupted(dx.TokenLosses):
    """Token losses that write down their steps, and stop as Ctrl-C would after some of them."""

    done: ClassVar[list[int]] = []
    stop_after: ClassVar[int] = 10**9

    def measure_one(self, subject, step):
        if len(self.done) == self.stop_after:
            raise KeyboardInterrupt
        self.done.append(step)
        return super().measure_one(subject, step)


def test_an_interrupted_sweep_goes_on_and_redoes_nothing(trained_run, monkeypatch: pytest.MonkeyPatch):
    path = trained_run("superposition")
    monkeypatch.setattr(Interrupted, "done", [])
    monkeypatch.setattr(Interrupted, "stop_after", 3)
    with pytest.raises(KeyboardInterrupt):
        measure(path, Interrupted())
    assert dx.open(path).dataset("losses")["step"].values.tolist() == sorted(Interrupted.done)
    assert Interrupted.done[:2] == [0, 6]
    monkeypatch.setattr(Interrupted, "stop_after", 10**9)
    measure(path, Interrupted())
    assert sorted(Interrupted.done) == STEPS
    whole = measure(trained_run_again(path), dx.TokenLosses())
    xr.testing.assert_equal(whole.dataset("losses"), dx.open(path).dataset("losses"))


def trained_run_again(path: Path) -> Path:
    """The same run beside it, not measured."""
    return Path(
        shutil.copytree(
            path, path.with_name("again"), ignore=shutil.ignore_patterns(schema.STORE_FOLDER + "*")
        )
    )


def test_measuring_again_computes_nothing_and_changes_nothing(measured_run, contents, short_chains):
    path = measured_run("superposition")
    before = contents(path)
    measure(path, dx.TokenLosses(), dx.Metrics(), dx.Outputs(), dx.LLC(short_chains))
    assert contents(path) == before


def no_chains(*arguments, **options):
    raise AssertionError("chains were run again")


def test_after_a_kill_between_chains_and_llc_the_stored_chains_are_summarised(
    measured_run, short_chains, monkeypatch: pytest.MonkeyPatch
):
    path = measured_run("regression")
    expected = dx.open(path).dataset("llc").load()
    shutil.rmtree(path / schema.STORE_FOLDER / schema.LLC)
    monkeypatch.setattr(Engine, "run", no_chains)
    xr.testing.assert_allclose(measure(path, dx.LLC(short_chains)).dataset("llc"), expected, rtol=1e-6)


def test_lost_chains_are_run_again_with_the_same_numbers(measured_run, short_chains):
    path = measured_run("superposition")
    expected = dx.open(path).dataset("chains").load()
    shutil.rmtree(path / schema.STORE_FOLDER / schema.CHAINS)
    xr.testing.assert_equal(measure(path, dx.LLC(short_chains)).dataset("chains"), expected)


@pytest.mark.parametrize(
    ("setting", "value"), [("n_beta", 20.0), ("chains", 3), ("localization", 2.0), ("seed", 7)]
)
def test_other_llc_settings_are_refused_by_name(setting: str, value, measured_run, contents, short_chains):
    path = measured_run("superposition")
    other = dx.LLC(short_chains | {setting: value})
    said = unchanged_but_refused(StoreConflict, path, contents, other)
    assert setting in said
    assert str(value) in said


def test_metrics_of_an_older_version_say_in_one_try_what_to_remove_to_measure_anew(measured_run, contents):
    path = measured_run("regression")
    groups = [path / schema.STORE_FOLDER / group for group in (schema.METRICS, schema.METRIC_BLOCKS)]
    values = dx.open(path).dataset(schema.METRICS).load()
    for group in groups:
        file = group / "zarr.json"
        file.write_text(file.read_text().replace('\\"version\\": 2', '\\"version\\": 1'))
    said = unchanged_but_refused(StoreConflict, path, contents, dx.Metrics())
    assert said.count("version 1 (asked: 2)") == 2
    for group in groups:
        assert f"remove the folder {group} " in said
    assert f"remove metrics and metric_blocks from {path / schema.STORE_FOLDER}, then run" in dx.open(
        path
    ).remedy("metrics")
    for group in groups:
        shutil.rmtree(group)
    xr.testing.assert_equal(measure(path, dx.Metrics()).dataset(schema.METRICS), values)


def change(path: Path, step: int = 3) -> None:
    """Other weights under the same name."""
    file = path / "checkpoints" / f"step_{step:08d}.safetensors"
    save_file({name: tensor + 1 for name, tensor in load_file(file).items()}, file)


def test_a_changed_checkpoint_is_refused_by_every_measurement(measured_run, contents, short_chains):
    path = measured_run("deep_linear")
    change(path)
    for measurement in (dx.TokenLosses(), dx.Metrics(), dx.Outputs(), dx.LLC(short_chains)):
        assert "step 3" in unchanged_but_refused(StoreConflict, path, contents, measurement)


def test_chains_of_changed_weights_are_not_summarised(measured_run, contents, short_chains):
    path = measured_run("deep_linear")
    for group in (schema.LLC, schema.CHECKPOINTS):
        shutil.rmtree(path / schema.STORE_FOLDER / group)
    change(path)
    with pytest.raises(StoreConflict, match="step 3"):
        measure(path, dx.LLC(short_chains))
    assert not dx.open(path).has("llc")


def test_outputs_of_changed_weights_are_not_returned(measured_run):
    path = measured_run("deep_linear")
    change(path)
    with pytest.raises(StoreConflict, match="step 3"):
        ensure_outputs(dx.open(path))


def test_a_checkpoint_truncated_after_it_was_measured_is_damage_and_no_other_run(measured_run, contents):
    path = measured_run("deep_linear")
    spoil_truncated(path / "checkpoints" / "step_00000003.safetensors")
    says = unchanged_but_refused(DamagedCheckpoint, path, contents, dx.Outputs())
    assert "step_00000003.safetensors" in says
    with pytest.raises(DamagedCheckpoint):
        ensure_outputs(dx.open(path))


def test_outputs_are_computed_once_and_then_read(trained_run):
    run, told = dx.open(trained_run("deep_linear")), []
    first = ensure_outputs(run, progress=lambda done, total, text: told.append((done, total, text)))
    assert told == [(done, 5, "outputs") for done in range(6)]
    told.clear()
    second = ensure_outputs(run, progress=lambda *progress: told.append(progress))
    assert told == []
    xr.testing.assert_equal(first, second)
    ensure_outputs(dx.open(run.path), "predictions", progress=lambda *progress: told.append(progress))
    assert told == []


def test_outputs_of_checkpoints_that_came_later_are_added(trained_run):
    path = trained_run("deep_linear")
    last = path / "checkpoints" / "step_00000006.safetensors"
    last.rename(path / "later")
    assert ensure_outputs(dx.open(path))["step"].values.tolist() == STEPS[:-1]
    (path / "later").rename(last)
    told = []
    output = ensure_outputs(dx.open(path), progress=lambda done, total, text: told.append(done))
    assert told == [4, 5]
    assert output["step"].values.tolist() == STEPS


def test_outputs_of_a_packed_run_go_to_the_users_cache(
    measured_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, contents
):
    monkeypatch.setenv("DEVEXPLORE_CACHE", str(tmp_path / "cache"))
    source = dx.open(measured_run("superposition"))
    packed = pack_run(source.path, tmp_path / "packed")
    before, told = contents(packed), []
    run = dx.open(packed)
    assert "outputs/predictions" not in run.groups
    output = ensure_outputs(run, progress=lambda *progress: told.append(progress))
    assert len(told) == 6
    xr.testing.assert_equal(output, source.dataset("outputs/predictions")["output"])
    ensure_outputs(dx.open(packed), progress=lambda *progress: told.append(progress))
    assert len(told) == 6
    assert contents(packed) == before
    assert any((tmp_path / "cache").iterdir())
    np.testing.assert_array_equal(run.dataset("llc")["llc"], source.dataset("llc")["llc"])


def test_measuring_more_on_a_packed_run_is_refused_with_the_way_out(measured_run, tmp_path: Path):
    packed = pack_run(measured_run("deep_linear"), tmp_path / "packed")
    with pytest.raises(NotWritable, match="unpack it"):
        measure(packed, dx.Metrics())


def spoil_nan(file: Path) -> None:
    tensors = load_file(file)
    next(iter(tensors.values())).view(-1)[0] = float("nan")
    save_file(tensors, file)


def spoil_missing(file: Path) -> None:
    tensors = load_file(file)
    del tensors["bias"]
    save_file(tensors, file)


def spoil_extra(file: Path) -> None:
    save_file(load_file(file) | {"surplus": torch.zeros(2)}, file)


def spoil_shape(file: Path) -> None:
    save_file(load_file(file) | {"bias": torch.zeros(2)}, file)


def spoil_truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def spoil_pickle(file: Path) -> None:
    tensors = load_file(file)
    file.unlink()
    torch.save({"weights": tensors, "config": Path("here")}, file.with_suffix(".pt"))


@pytest.mark.parametrize(
    ("spoil", "error", "says"),
    [
        (spoil_nan, NonFiniteWeights, "NaN"),
        (spoil_missing, CheckpointMismatch, "missing (bias)"),
        (spoil_extra, CheckpointMismatch, "surplus"),
        (spoil_shape, CheckpointMismatch, "bias (2,), model (5,)"),
        (spoil_truncated, DamagedCheckpoint, "truncated"),
        (spoil_pickle, UntrustedCheckpoint, "pickle"),
    ],
    ids=["NaN", "missing tensor", "extra tensor", "other shape", "truncated", "pickle"],
)
def test_a_bad_checkpoint_is_named_and_the_others_stay_measured(spoil, error, says: str, trained_run):
    path = trained_run("superposition")
    spoil(path / "checkpoints" / "step_00000003.safetensors")
    for measurement in (dx.TokenLosses(), dx.Metrics(), dx.Outputs()):
        with pytest.raises(error) as told:
            measure(path, measurement)
        assert "\n" not in str(told.value)
        assert "step_00000003" in str(told.value)
        assert says in str(told.value)
    # Coarse to fine, the ends and what lay before the bad one are there.
    assert {0, 6} <= set(dx.open(path).dataset("losses")["step"].values.tolist())


def test_a_run_without_checkpoints_says_so(trained_run):
    path = trained_run("superposition")
    shutil.rmtree(path / "checkpoints")
    with pytest.raises(CheckpointNotFound, match="no folder checkpoints/"):
        measure(path, dx.TokenLosses())


@pytest.mark.parametrize("lost", ["spec", "seed"])
def test_a_recipe_that_lacks_what_measuring_needs_is_named(lost: str, trained_run):
    path = trained_run("superposition")
    recipe = json.loads((path / "run.json").read_text())
    del recipe[lost]
    (path / "run.json").write_text(json.dumps(recipe))
    with pytest.raises(dx.DevexploreError, match=rf"run\.json.*{lost}"):
        measure(path, dx.TokenLosses())


def test_a_run_without_a_training_log_is_measured_without_training_losses(trained_run):
    path = trained_run("superposition")
    (path / "training.csv").unlink()
    stored = measure(path, dx.Metrics()).dataset("checkpoints")
    assert np.isnan(stored["train_loss"]).all()


def test_training_losses_not_yet_logged_are_measured_when_they_are(trained_run):
    path = trained_run("superposition")
    log, recipe = path / schema.TRAINING_LOG, path / schema.RUN_FILE
    whole, finished = log.read_text(), recipe.read_text()
    log.write_text("".join(whole.splitlines(keepends=True)[:3]))  # killed before the rest was flushed
    recipe.write_text(finished.replace('"finished": true', '"finished": false'))
    early = measure(path, dx.TokenLosses())
    assert early.dataset("checkpoints").sizes["step"] < early.dataset("losses").sizes["step"]
    log.write_text(whole)
    recipe.write_text(finished)
    later = measure(path, dx.TokenLosses()).dataset("checkpoints")
    assert later["step"].values.tolist() == STEPS
    assert np.isfinite(later["train_loss"]).all()


def test_outputs_of_a_language_run_need_its_probe_and_not_its_text(
    measured_run, monkeypatch: pytest.MonkeyPatch
):
    path = measured_run("language")
    expected = dx.open(path).dataset("outputs/log_probs")["output"].load()
    shutil.rmtree(path / schema.STORE_FOLDER / schema.OUTPUTS)

    def no_text(source, max_files=0):
        raise AssertionError("the text was read")

    monkeypatch.setattr(language, "read_text", no_text)
    xr.testing.assert_equal(ensure_outputs(dx.open(path)), expected)


def test_checkpoints_are_stacked_as_rows_and_give_what_each_gives_alone(trained_run, short_chains):
    path = trained_run("deep_linear")
    subject = Subject(dx.open(path), torch.device("cpu"))
    measurement = dx.LLC(short_chains)
    assert measurement.together(subject) > 1
    stacked = measurement.measure(subject, STEPS, [{}] * len(STEPS), lambda share: None)
    for step, blocks in zip(STEPS, stacked, strict=True):
        (alone,) = measurement.measure(subject, [step], [{}], lambda share: None)
        for group, arrays in alone.items():
            for name, values in arrays.items():
                np.testing.assert_allclose(blocks[group][name], values, rtol=1e-3, atol=1e-5, err_msg=name)


def test_a_checkpoint_that_is_not_finite_is_named_and_does_not_end_the_sweep(trained_run, short_chains):
    path = trained_run("superposition")
    file = path / "checkpoints" / "step_00000003.safetensors"
    save_file({name: torch.full_like(tensor, torch.nan) for name, tensor in load_file(file).items()}, file)
    run = measure(path, dx.LLC(short_chains))
    found, verdicts = run.dataset("llc"), run.dataset("trust")
    assert np.isnan(found["llc"].sel(step=3))
    assert np.isfinite(found["llc"].drop_sel(step=3)).all()
    assert verdicts["verdict"].sel(step=3) == 2
    assert "not finite" in str(verdicts["reason"].sel(step=3).item())
    assert (run.dataset("chains")["status"].sel(step=3) == schema.CHAIN_DIVERGED).all()


def test_verdicts_follow_when_more_checkpoints_are_measured(trained_run, short_chains):
    path = trained_run("superposition")
    late = path / "checkpoints" / "step_00000006.safetensors"
    aside = late.rename(path / "aside")
    assert measure(path, dx.LLC(short_chains)).dataset("trust")["step"].values.tolist() == STEPS[:-1]
    aside.rename(late)
    run = measure(path, dx.LLC(short_chains))
    assert run.dataset("trust")["step"].values.tolist() == STEPS
    assert (
        run.dataset("trust")["content_hash"].values.tolist()
        == run.dataset("llc")["content_hash"].values.tolist()
    )


def test_calibrated_settings_stand_below_those_stated_and_above_the_systems(trained_run, short_chains):
    path = trained_run("superposition")
    with pytest.raises(NotMeasured, match="devexplore calibrate"):
        measure(path, dx.LLC(calibrated=True))
    (path / "calibration.json").write_text('{"llc": {"n_beta": 33.0, "chains": 5}, "reasons": []}')
    subject = Subject(dx.open(path), torch.device("cpu"))
    chosen = dx.LLC({"chains": 2}, calibrated=True).sampler(subject)
    assert (chosen.n_beta, chosen.chains, chosen.batch_size) == (
        33.0,
        2,
        subject.system.llc_defaults["batch_size"],
    )
