"""The forms pane: what it is sent, and what a user does with it."""

import json
import re
from pathlib import Path

import pytest

import devexplore as dx
from devexplore.app.page import derive, free_port, serve
from devexplore.app.panes import PANES
from devexplore.app.panes.forms import lift_to, note
from devexplore.app.payload import encode
from devexplore.app.selection import Selection
from devexplore.app.session import Session
from devexplore.errors import CheckpointMismatch, InvalidSpec
from devexplore.views.form_facts import beaten_by
from devexplore.views.lifted_rows import prediction_rows

from .conftest import wait_until

DATA = Path(__file__).parents[2] / "data"

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def derived(runs):
    derived = derive([*runs, dx.open(DATA / "deep_linear")])
    for name in ("made-up", "lines", "deep_linear"):
        derived[name].dynamics.future.result()
        derived[name].forms.future.result()
    with pytest.raises(CheckpointMismatch, match="do not fit the model"):
        derived["bare"].dynamics.future.result()
    return derived


def shown(derived, run, **selection):
    """What the pane is sent once nothing is awaited any more."""
    session = Session(derived, Selection(run=run, tab="forms", **selection))
    wait_until(lambda: (session.look_at_jobs(), session.settled)[1])
    return json.loads(session.viewers["forms"].payload)


def test_a_card_gives_step_interval_agreement_and_p_value_of_the_chosen_form(derived):
    forms = derived["deep_linear"].found_forms()
    for number in range(forms.sizes["form"]):
        card = shown(derived, "deep_linear", form=number)
        one = forms.isel(form=number)
        assert card["form"] == number
        assert card["step_low"] <= card["step"] == round(float(one["step"])) <= card["step_high"]
        said = " ".join(text for fact in card["facts"] for text in fact)
        assert f"p = {float(one['p_value']):.2g}" in said
        assert f"{float(one['residual']):.1%} apart" in said
        assert len(card["weights"]["data"][0]["x"]) > 0


def test_a_form_that_is_not_there_gives_the_first_one(derived):
    assert shown(derived, "deep_linear", form=99)["form"] == 0
    assert shown(derived, "deep_linear")["form"] == 0


def test_the_lifted_outputs_stand_beside_those_of_checkpoints_and_the_teacher_and_are_those_of_lift(derived):
    card = shown(derived, "deep_linear", form=1)
    table = card["lifted"]["table"]
    names = [column["name"] for column in table["columns"]]
    assert names == ["lifted", "path", "nearest", "start", "end", "teacher"]
    lifted = dx.lift(derived["deep_linear"].run, derived["deep_linear"].found_forms().isel(form=1))
    for grid, values in zip(table["grids"], lifted["prediction"].isel(position=-1).values, strict=False):
        assert grid == [[pytest.approx(value, rel=1e-5) for value in row] for row in values.tolist()]
    distances = {row["words"]: row["values"] for row in card["lifted"]["distances"]["rows"]}
    teacher = card["lifted"]["distances"]["ideals"].index("teacher")
    assert distances["end"][teacher] < distances["lifted"][teacher] < distances["start"][teacher]


def test_a_run_without_a_form_says_what_was_sought_and_lists_its_turns(derived):
    card = shown(derived, "made-up")
    forms = derived["made-up"].found_forms()
    assert forms.sizes["form"] == 0  # the run of these tests is smooth
    assert card["form"] is None
    assert card["forms"] == []
    assert card["conclusion"] == forms.attrs["conclusion"]
    assert "30°" in card["sought"]
    assert len(card["turns"]) == min(8, int((forms["turn_strength"] > 0).sum()))
    assert all(turn["reason"] for turn in card["turns"])


def test_without_a_trajectory_there_is_a_message(derived):
    card = shown(derived, "bare")
    assert card["message"]["title"] == "No trajectory, no forms"
    assert card["message"]["text"]


def test_a_form_that_cannot_be_lifted_keeps_its_card(derived):
    card = shown(derived, "lines")  # made up: there is no network of its kind
    assert card["form"] == 0
    assert card["lifted"]["error"] == str(derived["lines"].lifted(0).future.exception())


def test_while_a_form_is_lifted_its_card_is_there(derived, monkeypatch):
    class Never:
        def done(self):
            return False

    class Lifting:
        future, done, total, text, seconds_left = Never(), 0, 0, "", None

    monkeypatch.setattr(type(derived["deep_linear"]), "lifted", lambda self, form: Lifting())
    session = Session(derived, Selection(run="deep_linear", tab="forms", theme="dark"))
    card = json.loads(session.viewers["forms"].payload)
    assert card["lifted"] is None
    assert card["facts"]


def test_the_table_has_a_row_for_each_form_and_the_code_runs(derived):
    session = Session(derived, Selection(run="deep_linear", tab="forms", form=1))
    pane, look = PANES["forms"], session._look
    table = pane.table(look)
    assert table["step"].tolist() == derived["deep_linear"].found_forms()["step"].values.tolist()
    assert {"p_value", "residual", "PC1", "PC4"} <= set(table.columns)
    names = {"dx": dx, "run": dx.open(DATA / "deep_linear")}
    exec(pane.code(look), names)
    assert "mean_distance" in names["reading"]


@pytest.mark.parametrize("count", [0, 1, 6, 198])
def test_the_walks_that_a_p_value_stands_for(count):
    assert beaten_by((1 + count) / 200, 199) == count


@pytest.mark.slow
def test_a_text_of_the_users_own_is_lifted_as_lift_does_and_one_too_long_is_refused_with_the_reason():
    derived = derive([dx.open(DATA / "language")])["language"]
    derived.dynamics.future.result()
    with pytest.raises(InvalidSpec, match="still being sought"):
        lift_to(derived, {"form": 0, "prompt": "def"})
    forms = derived.forms.future.result()
    text = 'def f(x): <b>"&'
    table = lift_to(derived, {"form": 0, "prompt": text})
    lifted = dx.lift(derived.run, forms.isel(form=0), prompt=text)
    assert table["rows"] == prediction_rows(lifted, 0, "path")
    assert "".join(row["last"] for row in table["rows"]) == text
    assert table["rows"][-1]["target"] is None
    assert json.loads(encode(table))["rows"][0]["guesses"][0][0][1] > 0
    with pytest.raises(InvalidSpec, match="at most 128 tokens"):
        lift_to(derived, {"form": 0, "prompt": "def f(x): pass\n" * 60})


@pytest.mark.browser
def test_a_click_on_a_form_opens_its_card_and_another_is_chosen_from_the_list(visit):
    page = visit("?run=lines")
    star = page.evaluate(STAR)
    page.mouse.click(star["x"], star["y"])
    page.wait_for_timeout(1500)
    assert page.get_by_role("tab", selected=True).inner_text() == "Forms"
    card = page.locator("section[aria-label=Forms]")
    card.get_by_text("Form 1", exact=True).wait_for()
    assert "form=0" in page.url
    assert "tab=forms" in page.url
    assert f"{star['step']:,}" in card.locator(".when").inner_text()
    assert "It cannot be lifted" in card.locator(".state").inner_text()
    step = page.locator("output b").inner_text()
    chart = card.get_by_role("img", name="Weights of the form over checkpoints")
    chart.click(position={"x": 60, "y": 40})
    page.wait_for_timeout(300)
    assert page.locator("output b").inner_text() != step
    page.get_by_role("button", name="Take back").click()
    page.wait_for_timeout(300)
    assert page.locator("output b").inner_text() == step
    page.get_by_role("button", name="Take back").click()
    page.wait_for_timeout(600)
    assert page.get_by_role("tab", selected=True).inner_text() == "Tokens"
    assert page.locator("output b").inner_text() != step
    assert page.errors == []


@pytest.mark.browser
def test_a_run_without_forms_says_so_on_the_page_and_its_turns_can_be_gone_to(visit):
    page = visit("?tab=forms")
    card = page.locator("section[aria-label=Forms]")
    card.get_by_text("No form in this run").wait_for()
    button = card.locator(".turns td button").first
    button.click()
    page.wait_for_timeout(600)
    wanted = int(button.inner_text().replace(",", ""))
    now = int(page.locator("output b").inner_text().replace(",", ""))
    assert abs(now - wanted) <= 0.2 * (1 + wanted)
    assert button.inner_text() in card.locator(".turns tr.locked button").all_inner_texts()
    assert card.get_by_label("A text of your own to lift the form to").count() == 1
    assert not card.get_by_label("A text of your own to lift the form to").is_visible()
    assert page.errors == []


@pytest.mark.browser
@pytest.mark.slow
def test_a_typed_text_is_lifted_kept_in_the_address_and_given_up_again(browser):
    port = free_port(0)
    server = serve([dx.open(DATA / "language")], port=port, open_browser=False, threaded=True)
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    try:
        page.goto(f"http://127.0.0.1:{port}/?tab=forms")
        box = page.get_by_label("A text of your own to lift the form to")
        box.wait_for(timeout=120_000)
        box.fill('def f(<i>&"</i>')
        box.press("Enter")
        card = page.locator("section[aria-label=Forms]")
        card.get_by_text("On your text").wait_for(timeout=60_000)
        read = "".join(card.locator(".answer tbody .context b").all_inner_texts())
        assert read.replace("␣", " ") == 'def f(<i>&"</i>'
        assert re.search(r"prompt=def", page.url)
        card.get_by_role("button", name="back to the probe").click()
        card.get_by_text("of the probe").wait_for(timeout=120_000)
        assert box.input_value() == ""
        assert "prompt=" not in page.url
        assert errors == []
    finally:
        page.close()
        server.stop()


STAR = """() => {
  const find = root => root.querySelector('[data-cell=a] .plot')
    ?? [...root.querySelectorAll('*')].filter(n => n.shadowRoot).map(n => find(n.shadowRoot)).find(Boolean);
  const plot = find(document), box = plot.getBoundingClientRect(), {xaxis, yaxis} = plot._fullLayout;
  const stars = plot.data.filter(t => t.meta?.layer === 'forms' && t.marker?.symbol === 'star-diamond')[0];
  const bytes = a => Uint8Array.from(atob(a.bdata), c => c.charCodeAt(0));
  const decode = a => a.bdata ? new Float64Array(bytes(a).buffer) : a;
  return {x: box.left + xaxis._offset + xaxis.l2p(decode(stars.x)[0]),
    y: box.top + yaxis._offset + yaxis.l2p(decode(stars.y)[0]),
    step: decode(stars.customdata)[0]};
}"""


def test_a_form_is_named_on_its_card_and_the_name_taken_back(derived, tmp_path, monkeypatch):
    monkeypatch.setenv("DEVEXPLORE_ANNOTATIONS", str(tmp_path))
    one = derived["lines"]
    one.dynamics.future.result()
    one.forms.future.result()
    before = derived.act("lines", note, {"form": 0, "name": "<b>corner</b>", "note": "& more"}).result()
    assert before == {"name": "", "note": ""}
    card = shown(derived, "lines")
    assert (card["names"], card["note"]) == (["<b>corner</b>"], "& more")
    pane = PANES["forms"]
    table = pane.table(Session(derived, Selection(run="lines", tab="forms"))._look)
    assert table["name"].tolist() == ["<b>corner</b>"]
    named = derived.act("lines", note, {"form": 0, **before}).result()
    assert named == {"name": "<b>corner</b>", "note": "& more"}
    assert shown(derived, "lines")["names"] == [""]
