"""The metrics pane: what it is sent, and what a user does with it."""

import json
from pathlib import Path

import pytest

import devexplore as dx
from devexplore.app.page import derive
from devexplore.app.panes import PANES
from devexplore.app.selection import Selection
from devexplore.app.session import Session

from .conftest import wait_until

DATA = Path(__file__).parents[2] / "data"

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def derived(runs):
    return derive([*runs, dx.open(DATA / "language")])


def session_of(derived, run):
    session = Session(derived, Selection(run=run, tab="behaviour"))

    def is_drawn():
        session.look_at_jobs()
        return session.viewers["behaviour"].payload and derived[run].stages.future.done()

    wait_until(is_drawn)
    return session


def shown(derived, run):
    return json.loads(session_of(derived, run).viewers["behaviour"].payload)


def test_a_head_can_be_followed_through_the_panels_and_a_pair_of_heads_belongs_to_both(derived):
    payload = shown(derived, "language")
    assert payload["count"] == 12
    assert payload["parts"][:8] == [f"L{layer} H{head}" for layer in (1, 2) for head in (1, 2, 3, 4)]
    traces = payload["figure"]["data"]
    for curve in payload["curves"]:
        assert traces[curve["trace"]]["xaxis"] in (f"x{curve['panel']}", "x"[curve["panel"] - 1 :])
    panels = {curve["panel"] for curve in payload["curves"] if "L2 H3" in curve["parts"]}
    assert panels == {4, 5, 6, 10, 11, 12}
    pairs = [curve["parts"] for curve in payload["curves"] if "→" in "".join(curve["parts"])]
    assert len(pairs) == 16
    assert ["1.3→2.2", "L1 H3", "L2 H2"] in pairs


def test_metrics_that_a_run_lacks_are_named_and_leave_no_empty_panel(derived):
    payload = shown(derived, "made-up")
    assert payload["count"] == 1
    assert payload["parts"] == []
    assert "Bigram score (KL)" in payload["absent"]
    assert "ICL score" not in payload["absent"]


def test_a_run_without_metrics_says_what_would_measure_them(derived):
    said = shown(derived, "lines")["message"]
    assert said["title"] == "Behaviour and structure is not measured yet"
    assert said["command"].endswith("--only metrics")


def test_the_table_holds_the_metrics_of_one_number_a_checkpoint(derived):
    session = session_of(derived, "made-up")
    table = PANES["behaviour"].table(session._look)
    assert sorted(table.columns) == ["icl_score", "step", "weight_norm"]
    assert len(table) == derived["made-up"].metrics.sizes["step"]
