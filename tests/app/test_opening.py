"""Opening a run from the page: what is typed, pasted or dropped, bundled and recent runs."""

import json
import shlex
import time

import pytest

from devexplore.app.opening import places, typed_path
from devexplore.app.recent import MOST_RECENT, recent_file, recent_runs, remember
from devexplore.app.runs import ServedRuns
from devexplore.app.selection import Selection
from devexplore.app.session import Session
from devexplore.errors import InvalidSpec
from devexplore.run import open_run

from .conftest import write_run


@pytest.fixture(autouse=True)
def own_data(monkeypatch, tmp_path):
    monkeypatch.setenv("DEVEXPLORE_ANNOTATIONS", str(tmp_path / "data"))


@pytest.fixture(scope="module")
def another(tmp_path_factory):
    """A run without measurements in a folder with an awkward name."""
    import numpy as np

    return write_run(tmp_path_factory.mktemp("a b") / "one & <two>", {}, "regression", np.array([0, 10]))


def asked(session, question, **values):
    """What Python answers to the dialog, as the browser gets it."""
    heard = []
    session.shell._send_msg = lambda data: heard.append(data) if "answer" in data else None
    session.shell._handle_msg({"number": 3, "question": question, "values": values})
    for _ in range(200):
        if heard:
            break
        time.sleep(0.05)
    (said,) = heard
    assert said["answer"] == 3
    return said["error"] or json.loads(said["value"])


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/a/run", "/a/run"),
        ("  /a/run \n", "/a/run"),
        ("'/a b/run'", "/a b/run"),
        ('"/a b/run"', "/a b/run"),
        ("file:///a%20b/r%C3%BCn\r\n", "/a b/rün"),
        ("file://localhost/a/run", "/a/run"),
        ("# from a file manager\r\nfile:///a/run\r\nfile:///a/other\r\n", "/a/run"),
        ("language", "language"),
    ],
)
def test_a_path_is_taken_as_people_paste_and_file_managers_drop_it(text, path):
    assert typed_path(text) == path


def test_the_home_folder_may_be_written_short(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    assert typed_path("~/run") == "/home/somebody/run"


@pytest.mark.parametrize("text", ["", "  ", "# only a comment", "''"])
def test_no_path_is_told(text):
    with pytest.raises(InvalidSpec, match="type or paste"):
        typed_path(text)


def test_an_opened_run_joins_the_others_in_every_session_and_is_remembered(runs, another):
    served = ServedRuns(runs[:1])
    first, second = Session(served, Selection()), Session(served, Selection())
    stops = [served.listen(session.renew) for session in (first, second)]
    assert asked(first, "open", path=another.path.as_uri()) == {"name": another.name}
    for session in (first, second):
        assert [run["name"] for run in json.loads(session.shell.payload)["runs"]] == ["made-up", another.name]
    first.selection.run = another.name
    assert json.loads(first.shell.payload)["run"] == another.name
    assert second.selection.run == "made-up"
    assert recent_runs() == [another.path.resolve()]
    assert asked(second, "open", path=str(another.path / "run.json")) == {"name": another.name}
    assert len(served) == 2
    for stop in stops:
        stop()


def test_what_is_no_run_is_answered_in_the_words_of_opening_and_changes_nothing(runs, tmp_path):
    served = ServedRuns(runs[:1])
    session = Session(served, Selection())
    assert "no such run" in asked(session, "open", path=str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    assert "for want of run.json" in asked(session, "open", path=str(tmp_path / "empty"))
    assert "NUL" in asked(session, "open", path="a\0b")
    assert "no such run" in asked(session, "open", path="x" * 5000)
    assert list(served) == ["made-up"]
    assert recent_runs() == []


def test_the_dialog_lists_bundled_and_recent_runs_and_says_why_one_cannot_be_opened(runs, another, tmp_path):
    served = ServedRuns([another])
    remember(open_run(runs[0].path))
    gone = write_run(tmp_path / "gone", {}, "regression", runs[0].checkpoints.steps[:2])
    remember(gone)
    gone.path.rename(tmp_path / "moved")
    remember(another)
    found = places(served, {})
    assert {run["name"] for run in found["bundled"]} >= {"language", "regression"}
    assert all(run["why"] == "" for run in found["bundled"])
    assert [run["name"] for run in found["recent"]] == [another.path.name, "gone", "made-up"]
    assert [run["open"] for run in found["recent"]] == [True, False, False]
    assert "no such run" in found["recent"][1]["why"]


def test_the_latest_runs_are_remembered_each_once_and_bundled_ones_not(runs):
    remember(runs[0])
    remember(runs[1])
    remember(runs[0])
    remember(open_run("language"))
    assert recent_runs() == [runs[0].path.resolve(), runs[1].path.resolve()]
    many = [f"/nowhere/{number}" for number in range(30)]
    recent_file().write_text(json.dumps(many))
    remember(runs[0])
    assert len(recent_runs()) == MOST_RECENT
    assert recent_runs()[0] == runs[0].path.resolve()


@pytest.mark.parametrize("content", ["", "{", "7", '{"a": 1}', "[1, null]"])
def test_a_list_that_is_none_of_ours_is_no_list(runs, content):
    recent_file().parent.mkdir(parents=True)
    recent_file().write_text(content)
    assert recent_runs() == []
    remember(runs[0])
    assert recent_runs() == [runs[0].path.resolve()]


def test_where_nothing_can_be_written_nothing_is_remembered(runs, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DEVEXPLORE_ANNOTATIONS", str(tmp_path / "file" / "data"))
    remember(runs[0])
    assert recent_runs() == []


def test_an_address_with_an_unknown_run_is_told(runs):
    session = Session(ServedRuns(runs[:2]), Selection(run="<b>gone</b>", step=40, token=3))
    assert json.loads(session.shell.news)["notice"] == (
        "No run “<b>gone</b>” is served here; this is “made-up”."
    )
    assert (session.selection.step, session.selection.token) == (-1, -1)
    session.selection.run = "lines"
    assert json.loads(session.shell.news)["notice"] == ""


def test_commands_can_be_pasted_whatever_the_folder_is_called(another):
    session = Session(ServedRuns([another]), Selection())
    command = json.loads(session.viewers["tokens"].payload)["message"]["command"]
    assert shlex.split(command) == ["devexplore", "measure", str(another.path), "--only", "losses"]
    assert shlex.split(another.remedy("llc").split("`")[1])[2] == str(another.path)
