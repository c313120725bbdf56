"""Figures as files: every one that the run supports, the others with why not; offline."""

import errno
import re
import sys

import kaleido
import pytest

import devexplore as dx
from devexplore.errors import InvalidSpec, MissingExtra, NotWritable
from devexplore.figures import stills


@pytest.fixture
def chromium(monkeypatch, chromium_path):
    """Kaleido's browser is that of the other tests."""
    monkeypatch.setenv("BROWSER_PATH", chromium_path)


@pytest.fixture
def no_pictures(monkeypatch):
    """Nothing is drawn by a browser; what would be, is listed."""
    asked = []
    monkeypatch.setattr(stills, "_writer", lambda: asked.extend)
    return asked


def test_every_figure_of_a_run_is_asked_for_in_every_format_and_the_text_is_written(
    measured_run, no_pictures, tmp_path
):
    run = dx.open(measured_run("deep_linear"))
    saved = dx.figures.save(run, tmp_path / "figures", ("pdf", "svg"))
    names = {file.stem for file in saved.files}
    assert {"stages", "development", "trajectory", "stage_analysis", "staircase"} <= names
    assert {"landscape", "token_changes", "agreement"} <= names | set(saved.left_out)
    assert "k_gons" not in names | set(saved.left_out)
    assert [one["path"] for one in no_pictures] == [file for file in saved.files if file.suffix != ".html"]
    for one in no_pictures:
        assert one["opts"]["width"] == one["fig"].layout.width
    written = [file.name for file in (tmp_path / "figures").iterdir()]
    assert written == [name for name in ("token_changes.html",) if "token_changes" in names]


def test_what_the_run_lacks_is_said_and_the_rest_is_written(run_without, no_pictures, tmp_path):
    saved = dx.figures.save(run_without("superposition", "llc", "metrics"), tmp_path, ("png",))
    assert "--only llc" in saved.left_out["landscape"]
    assert "--only metrics" in saved.left_out["k_gons"]
    assert tmp_path / "stages.png" in saved.files
    assert {one["opts"]["scale"] for one in no_pictures} == {stills.DOTS}


def test_on_paper_a_slider_is_the_words_that_it_stands_at(table_run, no_pictures, tmp_path):
    run = table_run("llc,llc_se,loss")
    slider = dx.figures.landscape(run).layout.sliders[0]
    dx.figures.save(run, tmp_path, ("svg",))
    (figure,) = (one["fig"] for one in no_pictures if one["path"].stem == "landscape")
    words = f"samples n = {slider.steps[slider.active].label}"
    assert [note.text for note in figure.layout.annotations].count(words) == 1
    assert len(figure.layout.sliders) == 0


@pytest.mark.parametrize("formats", [(), ("pdf", "bmp")])
def test_other_formats_are_refused_before_anything_is_written(measured_run, tmp_path, formats):
    with pytest.raises(InvalidSpec, match="pdf, png, svg"):
        dx.figures.save(dx.open(measured_run("deep_linear")), tmp_path / "out", formats)
    assert not (tmp_path / "out").exists()


def test_without_kaleido_the_command_that_installs_it_is_named(measured_run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kaleido", None)
    with pytest.raises(MissingExtra, match=re.escape('pip install "devexplore[stills]"')):
        dx.figures.save(dx.open(measured_run("deep_linear")), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_a_browser_the_variable_that_names_one_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("BROWSER_PATH", "/nowhere/chromium")
    with pytest.raises(MissingExtra, match="BROWSER_PATH"):
        stills._writer()([{"fig": {"data": [], "layout": {}}, "path": tmp_path / "a.pdf", "opts": {}}])


def test_a_folder_that_cannot_be_is_refused_before_anything_is_drawn(measured_run, tmp_path, monkeypatch):
    monkeypatch.setattr(stills, "_drawings", lambda run: pytest.fail("drawn"))
    (tmp_path / "file").write_text("mine")
    run = dx.open(measured_run("deep_linear"))
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NotWritable, match="figures not written"):
            dx.figures.save(run, folder)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_disk_that_fills_leaves_the_pictures_that_were_there(monkeypatch, tmp_path):
    full = OSError(errno.ENOSPC, "No space left on device")

    def fills(pictures, kopts):
        pictures[0]["path"].write_text("half")
        return (full,)

    monkeypatch.setattr(kaleido, "write_fig_from_object_sync", fills)
    there = tmp_path / "a.pdf"
    there.write_text("whole")
    pictures = [{"fig": {}, "path": path, "opts": {}} for path in (there, tmp_path / "b.pdf")]
    with pytest.raises(NotWritable, match="No space left on device") as refused:
        stills._writer()(pictures)
    assert str(refused.value).count("not written") == 1
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.pdf", "whole")]


@pytest.mark.browser
def test_pictures_are_written_offline_at_the_size_of_the_figure(chromium, table_run, tmp_path, monkeypatch):
    drawings = stills._drawings
    monkeypatch.setattr(stills, "_drawings", lambda run: [next(drawings(run))])
    saved = dx.figures.save(table_run("llc,llc_se,loss"), tmp_path, ("pdf", "png", "svg"))
    pdf, png, svg = (file.read_bytes() for file in saved.files)
    assert pdf.startswith(b"%PDF-")
    assert int.from_bytes(png[16:20]) == 3 * 1100
    text = svg.decode()
    assert 'width="1100"' in text
    assert "Stages of" in text
