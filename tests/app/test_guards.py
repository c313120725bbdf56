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

SPACE = f"""() => {{ {FIND}
  const space = all(document, '[data-cell=space] .plot')[0];
  if (!space.watched) {{ space.watched = true; space.hovers = 0; space.on('plotly_hover', e => {{
    space.hovers += 1; space.over = e.points[0].customdata; }}); }}
  return [space.hovers, space.over ?? null]; }}"""

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
        box = page.locator("[data-cell=space]").bounding_box()
        page.evaluate(SPACE)
        before = int(page.locator("output b").inner_text().replace(",", ""))
        over = None
        for k in range(18 * 14):
            x = box["x"] + box["width"] * (0.1 + 0.8 * (k % 18) / 17)
            y = box["y"] + box["height"] * (0.15 + 0.7 * (k // 18) / 13)
            page.mouse.move(x, y)
            page.wait_for_timeout(30)
            hovers, over = page.evaluate(SPACE)
            if hovers and over is not None and over < 10_000:
                break
        else:
            pytest.fail("no point of the curve was found under the pointer")
        page.wait_for_timeout(300)
        over = page.evaluate(SPACE)[1]
        page.mouse.down()
        page.mouse.up()
        page.wait_for_timeout(1500)
        now = int(page.locator("output b").inner_text().replace(",", ""))
        assert now != before
        assert abs(now - over) <= 0.1 * (1 + over)
        assert page.errors == []


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
