"""The walk of a new user through the bundled runs, station by station, in headless Chromium.

With ``DEVEXPLORE_SCREENSHOTS=FOLDER`` every station leaves a picture there.
"""

import os
from pathlib import Path

import pytest

import devexplore as dx
from devexplore.app.page import free_port, serve

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

DATA = Path(__file__).parents[2] / "data"
LONG = 180_000

FIND = """const all = (root, selector) => [...root.querySelectorAll(selector),
    ...[...root.querySelectorAll('*')].flatMap(n => n.shadowRoot ? all(n.shadowRoot, selector) : [])];
  const plot = all(document, '[data-cell=a] .plot')[0];
  const place = (trace, i) => { const {xaxis, yaxis} = plot._fullLayout, box = plot.getBoundingClientRect();
    const x = xaxis._offset + xaxis.l2p(trace.x[i]), y = yaxis._offset + yaxis.l2p(trace.y[i]);
    return [box.left + x, box.top + y]; };
  const inside = ([x, y]) => { const box = plot.getBoundingClientRect();
    return x > box.left + 60 && x < box.right - 20 && y > box.top + 20 && y < box.bottom - 40; };"""

STAR = (
    f"""() => {{ {FIND} return place(plot._fullData.find(t => t.marker?.symbol === 'star-diamond'), 0); }}"""
)

VERTEX = f"""() => {{ {FIND}
  const dots = t => t.meta?.layer === 'vertices' && t.customdata && t.mode.includes('markers');
  const trace = plot._fullData.find(dots);
  return [...trace.x.keys()].map(i => place(trace, i)).find(inside); }}"""

CHANGED = f"""before => {{ {FIND} const chips = all(document, '.chips')[0];
  return chips.innerText !== before && chips.querySelector('.chip') !== null; }}"""

LAYER = f"""layer => {{ {FIND}
  return plot.data.filter(t => t.meta?.layer === layer).map(t => t.visible ?? true); }}"""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEVEXPLORE_ANNOTATIONS", str(tmp_path_factory.mktemp("annotations")))
        port = free_port(0)
        runs = [dx.open(DATA / name) for name in ("language", "regression")]
        server = serve(runs, port=port, open_browser=False, threaded=True)
        yield f"http://127.0.0.1:{port}/"
        server.stop()


@pytest.fixture
def walker(browser, served):
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=served.rstrip("/"))

    def start(query):
        page = context.new_page()
        page.errors, page.outside = [], []
        page.on("console", lambda m: page.errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on(
            "request",
            lambda r: None if r.url.startswith((served, "data:", "blob:")) else page.outside.append(r.url),
        )
        page.goto(served + query if query.startswith("?") else query)
        page.locator(".chip").first.wait_for(timeout=LONG)
        page.locator("section[aria-label=Trajectory] .foot").get_by_text("planes").wait_for(timeout=LONG)
        page.wait_for_timeout(1500)
        return page

    yield start
    context.close()


def photograph(page, run, number, name):
    folder = os.environ.get("DEVEXPLORE_SCREENSHOTS")
    page.wait_for_timeout(700)
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=f"{folder}/{run}-{number:02d}-{name}.png")


def step(page):
    return int(page.locator("output b").inner_text().replace(",", ""))


def go_to(page, wanted):
    slider = page.get_by_role("slider", name="Training step")
    slider.evaluate("(s, at) => { s.value = at; s.dispatchEvent(new Event('input')); }", wanted)
    page.wait_for_timeout(500)


@pytest.mark.parametrize("run", ["language", "regression"])
def test_the_walk_of_a_new_user(walker, run):
    page = walker(f"?run={run}")
    photograph(page, run, 1, "open")
    assert page.locator(".cover:visible").count() == 0
    assert page.locator(".chip").count() >= 3

    go_to(page, 5)
    first = step(page)
    page.keyboard.press("Space")
    page.wait_for_timeout(2500)
    page.keyboard.press("Space")
    page.wait_for_timeout(500)
    played = step(page)
    assert played > first
    photograph(page, run, 2, "played")

    page.keyboard.press("Shift+ArrowRight")
    page.wait_for_timeout(500)
    assert step(page) > played
    photograph(page, run, 3, "stopped-at-a-turn")

    page.keyboard.press("c")
    page.keyboard.press("e")
    page.wait_for_timeout(600)
    assert set(page.evaluate(LAYER, "circles")) == {False}
    page.keyboard.press("c")
    page.keyboard.press("e")
    page.keyboard.press("v")
    page.wait_for_timeout(1000)
    for layer in ("circles", "evolute", "vertices"):
        assert set(page.evaluate(LAYER, layer)) == {True}, layer
    photograph(page, run, 4, "circles-evolute-vertices")

    forms = page.locator("section[aria-label=Forms]")
    if run == "language":
        page.mouse.click(*page.evaluate(STAR))
        page.wait_for_timeout(800)
        assert page.get_by_role("tab", selected=True).inner_text() == "Forms"
        forms.locator(".answer tbody tr").first.wait_for(timeout=LONG)
        photograph(page, run, 5, "form")
        box = page.get_by_label("A text of your own to lift the form to")
        box.fill("for i in range(")
        box.press("Enter")
        forms.get_by_text("On your text").wait_for(timeout=LONG)
        read = "".join(forms.locator(".answer tbody .context b").all_inner_texts())
        assert read.replace("␣", " ") == "for i in range("
        photograph(page, run, 6, "prompt")
    else:  # no form: a cusp is a turn that random walks make too, and the card says so
        before = step(page)
        page.mouse.click(*page.evaluate(VERTEX))
        page.wait_for_timeout(800)
        assert step(page) != before
        page.get_by_role("tab", name="Forms").click()
        forms.get_by_text("No form in this run").wait_for(timeout=LONG)
        photograph(page, run, 5, "no-form")

    chip = page.locator(".chip").nth(1)
    chip.click()
    page.wait_for_timeout(400)
    assert chip.get_attribute("aria-current") == "step"
    page.get_by_role("tab", name="Tokens").click()
    item = page.locator(".item").nth(12)
    item.wait_for(timeout=LONG)
    photograph(page, run, 7, "stage-and-tokens")
    item.click()
    page.locator(".chart .here[x1]").wait_for(state="attached", timeout=LONG)
    photograph(page, run, 8, "locked")

    ranges = page.locator(".chips").inner_text()
    box = page.locator(".handle").first.bounding_box()
    page.mouse.move(box["x"] + 6, box["y"] + 6)
    page.mouse.down()
    page.mouse.move(box["x"] + 40, box["y"] + 6, steps=6)
    page.mouse.up()
    page.wait_for_function(CHANGED, arg=ranges, timeout=LONG)
    moved = page.locator(".chips").inner_text()
    photograph(page, run, 9, "boundary")

    page.get_by_role("button", name="Copy the address of this view").click()
    page.wait_for_timeout(500)
    address = page.evaluate("() => navigator.clipboard.readText()")
    assert address == page.url
    wanted, locked = step(page), page.locator(".item.locked").get_attribute("data-item")
    assert (page.errors, page.outside) == ([], [])
    page.close()

    again = walker(address)
    assert step(again) == wanted
    assert again.locator(".item.locked").get_attribute("data-item") == locked
    assert again.locator(".chips").inner_text() == moved
    assert set(again.evaluate(LAYER, "vertices")) == {True}
    photograph(again, run, 10, "reopened")
    assert (again.errors, again.outside) == ([], [])
