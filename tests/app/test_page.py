"""The served page in headless Chromium, cut off from every other machine."""

import pytest

from devexplore.app.selection import Selection

pytestmark = [
    pytest.mark.browser,
    # The stages' fit silences this warning, but warning filters belong to the whole process: another thread
    # that restores them meanwhile would turn it into an error in the server's background worker.
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

LOOK = """const all = (root, selector) => [...root.querySelectorAll(selector),
    ...[...root.querySelectorAll('*')].flatMap(n => n.shadowRoot ? all(n.shadowRoot, selector) : [])];
  const look = (root, selector) => all(root, selector)[0];"""

CURSORS = f"""() => {{ {LOOK}
  const space = look(document, '[data-cell=space] .plot');
  const now = space.data.find(trace => trace.meta?.layer === 'now');
  const dots = all(document, 'circle.now').map(circle => circle.getAttribute('cx'));
  const texts = ['output', '.between'].map(name => look(document, name).textContent);
  return [look(document, '.cursor').getAttribute('x1'), ...dots, String(now.x[0]), ...texts]; }}"""

VISIBLE = f"""(layer) => {{ {LOOK}
  return ['space', 'a', 'b', 'c'].map(cell => look(document, `[data-cell=${{cell}}] .plot`).data
    .filter(trace => trace.meta?.layer === layer).map(trace => trace.visible)).flat(); }}"""

SLOW_SETTLE_MS = 1500


def step(page):
    return int(page.locator("output b").inner_text().replace(",", ""))


def set_slider(page, index):
    page.get_by_role("slider", name="Training step").evaluate(
        "(slider, index) => { slider.value = index; slider.dispatchEvent(new Event('input')); }", index
    )
    page.wait_for_timeout(SLOW_SETTLE_MS)


def test_the_page_shows_all_panes_without_an_error_or_an_outside_request(visit):
    page = visit()
    assert [h.inner_text() for h in page.locator("h2:visible").all()] == ["Timeline", "Trajectory"]
    assert page.get_by_role("tab", selected=True).inner_text() == "Tokens"
    assert [cover.inner_text() for cover in page.locator(".cover:visible").all()] == []
    assert page.locator(".place svg.main-svg").count() > 8
    assert page.errors == []
    assert page.outside == []


def test_the_verdicts_are_counted_beside_their_marks_and_the_current_one_is_given_with_its_reason(visit):
    page = visit()
    foot = page.locator("section[aria-label=Timeline] .foot")
    assert [foot.locator(f".{mark}").count() for mark in ("trusted", "doubtful", "none")] == [1, 1, 1]
    set_slider(page, 5)
    said = foot.locator(".why").inner_text()
    assert "not an LLC: λ̂ = −" in said
    assert "below zero" in said
    assert "× not an LLC" in page.locator("section[aria-label=Timeline] svg.layer").text_content()
    set_slider(page, 20)
    assert "LLC trusted" in foot.locator(".why").inner_text()
    assert page.errors == []


def test_a_step_moves_the_cursor_in_every_pane(visit):
    page = visit("?change=start")
    before = page.evaluate(CURSORS)
    set_slider(page, 20)
    after = page.evaluate(CURSORS)
    assert all(a != b for a, b in zip(before, after, strict=True)), (before, after)


def test_scrubbing_stays_within_two_kilobytes_and_sixty_messages_a_step_and_then_falls_silent(visit):
    page = visit()
    page.wait_for_timeout(1000)
    page.sent.clear()
    count = 12
    for _ in range(count):
        page.keyboard.press("ArrowLeft")
        page.wait_for_timeout(150)
    page.wait_for_timeout(500)
    assert len(page.sent) > 0
    assert len(page.sent) <= 60 * count
    assert sum(len(frame) for frame in page.sent) <= 2_000 * count
    page.wait_for_timeout(2500)
    page.sent.clear()
    page.wait_for_timeout(1500)
    assert page.sent == []


def test_toggles_and_their_keys_show_and_hide_layers(visit):
    page = visit()
    assert set(page.evaluate(VISIBLE, "circles")) == {True}
    assert set(page.evaluate(VISIBLE, "vertices")) == {False}
    page.get_by_role("button", name="circles").click()
    page.keyboard.press("v")
    page.wait_for_timeout(SLOW_SETTLE_MS)
    assert set(page.evaluate(VISIBLE, "circles")) == {False}
    assert set(page.evaluate(VISIBLE, "vertices")) == {True}
    assert page.get_by_role("button", name="circles").get_attribute("aria-pressed") == "false"


def test_the_key_f_shows_and_hides_forms_and_the_caption_concludes(visit):
    page = visit("?run=lines")
    assert set(page.evaluate(VISIBLE, "forms")) == {True}
    page.keyboard.press("f")
    page.wait_for_timeout(SLOW_SETTLE_MS)
    assert set(page.evaluate(VISIBLE, "forms")) == {False}
    assert page.get_by_role("button", name="forms").get_attribute("aria-pressed") == "false"
    assert "forms=off" in page.url
    foot = page.locator("section[aria-label=Trajectory] .foot").inner_text()
    assert "random walks like this run" in foot
    assert page.errors == []


def test_hovering_over_a_form_tells_of_the_form_not_of_the_checkpoints_that_crowd_there(visit):
    page = visit("?run=lines")
    x, y, text = page.evaluate(f"""() => {{ {LOOK}
      const plot = look(document, '[data-cell=a] .plot');
      const star = plot._fullData.find(trace => trace.marker?.symbol === 'star-diamond');
      const {{xaxis, yaxis}} = plot._fullLayout, box = plot.getBoundingClientRect();
      return [box.left + xaxis._offset + xaxis.l2p(star.x[0]),
              box.top + yaxis._offset + yaxis.l2p(star.y[0]), star.text[0]]; }}""")
    page.mouse.move(x, y)
    page.wait_for_timeout(600)
    said = page.locator("[data-cell=a] .hoverlayer").text_content()
    assert said.startswith("form 1, step ")
    assert text.startswith("<b>form 1</b>, step ")
    assert page.errors == []


def test_where_there_are_no_forms_their_toggle_rests_and_the_caption_says_so(visit):
    page = visit("?run=made-up")
    assert page.get_by_role("button", name="forms").is_disabled()
    assert "Forms: no turn has its cusps" in page.locator("section[aria-label=Trajectory] .foot").inner_text()
    assert page.evaluate(VISIBLE, "forms") == []


def test_the_trajectory_is_coloured_by_stage_or_by_step(visit):
    page = visit()
    assert set(page.evaluate(VISIBLE, "stage")) == {True}
    page.get_by_role("button", name="step", exact=True).click()
    page.wait_for_timeout(SLOW_SETTLE_MS)
    assert set(page.evaluate(VISIBLE, "stage")) == {False}
    assert set(page.evaluate(VISIBLE, "step")) == {True}


def test_a_click_on_a_plane_sets_the_step(visit):
    page = visit()
    target = page.evaluate(f"""() => {{ {LOOK}
      const plot = look(document, '[data-cell=a] .plot'), i = 25;
      const points = plot._fullData.find(trace => trace.meta?.layer === 'points');
      const {{xaxis, yaxis}} = plot._fullLayout, box = plot.getBoundingClientRect();
      const x = box.left + xaxis._offset + xaxis.l2p(points.x[i]);
      return [x, box.top + yaxis._offset + yaxis.l2p(points.y[i]), points.customdata[i]]; }}""")
    page.mouse.move(target[0], target[1])
    page.wait_for_timeout(300)
    page.mouse.click(target[0], target[1])
    page.wait_for_timeout(SLOW_SETTLE_MS)
    assert step(page) == target[2]


def test_pressing_and_dragging_in_the_timeline_sets_the_step(visit):
    page = visit()
    box = page.locator(".place.timeline .plot").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 80)
    page.mouse.down()
    page.wait_for_timeout(300)
    early = step(page)
    page.mouse.move(box["x"] + 260, box["y"] + 80, steps=4)
    page.wait_for_timeout(300)
    page.mouse.up()
    later = step(page)
    page.mouse.move(box["x"] + 100, box["y"] + 80, steps=3)
    page.wait_for_timeout(300)
    assert early < later
    assert step(page) == later


def test_a_chip_jumps_to_the_start_of_its_stage(visit):
    page = visit()
    chip = page.locator(".chip").nth(1)
    chip.click()
    page.wait_for_timeout(300)
    assert chip.get_attribute("aria-current") == "step"
    assert step(page) < 14_000


def test_the_player_plays_and_pauses(visit):
    page = visit("?step=0&speed=16")
    page.get_by_role("button", name="Play").click()
    for _ in range(60):  # a busy machine takes its time
        page.wait_for_timeout(250)
        if step(page) > 0:
            break
    page.get_by_role("button", name="Pause").click()
    page.wait_for_timeout(300)
    stopped = step(page)
    page.wait_for_timeout(500)
    assert 0 < step(page) == stopped


def test_an_address_brings_back_the_view(visit):
    page = visit()
    page.keyboard.press("c")
    page.keyboard.press("t")
    page.locator(".item").nth(9).click()
    set_slider(page, 30)
    wanted, address = step(page), page.url
    page.close()
    again = visit(address[address.index("?") :])
    assert step(again) == wanted
    assert set(again.evaluate(VISIBLE, "circles")) == {False}
    assert again.locator(".theme").get_attribute("data-theme") == "dark"
    assert again.locator(".item.locked").get_attribute("data-item") == "9"
    assert Selection.from_query(address[address.index("?") :]).circles is False


def test_token_texts_are_shown_as_text_whatever_they_hold(visit):
    page = visit()
    texts = [item.inner_text() for item in page.locator(".item").all()]
    lead = page.locator(".lead").inner_text()
    assert lead == '<script>alert("x")</script>'
    assert texts[:5] == ["&amp;", '"quoted"', "שלום", "é", " the"]
    assert page.locator("script[src*=alert]").count() == 0
    assert page.locator(".view script").count() == 0


def test_a_locked_token_keeps_its_history_while_scrubbing(visit):
    page = visit()
    page.locator(".item").nth(7).click()
    page.mouse.move(5, 5)
    page.wait_for_timeout(300)
    before = page.locator(".chart .here").get_attribute("x1")
    set_slider(page, 15)
    assert page.locator(".chart .here").get_attribute("x1") != before
    assert "now" in page.locator(".facts").inner_text()
    page.keyboard.press("Escape")
    page.wait_for_timeout(300)
    assert page.locator(".item.locked").count() == 0


def test_runs_without_text_show_a_labelled_grid(visit):
    page = visit("?run=lines")
    assert page.locator(".view thead th").all_inner_texts() == [str(place) for place in range(1, 9)]
    assert page.locator(".view tbody th").first.inner_text() == "mean of 60"
    assert page.errors == []


def test_a_run_with_hardly_anything_says_what_would_measure_it(visit):
    page = visit("?run=bare", ready=None)
    page.locator(".place.shared code").wait_for(timeout=60_000)
    assert page.locator(".place.shared code").inner_text().endswith("bare --only losses")
    page.locator(".place.trajectory .message", has_text="cannot be computed").wait_for(timeout=60_000)
    assert page.errors == []


def test_choosing_another_run_shows_it_without_reloading(visit):
    page = visit("?step=100&token=3")
    page.get_by_label("Run", exact=True).select_option("lines")
    page.locator(".view tbody th").first.wait_for(timeout=60_000)
    page.wait_for_timeout(SLOW_SETTLE_MS)
    assert step(page) == 14_000
    assert "run=lines" in page.url
    assert page.title() == "lines · devexplore"
    assert page.errors == []


def test_keys_do_nothing_while_a_menu_has_the_focus(visit):
    page = visit()
    page.get_by_label("Sequence", exact=True).focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("c")
    page.wait_for_timeout(500)
    assert step(page) == 14_000
    assert set(page.evaluate(VISIBLE, "circles")) == {True}


def test_a_screen_reader_hears_where_the_cursor_rests(visit):
    page = visit()
    set_slider(page, 20)
    status = page.locator(".unseen[role=status]")
    assert status.inner_text().startswith(f"step {step(page):,} of 14,000, stage S")
    assert ", loss " in status.inner_text()


def test_every_control_has_a_name(visit):
    page = visit()
    page.locator(".item").nth(3).click()
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    controls = {"button", "slider", "combobox", "link", "checkbox", "radio", "textbox", "img", "progressbar"}
    seen = [node for node in tree if not node["ignored"] and node.get("role", {}).get("value") in controls]
    assert len(seen) > 15
    assert [node for node in seen if not node.get("name", {}).get("value", "").strip()] == []


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1440, 900), (1920, 1080)])
def test_nothing_overflows_the_window(visit, width, height):
    page = visit()
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_timeout(SLOW_SETTLE_MS)
    root = page.evaluate(
        "() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    )
    assert root[0] <= width
    assert root[1] <= height
    for pane in page.locator(".pane:visible").all():
        box = pane.bounding_box()
        assert box["x"] + box["width"] <= width
        assert box["y"] + box["height"] <= height
        head = pane.locator(".head").evaluate("head => head.scrollWidth - head.clientWidth")
        assert head <= 1


def test_turning_the_curve_in_space_is_kept_while_playing(visit):
    page = visit("?step=0&speed=16")
    camera = (
        f"() => {{ {LOOK} return look(document, '[data-cell=space] .plot')._fullLayout.scene.camera.eye; }}"
    )
    box = page.locator("[data-cell=space]").bounding_box()
    centre = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    before = page.evaluate(camera)
    page.get_by_role("button", name="Play").click()
    page.mouse.move(*centre)
    page.mouse.down()
    page.mouse.move(centre[0] + 90, centre[1] + 30, steps=6)
    page.mouse.up()
    page.wait_for_timeout(300)
    turned = page.evaluate(camera)
    page.wait_for_timeout(SLOW_SETTLE_MS)
    assert turned["x"] != before["x"]
    assert page.evaluate(camera) == turned
    assert step(page) > 0
