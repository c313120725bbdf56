"""The explorer in headless JupyterLab beside what one would do without it: a FigureWidget of the trajectory.

All in one run on the bundled language run, whose derived results are computed before; kernels have imported
what they need. Clocks are the machine's own, in the page, in a server's frame and in the kernel.
"""

import json
import statistics

import pytest

HEAD = ("the notebook, bundled language run", "devexplore", "aim")
PATIENCE_MS = 180_000
KEYS = 12
ROUNDS = 3

BEGIN = """import time
import devexplore as dx, ipywidgets, numpy as np, plotly.graph_objects as go
run = dx.open('language')
dx.figures.trajectory(run)
heard = []
def hear(selection):
    selection.param.watch(lambda event: heard.append(1e3 * time.time()), 'step')"""

FIGURE = """figure = go.FigureWidget(dx.figures.trajectory(run))
ed = dx.essential_dynamics(run)
score = ed['smooth_score'].values
figure.add_scatter(x=score[60:61, 0], y=score[60:61, 1], mode='markers', marker={'size': 12}, name='now')
slider = ipywidgets.IntSlider(value=60, max=len(score) - 1, description='checkpoint')
def moved(change):
    heard.append(1e3 * time.time())
    at = change['new']
    figure.data[-1].update(x=score[at:at + 1, 0], y=score[at:at + 1, 1])
slider.observe(moved, 'value')
ipywidgets.VBox([slider, figure])"""

CELLS = {
    "widget": "view = dx.explore(run, select={'step': 400}, how='widget')\nhear(view.selection)\nview",
    "server": "view = dx.explore(run, select={'step': 400}, how='server')\nhear(view.selection)\nview",
    "FigureWidget": FIGURE,
}

TOOLS = """
const all = (root, selector) => [...root.querySelectorAll(selector),
  ...[...root.querySelectorAll('*')].flatMap(n => n.shadowRoot ? all(n.shadowRoot, selector) : [])];
const look = selector => all(document, selector)[0];
"""

OURS = {
    "timeline": "look('.cursor')?.hasAttribute('x1')",
    "trajectory": "all(document, 'circle.now').filter(n => n.hasAttribute('cx')).length === 3",
    "space": "look('[data-cell=space] .plot')?._fullLayout?.scene?._scene !== undefined",
}
PICTURES = {
    "widget": OURS,
    "server": OURS,
    "FigureWidget": {"trajectory": "look('.js-plotly-plot .scatterlayer path.js-line') !== undefined"},
}
"""What makes each picture, as conditions in JavaScript."""

MARKER = {
    "widget": "look('.cursor')?.getAttribute('x1') + look('circle.now')?.getAttribute('cx')",
    "server": "look('.cursor')?.getAttribute('x1') + look('circle.now')?.getAttribute('cx')",
    "FigureWidget": "look('.js-plotly-plot')._fullData.at(-1).x[0]",
}
"""Where the current step is marked."""

HANDLES = {
    "widget": "input[aria-label='Training step']",
    "server": "input[aria-label='Training step']",
    "FigureWidget": ".noUi-handle",
}

WATCH = f"""(() => {{ {TOOLS}
  const conditions = CONDITIONS;
  globalThis.seen = {{}};
  const tests = Object.entries(conditions)
    .map(([name, code]) => [name, Function('look', 'all', 'return ' + code)]);
  const tick = () => {{
    for (const [name, test] of tests) if (!(name in seen) && test(look, all)) seen[name] = Date.now();
    if (Object.keys(seen).length < tests.length) setTimeout(tick, 30);
  }};
  tick(); }})()"""

RUN = """() => { const begun = Date.now();
  window.jupyterapp.commands.execute('notebook:run-cell');
  return begun; }"""

PRESSED = f"""code => {{ {TOOLS}
  const marked = Function('look', 'all', 'return ' + code);
  globalThis.marked = null;
  window.addEventListener('keydown', () => {{
    const begun = Date.now(), before = marked(look, all);
    const tick = () => {{
      if (marked(look, all) === before) requestAnimationFrame(tick);
      else globalThis.marked = [begun, Date.now()];
    }};
    requestAnimationFrame(tick);
  }}, {{capture: true, once: true}}); }}"""


def frame_of(opened, how):
    """The frame in which it is drawn."""
    if how != "server":
        return opened.page.main_frame
    return opened.page.query_selector("iframe[title=devexplore]").content_frame()


def seconds_to_pictures(notebook, how):
    """A notebook in which this way was shown, and the seconds from running its cell to each picture."""
    opened = notebook(BEGIN, CELLS[how], name=how)
    page = opened.page
    opened.command("notebook:run-cell-and-select-next")
    watch = WATCH.replace("CONDITIONS", json.dumps(PICTURES[how]))
    if how == "server":
        page.add_init_script(watch)
    else:
        page.evaluate(watch)
    begun = page.evaluate(RUN)
    if how == "server":
        page.wait_for_selector("iframe[title=devexplore]", timeout=PATIENCE_MS)
    frame = frame_of(opened, how)
    frame.wait_for_function(
        f"() => Object.keys(globalThis.seen ?? {{}}).length === {len(PICTURES[how])}", timeout=PATIENCE_MS
    )
    seen = frame.evaluate("() => globalThis.seen")
    return opened, {name: (at - begun) / 1e3 for name, at in seen.items()}


def milliseconds_after_keys(opened, how):
    """Medians from a key press to the moved marker, and to Python."""
    frame = frame_of(opened, how)
    frame.locator(HANDLES[how]).first.focus()
    marker, python = [], []
    for _ in range(KEYS):
        opened.python("heard.clear()")
        frame.evaluate(PRESSED, MARKER[how])
        opened.page.keyboard.press("ArrowRight")
        frame.wait_for_function("() => globalThis.marked !== null", timeout=PATIENCE_MS)
        begun, moved = frame.evaluate("() => globalThis.marked")
        opened.until("len(heard) > 0", "True")
        marker.append(moved - begun)
        python.append(float(opened.python("print(heard[0])")) - begun)
        opened.page.wait_for_timeout(300)
    return statistics.median(marker), statistics.median(python)


def bytes_saved(opened):
    """Of the notebook's file as it is saved by default, and with the state of its widgets, without which a
    FigureWidget shows nothing when its kernel has ended."""
    opened.saved()
    opened.page.wait_for_timeout(1500)
    plain = opened.file.stat().st_size
    opened.command("@jupyter-widgets/jupyterlab-manager:saveWidgetState")
    opened.page.wait_for_timeout(500)
    opened.command("docmanager:save")
    opened.page.wait_for_timeout(2500)
    with_state = opened.file.stat().st_size
    opened.command("@jupyter-widgets/jupyterlab-manager:saveWidgetState")
    return plain, with_state


@pytest.mark.browser
@pytest.mark.slow
def test_the_explorer_in_a_notebook_beside_a_figure_widget(benchmark, notebook, table):
    rounds: dict[str, list[dict[str, float]]] = {how: [] for how in CELLS}

    def once():
        for how in CELLS:
            opened, seconds = seconds_to_pictures(notebook, how)
            opened.page.wait_for_timeout(2000)
            marker, python = milliseconds_after_keys(opened, how)
            plain, with_state = bytes_saved(opened)
            rounds[how].append(
                seconds | {"marker": marker, "python": python, "plain": plain, "state": with_state}
            )
            opened.close()

    benchmark.pedantic(once, rounds=ROUNDS)
    benchmark.extra_info |= rounds
    medians = {
        how: {name: statistics.median(one[name] for one in several) for name in several[0]}
        for how, several in rounds.items()
    }
    peer = medians["FigureWidget"]
    for how in ("widget", "server"):
        own = medians[how]
        for name in OURS:
            ratio = own[name] / peer["trajectory"]
            words = f"{ratio:.2f}× ({own[name]:.2f} s : {peer['trajectory']:.2f} s)"
            table(HEAD, (f"{how}: cell to {name}, beside a FigureWidget's trajectory", words, ""))
        for name, words in (("marker", "key to moved marker"), ("python", "key to Python")):
            ratio = own[name] / peer[name]
            table(
                HEAD,
                (f"{how}: {words}", f"{ratio:.2f}× ({own[name]:.0f} ms : {peer[name]:.0f} ms)", ""),
            )
        table(HEAD, (f"{how}: notebook saved", f"{own['plain'] / 1e3:.0f} kB", "≤ 600 kB"))
        table(HEAD, (f"{how}: saved with widgets' state", f"{own['state'] / 1e3:.0f} kB", ""))
    table(HEAD, ("FigureWidget: notebook saved", f"{peer['plain'] / 1e3:.0f} kB", ""))
    table(HEAD, ("FigureWidget: saved with widgets' state", f"{peer['state'] / 1e3:.0f} kB", ""))
    assert all(medians[how]["plain"] <= 600_000 for how in ("widget", "server"))
