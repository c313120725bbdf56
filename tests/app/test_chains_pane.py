"""The chains pane: what it is sent, and what a user does with it."""

import base64
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import devexplore as dx
from devexplore.app.page import derive, free_port, serve
from devexplore.app.panes import PANES
from devexplore.app.panes.chains import picture
from devexplore.app.selection import Selection
from devexplore.app.session import Session
from devexplore.store import Store, Variable, provenance

from .conftest import language_groups, steps, wait_until, write_run

DATA = Path(__file__).parents[2] / "data"

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def chains_of(llc):
    """Three chains of 40 draws with the LLC's mean excess; one of them diverged at the last step."""
    rng = np.random.default_rng(3)
    shape = (llc.sizes["step"], 3, 40)
    own = llc["excess_loss"].values[:, None, None] + 0.05 * rng.standard_normal(shape)
    baseline = 2 + rng.standard_normal(shape)
    status = np.zeros(shape[:2], np.int8)
    status[-1, 1] = 1
    own[-1, 1, 10:] = np.nan
    each = ("step", "chain", "draw")
    return xr.Dataset(
        {
            "loss": (each, (baseline + own).astype("f4"), {"units": "nats"}),
            "baseline": (each, baseline.astype("f4"), {"units": "nats"}),
            "status": (each[:2], status),
            "distance": (each[:2], np.full(shape[:2], 0.5, "f4")),
            "init_loss": ("step", np.linspace(6, 2, shape[0]), {"units": "nats"}),
        },
        coords={"step": llc["step"].values, "draw": 104 + 5 * np.arange(40)},
        attrs={
            "n_beta": 100.0,
            "burn_in": 100,
            "trivial_loss": 6.2,
            "trivial_name": "uniform <b>predictor</b>",
        },
    )


def write_sweep(run, at):
    """A calibration sweep at these checkpoints: two step sizes, one nβ, three γ, all alike."""
    axes, shape = ("rung", "n_beta", "localization"), (2, 1, 3)
    values = {"llc": 17.0, "llc_se": 0.2, "half_drift": 0.0, "half_drift_z": 0.0, "relative_distance": 0.1}
    held = {name: np.full(shape, value, "f4") for name, value in values.items()}
    held["verdict"] = np.zeros(shape, np.int8)
    layout = {name: Variable(axes, shape, each.dtype, {}) for name, each in held.items()}
    coords = {"rung": np.arange(2), "n_beta": np.array([100.0]), "localization": np.array([1.0, 10.0, 100.0])}
    coords["step_size"] = (axes, np.full(shape, 1e-5))
    attrs = {"h_max": 20.0, "batch_size": 64, "chains": 4, "draws": 100, "burn_in": 500, "thinning": 5}
    with Store(run.store_path, mode="a") as store:
        writer = store.writer("calibration/sweep_0", {}, layout, coords, attrs, provenance(0, {}))
        for step in at:
            writer.write(step, run.checkpoints.content_hash(step), held)
    run.refresh()


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    """A language run with chains and a calibration."""
    groups = language_groups()
    held = {"llc": groups["llc"], "losses": groups["losses"], "chains": chains_of(groups["llc"])}
    run = write_run(tmp_path_factory.mktemp("runs") / "sampled", held, "language", steps())
    write_sweep(run, steps()[[20, 50]].tolist())
    return run


@pytest.fixture(scope="module")
def derived(runs, sampled):
    return derive([*runs, sampled, dx.open(DATA / "superposition")])


def session_of(derived, run, filled=lambda payload: payload, **selection):
    session = Session(derived, Selection(run=run, tab="chains", **selection))
    wait_until(lambda: (session.look_at_jobs(), filled(session.viewers["chains"].payload))[1])
    return session


def shown(derived, run, **more):
    return json.loads(session_of(derived, run, **more).viewers["chains"].payload)


def numbers(array):
    kind = {"f4": np.float32, "f8": np.float64}[array["dtype"]]
    return np.frombuffer(base64.b64decode(array["bdata"]), kind)


def test_all_traces_are_sent_once_with_the_verdict_of_every_checkpoint(derived):
    payload = shown(derived, "sampled")
    chains, traces = derived["sampled"].group("chains"), payload["traces"]
    assert traces["chains"] == 3
    sent = numbers(traces["excess"]).reshape(chains["loss"].shape)
    assert np.allclose(sent, chains["loss"] - chains["baseline"], equal_nan=True)
    assert traces["diverged"][-3:] == [0, 1, 0]
    assert len(payload["verdict"]) == len(payload["reason"]) == chains.sizes["step"]
    assert set(payload["verdict"]) == {0, 1, 2}
    assert "below zero" in payload["reason"][5]
    assert [check["name"] for check in payload["checks"]] == ["rhat", "ess", "relative_distance", "forgotten"]


def test_a_bundled_run_is_sent_in_less_than_600_kilobytes_and_says_what_it_leaves_out(derived):
    session = session_of(derived, "superposition")
    assert len(session.viewers["chains"].payload) < 600_000
    payload = json.loads(session.viewers["chains"].payload)
    assert payload["traces"]["thinned"] == "every 4th draw is drawn, λ̂ is of all"
    assert payload["calibrate"].startswith("devexplore calibrate ")
    assert "dx.figures.chains(run, step=THE_STEP)" in payload["code"]


def test_estimates_without_their_chains_keep_their_verdicts_and_say_why_there_are_no_traces(derived):
    payload = shown(derived, "made-up")
    assert "traces" not in payload
    assert "were not kept" in payload["untraced"]
    assert "--only llc" in payload["untraced"]
    assert len(payload["verdict"]) == derived["made-up"].llc.sizes["step"]


def test_a_command_names_a_folder_with_blanks_as_a_shell_reads_it(tmp_path):
    run = write_run(tmp_path / "two words", {"llc": language_groups()["llc"]}, "language", steps())
    command = shown(derive([run]), "two words")["calibrate"]
    assert shlex.split(command) == ["devexplore", "calibrate", str(run.path)]


def test_a_run_without_an_llc_says_what_would_measure_it(derived):
    said = shown(derived, "lines")["message"]
    assert said["title"] == "The LLC is not measured yet"
    assert said["command"].endswith("--only llc")


def test_an_imported_table_shows_its_curve_as_not_judged_and_offers_no_command(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("step,llc,llc_se\n0,1,0.1\n10,2,0.1\n100,5,0.1\n", encoding="utf-8")
    derived = derive([dx.import_table(table, tmp_path / "imported")])
    payload = shown(derived, next(iter(derived)))
    assert payload["words"][0] == "not judged"
    assert payload["checks"] == []
    assert payload["calibrate"] == ""
    assert "A table holds no chains" in payload["untraced"]


def test_a_stored_calibration_is_drawn_with_what_it_recommends(derived):
    payload = shown(derived, "sampled", filled=lambda text: "calibration" in text and '"layout"' in text)
    kinds = [trace["type"] for trace in payload["calibration"]["data"]]
    assert kinds.count("heatmap") == 2
    assert payload["calibration"]["layout"]["shapes"]
    assert payload["calibrate"] == ""


def test_the_table_has_a_row_a_checkpoint_with_its_verdict_in_words(derived):
    session = session_of(derived, "sampled")
    table = PANES["chains"].table(session._look)
    columns = ["step", "llc", "llc_se", "rhat", "ess", "excess_loss", "relative_distance", "forgotten"]
    assert list(table.columns) == [*columns, "verdict", "reason"]
    assert len(table) == derived["sampled"].llc.sizes["step"]
    assert table["verdict"].iloc[5] == "not an LLC"
    assert "below zero" in table["reason"].iloc[5]


def test_the_picture_that_is_saved_is_the_figure_that_the_code_gives(derived):
    drawn = picture(derived["sampled"], {"step": 0, "theme": "dark"})
    assert drawn.layout.annotations[0].text == "<b>Chains of sampled at step 0</b>"
    assert drawn.layout.paper_bgcolor == "#171a1e"
    assert any("uniform &lt;b&gt;predictor&lt;/b&gt;" in note.text for note in drawn.layout.annotations)


@pytest.fixture(scope="module")
def page(browser, sampled):
    port = free_port(0)
    server = serve([sampled], port=port, open_browser=False, threaded=True)
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.errors, page.sent = [], []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: page.sent.append(frame)))
    page.goto(f"http://127.0.0.1:{port}/?tab=chains&run=sampled&step=400")
    page.locator("section[aria-label=Chains] path.trace").first.wait_for(state="attached", timeout=60_000)
    page.wait_for_timeout(1000)
    yield page
    page.close()
    server.stop()


@pytest.mark.browser
def test_a_step_draws_its_own_traces_and_says_its_verdict_without_asking_python(page):
    pane = page.locator("section[aria-label=Chains]")
    assert pane.locator("path.trace").count() == 3
    before, title = (
        pane.locator("path.trace").first.get_attribute("d"),
        pane.locator("h3").first.inner_text(),
    )
    asked = len([frame for frame in page.sent if "question" in str(frame)])
    page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(600)
    assert pane.locator("path.trace").first.get_attribute("d") != before
    assert pane.locator("h3").first.inner_text() != title
    assert pane.locator(".badge").inner_text() == "● trusted"
    slider = page.get_by_role("slider", name="Training step")
    slider.evaluate("slider => { slider.value = 5; slider.dispatchEvent(new Event('input')); }")
    page.wait_for_timeout(600)
    assert pane.locator(".badge").inner_text() == "× not an LLC"
    assert "below zero" in pane.locator(".why").inner_text()
    assert len([frame for frame in page.sent if "question" in str(frame)]) == asked
    assert page.errors == []


@pytest.mark.browser
def test_a_press_among_the_verdicts_goes_to_the_step_and_a_diverged_chain_is_crossed_out(page):
    pane = page.locator("section[aria-label=Chains]")
    box = pane.locator("svg.strip").bounding_box()
    page.mouse.click(box["x"] + box["width"] - 58, box["y"] + 10)
    page.wait_for_timeout(600)
    assert page.locator("output b").inner_text() == f"{steps()[-1]:,}"
    assert pane.locator(".excess path.mark.none").count() == 1
    assert "uniform <b>predictor</b>" in pane.locator(".excess svg").text_content()
    assert page.errors == []


@pytest.mark.browser
def test_a_chain_is_singled_out_by_choice_and_by_a_press_on_its_trace_and_let_go_again(page):
    pane = page.locator("section[aria-label=Chains]")
    chooser = pane.get_by_label("The chain that stands out")
    chooser.select_option("2")
    page.wait_for_timeout(400)
    assert pane.locator("path.trace.loud").count() == 1
    assert pane.locator("path.trace.quiet").count() == 2
    assert pane.locator("h3").first.inner_text().startswith("Chain 3")
    assert "chain=2" in page.url
    loud = pane.locator("path.trace.loud").evaluate(
        "path => { const p = path.getPointAtLength(path.getTotalLength() / 2), b = path.ownerSVGElement"
        ".getBoundingClientRect(); return [b.x + p.x, b.y + p.y]; }"
    )
    page.mouse.click(*loud)
    page.wait_for_timeout(400)
    assert chooser.input_value() == "-1"
    page.mouse.click(*loud)
    page.wait_for_timeout(400)
    assert pane.locator("path.trace.loud").count() == 1
    chooser.select_option("-1")
    assert page.errors == []


@pytest.mark.browser
def test_the_calibration_is_there_where_one_is_stored_and_its_button_shows_it(page):
    pane = page.locator("section[aria-label=Chains]")
    button = pane.get_by_role("button", name="Calibration")
    button.wait_for(timeout=60_000)
    button.click()
    page.wait_for_timeout(600)
    assert pane.get_by_label("Calibration sweep").locator("svg.main-svg").count() > 0
    assert pane.locator(".body").evaluate("body => body.scrollTop") > 0
    assert page.errors == []
