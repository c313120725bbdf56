"""Names, notes and tokens that hold markup, quotes or other scripts are shown as the text they are."""

import json
import re
import shutil

import pytest

from devexplore.analysis.annotations import Boundaries, Boundary
from devexplore.analysis.own_boundaries import save_boundaries
from devexplore.app.panes import PANES
from devexplore.app.runs import ServedRuns
from devexplore.app.selection import Selection
from devexplore.app.session import Session
from devexplore.run import open_run
from devexplore.views.markup import plain

from .conftest import AWKWARD

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

HURT = 'window.hurt="yes"'
STAGE = '<b>a</b>&amp;<img src=x onerror=window.hurt=1>%{x}"'
NOTE = f"<script>{HURT}</script> <a href='javascript:{HURT}'>שלום</a> é &lt;"
NAME = f"<i>run</i> & <script>{HURT}</script> %{{y}}"
MARKUP = re.compile(r"</?(?!b>|/b>|br>|span[ >]|/span>|sup>|sub>|i>|extra>)[a-z]", re.IGNORECASE)
"""Tags that none of our own figures use."""


@pytest.fixture(scope="module")
def hostile(runs, tmp_path_factory):
    """The made-up run under an evil name, with evil stages."""
    folder = shutil.copytree(runs[0].path, tmp_path_factory.mktemp("hostile") / "run")
    recipe = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**recipe, "name": NAME}))
    run = open_run(folder)
    stages = (Boundary(30, stage="שלום", stage_note="é"), Boundary(900, note=NOTE))
    save_boundaries(run, Boundaries(stages, first_stage=STAGE, first_stage_note=NOTE))
    return run


def texts_in(figure):
    """Every text of a figure that Plotly reads as markup."""
    if isinstance(figure, dict):
        for key, value in figure.items():
            if key in ("text", "name", "hovertemplate", "hovertext", "ticktext", "texttemplate", "title"):
                yield from ([value] if isinstance(value, str) else value if isinstance(value, list) else ())
            yield from texts_in(value)
    elif isinstance(figure, list):
        for value in figure:
            yield from texts_in(value)


def figures_in(payload):
    if isinstance(payload, dict):
        if "data" in payload and "layout" in payload:
            yield payload
        else:
            for value in payload.values():
                yield from figures_in(value)
    elif isinstance(payload, list):
        for value in payload:
            yield from figures_in(value)


@pytest.fixture(scope="module")
def session(hostile, runs):
    served = ServedRuns([hostile, runs[1]])
    session = Session(served, Selection(run=NAME, other="lines"))
    session.derived.stages.future.result()
    session.derived.dynamics.future.result()
    session.derived.forms.future.result()
    for name in PANES:
        session.selection.tab = name
        for _ in range(5):
            for job in session.awaited:
                job.future.exception()
            session.look_at_jobs()
    return session


@pytest.mark.parametrize("name", PANES)
def test_figures_hold_no_markup_of_other_peoples(session, name):
    payload = json.loads(session.viewers[name].payload)
    seen = [str(text) for figure in figures_in(payload) for text in texts_in(figure)]
    assert bool(seen) == (name not in ("chains", "compare"))  # of which this run has no figures
    assert [text for text in seen if MARKUP.search(text) or "&amp;<" in text or "%{x}<" in text] == []
    assert not any(STAGE in text or NAME in text for text in seen)


def test_the_names_are_still_there_as_text(session):
    timeline = json.loads(session.viewers["timeline"].payload)
    assert timeline["edit"]["names"] == [STAGE, "שלום", "S3"]
    assert timeline["edit"]["notes"][0] == NOTE
    names = [text for figure in figures_in(timeline) for text in texts_in(figure)]
    assert any(plain(STAGE)[:12] in str(text) for text in names)
    assert json.loads(session.shell.payload)["run"] == NAME


@pytest.mark.parametrize(
    ("text", "shown"),
    [("<b>x</b>", "&lt;b&gt;x&lt;/b&gt;"), ("a & b", "a &amp; b"), ("%{y}", "&#37;{y}"), ("50 %", "50 %")],
)
def test_plain_text_is_what_plotly_shows_letter_by_letter(text, shown):
    assert plain(text) == shown


@pytest.fixture
def page(browser, hostile, runs):
    from devexplore.app.page import free_port, serve

    port = free_port(0)
    server = serve([hostile, runs[1]], port=port, open_browser=False, threaded=True)
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.errors, page.dialogs = [], []
    page.on("console", lambda m: page.errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("dialog", lambda dialog: (page.dialogs.append(dialog.message), dialog.dismiss()))
    page.goto(f"http://127.0.0.1:{port}/?run=%3Cb%3Enone%3C/b%3E")
    page.locator(".chip").first.wait_for(timeout=60_000)
    yield page
    context.close()
    server.stop()


@pytest.mark.browser
def test_everywhere_on_the_page_it_is_text(page):
    assert page.locator(".banner span").inner_text().startswith("No run “<b>none</b>” is served here")
    assert page.get_by_label("Run", exact=True).locator("option").first.inner_text() == NAME
    assert page.locator(".chip b").first.text_content() == STAGE
    assert page.locator(".chip").first.get_attribute("title").count(NOTE) == 1
    tokens = page.locator(".item").all_text_contents()[:5]
    assert tokens == AWKWARD[1:6]
    assert page.locator(".item").nth(2).evaluate("node => getComputedStyle(node).unicodeBidi") == "isolate"
    drawn = page.locator("section[aria-label=Timeline] .annotation-text").all_text_contents()
    assert any(text.startswith("<b>a</b>") for text in drawn), drawn
    for tab in page.get_by_role("tab").all():
        tab.click()
        page.wait_for_timeout(700)
    page.wait_for_timeout(1000)
    injected = """() => {
      const all = root => [...root.querySelectorAll('*')].flatMap(
        n => [n, ...(n.shadowRoot ? all(n.shadowRoot) : [])]);
      return all(document).filter(n => n.matches('img[onerror], a[href^=javascript], [onerror]')
        || (n.localName === 'script' && n.textContent.includes('hurt'))).map(n => n.outerHTML); }"""
    assert page.evaluate(injected) == []
    assert page.evaluate("() => window.hurt") is None
    assert page.dialogs == []
    assert page.errors == []
