"""Boundaries chosen by hand: a value that changes by copies, a file that nothing breaks, shown everywhere."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import devexplore as dx
from devexplore.analysis.annotations import Boundaries, Boundary, saved_boundaries
from devexplore.app.page import derive
from devexplore.errors import InvalidSpec, NotMeasured, NotWritable, SchemaError
from devexplore.schema import STORE_FOLDER
from devexplore.store import Store, Variable, provenance
from devexplore.upkeep import check_run, pack_run
from devexplore.views.stages import stage_marks
from devexplore.views.style import LIGHT

THREE = Boundaries(
    (Boundary(100, "candidate"), Boundary(900, "candidate", stage="bigrams"), Boundary(4000, "candidate"))
)
STEPS = np.unique(np.concatenate([[0], np.geomspace(1, 14_000, 25)]).astype(int))


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEVEXPLORE_ANNOTATIONS", str(tmp_path / "mine"))
    return tmp_path / "mine"


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose LLC rises to step 120 and falls after."""
    folder = tmp_path_factory.mktemp("made") / "planted"
    folder.mkdir()
    recipe = {"format": "devexplore-run", "version": 1, "system": "deep_linear", "name": "planted"}
    (folder / "run.json").write_text(json.dumps(recipe))
    noise = np.random.default_rng(0).normal(size=len(STEPS))
    number = Variable((), (), np.float64)
    names = ("llc", "llc_se", "rhat", "ess", "excess_loss", "relative_distance", "diverged_chains")
    with Store(folder / STORE_FOLDER, mode="a") as store:
        writer = store.writer("llc", {}, dict.fromkeys(names, number), {}, {}, provenance(0, {}))
        for step, error in zip(STEPS.tolist(), noise, strict=True):
            values = (40 * np.sin(np.pi * np.log1p(step) / 9.6) + error, 1.0, 1.0, 100.0, 0.1, 0.01, 0.0)
            writer.write(step, "", dict(zip(names, values, strict=True)))
    return folder


@pytest.fixture
def run(planted: Path, tmp_path: Path) -> dx.Run:
    """A copy of it that the test may change."""
    return dx.open(shutil.copytree(planted, tmp_path / "planted"))


def test_each_method_gives_a_changed_copy_and_leaves_its_own() -> None:
    before = replace(THREE)
    assert THREE.drop(900).steps == (100, 4000)
    assert THREE.move(900, to=1000).boundaries[1] == Boundary(1000, "moved", stage="bigrams")
    assert THREE.add(2000, "a kink").boundaries[2] == Boundary(2000, "added", "a kink")
    assert [b.origin for b in THREE.accept(100, 4000).boundaries] == ["accepted", "candidate", "accepted"]
    assert {b.origin for b in THREE.accept().boundaries} == {"accepted"}
    assert THREE.annotate("late", step=4000).boundaries[2].note == "late"
    assert THREE.annotate("flat", stage=1).stage_notes == ("flat", "", "", "")
    assert before == THREE


def test_names_stay_with_the_stage_that_a_boundary_starts() -> None:
    named = THREE.name_stage(1, "unigrams").name_stage(4, "induction")
    assert named.names == ("unigrams", "S2", "bigrams", "induction")
    assert named.drop(100).names == ("unigrams", "bigrams", "induction")
    assert named.move(900, 1200).names == named.names
    assert named.add(50).names == ("unigrams", "S2", "S3", "bigrams", "induction")
    assert named.name_stage(3, "").names == ("unigrams", "S2", "S3", "induction")


def test_a_boundary_of_ones_own_stays_ones_own_when_it_is_moved_or_accepted() -> None:
    moved = THREE.add(50).move(50, 60).accept()
    assert moved.boundaries[0].origin == "added"


@pytest.mark.parametrize("step", [0, -3, 2.5, float("nan"), float("inf"), True, "900", None])
def test_what_is_no_step_of_training_is_refused(step) -> None:
    with pytest.raises(InvalidSpec, match="positive whole number"):
        THREE.add(step)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda b: b.add(900), "two boundaries at step 900"),
        (lambda b: b.move(900, 4000), "two boundaries at step 4000"),
        (lambda b: b.move(900, 5000), "in the order of training, got 5000 before 4000"),
        (lambda b: b.drop(901), "no boundary at step 901; there are 100, 900, 4000"),
        (lambda b: Boundaries().accept(7), "there are none"),
        (lambda b: b.name_stage(5, "more"), "stages 1 to 4, got 5"),
        (lambda b: b.name_stage(0, "none"), "stages 1 to 4, got 0"),
        (lambda b: b.name_stage(1, "bigrams"), "two stages are called 'bigrams'"),
        (lambda b: b.name_stage(1, "S2"), "what unnamed stages are called"),
        (lambda b: b.name_stage(1, "two\nlines"), "one line"),
        (lambda b: b.name_stage(1, "x" * 61), "at most 60"),
        (lambda b: b.annotate(7, step=900), "are text"),
        (lambda b: b.annotate("where?"), "step=… or stage=…"),
        (lambda b: b.annotate("both", step=900, stage=1), "step=… or stage=…"),
        (lambda b: Boundary(5, "guessed"), "candidate, accepted, moved, added"),
    ],
)
def test_what_cannot_be_is_refused_with_what_there_is(change, says: str) -> None:
    with pytest.raises(InvalidSpec, match=says):
        change(THREE)


notes = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = st.text("abc é猫🙂\"'\\#=[]", max_size=10).map(str.strip)


@st.composite
def some_boundaries(draw) -> Boundaries:
    steps = sorted(draw(st.sets(st.integers(1, 10**9), max_size=5)))
    origins = ("candidate", "accepted", "moved", "added")
    given_names = iter(draw(st.lists(names, min_size=6, max_size=6, unique_by=lambda name: name or object())))
    each = [
        Boundary(step, draw(st.sampled_from(origins)), draw(notes), next(given_names), draw(notes))
        for step in steps
    ]
    return Boundaries(tuple(each), next(given_names), draw(notes))


@settings(max_examples=40)
@given(some_boundaries(), st.sampled_from(["toml", "json"]))
def test_any_boundaries_come_back_from_their_file_as_they_were(tmp_path_factory, chosen, kind: str) -> None:
    file = tmp_path_factory.mktemp("files") / f"boundaries.{kind}"
    assert Boundaries.from_file(chosen.to_file(file)) == chosen
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('format = "devexplore-boundaries"\nversion = 1\n[[boundary]\nstep = 5', "line 3"),
        ("", "expected format"),
        ('format = "devexplore-boundaries"\nversion = 2', "version = 1, got 2"),
        ('format = "devexplore-boundaries"\nversion = 1\nboundary = [5]', r"\[\[boundary\]\]"),
        ('format = "devexplore-boundaries"\nversion = 1\nboundaries = []', "'boundaries' is unknown"),
        (
            'format = "devexplore-boundaries"\nversion = 1\n[[boundary]]\nnote = ""',
            "boundary 1 lacks its step",
        ),
        ('format = "devexplore-boundaries"\nversion = 1\n[[boundary]]\nstep = nan', "boundary 1: .*got nan"),
        (
            'format = "devexplore-boundaries"\nversion = 1\n[[boundary]]\nstep = 5\nnme = ""',
            "'nme' is unknown; known are step, origin",
        ),
    ],
)
def test_a_broken_file_names_the_place_and_is_never_overwritten(run, text: str, says: str) -> None:
    file = run.path / "annotations.toml"
    file.write_text(text)
    with pytest.raises(SchemaError, match=says):
        saved_boundaries(run)
    with pytest.raises(SchemaError, match=says):
        dx.save_boundaries(run, THREE)
    with pytest.raises(SchemaError, match=says):
        dx.find_stages(run)
    assert file.read_text() == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("deep.json", '{"format": "devexplore-boundaries", "version": 1, "boundary": ' + "[" * 99_999),
        ("deep.toml", 'format = "devexplore-boundaries"\nversion = 1\nboundary = ' + "[" * 99_999),
        ("half.json", '{"format": "devexplore-boundaries", "version": 1, "first_stage_note": "\\ud800"}'),
        ("huge.toml", 'format = "devexplore-boundaries"\nversion = 1\n[[boundary]]\nstep = ' + "9" * 400),
    ],
)
def test_files_made_to_break_a_reader_are_refused_by_name(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(SchemaError, match=name):
        Boundaries.from_file(tmp_path / name)


def test_files_as_windows_editors_write_them_are_read(tmp_path: Path) -> None:
    for file in (THREE.to_file(tmp_path / "b.toml"), THREE.to_file(tmp_path / "b.json")):
        file.write_text(file.read_text(encoding="utf-8"), encoding="utf-8-sig")
        assert Boundaries.from_file(file) == THREE


def test_text_that_utf8_cannot_hold_is_refused_before_it_reaches_a_file() -> None:
    for change in (
        lambda: THREE.annotate("\ud800", step=900),
        lambda: THREE.name_stage(1, "\udcff"),
        lambda: Boundaries((), "", "\ud800"),
    ):
        with pytest.raises(InvalidSpec, match="UTF-8"):
            change()


def test_other_kinds_of_files_and_what_is_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSpec, match=r"\.toml or \.json"):
        THREE.to_file(tmp_path / "boundaries.yaml")
    (tmp_path / "b.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SchemaError, match=r"b\.json"):
        Boundaries.from_file(tmp_path / "b.json")
    with pytest.raises(SchemaError, match="cannot be read"):
        Boundaries.from_file(tmp_path / "gone.toml")


def test_candidates_until_something_is_saved_and_then_stages_are_between_these(run: dx.Run) -> None:
    proposed = dx.boundaries(run)
    found = dx.find_stages(run)
    assert proposed.steps == tuple(found["end"].values[:-1])
    assert {b.origin for b in proposed.boundaries} == {"candidate"}
    (turn,) = proposed.steps
    chosen = proposed.accept().add(3000, "by eye").name_stage(2, "fall").annotate("slow", stage=3)
    assert dx.save_boundaries(run, chosen) == run.path / "annotations.toml"
    assert dx.boundaries(run) == chosen
    stages = dx.find_stages(run)
    assert stages["end"].values.tolist() == [turn, 3000, 14_000]
    assert stages["name"].values.tolist() == ["S1", "fall", "S3"]
    assert stages["note"].values.tolist() == ["", "", "slow"]
    assert stages["boundary_origin"].values.tolist() == ["accepted", "added", "end"]
    assert stages["boundary_note"].values.tolist() == ["", "by eye", ""]
    assert stages["probability"].values[0] == found["probability"].values[0]  # the candidate's own
    assert np.isnan(stages["probability"].values[1])
    assert dx.find_stages(run, boundaries="candidates").equals(found)
    assert dx.find_stages(run, boundaries=[500])["end"].values.tolist() == [500, 14_000]


def test_the_page_shows_the_saved_boundaries_and_names(run: dx.Run) -> None:
    dx.save_boundaries(run, Boundaries((Boundary(3000, stage="fall", stage_note="slowly"),), "rise"))
    marks = stage_marks(derive([run])["planted"].stages.future.result(), LIGHT)
    assert [mark.name for mark in marks] == ["rise", "fall"]
    assert marks[0].end == 3000
    assert marks[1].words.endswith(". slowly")


def test_boundaries_outside_the_run_are_refused_and_nothing_is_written(run: dx.Run) -> None:
    with pytest.raises(InvalidSpec, match="between the steps 0 and 14000 of its curve, not at 14000, 20000"):
        dx.save_boundaries(run, THREE.add(14_000).add(20_000))
    assert not (run.path / "annotations.toml").exists()


def test_resetting_goes_back_to_the_candidates_and_keeps_the_file_beside(run: dx.Run) -> None:
    proposed = dx.boundaries(run)
    assert dx.reset_boundaries(run) is None
    dx.save_boundaries(run, THREE)
    kept = dx.reset_boundaries(run)
    assert kept == run.path / "annotations.before.toml"
    assert Boundaries.from_file(kept) == THREE
    assert dx.boundaries(run) == proposed


def test_resetting_again_overwrites_nothing_that_was_kept_before(run: dx.Run) -> None:
    kept = []
    for steps in ([100], [200], [300]):
        dx.save_boundaries(run, steps)
        kept.append(dx.reset_boundaries(run))
    names = ["annotations.before.toml", "annotations.before-2.toml", "annotations.before-3.toml"]
    assert [file.name for file in kept] == names
    assert [Boundaries.from_file(file).steps for file in kept] == [(100,), (200,), (300,)]


def test_plain_steps_are_boundaries_of_the_users_own(run: dx.Run) -> None:
    chosen = Boundaries([350, np.int64(8200)])
    assert chosen == Boundaries((Boundary(350, "added"), Boundary(8200, "added")))
    assert Boundaries(np.array([350.0, 8200.0])) == chosen
    dx.save_boundaries(run, [350, 8200])
    assert dx.boundaries(run) == chosen


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (350, r"such as \[350, 8200\], got 350"),
        (None, r"such as \[350, 8200\], got None"),
        ("350", r"such as \[350, 8200\], got '350'"),
        ([350, "late"], "positive whole number of training steps, got 'late'"),
        ([8200, 350], "order of training, got 8200 before 350"),
        ([2**53], f"positive whole number of training steps, got {2**53}"),
        ([10**5000], "got a number beyond"),
        ([-(10**9)], "positive whole number of training steps, got -1000000000"),
    ],
)
def test_what_holds_no_steps_makes_no_boundaries(given, words: str, run: dx.Run) -> None:
    for make in (Boundaries, lambda steps: dx.save_boundaries(run, steps)):
        with pytest.raises(InvalidSpec, match=words):
            make(given)
    assert not (run.path / "annotations.toml").exists()


def test_boundaries_outside_the_curve_are_left_out_and_named(run: dx.Run) -> None:
    stages = dx.find_stages(run, boundaries=[3000, 14_000, 20_000])
    assert stages["end"].values.tolist() == [3000, 14_000]
    assert stages.attrs["note"].endswith("not between the steps 0 and 14000, and left out: 14000, 20000")
    for wrong in (["late"], object(), [np.nan]):
        with pytest.raises(InvalidSpec, match="boundaries"):
            dx.find_stages(run, boundaries=wrong)


def test_a_run_that_cannot_be_written_keeps_them_in_the_users_folder(
    run: dx.Run, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dx.save_boundaries(run, THREE)
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert dx.boundaries(run) == THREE  # what came with it, until others are saved
    kept = dx.save_boundaries(run, THREE.drop(900))
    assert kept.parent == own_folder
    assert kept.name.startswith("planted-")
    assert dx.boundaries(run).steps == (100, 4000)
    dx.reset_boundaries(run)
    assert dx.boundaries(run) == THREE


def test_bundled_runs_are_not_written_into(own_folder: Path) -> None:
    run = dx.open("deep_linear")
    kept = dx.save_boundaries(run, Boundaries((Boundary(1000),)))
    assert kept.parent == own_folder
    assert dx.find_stages(dx.open("deep_linear"))["end"].values.tolist() == [1000, 20_000]
    assert not (run.path / "annotations.toml").exists()


def test_packing_carries_them_along_wherever_they_are(run: dx.Run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    dx.save_boundaries(run, THREE)
    monkeypatch.undo()
    monkeypatch.setenv("DEVEXPLORE_ANNOTATIONS", str(tmp_path / "mine"))
    packed = dx.open(pack_run(run.path, tmp_path / "packed"))
    assert dx.boundaries(packed) == THREE
    assert check_run(packed.path) == []


def test_where_nothing_can_be_written_it_is_said_and_the_old_file_stays(run: dx.Run, monkeypatch) -> None:
    dx.save_boundaries(run, THREE)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(NotWritable, match="No space left"):
        dx.save_boundaries(run, THREE.drop(100))
    monkeypatch.undo()
    assert Boundaries.from_file(run.path / "annotations.toml") == THREE


def test_a_run_without_a_curve_has_no_boundaries(trained_run) -> None:
    run = dx.open(trained_run("superposition"))
    with pytest.raises(NotMeasured):
        dx.boundaries(run)
