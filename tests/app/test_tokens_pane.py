"""The tokens pane: what it sends and answers, and what a user does with it."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from devexplore.app.derived import DerivedRun
from devexplore.app.pane import Look
from devexplore.app.panes.token_answers import ranking, top
from devexplore.app.panes.tokens import TokensPane
from devexplore.app.payload import encode
from devexplore.app.selection import Selection
from devexplore.errors import InvalidSpec
from devexplore.run import open_run

OWN = "def f(x):\n    return x\n"

browser_test = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.fixture(scope="module")
def derived(runs):
    with ThreadPoolExecutor(2) as pool:
        opened = {run.name: DerivedRun(run, pool) for run in runs}
        for name in ("language", "regression", "superposition", "deep_linear"):
            opened[name] = DerivedRun(open_run(name), pool)
        yield opened


def look(derived, run, **values):
    derived[run].stages.future.result()
    return Look(derived, Selection(run=run, **values))


def sent(derived, run, **values):
    return json.loads(encode(TokensPane().payload(look(derived, run, **values))))


def test_the_history_has_a_band_a_stage_and_an_empty_curve_to_fill(derived):
    data = sent(derived, "language")["history"]["data"]
    assert [trace.get("meta", {}).get("layer") for trace in data] == ["band"] * (len(data) - 1) + [None]
    assert data[-1].get("x") is None
    assert len(data) - 1 == derived["language"].stages.future.result().sizes["stage"]


def test_a_grid_of_many_sequences_comes_in_pages(derived):
    first = sent(derived, "regression")
    assert (first["pages"][0], first["pages"][-1]) == ([0, "1–48 of 1024"], [1008, "1009–1024 of 1024"])
    later = sent(derived, "regression", sequence=740)
    assert later["sequence"] == 720
    assert later["rows"][:2] == ["mean of 1024", "sequence 721"]


def test_the_ideal_predictors_are_sent_for_regression_only(derived):
    data = sent(derived, "regression")["ideals"]
    assert [trace["name"] for trace in data["figure"]["data"]] == ["zero", "ridge"]
    for name in ("language", "superposition", "deep_linear", "lines"):
        assert sent(derived, name)["ideals"] is None
    assert "beside ridge and zero" in sent(derived, "lines")["note"]


def test_own_text_is_read_as_one_piece_and_a_refused_one_leaves_the_probe(derived):
    one = derived["language"]
    one.text_losses(OWN * 30).future.result()
    data = sent(derived, "language", text=OWN * 30)
    assert data["own"] is True
    assert data["lead"] + "".join(data["items"]) == OWN * 30
    with pytest.raises(InvalidSpec, match=r"at least two tokens .* got one token"):
        one.text_losses("a").future.result()
    refused = sent(derived, "language", text="a")
    assert refused["own"] is False
    assert "at least two tokens" in refused["refused"]
    assert refused["pages"][0] == [0, "text 1 of 32"]


@pytest.mark.parametrize("run", ["language", "regression", "superposition", "deep_linear"])
def test_a_ranked_place_is_the_item_whose_loss_changed_most(derived, run):
    answer = json.loads(encode(ranking(derived[run], {"text": "", "by": "place", "steps": [0, 1e9]})))
    best = answer["improved"][0]
    data = TokensPane().payload(look(derived, run, sequence=best["sequence"]))
    change = data["loss"][-1] - data["loss"][0]
    assert change[best["item"]] == pytest.approx(best["change"], rel=1e-4)
    assert [row["change"] for row in answer["improved"]] == sorted(
        row["change"] for row in answer["improved"]
    )


def test_a_ranked_place_of_own_text_is_its_item(derived):
    text = OWN * 30
    derived["language"].text_losses(text).future.result()
    best = ranking(derived["language"], {"text": text, "by": "place", "steps": [0, 14_000]})["improved"][0]
    data = TokensPane().payload(look(derived, "language", text=text))
    assert data["items"][best["item"]] == best["token"]
    assert (data["loss"][-1] - data["loss"][0])[best["item"]] == pytest.approx(best["change"], rel=1e-4)


@pytest.mark.parametrize("by", ["token", "class", "position"])
def test_groups_come_with_their_error_and_count(derived, by):
    answer = ranking(derived["language"], {"text": "", "by": by, "steps": [0, 14_000]})
    assert all(row["count"] >= 1 for row in answer["improved"])
    assert any(row["se"] for row in answer["improved"])


def test_predictions_then_and_now_are_of_the_locked_token(derived):
    probe = derived["language"].probe
    values = {"text": "", "sequence": 3, "token": 20, "steps": [400, 14_000]}
    answer = top(derived["language"], values)
    assert answer["true"] == probe["target_text"].values[3, 20]
    loss = derived["language"].losses["token_loss"].isel(sequence=3, position=20)
    for step, one in zip(answer["steps"], answer["predictions"], strict=True):
        assert one["probability"] == pytest.approx(float(np.exp(-loss.sel(step=step))), rel=0.02)
        assert one["probabilities"] == sorted(one["probabilities"], reverse=True)


def test_the_table_has_a_row_a_token_with_both_losses(derived):
    table = TokensPane().table(look(derived, "language", sequence=2, change="custom", change_from=400))
    data = sent(derived, "language", sequence=2)
    assert table["target_text"].tolist() == data["items"]
    assert np.allclose(table["loss_at_14000"] - table["loss_at_400"], table["loss_change"])
    stage = TokensPane().table(look(derived, "language", step=1000))
    assert {"loss_at_400", "loss_at_11200"} <= set(stage)  # the stage that step 1,000 is in
    ranked = TokensPane().table(look(derived, "regression", token_view="ranking", ranked_by="position"))
    assert set(ranked["direction"]) == {"improved", "worsened"}


def test_a_run_without_token_losses_says_so(derived):
    assert sent(derived, "bare")["message"]["command"].endswith("--only losses")
    assert TokensPane().table(look(derived, "bare")) is None


@pytest.fixture
def tokens(visit):
    """The pane of the made-up run."""

    def go(query=""):
        page = visit(query)
        return page, page.locator("section[aria-label=Tokens], section[aria-label='Loss per input']")

    return go


# Faster than anybody presses a key, however busy the machine is.
SCRUB = """async (slider, count) => {
  for (let k = 0; k < count; k++) {
    slider.value -= 1;
    slider.dispatchEvent(new Event('input'));
    await new Promise(requestAnimationFrame);
  } }"""


class TestInTheBrowser:
    pytestmark = browser_test

    def test_a_ranked_place_opens_its_sequence_and_locks_the_token(self, tokens):
        page, pane = tokens("?change=start")
        pane.get_by_role("button", name="ranked").click()
        row = pane.locator("section[aria-label='most improved'] button.row").first
        row.wait_for()
        token = row.locator(".token").inner_text()
        row.click()
        pane.locator(".item.locked").wait_for()
        shown = pane.locator(".item.locked").inner_text()
        assert shown.replace(" ", "␣").replace("\n", "↵") == token
        assert pane.locator(".locked-panel .chart").is_visible()
        assert page.errors == []

    def test_the_steps_are_chosen_and_the_controls_keep_the_focus(self, tokens):
        page, pane = tokens("?change=custom")
        chooser = pane.get_by_role("combobox", name="From step")
        chooser.focus()
        page.keyboard.press("ArrowDown")
        page.wait_for_timeout(400)
        assert chooser.evaluate("node => node.getRootNode().activeElement === node")

    def test_a_text_that_cannot_be_read_stays_and_says_why_and_the_probe_too(self, tokens):
        page, pane = tokens()
        before = pane.locator(".item").count()
        pane.get_by_role("button", name="own text…").click()
        pane.get_by_role("textbox", name="Your text").fill("<b>x</b>")
        pane.get_by_role("button", name="Compute its losses").click()
        pane.locator(".refused:not(:empty)").wait_for()
        assert pane.get_by_role("textbox", name="Your text").input_value() == "<b>x</b>"
        assert pane.locator(".item").count() == before
        page.keyboard.press("Escape")
        assert pane.locator(".own-window").is_hidden()
        assert page.errors == []

    def test_scrubbing_with_a_locked_token_asks_nothing_until_it_rests(self, tokens):
        page, _ = tokens("?change=start&token=7")
        page.wait_for_timeout(1000)
        page.sent.clear()
        page.get_by_role("slider", name="Training step").evaluate(SCRUB, 10)
        asked = [frame for frame in page.sent if '"top"' in str(frame)]
        assert asked == []
        page.wait_for_timeout(900)
        assert len([frame for frame in page.sent if '"top"' in str(frame)]) == 1
