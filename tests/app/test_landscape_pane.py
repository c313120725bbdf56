"""The landscape pane: what it is sent."""

import json
from pathlib import Path

import pytest

import devexplore as dx
from devexplore.app.page import derive
from devexplore.app.selection import Selection
from devexplore.app.session import Session

from .conftest import wait_until

DATA = Path(__file__).parents[2] / "data"

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def shown(derived, run):
    session = Session(derived, Selection(run=run, tab="landscape"))
    wait_until(lambda: (session.look_at_jobs(), session.viewers["landscape"].payload)[1])
    return json.loads(session.viewers["landscape"].payload)


def test_every_stop_of_the_slider_is_sent_once_and_the_first_is_what_is_drawn():
    payload = shown(derive([dx.open(DATA / "language")]), "language")
    wells = next(i for i, trace in enumerate(payload["ground"]["data"]) if trace["meta"]["layer"] == "wells")
    assert len(payload["frames"]) == len(payload["words"]) <= 60
    assert all(len(frame["y"]) == len(payload["moving"]) for frame in payload["frames"])
    first = payload["frames"][payload["first"]]
    assert first["text"][payload["moving"].index(wells)] == payload["ground"]["data"][wells]["text"]
    assert {trace["meta"]["layer"] for trace in payload["odds"]["data"]} >= {"odds"}


def test_a_run_without_an_llc_says_what_would_measure_it(runs):
    said = shown(derive(runs), "lines")["message"]
    assert said["title"] == "The LLC is not measured yet"
    assert said["command"].endswith("--only llc")
