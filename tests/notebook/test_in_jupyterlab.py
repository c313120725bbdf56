"""``dx.explore`` and the widgets in a real JupyterLab, whose browser reaches nothing but this machine."""

import json

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LONG = 90_000

FIND = """const all = (root, selector) => [...root.querySelectorAll(selector),
    ...[...root.querySelectorAll('*')].flatMap(n => n.shadowRoot ? all(n.shadowRoot, selector) : [])];
  const plot = all(document, '[data-cell=c] .plot')[0];
  const onScreen = (x, y) => {
    const box = plot.getBoundingClientRect(), {xaxis: xa, yaxis: ya} = plot._fullLayout;
    return [box.left + xa._offset + xa.l2p(x), box.top + ya._offset + ya.l2p(y)]; };"""

# Where the star of the first form lies on the screen.
STAR = f"""() => {{ {FIND}
  const stars = plot._fullData.find(trace => trace.marker?.symbol === 'star-diamond');
  return onScreen(stars.x[0], stars.y[0]); }}"""

# Where a checkpoint of the curve in space lies on the screen, as Plotly projects it.
SPACE = f"""which => {{ {FIND}
  const space = all(document, '[data-cell=space] .plot')[0], scene = space._fullLayout.scene._scene;
  if (!space.watched) {{
    space.watched = true;
    space.on('plotly_hover', event => {{ globalThis.over = event.points[0].customdata; }});
  }}
  const four = [0, 1, 2, 3];
  const times = (m, v) => four.map(i => four.reduce((sum, k) => sum + m[4 * k + i] * v[k], 0));
  const {{view, projection, model}} = scene.glplot.cameraParams;
  const trace = space._fullData.find(t => t.customdata && t.visible);
  const at = ['x', 'y', 'z'].map((axis, k) => trace[axis][which] * scene.dataScale[k]);
  const [x, y, , w] = times(projection, times(view, times(model, [...at, 1])));
  const box = scene.container.getBoundingClientRect();
  return [box.left + (1 + x / w) * box.width / 2, box.top + (1 - y / w) * box.height / 2]; }}"""

DRAWN = f"""() => {{ {FIND}
  const plots = cell => all(document, `[data-cell${{cell}}] .plot`);
  const starred = one => one._fullData.some(trace => trace.marker?.symbol === 'star-diamond');
  return plots('').length > 0 && plots('').every(one => one._fullData) && plots('=c').every(starred); }}"""

EXPLORE = """import devexplore as dx
view = dx.explore('language', select={'step': 400, 'circles': False})
view"""


def shown(page, which=0):
    """The step that a player on the page shows."""
    return int(page.locator("output.readout b").nth(which).inner_text().replace(",", ""))


def until_shown(page, step, which=0):
    page.locator("output.readout b").nth(which).get_by_text(f"{step:,}", exact=True).wait_for(timeout=LONG)


def drawn(page):
    """Wait until the trajectory of all displays is drawn, with its forms."""
    page.wait_for_function(DRAWN, timeout=LONG)


def test_the_explorer_renders_scrubs_and_a_click_reaches_python_in_a_plane_and_in_space(notebook):
    opened = notebook(EXPLORE)
    opened.run_all()
    page = opened.page
    until_shown(page, 400)
    drawn(page)
    page.locator(".devexplore-display").scroll_into_view_if_needed()
    assert opened.python("print(view.how)") == "widget"

    page.locator("input[aria-label='Training step']").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(500)
    here = shown(page)
    assert here > 400
    opened.until("view.selection.step", str(here))

    page.mouse.click(*page.evaluate(STAR))
    opened.until("view.selection.form", "0")
    found = opened.python(
        "forms = dx.find_forms(dx.essential_dynamics(view.run)); print(forms['step'].values[0])"
    )
    assert float(opened.python("print(float(view.form['step']))")) == pytest.approx(float(found))
    assert page.locator(".tabs [aria-selected=true]").inner_text() == "Forms"

    page.mouse.move(*page.evaluate(SPACE, 30))
    page.wait_for_function("() => globalThis.over !== undefined", timeout=LONG)
    page.wait_for_timeout(600)
    over = page.evaluate("() => globalThis.over")
    page.mouse.down()
    page.wait_for_timeout(500)  # Plotly looks at the button when it renders, which takes long in software
    page.mouse.up()
    opened.until("view.selection.step", str(over))

    opened.python("view.selection.param.watch(lambda event: heard.append(event.new), 'step'); heard = []")
    opened.python("view.selection.step = 11")
    until_shown(page, 11)
    assert opened.python("print(heard)") == "[11]"
    table = "table = view.tokens(); print(len(table) > 10, 'loss_change' in ' '.join(table.columns))"
    assert opened.python(table).startswith("True")
    assert opened.outside == []
    assert opened.errors == []


def test_the_keys_of_the_explorer_are_not_jupyters_and_jupyters_not_the_explorers(notebook):
    opened = notebook(EXPLORE, "after = 1")
    opened.run_all()
    page = opened.page
    until_shown(page, 400)
    drawn(page)
    page.locator(".description").click()
    for key in ("c", "b", "ArrowRight", "a"):  # Jupyter: copy, cell below, cell above
        page.keyboard.press(key)
    page.wait_for_timeout(800)
    assert page.locator(".jp-CodeCell").count() == 2
    opened.until("view.selection.circles", "True")
    step = shown(page)
    page.locator(".jp-CodeCell").nth(1).locator(".jp-InputPrompt").click()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("c")
    page.wait_for_timeout(500)
    assert shown(page) == step
    assert opened.python("print(view.selection.circles)") == "True"


def test_widgets_compose_and_move_together_by_selection_and_by_traits(notebook):
    opened = notebook(
        "import devexplore as dx, ipywidgets, traitlets\n"
        "player = dx.widgets.StepPlayer('language', step=400)\n"
        "curve = dx.widgets.TrajectoryWidget('language', selection=player.selection, height=420)\n"
        "tokens = dx.widgets.TokenWidget('language', selection=player.selection, height=300)\n"
        "stages = dx.widgets.StageWidget('language', height=360)\n"
        "link = traitlets.link((player, 'step'), (stages, 'step'))\n"
        "number = ipywidgets.IntText(value=400)\n"
        "other = ipywidgets.jslink((number, 'value'), (player, 'step'))\n"
        "ipywidgets.VBox([player, ipywidgets.HBox([curve, stages]), tokens, number])"
    )
    opened.run_all()
    page = opened.page
    until_shown(page, 400)
    drawn(page)
    page.locator(".item").first.wait_for()
    boxes = [
        page.locator(f"section[aria-label={name}]").bounding_box() for name in ("Trajectory", "Timeline")
    ]
    assert min(box["width"] for box in boxes) > 400  # side by side, each with room
    assert abs(boxes[0]["y"] - boxes[1]["y"]) < 2

    page.locator("input[aria-label='Training step']").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(500)
    here = shown(page)
    assert here > 400
    opened.until("(player.step, curve.step, tokens.step, stages.step)", str((here,) * 4))

    page.mouse.click(*page.evaluate(STAR))
    opened.until("(curve.form, player.selection.form)", "(0, 0)")
    page.locator(".item").nth(4).click()
    opened.until("tokens.token", "4")
    opened.python("stages.step = 11")
    until_shown(page, 11)
    page.locator("input[type=number]").fill("100")
    page.keyboard.press("Enter")
    opened.until("(player.selection.step, stages.step)", "(100, 100)")
    until_shown(page, 99)  # the checkpoint next to it
    assert opened.outside == []
    assert opened.errors == []


def test_by_a_server_it_moves_both_ways_too_while_a_cell_runs(notebook):
    opened = notebook(EXPLORE.replace("select=", "how='server', select="), "import time")
    opened.run_all()
    frame = opened.page.frame_locator("iframe[title=devexplore]")
    frame.locator("output.readout b").get_by_text("400", exact=True).wait_for(timeout=LONG)
    opened.python("view.selection.step = 11")
    frame.locator("output.readout b").get_by_text("11", exact=True).wait_for(timeout=LONG)
    frame.locator("input[aria-label='Training step']").focus()
    opened.page.keyboard.press("ArrowRight")
    opened.page.wait_for_timeout(400)
    here = int(frame.locator("output.readout b").inner_text().replace(",", ""))
    assert here > 11
    opened.until("view.selection.step", str(here))

    opened.page.evaluate(
        "() => { window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"
        ".requestExecute({code: 'time.sleep(8)'}); }"
    )
    frame.get_by_role("tab", name="Forms").click()  # what only Python can draw
    frame.locator("section[aria-label=Forms] .card, section[aria-label=Forms] table").first.wait_for(
        timeout=7_000
    )
    assert opened.outside == []


def test_where_the_front_end_shows_no_widget_the_server_takes_over_and_says_why(
    notebook, lab_without_widgets
):
    opened = notebook(EXPLORE, inside=lab_without_widgets)
    opened.run_all()
    frame = opened.page.frame_locator("iframe[title=devexplore]")
    frame.locator("output.readout b").get_by_text("400", exact=True).wait_for(timeout=LONG)
    said = opened.python("print(view.how, '|', view.why)")
    assert said.startswith("server | the notebook's front end did not show a widget")
    assert "did not show a widget" in opened.page.locator(".jp-OutputArea").first.inner_text()
    assert opened.outside == []


def test_a_saved_notebook_is_small_and_shows_a_picture_without_a_kernel(notebook):
    opened = notebook(EXPLORE)
    opened.run_all()
    page = opened.page
    until_shown(page, 400)
    page.wait_for_function(
        "() => document.querySelector('.devexplore-still img')?.src.startsWith('data:image/png')",
        timeout=LONG,
    )
    assert page.locator(".devexplore-still").is_hidden()  # while the explorer is there
    held = opened.saved()
    outputs = [output for cell in held["cells"] for output in cell["outputs"]]
    assert max(len(json.dumps(output)) for output in outputs) <= 500_000
    assert opened.file.stat().st_size <= 600_000
    assert "https://" not in json.dumps(outputs)

    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    opened.page.reload()
    page.locator(".devexplore-still").wait_for()
    assert page.locator(".devexplore-still").is_visible()
    wide = page.evaluate("() => document.querySelector('.devexplore-still img').naturalWidth")
    assert wide > 400


def test_a_restarted_kernel_is_told_and_running_the_cell_again_revives(notebook):
    opened = notebook(EXPLORE)
    opened.run_all()
    page = opened.page
    until_shown(page, 400)
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    page.get_by_text("The kernel has ended or was restarted").wait_for(timeout=LONG)
    page.locator("input[aria-label='Training step']").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(400)
    assert shown(page) > 400  # what is shown can still be scrubbed
    opened.run_all()
    until_shown(page, 400)
    opened.python("view.selection.step = 11")
    until_shown(page, 11)


def test_two_explorers_keep_apart_and_one_shown_twice_moves_together(notebook):
    opened = notebook(EXPLORE, "two = dx.explore('language', select={'step': 11}, height=480)\ntwo", "two")
    opened.run_all()
    page = opened.page
    page.wait_for_function(
        f"() => {{ {FIND} return all(document, 'output.readout b').length === 3; }}", timeout=LONG
    )
    until_shown(page, 400, 0)
    until_shown(page, 11, 1)
    until_shown(page, 11, 2)
    page.locator("input[aria-label='Training step']").nth(1).focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(600)
    here = shown(page, 1)
    assert here > 11
    until_shown(page, here, 2)
    assert shown(page, 0) == 400
    assert opened.python("print(view.selection.step)") == "400"
    assert opened.python("print(two.widget.displays)") == "2"


def test_a_page_loaded_again_finds_its_explorer_alive(notebook):
    opened = notebook(EXPLORE)
    opened.run_all()
    until_shown(opened.page, 400)
    opened.saved()
    opened.python("view.selection.step = 11")
    opened.open()
    until_shown(opened.page, 11)
    opened.python("view.selection.step = 100")
    until_shown(opened.page, 99)


def test_twenty_repeats_leave_no_server_thread_or_memory_behind(notebook):
    """Each way, run again and again in one cell: what grows must be small beside one explorer."""
    measure = (
        "import gc, threading, psutil\n"
        "def state():\n"
        "    gc.collect()\n"
        "    here = psutil.Process()\n"
        "    ports = sum(c.status == 'LISTEN' for c in here.net_connections(kind='tcp'))\n"
        "    return threading.active_count(), ports, here.memory_info().rss / 1e6\n"
    )
    opened = notebook(measure + EXPLORE)
    page = opened.page

    def again():
        opened.run_all()
        page.wait_for_timeout(300)
        until_shown(page, 400)
        drawn(page)

    again()
    again()
    before = eval(opened.python("print(state())"))
    heap = page.evaluate("() => performance.memory.usedJSHeapSize / 1e6")
    for _ in range(20):
        again()
    after = eval(opened.python("print(state())"))
    grown = page.evaluate("() => performance.memory.usedJSHeapSize / 1e6") - heap
    print("threads, ports, MB before", before, "after", after, "browser heap grew MB", grown)
    assert after[0] <= before[0] + 1
    assert after[1] == before[1]
    assert after[2] - before[2] < 60
    assert page.locator(".devexplore-display").count() == 1
    assert opened.python("print(view.widget.displays)") == "1"
    assert page.evaluate("() => globalThis.devexploreBuses.size") == 1
    assert grown < 150
