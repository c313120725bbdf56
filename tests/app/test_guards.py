"""What must hold of the whole page, whatever pane is open: sizes, themes, names of controls, clicks in space.

With ``DEVEXPLORE_SCREENSHOTS=FOLDER`` every size and theme leaves a picture there.
"""

import copy
import os
from pathlib import Path

import pytest

from devexplore.app.page import derive
from devexplore.app.pane import Look
from devexplore.app.panes import ALWAYS, PANES
from devexplore.app.payload import encode
from devexplore.app.selection import Selection

browser_test = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

TABS = [name for name in PANES if name not in ALWAYS]

SIZES = [(1280, 720), (1280, 900), (1600, 900), (1920, 1080)]

FIND = """const all = (root, selector) => [...root.querySelectorAll(selector),
    ...[...root.querySelectorAll('*')].flatMap(n => n.shadowRoot ? all(n.shadowRoot, selector) : [])];"""

# What reaches beyond its pane, or whose words are cut without a title that says them.
CLIPPED = f"""() => {{ {FIND}
  const seen = node => node.getClientRects().length > 0;
  const wide = document.documentElement.clientWidth, high = document.documentElement.clientHeight;
  const outside = all(document, '.pane').filter(seen).filter(node => {{
    const box = node.getBoundingClientRect(); return box.right > wide + 1 || box.bottom > high + 1; }});
  const heads = all(document, '.head, .top, .player, .tabs').filter(seen)
    .filter(node => node.scrollWidth > node.clientWidth + 1);
  const buttons = all(document, 'button').filter(seen)
    .filter(node => getComputedStyle(node).overflow !== 'visible' && !node.title)
    .filter(node => node.scrollWidth > node.clientWidth + 1);
  return [...outside, ...heads, ...buttons].map(node => node.outerHTML.slice(0, 160)); }}"""

# Where a point of the curve in space lies on the screen, as Plotly projects it; and what the pointer is over.
SPACE = f"""which => {{ {FIND}
  const plot = all(document, '[data-cell=space] .plot')[0], scene = plot._fullLayout.scene._scene;
  if (!plot.watched) {{
    plot.watched = true;
    plot.on('plotly_hover', event => {{ globalThis.over = event.points[0].customdata; }});
  }}
  const four = [0, 1, 2, 3];
  const times = (m, v) => four.map(i => four.reduce((sum, k) => sum + m[4 * k + i] * v[k], 0));
  const {{view, projection, model}} = scene.glplot.cameraParams;
  const trace = plot._fullData.find(t => t.customdata && t.visible);
  const at = ['x', 'y', 'z'].map((axis, k) => trace[axis][which] * scene.dataScale[k]);
  const [x, y, , w] = times(projection, times(view, times(model, [...at, 1])));
  const box = scene.container.getBoundingClientRect();
  return [box.left + (1 + x / w) * box.width / 2, box.top + (1 - y / w) * box.height / 2]; }}"""

CONTROLS = {
    "button",
    "slider",
    "combobox",
    "link",
    "checkbox",
    "radio",
    "textbox",
    "img",
    "progressbar",
    "tab",
}


def photograph(page, name):
    folder = os.environ.get("DEVEXPLORE_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=f"{folder}/{name}.png")


class TestBrowser:
    pytestmark = browser_test

    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_at_every_size_every_pane_keeps_within_its_place(self, visit, theme):
        page = visit(f"?theme={theme}")
        for tab in TABS:
            page.locator(f"[role=tab][data-pane={tab}]").click()
            page.wait_for_timeout(900)
            for width, height in SIZES:
                page.set_viewport_size({"width": width, "height": height})
                page.wait_for_timeout(500)
                photograph(page, f"{tab}-{theme}-{width}x{height}")
                assert page.evaluate(CLIPPED) == [], (tab, width, height)
        assert page.errors == []
        assert page.outside == []

    def test_every_control_of_every_pane_has_a_name(self, visit):
        page = visit()
        session = page.context.new_cdp_session(page)
        for tab in TABS:
            page.locator(f"[role=tab][data-pane={tab}]").click()
            page.wait_for_timeout(900)
            tree = session.send("Accessibility.getFullAXTree")["nodes"]
            seen = [n for n in tree if not n["ignored"] and n.get("role", {}).get("value") in CONTROLS]
            assert len(seen) > 15
            assert [n for n in seen if not n.get("name", {}).get("value", "").strip()] == [], tab

    def test_a_click_in_space_sets_the_step(self, visit):
        page = visit("?forms=off&evolute=off&circles=off")
        page.mouse.move(*page.evaluate(SPACE, 30))
        page.wait_for_function("() => globalThis.over !== undefined", timeout=30_000)
        page.wait_for_timeout(600)
        over = page.evaluate("() => globalThis.over")
        page.mouse.down()
        page.wait_for_timeout(500)  # Plotly looks at the button when it renders, which takes long in software
        page.mouse.up()
        page.wait_for_timeout(1500)
        assert over < 14_000
        assert int(page.locator("output b").inner_text().replace(",", "")) == over
        assert page.errors == []

    def test_the_planes_show_the_same_after_the_window_was_small_and_is_large_again(self, visit):
        page = visit()
        shown = f"""() => {{ {FIND} return ['a', 'b', 'c'].flatMap(cell => {{
          const {{xaxis, yaxis}} = all(document, `[data-cell=${{cell}}] .plot`)[0]._fullLayout;
          return [...xaxis.range, ...yaxis.range]; }}); }}"""
        before = page.evaluate(shown)
        for width, height in (*SIZES, (1440, 900)):
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(700)
        after = page.evaluate(shown)
        assert after == pytest.approx(before, rel=0.02)


def test_what_is_shown_is_not_changed_by_showing_it(runs):
    derived = derive([runs[0]])
    one = next(iter(derived.values()))
    one.dynamics.future.result()
    one.stages.future.result()
    look = Look(derived, Selection(run=next(iter(derived))))
    payload = PANES["trajectory"].payload(look)
    before = copy.deepcopy(payload["space"].to_plotly_json())
    encode(payload)
    assert encode(payload["space"].to_plotly_json()) == encode(before)
    scores = one.dynamics.future.result().copy(deep=True)
    PANES["trajectory"].payload(look)
    assert scores.identical(one.dynamics.future.result())
