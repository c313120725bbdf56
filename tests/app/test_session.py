"""What a session sends to its panes, without a browser."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from devexplore.app.page import derive, free_port
from devexplore.app.panes import PANES
from devexplore.app.panes.timeline import edit
from devexplore.app.payload import encode
from devexplore.app.selection import Selection
from devexplore.app.session import Session
from devexplore.errors import CheckpointMismatch, InvalidSpec, RunNotFound


@pytest.fixture(scope="module")
def derived(runs):
    derived = derive(runs)
    for name in ("made-up", "lines"):
        derived[name].stages.future.result(), derived[name].dynamics.future.result()
    derived["bare"].stages.future.result()
    with pytest.raises(CheckpointMismatch, match="do not fit the model"):
        derived["bare"].dynamics.future.result()
    return derived


def payload(viewer):
    return json.loads(viewer.payload)


def test_every_pane_is_filled_for_a_run_with_everything(derived):
    session = Session(derived, Selection(run="made-up"))
    assert [row["title"] for row in payload(session.viewers["timeline"])["rows"]] == ["test loss", "LLC"]
    assert len(payload(session.viewers["trajectory"])["planes"]) == 3
    assert payload(session.viewers["tokens"])["form"] == "text"
    assert payload(session.shell)["steps"][-1] == 14_000


def test_the_timeline_says_how_many_estimates_are_trusted_and_why_not_the_others(derived):
    sent = payload(Session(derived, Selection(run="made-up")).viewers["timeline"])
    checkpoints = derived["made-up"].llc.sizes["step"]
    assert [mark["text"] for mark in sent["trust"]["marks"]] == [
        f"{checkpoints - 2} trusted",
        "1 doubtful: chains disagree",
        "1 not an LLC: below zero, so no local minimum",
    ]
    row = sent["rows"][1]
    assert sorted(set(row["verdict"])) == [0, 1, 2]
    assert [bool(reason) for reason in row["reason"]] == [level > 0 for level in row["verdict"]]
    assert (
        f"not an LLC and left out: 1 of {checkpoints} checkpoints"
        in payload(Session(derived, Selection(run="made-up")).shell)["note"]
    )


def test_the_timeline_draws_the_boundaries_between_the_stages_and_says_how_it_marks_them(derived):
    session = Session(derived, Selection(run="made-up"))
    sent = payload(session.viewers["timeline"])
    drawn = [trace for trace in sent["figure"]["data"] if trace.get("meta", {}).get("layer") == "boundary"]
    assert len(drawn) == len(session._look.stages()) - 1 > 0
    assert sent["boundaries"] == [False]


def test_forms_are_sought_after_the_trajectory_is_there_and_drawn_when_they_are_found(runs):
    derived = derive(runs[1:2])
    (one,) = derived.values()
    assert one.stages.future.result().sizes["stage"] > 0
    one.dynamics.future.result()
    session = Session(derived, Selection())
    if not one.forms.future.done():
        assert "Forms: being sought" in payload(session.viewers["trajectory"])["caption"]
    assert one.forms.future.result().sizes["form"] > 0
    session.look_at_jobs()
    sent = payload(session.viewers["trajectory"])
    assert sent["has_forms"] is True
    assert sent["caption"].endswith("against 199 random walks like this run.")
    layers = [
        [trace["meta"]["layer"] for trace in figure["data"]] for figure in [sent["space"], *sent["planes"]]
    ]
    assert all("forms" in drawn for drawn in layers)
    for _ in PANES:  # one of the panes that are not seen is drawn ahead each time
        session.look_at_jobs()
    assert session.settled


def test_without_essential_dynamics_no_forms_are_sought(derived):
    assert derived["bare"].forms is None


def test_a_missing_measurement_names_the_command_that_makes_it(derived):
    session = Session(derived, Selection(run="bare"))
    path = derived["bare"].run.path
    assert (
        payload(session.viewers["tokens"])["message"]["command"] == f"devexplore measure {path} --only losses"
    )
    assert [m["message"]["command"] for m in payload(session.viewers["timeline"])["missing"]] == [
        f"devexplore measure {path} --only llc"
    ]


def test_outputs_that_cannot_be_computed_are_told_and_leave_the_other_panes(derived):
    session = Session(derived, Selection(run="bare"))
    assert "do not fit the model" in payload(session.viewers["trajectory"])["message"]["text"]
    assert payload(session.viewers["timeline"])["rows"]


def test_an_unknown_run_in_the_address_opens_the_first(derived):
    assert Session(derived, Selection(run="nowhere")).selection.run == "made-up"


def test_changing_the_run_starts_its_view_afresh(derived):
    session = Session(derived, Selection(run="made-up", step=40, token=3, sequence=2, circles=False))
    session.selection.run = "lines"
    state = session.selection.state()
    assert (state["step"], state["token"], state["sequence"], state["circles"]) == (-1, -1, 0, False)
    assert payload(session.viewers["tokens"])["form"] == "grid"


def test_a_strip_is_added_as_a_row(derived):
    session = Session(derived, Selection(run="made-up"))
    session.selection.strips = ["icl_score", "no such metric"]
    assert [row["title"] for row in payload(session.viewers["timeline"])["rows"]] == [
        "test loss",
        "LLC",
        "ICL score",
    ]


def test_the_limit_between_two_custom_steps_is_taken_over_the_whole_probe(derived):
    session = Session(derived, Selection(run="made-up"))
    session.selection.param.update(change="custom", change_from=0, change_to=14_000)
    losses = derived["made-up"].losses["token_loss"].values
    change = np.abs(losses[-1] - losses[0])
    assert np.quantile(change, 0.98) <= session.viewers["tokens"].limit <= np.quantile(change, 0.98) * 1.1


def test_a_step_sends_the_panes_nothing(derived):
    session = Session(derived, Selection(run="made-up"))
    panes = [session.shell, *session.viewers.values()]
    before = [pane.payload for pane in panes]
    session.selection.step = 40
    assert [pane.payload for pane in panes] == before


def test_another_theme_redraws_in_its_colours(derived):
    session = Session(derived, Selection(run="made-up"))
    light = session.viewers["timeline"].payload
    session.selection.theme = "dark"
    assert session.viewers["timeline"].payload != light


def test_runs_of_one_name_are_told_apart(runs):
    assert list(derive([runs[0], runs[0]])) == ["made-up", "made-up 2"]


def test_no_run_at_all_is_an_error_that_teaches():
    with pytest.raises(RunNotFound, match="name a run folder"):
        derive([])


def test_arrays_travel_as_typed_arrays_and_keep_nan():
    sent = json.loads(encode({"a": np.array([1.5, np.nan], dtype=np.float32), "b": np.arange(2)}))
    assert sent["a"]["dtype"] == "f4"
    assert sent["b"] == [0, 1]


def test_a_taken_port_gives_way_to_a_free_one():
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port


def test_shipped_scripts_and_styles_name_no_outside_address():
    app = Path(__file__).parents[2] / "devexplore" / "app"
    for file in [*app.glob("javascript/*.js"), *app.glob("css/*.css")]:
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "//" not in text.replace("// ", "") or "http" not in text, file
        assert "innerHTML" not in text, file


def answered(session, pane, question, **values):
    """What Python answers to a pane's question, as the browser gets it."""
    viewer, heard = session.viewers[pane], []
    viewer._send_msg = heard.append
    viewer._handle_msg({"number": 7, "question": question, "values": values})
    for _ in range(200):
        if heard:
            break
        time.sleep(0.05)
    (message,) = heard
    assert message["answer"] == 7
    if message["error"]:
        return message["error"]
    return json.loads(message["value"])


def test_a_boundary_is_moved_named_and_taken_back_and_all_panes_follow(derived, monkeypatch, tmp_path):
    monkeypatch.setenv("DEVEXPLORE_ANNOTATIONS", str(tmp_path))
    session = Session(derived, Selection(run="lines"))
    session.derived.stages.future.result()
    session.look_at_jobs()
    proposed = payload(session.viewers["timeline"])["edit"]
    assert not proposed["saved"]
    first = proposed["steps"][0]
    moved = answered(session, "timeline", "edit", do="move", step=first, to=first + 1)
    assert moved["before"] is None
    answered(session, "timeline", "edit", do="name", stage=2, name="<b>rise</b>")
    session.derived.stages.future.result()
    session.look_at_jobs()
    changed = payload(session.viewers["timeline"])["edit"]
    assert changed["steps"][0] == first + 1
    assert changed["names"][1] == payload(session.shell)["stages"][1]["name"] == "<b>rise</b>"
    assert "no boundary at step 5" in answered(session, "timeline", "edit", do="drop", step=5)
    answered(session, "timeline", "edit", do="restore", text=moved["before"])
    session.derived.stages.future.result()
    session.look_at_jobs()
    assert payload(session.viewers["timeline"])["edit"] == proposed


def test_every_pane_hands_over_its_table_and_the_code_that_makes_it(derived):
    session = Session(derived, Selection(run="made-up"))
    for name in ("timeline", "trajectory", "tokens"):
        table = answered(session, name, "table")
        assert table.splitlines()[0].count(",") > 1
        code = payload(session.viewers[name])["code"]
        assert code.startswith("import devexplore as dx")
        compile(code, name, "exec")


def test_other_components_and_another_smoothing_are_drawn_and_said(derived):
    session = Session(derived, Selection(run="made-up", components=[1, 2, 5]))
    job = session.derived.dynamics_with(5, 0)
    job.future.result()
    session.look_at_jobs()
    sent = payload(session.viewers["trajectory"])
    assert sent["components"] == [1, 2, 5]
    assert [plane["name"] for plane in sent["follow"]["planes"]] == ["PC1–PC2", "PC1–PC5", "PC2–PC5"]
    usual = session.derived.dynamics.future.result().attrs["bandwidth"]
    assert sent["bandwidth"] == pytest.approx(usual)
    session.selection.bandwidth = 2 * usual
    session.derived.dynamics_with(5, 2 * usual).future.result()
    session.look_at_jobs()
    assert payload(session.viewers["trajectory"])["bandwidth"] == pytest.approx(2 * usual)
    session.selection.components = [1, 1, 9]
    session.derived.dynamics_with(9, 2 * usual).future.result()
    session.look_at_jobs()
    assert payload(session.viewers["trajectory"])["components"] == [1, 2, 3]


def test_what_one_session_drew_another_sees_without_drawing_it_again(derived, monkeypatch):
    first = Session(derived, Selection(run="made-up"))
    derived["made-up"].forms.future.result()
    first.look_at_jobs()
    drawn = []
    for name in ("timeline", "trajectory", "tokens"):
        draw = PANES[name].payload

        def counted(look, name=name, draw=draw):
            drawn.append(name)
            return draw(look)

        monkeypatch.setattr(PANES[name], "payload", counted)
    second = Session(derived, Selection(run="made-up", step=100))
    assert drawn == []
    assert all(second.viewers[name].payload == first.viewers[name].payload for name in ("timeline", "tokens"))
    Session(derived, Selection(run="made-up", strips=["icl_score", "weight_norm"], raw=True, sequence=3))
    assert sorted(set(drawn)) == ["timeline", "tokens", "trajectory"]


def test_stages_are_there_all_the_time_while_a_boundary_is_changed(derived, monkeypatch, tmp_path):
    monkeypatch.setenv("DEVEXPLORE_ANNOTATIONS", str(tmp_path))
    session = Session(derived, Selection(run="made-up"))
    shown = []
    session.shell.param.watch(lambda event: shown.append(json.loads(event.new)["stages"]), "payload")
    before = payload(session.shell)["stages"]
    derived.act("made-up", edit, {"do": "add", "step": 5}).result()
    session.renew("made-up")
    assert [len(stages) for stages in shown] == [len(before) + 1]
    derived.act("made-up", edit, {"do": "restore", "text": None}).result()
    session.renew("made-up")
    assert [stage["range"] for stage in shown[-1]] == [stage["range"] for stage in before]


def test_panes_that_are_not_seen_are_drawn_ahead_one_at_a_time_and_not_sent(derived):
    session = Session(derived, Selection(run="made-up", sequence=2))
    derived["made-up"].forms.future.result()
    for _ in range(30):
        session.look_at_jobs()
    assert session.viewers["behaviour"].payload == ""
    assert derived["made-up"].drawn(encode(["chains", "light", PANES["chains"].drawn_for(session.look)]))
    session.selection.tab = "chains"
    assert payload(session.viewers["chains"])["code"].startswith("import devexplore")


def test_a_boundary_changed_in_one_session_is_seen_in_every_other(derived, monkeypatch, tmp_path):
    monkeypatch.setenv("DEVEXPLORE_ANNOTATIONS", str(tmp_path))
    one, other = (Session(derived, Selection(run="made-up")) for _ in range(2))
    for session in (one, other):
        session.keep_up()
    before = payload(other.shell)["stages"]
    answered(one, "timeline", "edit", do="add", step=5)
    for _ in range(100):
        if len(payload(other.shell)["stages"]) > len(before):
            break
        time.sleep(0.05)
    for session in (one, other):
        assert len(payload(session.shell)["stages"]) == len(before) + 1
        assert 5 in payload(session.viewers["timeline"])["edit"]["steps"]
    answered(one, "timeline", "edit", do="restore", text=None)
    assert len(payload(one.shell)["stages"]) == len(before)


def test_a_question_that_failed_is_asked_again(derived):
    tried = []

    def work(_, values):
        tried.append(values)
        if len(tried) == 1:
            raise OSError("busy")
        return "now"

    run = derived["lines"]
    assert "busy" in str(run.answer("forms", "lift", {"form": 0}, work).future.exception(20))
    assert run.answer("forms", "lift", {"form": 0}, work).future.result(20) == "now"
    assert run.answer("forms", "lift", {"form": 0}, work).future.result(20) == "now"
    assert len(tried) == 2


def test_a_table_that_cannot_be_made_says_why(derived, monkeypatch):
    def refuse(look):
        raise InvalidSpec("a text of one token")

    monkeypatch.setattr(PANES["tokens"], "table", refuse)
    assert answered(Session(derived, Selection(run="made-up")), "tokens", "table") == "a text of one token"


def test_what_somebody_else_changed_meanwhile_is_not_taken_back(derived, monkeypatch, tmp_path):
    monkeypatch.setenv("DEVEXPLORE_ANNOTATIONS", str(tmp_path))
    session = Session(derived, Selection(run="made-up"))
    mine = answered(session, "timeline", "edit", do="add", step=5)
    theirs = answered(session, "timeline", "edit", do="add", step=9)
    refused = answered(session, "timeline", "edit", do="restore", text=mine["before"], left=mine["after"])
    assert "changed elsewhere" in refused
    assert {5, 9} <= set(payload(session.viewers["timeline"])["edit"]["steps"])
    answered(session, "timeline", "edit", do="restore", text=theirs["before"], left=theirs["after"])
    answered(session, "timeline", "edit", do="restore", text=mine["before"], left=mine["after"])
    assert not payload(session.viewers["timeline"])["edit"]["saved"]
