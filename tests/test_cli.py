"""From training to a packed run by commands alone; every mistake is one line, exit code 2, nothing lost."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import devexplore as dx
from devexplore import schema
from devexplore.cli import main


@pytest.fixture(autouse=True)
def _single(one_thread: None) -> None:
    pass


def settings(values: dict) -> list[str]:
    """``--set`` for each of them, tuples with commas."""
    texts = {
        name: ",".join(map(str, value)) if isinstance(value, tuple) else value
        for name, value in values.items()
    }
    return [word for name, text in texts.items() for word in ("--set", f"{name}={text}")]


def chains(values: dict) -> list[str]:
    return [word for name, value in values.items() for word in ("--llc", f"{name}={value}")]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]):
    """Run a command that must fail; its one line on standard error."""

    def run(*words) -> str:
        capsys.readouterr()
        assert main([str(word) for word in words]) == 2
        errors = capsys.readouterr().err
        assert errors.startswith("error: ")
        assert errors.count("\n") == 1
        assert errors.endswith("\n")
        return errors

    return run


@pytest.mark.parametrize(
    ("name", "only"), [("language", "losses,metrics,outputs"), ("deep-linear", "losses,metrics,outputs,llc")]
)
def test_train_measure_check_and_pack_give_a_run_that_opens(
    name: str, only: str, smallest, short_chains, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run, packed = tmp_path / "run", tmp_path / "packed"
    system = name.replace("-", "_")
    assert main(["train", name, "--out", str(run), "--threads", "1", *settings(smallest(system))]) == 0
    assert main(["measure", str(run), "--only", only, *chains(short_chains)]) == 0
    assert main(["check", str(run)]) == 0
    assert main(["pack", str(run), "--out", str(packed)]) == 0
    told = capsys.readouterr()
    assert told.err == ""  # bars are drawn on terminals only
    assert "all files are whole" in told.out
    whole, shipped = dx.open(run), dx.open(packed)
    assert {"losses", "metrics", "probe"} <= set(shipped.groups)
    assert shipped.has("llc") == shipped.has("chains") == ("llc" in only)
    assert any(group.startswith("outputs/") for group in whole.groups)
    assert not (packed / "measurements.zarr").exists()
    assert whole.dataset("losses").equals(shipped.dataset("losses"))
    assert main(["check", str(packed)]) == 0
    assert (packed / "tokenizer.json").exists() == (system == "language")


def test_training_and_measuring_again_go_on_and_change_nothing(
    smallest, short_chains, tmp_path: Path, contents, capsys: pytest.CaptureFixture[str]
):
    run = tmp_path / "run"
    train = ["train", "superposition", "--out", str(run), *settings(smallest("superposition"))]
    measure = ["measure", str(run), *chains(short_chains)]
    assert main(train) == main(measure) == 0
    before = contents(run)
    assert main(train) == main(measure) == 0
    assert contents(run) == before
    assert "already trained" in capsys.readouterr().out


def test_only_what_is_asked_for_is_measured(trained_run):
    path = trained_run("superposition")
    assert main(["measure", str(path), "--only", "losses, metrics"]) == 0
    assert dx.open(path).groups == ("checkpoints", "losses", "metrics", "probe")


def test_a_missing_run_is_one_line(refused, tmp_path: Path):
    for command in ("measure", "check"):
        assert "no such run" in refused(command, tmp_path / "nowhere")
    assert "no such run" in refused("pack", tmp_path / "nowhere", "--out", tmp_path / "packed")
    assert not (tmp_path / "packed").exists()


def test_a_folder_that_is_no_run_is_one_line_that_says_what_it_is(refused, tmp_path: Path, contents):
    (tmp_path / "notes.txt").write_text("mine")
    for command in ("measure", "check"):
        assert "notes.txt" in refused(command, tmp_path)
    assert contents(tmp_path) == {"notes.txt": b"mine"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--set", "colour=blue"], "colour"),
        (["--set", "steps"], "NAME=VALUE"),
        (["--set", "steps=many"], "steps"),
        (["--set", "steps=1.5"], "steps"),
        (["--set", "start_noise=-1"], "start_noise"),
        (["--preset", "huge"], "small, paper"),
        (["--device", "abacus"], "abacus"),
        (["--device", "cuda:99"], "cuda:99"),
        (["--seed", "-1"], "seed"),
        (["--threads", "0"], "threads"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_training_option_is_one_line_and_makes_no_folder(words, says: str, refused, tmp_path: Path):
    assert says in refused("train", "superposition", "--out", tmp_path / "run", *words)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--only", "losses,everything"], "everything"),
        (["--only", ""], "losses"),
        (["--device", "abacus"], "abacus"),
        (["--llc", "draws"], "NAME=VALUE"),
        (["--llc", "draws=few"], "draws"),
        (["--llc", "draw=5"], "draws"),
        (["--outputs", "thoughts"], "predictions"),
        (["--threads", "-2"], "threads"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_measuring_option_is_one_line_and_measures_nothing(
    words, says: str, refused, trained_run, contents
):
    path = trained_run("superposition")
    before = contents(path)
    assert says in refused("measure", path, *words)
    assert contents(path) == before


def test_training_into_another_run_or_a_file_is_one_line_and_changes_nothing(
    refused, trained_run, smallest, tmp_path: Path, contents
):
    path = trained_run("superposition")
    (tmp_path / "file").write_text("mine")
    before = contents(tmp_path)
    other = settings(smallest("superposition", steps=7))
    assert "another run" in refused("train", "superposition", "--out", path, *other)
    assert "is a file" in refused("train", "superposition", "--out", tmp_path / "file", *other)
    assert "not empty" in refused("pack", path, "--out", path)
    assert contents(tmp_path) == before


def test_a_folder_whose_name_is_too_long_is_one_line(refused, measured_run, tmp_path: Path):
    long = tmp_path / ("x" * 300)
    for words in (["train", "deep-linear"], ["pack", measured_run("deep_linear")]):
        assert "File name too long" in refused(*words, "--out", long)


def test_a_text_source_that_is_not_there_is_one_line_and_makes_no_folder(refused, tmp_path: Path):
    words = ("train", "language", "--out", tmp_path / "run", "--set", f"text=folder:{tmp_path / 'gone'}")
    assert "no such folder of text files" in refused(*words)
    assert not (tmp_path / "run").exists()


def test_other_llc_settings_than_the_stored_are_one_line_and_overwrite_nothing(
    refused, measured_run, short_chains, contents
):
    path = measured_run("superposition")
    before = contents(path)
    said = refused("measure", path, "--only", "llc", *chains(short_chains | {"n_beta": 77.0}))
    assert "n_beta 10.0 (asked: 77.0)" in said
    assert contents(path) == before


def test_a_truncated_chunk_is_named_and_repair_and_measure_heal_it(
    refused, measured_run, short_chains, contents, capsys: pytest.CaptureFixture[str]
):
    path = measured_run("superposition")
    chunk = path / schema.STORE_FOLDER / "losses" / "token_loss" / "c" / "0" / "0" / "0"
    whole, expected = chunk.read_bytes(), dx.open(path).dataset("losses").load()
    chunk.write_bytes(whole[:-7])
    before = contents(path)
    assert f"`devexplore check {path} --repair`" in refused("check", path)
    assert contents(path) == before
    assert main(["check", str(path), "--repair"]) == 0
    told = capsys.readouterr()
    assert "token_loss/c/0/0/0: truncated or corrupted" in told.out
    assert "repaired; now `devexplore measure` it" in told.out
    assert not dx.open(path).has("losses")
    assert main(["measure", str(path), "--only", "losses,metrics,llc", *chains(short_chains)]) == 0
    assert main(["check", str(path)]) == 0
    assert dx.open(path).dataset("losses").equals(expected)
    unchanged = {name: data for name, data in before.items() if "/losses/" not in name}
    assert unchanged.items() <= contents(path).items()


def spoil(file: Path, kind: str) -> None:
    tensors = load_file(file)
    if kind == "missing":
        del tensors["bias"]
    elif kind == "extra":
        tensors["surplus"] = torch.zeros(1)
    elif kind == "NaN":
        tensors["bias"][0] = float("nan")
    elif kind == "pickle":
        file.unlink()
        torch.save({"weights": tensors, "made": Path("here")}, file.with_suffix(".pt"))
        return
    save_file(tensors, file)


@pytest.mark.parametrize("kind", ["missing", "extra", "NaN", "pickle"])
def test_a_bad_checkpoint_is_one_line_that_names_it_and_nothing_stored_changes(
    kind: str, refused, trained_run, contents
):
    path = trained_run("superposition")
    spoil(path / "checkpoints" / "step_00000006.safetensors", kind)
    assert main(["measure", str(path), "--only", "losses"]) == 2  # the first checkpoint is stored now
    before = contents(path)
    assert "step_00000006" in refused("measure", path, "--only", "losses")
    assert contents(path) == before
    assert dx.open(path).dataset("losses")["step"].values.tolist() == [0]


@pytest.mark.parametrize("repair", [[], ["--repair"]])
def test_check_names_a_checkpoint_that_nothing_can_repair(
    repair: list[str], refused, trained_run, capsys: pytest.CaptureFixture[str]
):
    path = trained_run("superposition")
    file = path / "checkpoints" / "step_00000003.safetensors"
    file.write_bytes(file.read_bytes()[:50])
    said = refused("check", path, *repair)
    assert ("cannot be repaired" in said) == bool(repair)


def test_values_on_the_command_line_become_numbers_words_and_tuples(smallest, tmp_path: Path):
    run = tmp_path / "run"
    words = settings(smallest("deep_linear") | {"noise_std": "0", "init_scale": "1e-2"})
    assert main(["train", "deep-linear", "--out", str(run), *words]) == 0
    spec = json.loads((run / "run.json").read_text())["spec"]
    assert (spec["widths"], spec["singular_values"]) == ([3, 3, 3], [2.0, 1.0])
    assert (spec["noise_std"], spec["init_scale"]) == (0, 0.01)


@pytest.mark.parametrize("words", [["measure", "nowhere"], ["train", "superposition", "--out", "."]])
def test_as_a_program_too_a_mistake_is_exit_code_2_and_one_line(words: list[str], tmp_path: Path):
    (tmp_path / "mine").write_text("")
    command = [sys.executable, "-m", "devexplore.cli", *words]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("\n") == 1


def test_an_unknown_command_is_exit_code_2(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as left:
        main(["ponder"])
    assert left.value.code == 2
    assert "ponder" in capsys.readouterr().err
