"""Runs are checked file by file, and packed small without losing what cannot be computed again."""

import json
from pathlib import Path

import pytest

import devexplore as dx
from devexplore import schema
from devexplore.errors import NotWritable, RunNotFound, StoreConflict
from devexplore.upkeep import check_run, pack_run


def test_a_whole_run_has_no_problems_and_is_not_touched(measured_run, contents):
    path = measured_run("deep_linear")
    before = contents(path)
    assert check_run(path) == []
    assert check_run(path, repair=True) == []
    assert contents(path) == before


def test_an_unmeasured_run_and_one_without_checkpoints_are_whole(trained_run):
    path = trained_run("deep_linear")
    assert check_run(path) == []
    for file in (path / "checkpoints").iterdir():
        file.unlink()
    (path / "checkpoints").rmdir()
    assert check_run(path) == []


def test_every_damaged_checkpoint_and_chunk_is_one_line(measured_run):
    path = measured_run("deep_linear")
    for step in (0, 3):
        file = path / "checkpoints" / f"step_{step:08d}.safetensors"
        file.write_bytes(file.read_bytes()[:-1])
    chunk = path / schema.STORE_FOLDER / "llc" / "llc" / "c" / "0"
    chunk.write_bytes(b"")
    problems = check_run(path)
    assert len(problems) == 3
    assert all("\n" not in problem for problem in problems)
    for name in ("llc/llc/c/0", "step_00000000", "step_00000003"):
        assert any(name in problem for problem in problems)


def test_a_packed_run_keeps_all_but_outputs_and_training_state(measured_run, tmp_path: Path, contents):
    source = measured_run("deep_linear")
    (source / "resume.safetensors").write_bytes(b"left over")
    before = contents(source)
    packed = pack_run(source, tmp_path / "shipped")
    assert contents(source) == before
    assert {path.name for path in packed.iterdir()} == {
        "run.json",
        "training.csv",
        "checkpoints",
        schema.STORE_ZIP,
    }
    for name, data in contents(packed / "checkpoints").items():
        assert before[f"checkpoints/{name}"] == data
    whole, shipped = dx.open(source), dx.open(packed)
    kept = [group for group in whole.groups if not group.startswith("outputs")]
    assert list(shipped.groups) == kept
    for group in kept:
        assert whole.dataset(group).identical(shipped.dataset(group))
    assert json.loads((packed / "run.json").read_text()) == whole.recipe | {"name": "shipped"}
    assert check_run(packed) == []


def test_packing_twice_gives_equal_bytes_and_a_packed_run_packs_again(measured_run, tmp_path: Path):
    source = measured_run("deep_linear")
    first, second = pack_run(source, tmp_path / "first"), pack_run(source, tmp_path / "second")
    again = pack_run(first, tmp_path / "again")
    archives = [path / schema.STORE_ZIP for path in (first, second, again)]
    assert len({archive.read_bytes() for archive in archives}) == 1


def test_packing_never_writes_into_what_is_there(measured_run, tmp_path: Path, contents):
    source = measured_run("deep_linear")
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("precious")
    with pytest.raises(StoreConflict, match="not empty"):
        pack_run(source, out)
    with pytest.raises(StoreConflict, match="not empty"):
        pack_run(source, source)
    with pytest.raises(StoreConflict, match="is a file"):
        pack_run(source, out / "mine")
    with pytest.raises(RunNotFound, match="nowhere: no such run"):
        pack_run(tmp_path / "nowhere", tmp_path / "new")
    assert contents(out) == {"mine": b"precious"}


def test_a_packed_runs_damage_is_told_and_not_repaired(measured_run, tmp_path: Path):
    packed = pack_run(measured_run("deep_linear"), tmp_path / "packed")
    with pytest.raises(NotWritable, match="read-only"):
        check_run(packed, repair=True)


def test_a_run_without_checkpoints_or_measurements_is_packed_as_it_is(trained_run, tmp_path: Path):
    path = trained_run("deep_linear")
    packed = pack_run(path, tmp_path / "first")
    assert not (packed / schema.STORE_ZIP).exists()
    for file in (packed / "checkpoints").iterdir():
        file.unlink()
    (packed / "checkpoints").rmdir()
    assert dx.open(pack_run(packed, tmp_path / "second")).system == "deep_linear"
