"""A report is one file: it opens without Python or network, scrubs, and says what it does not hold."""

import base64
import errno
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

import devexplore as dx
from devexplore.app.panes import forms
from devexplore.app.payload import encode
from devexplore.app.recorder import Recorder, slim, untold
from devexplore.app.selection import Selection
from devexplore.errors import InvalidSpec, NotWritable
from devexplore.paths import as_argument
from devexplore.views.markup import plain
from tests.app.conftest import AWKWARD, FIND, language_run, regression_run

HOSTILE = '</script><img src=x onerror=alert(1)> & "שלום"'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def report_of_text(folder):
    """Of a made-up language run without a trajectory, whose name and tokens are hostile."""
    run = language_run(folder / "made-up", without=("outputs/log_probs",))
    recipe = json.loads((folder / "made-up" / "run.json").read_text())
    (folder / "made-up" / "run.json").write_text(json.dumps(recipe | {"name": HOSTILE}))
    return dx.report(dx.open(run.path), folder / "made-up.html")


@pytest.fixture(scope="module")
def report_of_lines(folder):
    """Of a run without text and LLC, with a form; in the dark theme, on its forms."""
    run, said = regression_run(folder / "lines"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forms, "MOST_KEPT", 3)
        file = dx.report(
            run,
            folder / "lines.html",
            selection=Selection(tab="forms", step=40),
            theme="dark",
            progress=lambda *what: said.append(what),
        )
    assert any(text == "random walks to compare with" and total > 0 for _, total, text in said)
    return file


def told(file):
    """What the file holds."""
    return json.loads(
        re.search(r'id="report">(.*?)</script>', file.read_text(encoding="utf-8"), re.DOTALL)[1]
    )


def drawing(report, name, number=0):
    def whole(fields):
        if isinstance(fields, int):
            return report["values"][fields]
        return {key: whole(one) for key, one in fields.items()}

    return whole(report["panes"][name]["drawings"][number]["fields"])


def test_the_file_holds_what_the_page_shows_of_every_sequence_in_both_themes(report_of_text):
    report = told(report_of_text)
    seen = [tuple(at) for one in report["panes"]["tokens"]["drawings"] for at in one["shown"]]
    assert {at[:2] for at in seen} == {(theme, number) for theme in ("light", "dark") for number in range(4)}
    assert [row["title"] for row in drawing(report, "timeline")["rows"]] == ["test loss", "LLC"]
    assert "do not fit the model" in drawing(report, "trajectory")["message"]["text"]
    assert drawing(report, "tokens")["items"][:5] == AWKWARD[1:6]


def test_rankings_over_every_stage_and_tables_that_follow_no_step_are_kept(report_of_text):
    report = told(report_of_text)
    asked = {name: [one[0] for one in pane["answers"]] for name, pane in report["panes"].items()}
    assert [name for name in ("timeline", "tokens", "compare") if "table" in asked[name]] == ["timeline"]
    stages = len(drawing(report, "timeline")["edit"]["names"])
    asked = [question for question, _, _ in report["panes"]["tokens"]["answers"]]
    assert asked.count("ranking") == 4 * (stages + 1)
    (table,) = (at for question, _, at in report["panes"]["timeline"]["answers"] if question == "table")
    assert report["values"][table].count("\n") == stages + 1


def test_hostile_names_and_tokens_end_no_element_of_the_file(report_of_text):
    text = report_of_text.read_text(encoding="utf-8")
    assert text.count("<script") == text.count("</script") == 3
    assert "<img" not in text
    assert "<title>&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt; &amp; &quot;שלום&quot;" in text
    assert AWKWARD[0] in drawing(told(report_of_text), "tokens")["lead"]


def test_no_folder_of_this_machine_is_told(report_of_text, folder):
    text = report_of_text.read_text(encoding="utf-8")
    assert str(folder) not in text
    assert "devexplore explore made-up" in told(report_of_text)["refusal"]


def test_arrays_are_kept_in_single_precision_unless_whole_numbers_would_change():
    fine, steps = np.array([0.1, np.nan, -2e5]), np.array([0.0, 20_000_001.0, np.nan])
    huge = np.array([1e300, 0.5])
    kept = slim(json.loads(encode({"a": [fine], "steps": steps, "huge": huge, "same": "text"})))
    assert kept["a"][0]["dtype"] == "f4"
    single = np.frombuffer(base64.b64decode(kept["a"][0]["bdata"]), np.float32)
    assert np.allclose(single, fine, rtol=1e-6, equal_nan=True)
    assert (kept["steps"]["dtype"], kept["huge"]["dtype"], kept["same"]) == ("f8", "f8", "text")


def test_a_folder_is_called_by_its_name_in_texts_and_not_in_arrays_whose_letters_spell_it():
    letters = base64.b64decode("/a/b" * 4)
    array = json.loads(encode(np.frombuffer(letters, np.float32)))
    said = {"at": ["no such file: /a/b/zarr.json", "dx.open('/a/b')"], "drawn": {"of": array}}
    assert "/a/b" in array["bdata"]
    assert untold(said, Path("/a/b")) == {
        "at": ["no such file: b/zarr.json", "dx.open('b')"],
        "drawn": {"of": array},
    }
    quoted = Path("/it's/a\"b")
    assert untold(f"dx.open({str(quoted)!r})", quoted) == f"dx.open({'a' + chr(34) + 'b'!r})"


def test_a_folder_is_renamed_in_commands_and_in_labels_too():
    owned = Path("/it's & mine/a run")
    commands = [f"devexplore explore {as_argument(owned)}", f"see {as_argument(owned / 'run.json')}"]
    assert untold(commands, owned) == ["devexplore explore 'a run'", "see 'a run/run.json'"]
    assert untold(plain(f"{owned}: no LLC"), owned) == "a run: no LLC"


def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch):
    run = language_run(tmp_path / "made-up", without=("outputs/log_probs",))
    monkeypatch.setattr(Recorder, "record", lambda self: pytest.fail("worked"))
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path, tmp_path / "file" / "page.html", tmp_path / ("x" * 300), Path(os.devnull)):
        with pytest.raises(NotWritable, match="the report not written"):
            dx.report(run, place)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_disk_that_fills_leaves_the_report_that_was_there(tmp_path, monkeypatch):
    run = language_run(tmp_path / "made-up", without=("outputs/log_probs",))

    def fills(self):
        monkeypatch.setattr(Path, "write_text", refuses)
        return {}

    def refuses(path, text, **_):
        path.write_bytes(text[:100].encode())
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Recorder, "record", fills)
    page = tmp_path / "out" / "page.html"
    page.parent.mkdir()
    page.write_bytes(b"whole")
    with pytest.raises(NotWritable, match="No space left on device"):
        dx.report(run, page)
    assert [(file.name, file.read_bytes()) for file in page.parent.iterdir()] == [("page.html", b"whole")]


def test_nothing_may_be_fetched(report_of_text):
    policy = re.search(r'Security-Policy" content="([^"]*)"', report_of_text.read_text(encoding="utf-8"))[1]
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy


def test_a_single_theme_and_the_view_asked_for(report_of_lines):
    report = told(report_of_lines)
    assert len(drawing(report, "trajectory")["planes"]) == 3
    assert "against 199 random walks like this run" in drawing(report, "trajectory")["caption"]
    assert list(report["frames"]) == ["dark"]
    asked = {name: pane["answers"] for name, pane in report["panes"].items()}
    assert [about["theme"] for question, about, _ in asked["trajectory"] if question == "walks"] == ["dark"]
    assert (report["state"]["tab"], report["state"]["step"], report["state"]["theme"]) == (
        "forms",
        40,
        "dark",
    )


def test_what_is_no_theme_is_refused_before_anything_is_written(folder):
    with pytest.raises(InvalidSpec, match="'light' or 'dark'"):
        dx.report(folder / "made-up", folder / "never.html", theme="sepia")
    assert not (folder / "never.html").exists()


@pytest.fixture
def visit_file(browser):
    contexts = []

    def visit(file, address=""):
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.errors, page.outside = [], []
        page.on("console", lambda m: page.errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("dialog", lambda dialog: page.errors.append(dialog.message))
        local = ("file:", "data:", "blob:")
        page.on("request", lambda r: None if r.url.startswith(local) else page.outside.append(r.url))
        page.goto(file.as_uri() + address)
        page.wait_for_function(f"() => ({FIND})('.cursor')?.hasAttribute('x1') === true", timeout=60_000)
        return page

    yield visit
    for context in contexts:
        context.close()


def step(page):
    return int(page.locator("output b").inner_text().replace(",", ""))


CURSOR = f"() => ({FIND})('.cursor').getAttribute('x1')"


@pytest.mark.browser
def test_it_opens_from_the_disk_and_scrubs(visit_file, report_of_text):
    page = visit_file(report_of_text)
    assert step(page) == 14_000
    before = page.evaluate(CURSOR)
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    page.wait_for_function(f"before => ({CURSOR})() !== before", arg=before)
    assert step(page) < 14_000
    page.locator(".unseen[role=status]", has_text=f"step {step(page):,} of 14,000").wait_for(state="attached")
    assert page.locator(".lead").inner_text() == AWKWARD[0]
    assert [item.inner_text() for item in page.locator(".item").all()][:5] == AWKWARD[1:6]
    page.get_by_label("Next sequence").click()
    page.wait_for_function(f"() => ({FIND})('.lead').textContent === '&amp;'")
    assert page.errors == []
    assert page.outside == []


@pytest.mark.browser
def test_tabs_themes_rankings_and_tables_work_and_an_address_brings_the_view_back(visit_file, report_of_text):
    page = visit_file(report_of_text)
    page.keyboard.press("t")
    page.get_by_role("button", name="ranked").click()
    page.locator(".ranking .row").first.wait_for()
    page.get_by_role("button", name="Take Timeline away").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="Table (CSV)").click()
    assert download.value.suggested_filename.endswith("-timeline.csv")
    page.get_by_role("button", name="text", exact=True).click()
    page.get_by_label("Loss change between").select_option("custom")
    page.locator(".scale", has_text=re.compile(r"fell \d")).wait_for()
    page.get_by_role("tab", name="Metrics").click()
    page.locator("section[aria-label=Metrics] svg.main-svg").first.wait_for()
    page.wait_for_function("() => location.hash.includes('tab=behaviour')")
    address = page.evaluate("() => location.hash")
    assert page.errors == []
    again = visit_file(report_of_text, address)
    again.locator("section[aria-label=Metrics] svg.main-svg").first.wait_for()
    assert again.locator(".theme").get_attribute("data-theme") == "dark"


@pytest.mark.browser
def test_what_needs_python_rests_and_says_where_it_works(visit_file, report_of_text):
    page = visit_file(report_of_text)
    resting = [
        page.get_by_label("Add a metric as a strip"),
        page.get_by_label("Add a boundary at the current step"),
        page.get_by_role("button", name="own text…"),
        page.get_by_label("Run", exact=True),
    ]
    for control in resting:
        assert control.is_disabled()
        assert "devexplore explore" in control.get_attribute("title")
    assert page.locator(".handles button").count() == 0


@pytest.mark.browser
def test_a_view_that_the_file_does_not_hold_is_refused_in_words(visit_file, report_of_lines):
    page = visit_file(report_of_lines)
    assert page.get_by_role("button", name="Components and smoothing").is_disabled()
    page.locator(".refusal").wait_for(state="hidden")
    page.keyboard.press("t")
    page.locator(".refusal", has_text="Not in this saved page").wait_for()
    page.wait_for_timeout(300)
    assert page.locator(".theme").get_attribute("data-theme") == "dark"
    assert page.locator("section[aria-label=Forms] .when").inner_text().startswith("Form 1")
    assert page.errors == []


@pytest.mark.browser
def test_an_address_edited_by_hand_opens_the_view_that_the_file_holds(visit_file, report_of_lines):
    page = visit_file(
        report_of_lines, "#theme=light&tab=nowhere&step=x&components=4,5,6&colour=blue&circles=off"
    )
    assert page.locator(".theme").get_attribute("data-theme") == "dark"
    assert page.get_by_role("button", name="circles").get_attribute("aria-pressed") == "false"
    assert 35 < step(page) < 45
    before = page.locator("circle.now").first.get_attribute("cx")
    page.keyboard.press("Shift+ArrowRight")
    page.wait_for_function(f"before => ({FIND})('circle.now').getAttribute('cx') !== before", arg=before)
    assert page.errors == []
