"""Outputs kept as a random sketch: what the full ones would give, far smaller, and said wherever it shows."""

import math
from pathlib import Path

import numpy as np
import pytest

import devexplore as dx
from devexplore import schema
from devexplore.cli import main
from devexplore.errors import InvalidSpec, SchemaError, StoreConflict
from devexplore.measure import ensure_outputs
from devexplore.measure import outputs as module
from devexplore.stats.sketch import count_sketch, sketch_error
from devexplore.store import Store
from devexplore.views.trajectory import caption

KINDS = {"language": "log_probs", "regression": "predictions", "superposition": "predictions"}


def measured(path: Path, sketch: int | None) -> dx.Run:
    return dx.measure(dx.open(path), [dx.Outputs(sketch=sketch)], progress=False)


@pytest.mark.parametrize("name", KINDS)
def test_it_is_the_sketch_of_the_whole_outputs(trained_run, name: str):
    path, kind = trained_run(name), KINDS[name]
    measured(path, None)
    run = measured(path, 64)
    whole, sketch = (run.dataset(f"outputs/{kind}{end}")["output"] for end in ("", "_sketch"))
    assert sketch.dims == ("step", "feature")
    assert sketch.attrs["kind"] == kind
    assert sketch.attrs["sketched"] == 64
    assert sketch.attrs["n_features"] == math.prod(whole.shape[1:])
    schema.check(run.tree)
    for step in whole["step"].values:
        expected = count_sketch(whole.sel(step=step).values.ravel(), 64, seed=0)
        np.testing.assert_allclose(sketch.sel(step=step), expected, rtol=1e-5, atol=1e-4)


def test_how_many_sequences_go_in_at_once_changes_nothing(trained_run, tmp_path: Path, monkeypatch):
    path = trained_run("language")
    once = measured(path, 32).dataset("outputs/log_probs_sketch")["output"].load()
    with Store(path / schema.STORE_FOLDER, mode="a") as store:
        store.discard("outputs/log_probs_sketch")
    monkeypatch.setattr(module, "_SKETCHED_AT_ONCE", 1)
    again = measured(path, 32).dataset("outputs/log_probs_sketch")["output"]
    np.testing.assert_allclose(again, once, rtol=1e-4, atol=1e-4)


def test_dynamics_take_the_sketch_where_there_is_nothing_else_and_say_so(trained_run):
    path = trained_run("superposition")
    dynamics = dx.essential_dynamics(measured(path, 400))
    assert dynamics.attrs["sketched"] == 400
    assert dynamics.attrs["output_kind"] == "predictions"
    assert "reduced at random to 400 numbers" in caption(dynamics)
    whole = dx.essential_dynamics(measured(path, None))
    assert "sketched" not in whole.attrs
    assert "reduced" not in caption(whole)
    assert whole.attrs["n_features"] == dynamics.attrs["n_features"]
    one, other = (ed["score"].sel(component=1) for ed in (dynamics, whole))
    np.testing.assert_allclose(one, other, atol=3 * sketch_error(400) * float(np.ptp(other.values)))


def test_a_whole_sketch_is_enough_to_go_on_with(trained_run):
    run = measured(trained_run("deep_linear"), 4)
    output = ensure_outputs(run)
    assert output.dims == ("step", "feature")
    assert not run.has("outputs/predictions")


def test_a_few_whole_checkpoints_do_not_hide_a_sketch_of_all(trained_run):
    path = trained_run("deep_linear")
    dx.measure(dx.open(path), [dx.Outputs()], at_most=3, progress=False)
    run = measured(path, 4)
    dynamics, output = dx.essential_dynamics(run), ensure_outputs(run)
    assert dynamics.attrs["n_checkpoints"] == output.sizes["step"] == len(run.checkpoints)
    assert dynamics.attrs["sketched"] == 4
    assert output.dims == ("step", "feature")
    whole = measured(path, None)
    assert "sketched" not in dx.essential_dynamics(whole).attrs
    assert "sketched" not in ensure_outputs(whole).attrs


def test_another_size_is_refused_beside_the_first(trained_run):
    path = trained_run("deep_linear")
    measured(path, 4)
    with pytest.raises(StoreConflict, match=r"sketch 4 \(asked: 5\)"):
        measured(path, 5)


@pytest.mark.parametrize("size", [0, 1, -5, 2.5, 2**40, True])
def test_sizes_that_cannot_be_are_refused(size):
    with pytest.raises(InvalidSpec, match="a sketch keeps"):
        dx.Outputs(sketch=size)


@pytest.mark.parametrize("size", [6, 7, 4000])
def test_a_sketch_no_smaller_than_the_outputs_is_refused_before_anything_is_measured(
    trained_run, size, contents
):
    path = trained_run("deep_linear")
    before = contents(path)
    with pytest.raises(
        InvalidSpec, match=r"no smaller than the outputs themselves, 6 .* leave --sketch away"
    ):
        dx.measure(dx.open(path), [dx.TokenLosses(), dx.Outputs(sketch=size)], progress=False)
    assert contents(path) == before


def test_a_whole_number_of_numpy_is_a_size(trained_run):
    path = trained_run("deep_linear")
    run = dx.measure(dx.open(path), [dx.Outputs(sketch=np.int64(4))], progress=False)  # pyright: ignore[reportArgumentType]
    assert dx.Outputs(sketch=np.int64(4)) == dx.Outputs(sketch=4)  # pyright: ignore[reportArgumentType]
    assert run.dataset("outputs/predictions_sketch").sizes["feature"] == 4


def test_the_command_line_measures_sketches(trained_run, capsys):
    path = trained_run("deep_linear")
    assert main(["measure", str(path), "--only", "outputs", "--sketch", "4"]) == 0
    assert "outputs/predictions_sketch" in capsys.readouterr().out
    assert main(["measure", str(path), "--only", "metrics", "--sketch", "4"]) == 2
    assert "add outputs to --only" in capsys.readouterr().err


def test_a_sketch_group_of_another_layout_is_named(trained_run):
    tree = measured(trained_run("deep_linear"), 4).tree.copy()
    group = tree["outputs/predictions_sketch"]
    group.dataset = group.to_dataset().rename_dims(feature="number")
    with pytest.raises(SchemaError, match=r"\(step, number\) where \(step, feature\)"):
        schema.check(tree)


@pytest.mark.slow
def test_on_the_bundled_language_run_a_64th_of_the_storage_keeps_the_first_four_components(
    tmp_path: Path, monkeypatch
):
    monkeypatch.setenv("DEVEXPLORE_CACHE", str(tmp_path))
    whole = dx.measure(dx.open("language"), [dx.Outputs()], progress=False)
    reference = dx.essential_dynamics(whole)
    run = dx.measure(dx.open("language"), [dx.Outputs(sketch=8192)], progress=False)
    sketch = run.dataset("outputs/log_probs_sketch")["output"]
    assert whole.dataset("outputs/log_probs")["output"].nbytes >= 50 * sketch.nbytes
    found = dx.essential_dynamics(sketch)
    for component in range(1, 5):
        one, other = (ed["score"].sel(component=component) for ed in (reference, found))
        assert np.corrcoef(one, other)[0, 1] >= 0.995
