"""Pinned steps and the compare pane: what is sent, and what a user does."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

import devexplore as dx
from devexplore.app.page import derive
from devexplore.app.panes import PANES
from devexplore.app.panes.compare import llc_errors
from devexplore.app.panes.trajectory import walks
from devexplore.app.selection import Selection
from devexplore.app.session import Session

from .conftest import language_groups, steps, wait_until, write_run

DATA = Path(__file__).parents[2] / "data"

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def payload(session):
    return json.loads(session.viewers["compare"].payload)


def settled(derived, **selected):
    """A session whose compare pane has nothing left to wait for."""
    session = Session(derived, Selection(tab="compare", **selected))

    def is_drawn():
        session.look_at_jobs()
        return "waiting" not in ((payload(session).get("beside") or {}).get("joint") or {})

    wait_until(is_drawn)
    return session


def test_all_that_is_one_number_a_checkpoint_is_sent_once_with_its_verdicts(runs):
    session = settled(derive(runs), run="made-up")
    sent = payload(session)
    titles = [row["title"] for row in sent["mine"]]
    assert titles == ["test loss", "train loss", "LLC", "ICL score", "weight norm"]
    assert sorted(set(sent["mine"][2]["verdict"])) == [0, 1, 2]
    assert sent["beside"] is None
    assert sent["tokens"] is True


def test_a_step_or_a_pin_asks_python_for_nothing(runs):
    session = settled(derive(runs), run="made-up")
    before = session.viewers["compare"].payload
    session.selection.param.update(step=100, pinned=10)
    assert session.viewers["compare"].payload is before


def test_a_run_with_little_is_compared_by_what_it_has(runs):
    assert [row["title"] for row in payload(settled(derive(runs), run="bare"))["mine"]] == [
        "train loss",
        "ICL score",
        "weight norm",
    ]


def test_what_would_measure_a_run_of_nothing_can_be_typed_as_it_stands(tmp_path):
    run = write_run(tmp_path / "two words", {"probe": language_groups()["probe"]}, "language", steps())
    command = payload(settled(derive([run]), run="two words"))["message"]["command"]
    assert shlex.split(command) == ["devexplore", "measure", str(run.path)]


def test_runs_that_cannot_be_put_into_one_space_still_have_their_timelines_and_it_is_said_what_helps(runs):
    session = settled(derive(runs), run="made-up", other="bare")
    beside = payload(session)["beside"]
    assert "no outputs" in beside["joint"]["refused"]
    assert beside["joint"]["command"].startswith("dx.share_probe([dx.open(")
    assert [(row["run"], row["title"]) for row in beside["follow"]] == [
        (0, "test loss"),
        (0, "LLC"),
        (1, "train loss"),
    ]


def test_a_run_of_another_system_is_not_beside_this_one(runs):
    assert payload(settled(derive(runs), run="made-up", other="lines"))["beside"] is None


def test_two_runs_on_one_probe_are_drawn_in_one_space_with_their_predictors():
    run = DATA / "deep_linear"
    session = settled(derive([dx.open(run), dx.open(run)]), run="deep_linear", other="deep_linear 2")
    joint = payload(session)["beside"]["joint"]
    layers = [trace["meta"]["layer"] for trace in joint["plane"]["data"]]
    assert layers.count("run") == 2
    assert "predictors" in layers
    assert joint["space"]["data"][-1]["meta"]["layer"] == "now"
    assert len(joint["follow"]) == 2
    assert "width" not in joint["plane"]["layout"]
    assert "joint_dynamics" in payload(session)["code"]


def test_the_table_holds_the_pinned_and_the_current_step_of_both_runs(runs):
    session = settled(derive(runs), run="made-up", other="bare", pinned=10, step=900)
    table = PANES["compare"].table(session._look)
    everywhere = ["train loss", "ICL score", "weight norm"]
    assert table.loc[table["run"] == "made-up", "quantity"].tolist() == [
        "test loss",
        "train loss",
        "LLC",
        *everywhere[1:],
    ]
    assert table.loc[table["run"] == "bare", "quantity"].tolist() == everywhere
    near = table.loc[table["quantity"] == "train loss", ["step_1", "step_2"]].to_numpy()
    assert (np.abs(np.log1p(near) - np.log1p([10, 900])) < 0.1).all()


def test_errors_of_the_llcs_change_come_from_chains_that_shared_their_noise(runs):
    assert llc_errors(derive(runs)["made-up"], {"step": 10}) is None
    run = derive([dx.open(DATA / "superposition")])["superposition"]
    errors = llc_errors(run, {"step": 5000})
    np.testing.assert_array_equal(errors["step"], run.llc["step"])
    assert errors["error"][-1] == 0.0
    assert (errors["error"][:-1] > 0).all()
    alone = run.llc["llc_se"].values
    near = errors["step"] > 3000  # the network rests: noise in common cancels there, or nothing would
    assert (errors["error"][near] < 0.1 * np.hypot(alone, alone[-1])[near]).all()


TOUCHES = """() => {
  const all = (root, selector) => [...root.querySelectorAll(selector),
    ...[...root.querySelectorAll('*')].flatMap(n => n.shadowRoot ? all(n.shadowRoot, selector) : [])];
  const shown = node => node.style.display !== 'none';
  const {data, _fullData} = all(document, '[data-cell=space] .plot')[0];
  const [space, now] = ['pinned', 'now'].map(layer => data.find(trace => trace.meta?.layer === layer));
  const step = Number(all(document, 'output.readout b')[0].textContent.replace(',', ''));
  const curve = _fullData.find(trace => trace.visible === true && [...trace.customdata ?? []].includes(step));
  const rings = all(document, 'g.pinned').filter(n => n.querySelector('circle')).slice(0, 3).map(shown);
  return {here: curve.x[[...curve.customdata].indexOf(step)], rings, space: space.x[0], now: now.x[0]};
}"""


@pytest.mark.browser
def test_p_pins_the_step_everywhere_and_escape_leaves_the_large_pane_first_then_unpins(visit):
    page = visit("?run=made-up&step=100&maximised=trajectory")
    page.keyboard.press("p")
    page.wait_for_timeout(800)
    assert page.get_by_role("button", name="Unpin this step (p)").get_attribute("aria-pressed") == "true"
    marked = page.evaluate(TOUCHES)
    assert marked["rings"] == [True] * 3
    assert marked["now"] == marked["space"] == pytest.approx(marked["here"])
    assert "pinned=" in page.url
    page.keyboard.press("Escape")
    page.wait_for_timeout(800)
    assert "maximised" not in page.url
    assert "pinned=" in page.url
    page.keyboard.press("Escape")
    page.wait_for_timeout(800)
    gone = page.evaluate(TOUCHES)
    assert gone["rings"] == [False] * 3
    assert gone["space"] is None
    assert "pinned" not in page.url
    assert page.errors == []


@pytest.mark.browser
def test_the_table_follows_the_step_and_opens_the_tokens_that_changed_between_both(visit):
    page = visit("?run=made-up&tab=compare&pinned=10&step=900")
    section = page.locator("section[aria-label='What is measured']")
    line = section.locator("tbody tr", has_text="test loss")
    pinned, now, change = (float(line.locator("td").nth(i).inner_text().replace("−", "-")) for i in range(3))
    assert change == pytest.approx(now - pinned, abs=0.01)
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(800)
    assert float(line.locator("td").nth(1).inner_text()) != now
    assert float(line.locator("td").nth(0).inner_text()) == pinned
    section.get_by_role("button", name="tokens that changed most").click()
    page.locator("section[aria-label='most improved'] li").first.wait_for()
    assert page.get_by_label("From step").input_value() == "10"
    assert page.errors == []


@pytest.mark.browser
def test_another_run_is_chosen_and_its_timeline_stands_below_this_one(visit):
    page = visit("?run=made-up&tab=compare")
    page.get_by_label("The run beside this one").select_option("bare")
    state = page.locator("section[aria-label='Both runs in one function space'] .state")
    state.locator("code").wait_for()
    assert page.locator("section[aria-label='Timelines of both runs'] .value").count() == 3
    assert [o.inner_text() for o in page.get_by_label("The run beside this one").locator("option").all()] == [
        "no other run",
        "bare",
    ]
    assert page.errors == []


def test_random_walks_are_answered_for_the_planes_that_are_drawn(runs):
    derived = derive(runs)["made-up"]
    derived.dynamics.future.result()
    answer = walks(derived, {"components": [1, 2, 3], "bandwidth": 0, "theme": "dark"})
    assert len(answer["planes"]) == 3
    assert answer["space"]["type"] == "scatter3d"


@pytest.mark.browser
def test_n_puts_random_walks_below_the_curves_and_away_without_drawing_anew(visit):
    page = visit("?run=made-up")
    count = """() => { const all = (root, selector) => [...root.querySelectorAll(selector),
        ...[...root.querySelectorAll('*')].flatMap(n => n.shadowRoot ? all(n.shadowRoot, selector) : [])];
      return ['space', 'a', 'b', 'c'].map(cell => all(document, `[data-cell=${cell}] .plot`)[0].data
        .filter(trace => trace.meta?.layer === 'null').map(trace => trace.visible ?? true)); }"""
    assert page.evaluate(count) == [[]] * 4
    page.keyboard.press("n")
    foot = page.locator("section[aria-label=Trajectory] .foot")
    foot.get_by_text("5 of the random walks").wait_for()
    page.wait_for_timeout(2000)
    assert page.evaluate(count) == [[True]] * 4
    page.sent.clear()
    page.keyboard.press("n")
    page.wait_for_timeout(1000)
    assert page.evaluate(count) == [[False]] * 4
    assert "random walks that forms" not in foot.inner_text()
    assert sum(len(frame) for frame in page.sent) < 2000
    assert page.errors == []
