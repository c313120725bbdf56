"""Stopped in whatever way and gone on with, training ends with the very weights of an uninterrupted one."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from devexplore import systems
from devexplore.errors import InvalidSpec, SchemaError, StoreConflict, TrainingDiverged
from devexplore.systems import training
from devexplore.systems.training import checkpoint_schedule, choose_device, train

QUIET: dict[str, Any] = {"device": "cpu", "progress": False, "log": lambda _: None}

IN_A_PROCESS = """
import json, sys, torch
from pathlib import Path
from devexplore import systems
from devexplore.systems import training
torch.set_num_threads(1)
training.SAVE_EVERY_SECONDS = 0.02
name, settings, out = sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3])
settings = {key: tuple(v) if isinstance(v, list) else v for key, v in settings.items()}
system = systems.from_preset(name, "small", settings, out)
training.train(system, out, device="cpu", progress=False)
"""


def run(name: str, settings: dict[str, Any], out: Path, **options: Any) -> Path:
    return train(systems.from_preset(name, "small", settings, out), out, **{**QUIET, **options})


def kept(out: Path) -> int:
    """Checkpoints that are there whole; those being written come and go."""
    return len(list((out / "checkpoints").glob("step_*")))


def checkpoints(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (out / "checkpoints").iterdir()}


def logged(out: Path) -> list[tuple[str, ...]]:
    """Rows of the training log without their times."""
    with (out / "training.csv").open(newline="", encoding="utf-8") as file:
        return [
            (row["step"], row["loss"], row["learning_rate"], row["samples_seen"])
            for row in csv.DictReader(file)
        ]


def same_training(one: Path, other: Path) -> None:
    assert checkpoints(one) == checkpoints(other)
    assert logged(one) == logged(other)
    steps = [int(row[0]) for row in logged(one)]
    assert steps == sorted(set(steps))


@given(st.integers(1, 5000), st.integers(1, 60), st.integers(1, 60))
def test_the_schedule_is_even_and_logarithmic_steps_with_both_ends(steps: int, linear: int, logarithmic: int):
    schedule = checkpoint_schedule(steps, linear, logarithmic)
    assert schedule == sorted(set(schedule))
    assert schedule[0] == 0
    assert schedule[-1] == steps
    even = {round(k * steps / linear) for k in range(linear + 1)}
    log = {round(steps ** (k / (logarithmic - 1))) for k in range(logarithmic)} if logarithmic > 1 else {1}
    # Rounding of halves and of powers may differ by one in the last place.
    assert all(min(abs(step - other) for other in even | log) <= 1 for step in schedule)
    assert all(min(abs(step - other) for other in schedule) <= 1 for step in even | log)


def test_the_schedule_of_the_language_paper_is_every_100_steps_and_step_1():
    assert checkpoint_schedule(50_000, 500, 1) == sorted({1, *range(0, 50_001, 100)})


@pytest.mark.parametrize("name", systems.NAMES)
def test_training_stopped_twice_gives_the_same_checkpoints_and_log(name: str, smallest, tmp_path: Path):
    settings = smallest(name, steps=12)
    whole = run(name, settings, tmp_path / "whole")
    for stop in (5, 9, None):
        parts = run(name, settings, tmp_path / "parts", stop_after=stop)
        assert (parts / training.RESUME_FILE).exists() == (stop is not None)
    same_training(whole, parts)
    assert json.loads((parts / "run.json").read_text())["finished"] is True


def test_a_finished_run_is_left_as_it_is(trained_run, smallest, contents):
    path = trained_run("superposition")
    before, said = contents(path), []
    run("superposition", smallest("superposition"), path, log=said.append, preset="small")
    assert contents(path) == before
    assert "already trained" in said[0]


def test_the_log_covers_every_checkpoint_once_with_the_schedule_of_the_learning_rate(trained_run):
    path = trained_run("regression")
    recipe = json.loads((path / "run.json").read_text())
    system = systems.from_recipe(recipe, path)
    rows = logged(path)
    assert [int(step) for step, *_ in rows] == list(range(7))
    for step, _, rate, seen in rows:
        assert float(rate) == pytest.approx(system.learning_rate(int(step)), rel=1e-5)
        assert int(seen) == int(step) * 8
    assert sorted(checkpoints(path)) == [f"step_{step:08d}.safetensors" for step in recipe["schedule"]]


def test_weights_are_kept_in_float16_when_asked_and_training_stays_float32(smallest, tmp_path: Path):
    settings = smallest("regression")
    single = run("regression", settings, tmp_path / "single")
    half = run("regression", settings, tmp_path / "half", weights="float16")
    last = "checkpoints/step_00000006.safetensors"
    kept, true = load_file(half / last), load_file(single / last)
    assert all(tensor.dtype == torch.float16 for tensor in kept.values())
    assert all(torch.equal(kept[name], true[name].half()) for name in true)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to oneself there")
@pytest.mark.parametrize("name", ["language", "superposition"])
def test_an_interrupt_within_an_update_loses_and_doubles_nothing(
    name: str, smallest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Ctrl-C arrives just before and just after the weights change, the worst moments there are."""
    settings = smallest(name, steps=12)
    whole = run(name, settings, tmp_path / "whole")
    out = tmp_path / "parts"
    for moment in ("before", "after"):
        system = systems.from_preset(name, "small", settings, out)
        original, updates = system.optimizer, []

        def interrupted(model, original=original, updates=updates, moment=moment):
            optimizer = original(model)
            step = optimizer.step

            def update():
                updates.append(None)
                if moment == "before" and len(updates) == 4:
                    os.kill(os.getpid(), signal.SIGINT)
                step()
                if moment == "after" and len(updates) == 4:
                    os.kill(os.getpid(), signal.SIGINT)

            optimizer.step = update
            return optimizer

        monkeypatch.setattr(system, "optimizer", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(system, out, **QUIET)
    assert (out / training.RESUME_FILE).exists()
    run(name, settings, out)
    same_training(whole, out)


def start(name: str, settings: dict[str, Any], out: Path) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", IN_A_PROCESS, name, json.dumps(settings), str(out)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
@pytest.mark.parametrize(("name", "steps"), [("regression", 600), ("superposition", 2500)])
def test_training_killed_at_random_moments_ends_as_an_uninterrupted_one(
    name: str, steps: int, smallest, tmp_path: Path
):
    settings = smallest(name, steps=steps, linear_checkpoints=30, log_checkpoints=10)
    whole = start(name, settings, tmp_path / "whole")
    assert whole.communicate()[1] == ""
    assert whole.returncode == 0
    moments, kills, out = random.Random(4), 0, tmp_path / "killed"
    while True:
        process = start(name, settings, out)
        before = kept(out)
        while process.poll() is None and kept(out) <= before:
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL if kills < 4 else 0)
        _, errors = process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, errors
        kills += 1
    assert kills >= 2
    whole = tmp_path / "whole"
    found = {name: data for name, data in checkpoints(out).items() if not name.startswith(".")}
    assert found == checkpoints(whole)  # a kill within a write may leave its hidden temporary file
    assert logged(out) == logged(whole)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to others there")
def test_ctrl_c_saves_and_the_same_command_goes_on(smallest, tmp_path: Path):
    settings = smallest("regression", steps=600, linear_checkpoints=30, log_checkpoints=10)
    whole = run("regression", settings, tmp_path / "whole")
    process = start("regression", settings, tmp_path / "stopped")
    while not (tmp_path / "stopped" / "checkpoints" / "step_00000060.safetensors").exists():
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate()
    assert process.returncode != 0
    assert "the same command goes on from there" in said
    again = start("regression", settings, tmp_path / "stopped")
    assert again.communicate()[1] == ""
    assert again.returncode == 0
    same_training(whole, tmp_path / "stopped")


def test_rows_of_the_log_cut_off_or_doubled_by_a_kill_are_mended_on_resuming(smallest, tmp_path: Path):
    settings = smallest("superposition", steps=12)
    whole = run("superposition", settings, tmp_path / "whole")
    parts = run("superposition", settings, tmp_path / "parts", stop_after=8)
    log = parts / "training.csv"
    rows = log.read_text(encoding="utf-8").splitlines(keepends=True)
    log.write_text("".join([*rows, rows[3], "1"]), encoding="utf-8")
    run("superposition", settings, parts)
    same_training(whole, parts)


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"weights": "float16"}, {"steps": 7}, {"peak_learning_rate": 0.5}],
    ids=["seed", "weights", "steps", "learning rate"],
)
def test_a_folder_with_another_training_is_refused_and_left_unchanged(
    change: dict[str, Any], trained_run, smallest, contents
):
    path = trained_run("superposition")
    before = contents(path)
    options = {key: change.pop(key) for key in ("seed", "weights") if key in change}
    with pytest.raises(StoreConflict, match="holds another run") as refused:
        run("superposition", smallest("superposition", **change), path, **options)
    assert "\n" not in str(refused.value)
    assert contents(path) == before


def test_a_folder_with_another_system_is_refused(trained_run, smallest, contents):
    path = trained_run("deep_linear")
    before = contents(path)
    with pytest.raises(StoreConflict, match=r"different system"):
        run("superposition", smallest("superposition"), path)
    assert contents(path) == before


def test_a_folder_of_something_else_is_refused_and_left_unchanged(smallest, tmp_path: Path, contents):
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter1.tex").write_text("precious")
    with pytest.raises(StoreConflict, match="is no run"):
        run("superposition", smallest("superposition"), out)
    assert contents(out) == {"chapter1.tex": b"precious"}


@pytest.mark.parametrize("content", ["{", "[]", ""])
def test_a_broken_recipe_is_named(content: str, smallest, tmp_path: Path):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(SchemaError, match=r"run\.json"):
        run("superposition", smallest("superposition"), tmp_path)
    assert (tmp_path / "run.json").read_text() == content


def test_a_run_killed_before_its_recipe_was_written_begins_anew(smallest, tmp_path: Path):
    settings = smallest("language")
    whole = run("language", settings, tmp_path / "whole")
    begun = tmp_path / "begun"
    begun.mkdir()
    (begun / "tokenizer.json").write_bytes((whole / "tokenizer.json").read_bytes())
    same_training(whole, run("language", settings, begun))


def test_somebody_elses_tokenizer_is_not_overwritten(smallest, tmp_path: Path, contents):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(StoreConflict, match="is no run"):
        run("language", smallest("language"), tmp_path)
    assert contents(tmp_path) == {"tokenizer.json": b"{}"}


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_a_truncated_resume_file_is_named_and_the_remedy_works(length: int, smallest, tmp_path: Path):
    settings = smallest("regression")
    out = run("regression", settings, tmp_path / "run", stop_after=3)
    resume = out / training.RESUME_FILE
    resume.write_bytes(resume.read_bytes()[:length])
    with pytest.raises(SchemaError, match=r"resume\.safetensors cannot be read.*delete it") as told:
        run("regression", settings, out)
    assert "\n" not in str(told.value)
    resume.unlink()
    run("regression", settings, out)
    same_training(run("regression", settings, tmp_path / "whole"), out)


def test_a_resume_file_of_other_tensors_is_named(smallest, tmp_path: Path):
    settings = smallest("regression")
    out = run("regression", settings, tmp_path / "run", stop_after=3)
    save_file({"model.weight": torch.zeros(2)}, out / training.RESUME_FILE)
    with pytest.raises(SchemaError, match=r"resume\.safetensors"):
        run("regression", settings, out)


@pytest.mark.parametrize(
    ("name", "rate"), [("superposition", 1e6), ("deep_linear", 1e4), ("regression", 1e30), ("language", 1e30)]
)
def test_a_diverging_training_says_so_and_keeps_its_checkpoints(
    name: str, rate: float, smallest, tmp_path: Path
):
    out = tmp_path / "run"
    with pytest.raises(TrainingDiverged, match=r"the training loss became (nan|inf)") as told:
        run(name, smallest(name, peak_learning_rate=rate, steps=40), out)
    assert "\n" not in str(told.value)
    kept = checkpoints(out)
    assert "step_00000000.safetensors" in kept
    assert len(kept) < len(checkpoint_schedule(40, 2, 3))


def test_a_seed_or_weight_type_that_cannot_be_is_refused_before_anything_is_made(smallest, tmp_path: Path):
    for options in ({"seed": -1}, {"seed": 1.5}, {"weights": "int8"}, {"device": "abacus"}):
        with pytest.raises(InvalidSpec):
            run("superposition", smallest("superposition"), tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_devices_are_found_or_refused_by_name():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    for name in ("gpu", "cpu:x", "cuda:99", "", "cpu:"):
        with pytest.raises(InvalidSpec, match=f"device '{name}'"):
            choose_device(name)
