"""Tables in, stages out, boundaries in and out as files: by commands alone."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import devexplore as dx
from devexplore.analysis.annotations import Boundaries, Boundary
from devexplore.cli import main
from devexplore.commands.look import stage_table


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """An imported table whose LLC rises to step 120 and falls after."""
    monkeypatch.setenv("DEVEXPLORE_ANNOTATIONS", str(tmp_path / "mine"))
    step = np.unique(np.concatenate([[0], np.geomspace(1, 14_000, 25)]).astype(int))
    noise = np.random.default_rng(0).normal(size=len(step))
    llc = 42 + 40 * np.sin(np.pi * np.log1p(step) / 9.6) + noise
    rows = np.stack([step, llc, np.ones(len(step)), 6 - 0.4 * np.log1p(step)], axis=1)
    np.savetxt(
        tmp_path / "curve.csv", rows, delimiter=",", header="step,llc,llc_se,loss", comments="", fmt="%.8g"
    )
    assert main(["import", str(tmp_path / "curve.csv"), "--out", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out.startswith("imported: llc, losses\nnext: devexplore stages ")
    return tmp_path / "run"


def table(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_stages_are_a_table_with_type_changes_probability_and_interval(run: Path, capsys) -> None:
    assert main(["stages", str(run)]) == 0
    note, head, first, second = table(capsys)
    assert note == "run: boundaries are critical points of the LLC curve"
    assert head.split()[:5] == ["stage", "start", "end", "type", "Δloss"]
    stages = dx.find_stages(dx.open(run))
    one = stages.isel(stage=0)
    assert first.split()[:4] == ["S1", "0", str(int(one["end"])), "A"]
    for shown in (
        f"{float(one['delta_llc']):+.3g} ± {float(one['delta_llc_se']):.2g}",
        f"{float(one['probability']):.2f}",
        f"{float(one['boundary_lower']):.0f}–{float(one['boundary_upper']):.0f}",
        f"{float(one['delta_loss']):+.3g}",
    ):
        assert shown in first
    assert second.split()[3] == "B"
    assert second.endswith("end")


def test_boundaries_go_out_and_come_in_as_files_and_are_reset(run: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "mine.json"
    assert main(["stages", str(run), "--export", str(out)]) == 0
    before = table(capsys)[1:]
    chosen = Boundaries.from_file(out).accept().add(5000, "by eye").name_stage(3, "late")
    chosen.to_file(tmp_path / "chosen.toml")
    assert main(["stages", str(run), "--import", str(tmp_path / "chosen.toml")]) == 0
    saved, note, *lines = table(capsys)
    assert saved == f"saved: {run / 'annotations.toml'}"
    assert note == "run: boundaries chosen by hand"
    assert "accepted (maximum)" in lines[1]
    assert "added (chosen)" in lines[2]
    assert lines[3].startswith("late ")
    assert lines[4] == "boundary at 5000: by eye"
    assert dx.boundaries(dx.open(run)) == chosen
    assert main(["stages", str(run), "--reset"]) == 0
    told, *after = table(capsys)
    assert str(run / "annotations.before.toml") in told
    assert after == before
    assert main(["stages", str(run), "--reset"]) == 0
    assert table(capsys)[0] == "there were none to reset"


def test_what_cannot_be_brought_in_is_one_line_and_changes_nothing(run: Path, tmp_path: Path, capsys) -> None:
    good = Boundaries((Boundary(300),)).to_file(tmp_path / "good.toml")
    assert main(["stages", str(run), "--import", str(good)]) == 0
    broken = tmp_path / "broken.toml"
    broken.write_text(good.read_text().replace("step = 300", "step = later"))
    late = Boundaries((Boundary(30_000),)).to_file(tmp_path / "late.toml")
    other = str(Boundaries((Boundary(500),)).to_file(tmp_path / "other.toml"))
    for words, says in (
        (["--import", str(broken)], "line 5"),
        (["--import", str(late)], "not at 30000"),
        (["--import", str(tmp_path / "gone.toml")], "cannot be read"),
        (["--export", str(good)], "exists"),
        (["--import", other, "--changes", "nope"], "no curve 'nope'"),
        (["--import", other, "--export", str(tmp_path / "b.yaml")], ".toml or .json"),
        (["--reset", "--changes", "nope"], "no curve 'nope'"),
    ):
        capsys.readouterr()
        assert main(["stages", str(run), *words]) == 2
        error = capsys.readouterr().err
        assert says in error
        assert error.count("\n") == 1
    assert dx.boundaries(dx.open(run)).steps == (300,)


def test_check_names_broken_annotations_and_leaves_them(run: Path, capsys) -> None:
    assert main(["check", str(run)]) == 0
    (run / "annotations.toml").write_text("step = ")
    assert main(["check", str(run), "--repair"]) == 2
    assert "annotations.toml" in capsys.readouterr().err
    assert (run / "annotations.toml").read_text() == "step = "


def test_a_bad_table_is_one_line_and_makes_no_run(tmp_path: Path, capsys) -> None:
    (tmp_path / "bad.csv").write_text("step,loss\n1,2\n1,3\n")
    assert main(["import", str(tmp_path / "bad.csv"), "--out", str(tmp_path / "run")]) == 2
    assert "step 1 is in line 2 and line 3" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_after_an_import_the_command_that_is_offered_works(tmp_path: Path, capsys) -> None:
    (tmp_path / "metrics.csv").write_text("step,accuracy\n1,0.2\n2,0.3\n")
    assert main(["import", str(tmp_path / "metrics.csv"), "--out", str(tmp_path / "run")]) == 0
    assert table(capsys)[-1] == f"next: devexplore explore {tmp_path / 'run'}"


def test_what_is_nothing_is_printed_without_a_minus() -> None:
    values = {"delta_loss": -0.0, "delta_llc": -0.0, "boundary_lower": -0.0, "boundary_upper": -0.0}
    values |= dict.fromkeys(("start", "end", "trusted", "probability", "delta_llc_se"), 0)
    values |= dict.fromkeys(
        ("name", "note", "type", "boundary_note", "boundary_origin", "boundary_kind"), "a"
    )
    assert "-" not in stage_table(xr.Dataset({name: ("stage", [value]) for name, value in values.items()}))


def test_a_staircase_is_printed_by_its_changes(capsys) -> None:
    assert main(["stages", "deep_linear", "--changes", "test_loss"]) == 0
    note, _, *lines = table(capsys)
    changes = dx.change_points(dx.open("deep_linear"), curve="test_loss")
    assert note == "deep_linear: changes of level of test_loss, with 90 % intervals"
    assert [int(line.split()[0]) for line in lines] == changes["step"].values.tolist()
    assert main(["stages", "deep_linear", "--changes", "accuracy"]) == 2
    assert "no curve 'accuracy'" in capsys.readouterr().err
