"""A run folder opens with whatever it holds, and a folder that is none says what it is instead."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from devexplore import run as runs
from devexplore.checkpoints import save_checkpoint
from devexplore.errors import (
    CheckpointNotFound,
    DamagedStore,
    DevexploreError,
    NotMeasured,
    NotWritable,
    RunNotFound,
    SchemaError,
)
from devexplore.run import bundled_runs, open_run
from devexplore.schema import check
from devexplore.store import Store, Variable, pack, provenance

RECIPE = {"format": "devexplore-run", "version": 1, "system": "language", "name": "tiny", "seed": 0}
LAYOUT = {
    "token_loss": Variable(("sequence", "position"), (2, 3), np.float32),
    "test_loss": Variable((), (), np.float64),
}


def one_line(error: pytest.ExceptionInfo[DevexploreError], *parts: str) -> None:
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def write_group(store: Store, group: str, steps) -> None:
    writer = store.writer(group, {}, LAYOUT, {}, {}, provenance(0, {}))
    for step in steps:
        writer.write(
            step, f"h{step}", {"token_loss": np.full((2, 3), step, np.float32), "test_loss": step / 2}
        )


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("DEVEXPLORE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "tiny"
    for step in (0, 10):
        save_checkpoint(
            path / "checkpoints" / f"step_{step:08d}.safetensors", {"w": torch.full((2,), float(step))}
        )
    (path / "run.json").write_text(json.dumps(RECIPE))
    return path


@pytest.fixture
def measured(folder: Path) -> Path:
    with Store(folder / "measurements.zarr", mode="a") as store:
        write_group(store, "losses", (10, 0))
        write_group(store, "metrics", ())
    return folder


def test_a_measured_run_gives_its_groups_and_checkpoints(measured: Path):
    run = open_run(measured)
    assert (run.name, run.system, run.recipe["seed"]) == ("tiny", "language", 0)
    assert run.groups == ("losses",)
    assert run.has("losses")
    np.testing.assert_array_equal(run.dataset("losses").step, [0, 10])
    np.testing.assert_array_equal(run.checkpoints.steps, [0, 10])
    assert float(run.dataset("losses").test_loss.sel(step=10)) == 5
    assert "losses" in run.tree


def test_a_run_without_measurements_opens_and_says_how_to_measure(folder: Path):
    run = open_run(folder)
    assert run.groups == ()
    with pytest.raises(NotMeasured) as error:
        run.dataset("losses")
    one_line(error, "nothing yet", f"`devexplore measure {folder} --only losses`")


def test_a_group_without_steps_is_not_measured(measured: Path):
    with pytest.raises(NotMeasured) as error:
        open_run(measured).dataset("metrics")
    one_line(error, "measured: losses", "--only metrics")


def test_a_run_that_is_still_training_opens(folder: Path):
    for file in (folder / "checkpoints").iterdir():
        file.unlink()
    run = open_run(folder)
    assert run.groups == ()
    assert run.cache_dir.name.startswith("tiny-")
    with pytest.raises(CheckpointNotFound):
        _ = run.checkpoints


def test_a_run_without_its_checkpoints_still_shows_what_was_measured(measured: Path):
    for file in (measured / "checkpoints").iterdir():
        file.unlink()
    (measured / "checkpoints").rmdir()
    run = open_run(measured)
    assert run.has("losses")
    with pytest.raises(CheckpointNotFound) as error:
        _ = run.checkpoints
    one_line(error, "checkpoints/")


def test_refresh_sees_steps_measured_since(measured: Path):
    run = open_run(measured)
    assert run.dataset("losses").sizes["step"] == 2
    with run.output_store() as store:
        assert store.path == measured / "measurements.zarr"
        write_group(store, "losses", (20,))
    assert run.dataset("losses").sizes["step"] == 2
    run.refresh()
    assert run.dataset("losses").sizes["step"] == 3


def test_outputs_of_a_packed_run_go_to_the_cache_and_are_found_there(measured: Path, cache: Path):
    pack(measured / "measurements.zarr", measured / "measurements.zarr.zip")
    (measured / "measurements.zarr").rename(measured.parent / "elsewhere")
    run = open_run(measured)
    assert run.store_path.name == "measurements.zarr.zip"
    assert run.groups == ("losses",)
    with run.output_store() as store:
        assert Path(store.path).is_relative_to(cache)
        write_group(store, "outputs/logits", (0,))
    run.refresh()
    assert run.groups == ("losses", "outputs/logits")
    assert open_run(measured).dataset("outputs/logits").sizes["step"] == 1
    assert sorted(path.name for path in measured.iterdir()) == [
        "checkpoints",
        "measurements.zarr.zip",
        "run.json",
    ]
    run.close()


def test_outputs_of_a_run_that_is_being_measured_go_to_the_cache(measured: Path, cache: Path):
    busy, run = Store(measured / "measurements.zarr", mode="a").claim(), open_run(measured)
    with busy, run.output_store() as store:
        assert Path(store.path).is_relative_to(cache)
        write_group(store, "outputs/logits", (0,))
    assert open_run(measured).groups == ("losses", "outputs/logits")


def test_a_sweep_cut_short_in_the_runs_own_store_does_not_hide_a_whole_one_in_the_cache(
    measured: Path, cache: Path
):
    own = Store(measured / "measurements.zarr", mode="a").claim()
    write_group(own, "outputs/logits", (0,))
    with own, open_run(measured).output_store() as store:
        assert Path(store.path).is_relative_to(cache)
        write_group(store, "outputs/logits", (0, 10))
    assert open_run(measured).dataset("outputs/logits").sizes["step"] == 2


def test_a_cache_that_cannot_be_written_says_which_variable_moves_it(measured: Path, cache: Path):
    cache.write_text("a file where the folder should be")
    with Store(measured / "measurements.zarr", mode="a").claim(), pytest.raises(NotWritable) as error:
        open_run(measured).output_store()
    one_line(error, str(cache), "cannot write here", "DEVEXPLORE_CACHE")


def test_other_weights_have_another_cache(folder: Path):
    before = open_run(folder).cache_dir
    assert open_run(folder).cache_dir == before
    save_checkpoint(folder / "checkpoints" / "step_00000010.safetensors", {"w": torch.zeros(2)})
    assert open_run(folder).cache_dir != before


def test_without_the_variable_the_cache_is_the_users(folder: Path, monkeypatch):
    monkeypatch.delenv("DEVEXPLORE_CACHE")
    assert open_run(folder).cache_dir.parent == runs.platformdirs.user_cache_path("devexplore")


def test_damage_is_told_when_it_is_read(measured: Path):
    files = [
        file for file in (measured / "measurements.zarr/losses/token_loss/c").rglob("*") if file.is_file()
    ]
    files[0].write_bytes(files[0].read_bytes()[:-2])
    losses = open_run(measured).dataset("losses")
    losses.test_loss.load()
    with pytest.raises(DamagedStore) as error:
        losses.token_loss.load()
    one_line(error, str(files[0]), f"devexplore check {measured} --repair")


def test_a_missing_run_names_what_is_near(measured: Path, monkeypatch):
    monkeypatch.setattr(runs, "bundled_runs", lambda: {"language": Path("/bundled/language")})
    with pytest.raises(RunNotFound) as error:
        open_run(measured.parent / "tny")
    one_line(error, "no such run", f"did you mean {measured}?", "bundled runs: language")
    with pytest.raises(RunNotFound) as error:
        open_run("langage")
    one_line(error, "did you mean language?")


def test_a_bundled_run_opens_by_its_name(measured: Path, monkeypatch, tmp_path: Path):
    monkeypatch.setattr(runs, "bundled_runs", lambda: {"small": measured})
    monkeypatch.chdir(tmp_path)
    assert open_run("small").path == measured
    assert open_run("data/small").path == measured


def test_bundled_runs_are_run_folders():
    for name, path in bundled_runs().items():
        assert path.name == name
        assert (path / "run.json").is_file()


def test_a_folder_that_is_no_run_says_what_it_holds(tmp_path: Path):
    for name in "abcdefg":
        (tmp_path / "x" / name).mkdir(parents=True)
    with pytest.raises(SchemaError) as error:
        open_run(tmp_path / "x")
    one_line(error, "run.json", "found a, b, c, d, e and 2 more")


def test_a_folder_of_checkpoints_says_how_to_make_a_run_of_it(folder: Path):
    (folder / "run.json").unlink()
    for asked in (folder, folder / "checkpoints"):
        with pytest.raises(SchemaError) as error:
            open_run(asked)
        one_line(error, "2 checkpoints", "a run also has a run.json")


def test_a_part_of_a_run_and_a_folder_of_runs_point_to_the_run(folder: Path):
    for asked in (folder / "checkpoints", folder.parent):
        with pytest.raises(SchemaError) as error:
            open_run(asked)
        one_line(error, str(folder), "open")


def test_run_json_itself_opens_its_run_and_another_file_does_not(folder: Path):
    assert open_run(folder / "run.json").path == folder
    with pytest.raises(SchemaError) as error:
        open_run(folder / "checkpoints" / "step_00000000.safetensors")
    one_line(error, "this is a file")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{broken", "no readable JSON"),
        ("[]", "devexplore-run"),
        (json.dumps({**RECIPE, "format": "other"}), "devexplore-run"),
        (json.dumps({**RECIPE, "version": 99}), "pip install --upgrade devexplore"),
        (json.dumps({**RECIPE, "version": "1"}), "'1'"),
        (json.dumps({**RECIPE, "system": "vision"}), "'vision'"),
    ],
)
def test_a_broken_recipe_is_named(folder: Path, content: str, named: str):
    (folder / "run.json").write_text(content)
    with pytest.raises(SchemaError) as error:
        open_run(folder)
    one_line(error, "run.json", named)


def test_check_passes_what_was_measured_and_names_what_is_missing(measured: Path):
    run = open_run(measured)
    check(run.tree.filter(lambda node: "metrics" not in node.path))
    bad = run.tree.copy()
    bad["losses"] = bad["losses"].to_dataset().drop_vars("test_loss").transpose("position", ...)
    with pytest.raises(SchemaError) as error:
        check(bad)
    one_line(error, "losses lacks test_loss(step)", "(step, sequence, position) was expected")


def test_opening_a_run_needs_neither_torch_nor_panel(measured: Path):
    code = (
        "import sys; from devexplore.run import open_run\n"
        f"open_run({str(measured)!r}).dataset('losses').load()\n"
        "assert not {'torch', 'panel'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
