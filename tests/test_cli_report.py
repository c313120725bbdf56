"""``devexplore report`` and ``devexplore figures``: what they write, and what they say where they do not."""

import json
from pathlib import Path

import pytest

from devexplore.cli import main
from devexplore.figures import stills


@pytest.fixture(autouse=True)
def _single(one_thread: None) -> None:
    pass


def test_the_report_of_a_run_is_written_with_the_view_that_was_saved(
    measured_run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    view, out = tmp_path / "view.json", tmp_path / "new folder" / "page.html"
    view.write_text(json.dumps({"version": 1, "tab": "behaviour", "theme": "dark"}))
    words = ["report", str(measured_run("deep_linear")), "--out", str(out), "--select", str(view)]
    assert main([*words, "--theme", "light"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"written: {out} (")
    assert said.err == ""
    assert '"tab": "behaviour"' in out.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("report", "no-such-run"), "no such run"),
        (("report", "deep_linear", "--select", "nowhere.json"), "nowhere.json: not read"),
        (("figures", "deep_linear", "--format", "bmp"), "formats are of pdf, png, svg"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(words, expected, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(list(words)) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert expected in errors
    assert list(tmp_path.iterdir()) == []


def test_figures_are_listed_and_those_left_out_have_a_reason_each(
    measured_run, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stills, "_writer", lambda: lambda pictures: None)
    assert main(["figures", str(measured_run("superposition")), "--format", "svg"]) == 0
    *left_out, written = capsys.readouterr().out.splitlines()
    assert all(line.startswith("no ") and ": " in line for line in left_out)
    assert written.startswith("written: ")
    assert "stages.svg" in written
    assert "superposition-figures: " in written
