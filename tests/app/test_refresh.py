"""A run that goes on, breaks or disappears while the page shows it."""

import base64
import json
import os
import shutil
import threading
import time

import numpy as np
import pytest
import torch

from devexplore.analysis.own_boundaries import save_boundaries
from devexplore.app.activity import activity
from devexplore.app.fingerprint import changed_parts, fingerprint
from devexplore.app.renewal import renewed
from devexplore.app.runs import ServedRuns
from devexplore.app.selection import Selection
from devexplore.app.session import Session
from devexplore.checkpoints import LocalCheckpoints, save_checkpoint
from devexplore.errors import NotMeasured
from devexplore.run import open_run
from devexplore.store import Store

from .conftest import language_groups, wait_until, write_group, write_run

UNTIL_MEASURED = 50


def steps():
    return language_groups()["losses"]["step"].values


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A run of which the first checkpoints are measured, and what its groups hold in the end."""
    groups = {name: data for name, data in language_groups().items() if name in ("probe", "losses", "llc")}
    begun = {
        name: data.isel(step=slice(UNTIL_MEASURED)) if "step" in data.dims else data
        for name, data in groups.items()
    }
    return write_run(tmp_path_factory.mktemp("begun") / "growing", begun, "language", steps()), groups


@pytest.fixture
def growing(begun, tmp_path):
    """A copy of it that a test may write to."""
    run, groups = begun
    return open_run(shutil.copytree(run.path, tmp_path / "growing")), groups


def go_on(run, groups, names, last=None):
    checkpoints = LocalCheckpoints(run.path / "checkpoints")
    with Store(run.path / "measurements.zarr", mode="a") as store:
        for name in names:
            write_group(store, name, groups[name].isel(step=slice(last)), checkpoints)


def settle(served, session=None):
    """As the server's own thread does, until nothing is being prepared."""
    for watched in served._runs.values():
        watched.rest_until = 0.0
    for _ in range(600):
        served.look_again()
        if all(watched.coming is None for watched in served._runs.values()):
            break
        time.sleep(0.05)
    if session is not None:
        session.look_at_jobs()


def opened(served, **state):
    """A session whose first drawing is done, following its runs."""
    session = Session(served, Selection(**state))
    session.derived.stages.future.exception()
    session.derived.dynamics.future.exception()
    session.look_at_jobs()
    session.keep_up()
    return session


def news(session):
    return json.loads(session.shell.news)


def drawn_steps(session, title):
    rows = json.loads(session.viewers["timeline"].payload)["rows"]
    row = next(row for row in rows if row["title"] == title)
    return np.frombuffer(base64.b64decode(row["step"]["bdata"])).tolist()


@pytest.fixture(autouse=True)
def by_hand(monkeypatch):
    """Tests look themselves: no thread does. And what fails anyway, fails at once."""

    def no_outputs(*_, **__):
        raise NotMeasured("no outputs here")

    monkeypatch.setattr(ServedRuns, "_watch", lambda self: None)
    monkeypatch.setattr("devexplore.app.derived.ensure_outputs", no_outputs)


def test_only_the_parts_that_were_written_have_changed(growing):
    run, groups = growing
    before = fingerprint(run)
    assert changed_parts(before, fingerprint(run)) == set()
    go_on(run, groups, ["losses"])
    assert changed_parts(before, fingerprint(run)) == {"losses"}
    save_checkpoint(run.path / "checkpoints" / "step_20000.safetensors", {"weight": torch.zeros(12)})
    assert changed_parts(before, fingerprint(run)) == {"losses", "weights"}
    save_boundaries(run, [350])
    assert changed_parts(before, fingerprint(run)) == {"losses", "weights", "annotations"}


def test_a_block_that_is_being_written_is_no_change(growing):
    run, _ = growing
    before = fingerprint(run)
    for name in ("token_loss", "test_loss", "step"):  # what a writer touches before it sets the flag
        for file in (run.path / "measurements.zarr" / "losses" / name).rglob("*"):
            os.utime(file)
    assert changed_parts(before, fingerprint(run)) == set()


def test_new_measurements_appear_and_the_selection_stays(growing):
    run, groups = growing
    served = ServedRuns([run])
    session = opened(served, token=3, circles=False, step=40)
    unchanged = session.derived.llc
    go_on(run, groups, ["losses"])
    settle(served, session)
    assert json.loads(session.shell.payload)["steps"] == steps().tolist()
    assert drawn_steps(session, "test loss") == steps().tolist()
    assert drawn_steps(session, "LLC") == steps()[:UNTIL_MEASURED].tolist()
    assert session.derived.llc is unchanged
    state = session.selection.state()
    assert (state["step"], state["token"], state["circles"]) == (40, 3, False)
    assert news(session)["updated"]


def test_a_cursor_at_the_last_checkpoint_goes_on_to_the_new_last_one(growing):
    run, groups = growing
    served = ServedRuns([run])
    session = opened(served, step=int(steps()[UNTIL_MEASURED - 1]))
    go_on(run, groups, ["losses"])
    settle(served, session)
    assert session.selection.step == -1


def test_while_the_new_is_worked_out_the_old_stays_without_a_progress_bar(growing):
    run, groups = growing
    served = ServedRuns([run])
    session = opened(served)
    seen = []
    for name in ("payload", "progress"):
        session.viewers["timeline"].param.watch(lambda event: seen.append(event.new), name)
    go_on(run, groups, ["losses", "llc"])
    settle(served, session)
    drawn = [json.loads(text) for text in seen]
    assert drawn[-1] == json.loads(session.viewers["timeline"].payload)
    assert drawn_steps(session, "LLC") == steps().tolist()
    assert all(len(payload["edit"]["steps"]) > 0 for payload in drawn)  # never one without its stages


@pytest.mark.parametrize(
    ("changed", "kept"),
    [
        ("losses", {"dynamics", "forms", "form 0", "metric intervals"}),
        ("metrics", {"stages", "free energies", "dynamics", "forms", "form 0"}),
        ("annotations", {"metric intervals", "dynamics", "forms", "form 0"}),
        ("weights", {"metric intervals"}),
        ("refined/own", {"stages", "free energies", "metric intervals", "dynamics", "forms", "form 0"}),
        ("recipe", set()),
        ("measurements.zarr.zip", set()),
    ],
)
def test_what_does_not_hang_on_the_change_is_not_found_again(growing, changed, kept):
    served = ServedRuns([growing[0]])
    old = served["growing"]
    names = ["stages", "free energies", "metric intervals", "dynamics", "forms", "form 0", '["question"]']
    jobs = {name: old._jobs.once(name, lambda _: 1) for name in names}
    failed = old._jobs.once("dynamics True 0", lambda _: 1 / 0)
    assert isinstance(failed.future.exception(), ZeroDivisionError)
    new = renewed(old, growing[0], {**old.fingerprint, changed: (("file", 1, 1),)})
    assert new.jobs == {name: jobs[name] for name in kept}


def test_data_that_did_not_change_are_not_read_again(growing):
    old = ServedRuns([growing[0]])["growing"]
    held = old.losses, old.llc, old.loss
    new = renewed(old, growing[0], {**old.fingerprint, "llc": ()})
    assert new.losses is held[0]
    assert new.loss is held[2]
    assert new.llc is not held[1]


def test_boundaries_saved_elsewhere_are_shown(growing):
    run, _ = growing
    served = ServedRuns([run])
    session = opened(served)
    save_boundaries(run, [350])
    settle(served, session)
    assert json.loads(session.viewers["timeline"].payload)["edit"]["steps"] == [350]


def test_a_run_that_disappears_stays_as_it_was_says_so_and_comes_back(growing, runs):
    run, _ = growing
    served = ServedRuns([run, runs[1]])
    session = opened(served)
    shown = session.viewers["timeline"].payload
    run.path.rename(run.path.with_name("elsewhere"))
    settle(served, session)
    assert "no such run" in news(session)["trouble"]
    assert session.viewers["timeline"].payload == shown
    session.selection.run = "lines"
    assert news(session)["trouble"] == ""
    session.selection.run = "growing"
    assert "no such run" in news(session)["trouble"]
    run.path.with_name("elsewhere").rename(run.path)
    settle(served, session)
    assert news(session)["trouble"] == ""
    assert json.loads(session.viewers["timeline"].payload)["rows"]


@pytest.mark.parametrize("content", ["{", '{"format": "another"}', ""])
def test_a_garbled_recipe_is_told_and_its_repair_noticed(growing, content):
    run, _ = growing
    served = ServedRuns([run])
    session = opened(served)
    recipe = (run.path / "run.json").read_text()
    (run.path / "run.json").write_text(content)
    settle(served, session)
    assert "run.json" in news(session)["trouble"]
    assert json.loads(session.viewers["timeline"].payload)["rows"]
    (run.path / "run.json").write_text(recipe)
    settle(served, session)
    assert news(session)["trouble"] == ""


def test_a_truncated_block_is_told_in_its_pane_and_its_repair_noticed(growing):
    run, _ = growing
    chunk = next(
        file
        for file in sorted((run.path / "measurements.zarr" / "losses" / "token_loss" / "c").rglob("*"))
        if file.is_file()
    )
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[: len(whole) // 2])
    served = ServedRuns([run])
    session = opened(served)
    assert "truncated or corrupted" in json.loads(session.viewers["tokens"].payload)["message"]["text"]
    assert "runs" in json.loads(session.shell.payload)
    chunk.write_bytes(whole)
    settle(served, session)
    assert json.loads(session.viewers["tokens"].payload)["form"] == "text"


def test_a_run_that_is_being_trained_or_measured_says_so(growing):
    run, _ = growing
    assert activity(run, fingerprint(run)) == ""
    recipe = json.loads((run.path / "run.json").read_text())
    recipe |= {"finished": False, "spec": {"steps": 20_000}}
    (run.path / "run.json").write_text(json.dumps(recipe))
    training = open_run(run.path)
    assert activity(training, fingerprint(training)) == "training: step 14,000 of 20,000"
    (run.path / "training.csv").write_text("step,loss\n14000,2.0\n14500,2.0\n19")
    assert activity(training, fingerprint(training)) == "training: step 14,500 of 20,000"
    for file in [run.path / "training.csv", *(run.path / "checkpoints").iterdir()]:
        os.utime(file, (0, 0))
    assert activity(training, fingerprint(training)) == "training stopped: step 14,500 of 20,000"


@pytest.mark.skipif(os.name == "nt", reason="whether a process lives cannot be asked there")
def test_another_process_that_measures_is_seen_and_a_dead_one_is_not(growing):
    run, groups = growing
    go_on(run, groups, ["losses"])
    lock = run.path / "measurements.zarr.lock"
    lock.write_text(f"process {os.getppid()}")
    assert activity(run, fingerprint(run)) == "measuring losses"
    lock.write_text(f"process {os.getpid()}")
    assert activity(run, fingerprint(run)) == ""
    lock.write_text("process 999999999")
    assert activity(run, fingerprint(run)) == ""


def test_a_run_in_training_shows_the_loss_of_its_log_as_it_grows(begun, tmp_path):
    run = write_run(tmp_path / "live", {}, "language", steps()[:30])
    served = ServedRuns([run])
    session = opened(served)
    assert "not measured yet" in json.loads(session.viewers["timeline"].payload)["message"]["title"]
    rows = [f"{step},{9 - i / 9},0,0,1.0" for i, step in enumerate(steps())]
    log = run.path / "training.csv"
    log.write_text("\n".join(["step,loss,learning_rate,samples_seen,seconds", *rows[:20], "9"]))
    settle(served, session)
    assert drawn_steps(session, "train loss") == steps()[:30].tolist()
    logged = session.derived.checkpoints["train_loss"]
    assert logged["step"].values.tolist() == steps()[:30].tolist()
    np.testing.assert_allclose(logged, [*(9 - np.arange(20) / 9), *[np.nan] * 10])
    save_checkpoint(run.path / "checkpoints" / "step_00020000.safetensors", {"weight": torch.zeros(12)})
    settle(served, session)
    assert drawn_steps(session, "train loss")[-1] == 20_000
    assert json.loads(session.shell.payload)["steps"][-1] == 20_000


def test_a_session_that_is_gone_is_told_nothing_more(growing):
    served = ServedRuns([growing[0]])
    heard = []
    stop = served.listen(heard.append)
    served.tell("growing")
    stop()
    served.tell("growing")
    assert heard == ["growing"]


def test_the_threads_look_ends_with_the_last_session(growing, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr("devexplore.app.runs.LOOK_EVERY", 0.02)
    run, groups = growing
    served, heard = ServedRuns([run]), []
    stop = served.listen(heard.append)
    go_on(run, groups, ["losses"])
    wait_until(lambda: heard and not changed_parts(served["growing"].fingerprint, fingerprint(run)))
    watcher = served._watcher
    stop()
    assert isinstance(watcher, threading.Thread)
    watcher.join(60)
    assert served["growing"].steps.tolist() == steps().tolist()
    assert not watcher.is_alive()
    assert set(heard) == {"growing"}
