"""Boundaries on the served page: moved, named and taken back as a user does it."""

import pytest

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def chips(page):
    return page.locator(".chip").all_inner_texts()


def wait_for_other(page, before):
    page.wait_for_function(
        """before => { const all = root => [...root.querySelectorAll('.chip'),
          ...[...root.querySelectorAll('*')].flatMap(n => n.shadowRoot ? all(n.shadowRoot) : [])];
          const now = all(document).map(n => n.innerText);
          return now.length > 0 && JSON.stringify(now) !== JSON.stringify(before); }""",
        arg=before,
        timeout=30_000,
    )


def test_a_boundary_is_dragged_and_the_drag_taken_back_and_done_again(visit):
    page = visit("?run=lines")
    before = chips(page)
    handle = page.locator(".handle").first
    box = handle.bounding_box()
    page.mouse.move(box["x"] + 6, box["y"] + 6)
    page.mouse.down()
    page.mouse.move(box["x"] - 30, box["y"] + 6, steps=5)
    page.mouse.up()
    wait_for_other(page, before)
    moved = chips(page)
    assert moved[0] != before[0]
    page.keyboard.press("Control+z")
    wait_for_other(page, moved)
    assert chips(page) == before
    page.keyboard.press("Control+Shift+z")
    wait_for_other(page, before)
    assert chips(page) == moved
    page.keyboard.press("Control+z")
    wait_for_other(page, moved)
    assert page.errors == []


def test_a_stage_is_named_in_plain_text_and_the_name_taken_away(visit):
    page = visit("?run=lines")
    before = chips(page)
    page.locator(".handle").first.click()
    page.get_by_label("Name of the stage behind").fill("<img src=x> & שלב")
    page.keyboard.press("Enter")
    wait_for_other(page, before)
    assert any("<img src=x> & שלב" in chip for chip in chips(page))
    named = chips(page)
    page.get_by_role("button", name="Take back").click()
    wait_for_other(page, named)
    assert chips(page) == before
    assert page.errors == []


def test_what_the_page_sets_itself_is_told_to_python_and_is_nothing_to_take_back(browser, address):
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="dark")
    page = context.new_page()
    page.goto(address + "?run=made-up&maximised=compare")
    page.wait_for_function("() => /theme=dark/.test(location.search) && /tab=compare/.test(location.search)")
    assert page.get_by_role("button", name="Take back").is_disabled()
    context.close()


def test_a_change_that_fails_after_it_was_taken_back_cannot_be_done_again(visit):
    left = visit("?run=made-up").evaluate("""async () => {
      const [bus] = globalThis.devexploreBuses.values();
      let fail;
      const work = new Promise(resolve => { fail = resolve; });
      bus.recordWork(work, {undo() {}, redo() {}});
      bus.takeBack();
      fail(null);
      await work;
      return [bus.done.length, bus.undone.length]; }""")
    assert left == [0, 0]


def test_a_change_of_the_view_is_taken_back_and_a_scrub_is_one_change(visit):
    page = visit("?run=made-up&step=40")
    step = page.locator("output b")
    start = step.inner_text()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.wait_for_timeout(400)
    assert step.inner_text() != start
    page.wait_for_timeout(1200)
    page.keyboard.press("c")
    page.wait_for_timeout(300)
    circles = page.get_by_role("button", name="circles")
    assert circles.get_attribute("aria-pressed") == "false"
    page.keyboard.press("Control+z")
    page.wait_for_timeout(300)
    assert circles.get_attribute("aria-pressed") == "true"
    page.keyboard.press("Control+z")
    page.wait_for_timeout(300)
    assert step.inner_text() == start


def test_a_pane_fills_the_page_and_gives_its_code_and_table(visit):
    page = visit("?run=made-up")
    page.get_by_role("button", name="Enlarge Timeline").click()
    page.wait_for_timeout(300)
    assert not page.locator(".place.trajectory").is_visible()
    assert "maximised=timeline" in page.url
    page.keyboard.press("Escape")
    page.wait_for_timeout(300)
    assert page.locator(".place.trajectory").is_visible()
    page.get_by_role("button", name="Take Timeline away").click()
    with page.expect_download() as arriving:
        page.get_by_role("menuitem", name="Table (CSV)").click()
    text = arriving.value.path().read_text(encoding="utf-8")
    assert text.splitlines()[0].startswith("stage,")
    page.get_by_role("button", name="Take Timeline away").click()
    with page.expect_download() as arriving:
        page.get_by_role("menuitem", name="Figure (SVG)").click()
    assert arriving.value.path().read_text(encoding="utf-8").startswith("<svg")
    assert page.errors == []
