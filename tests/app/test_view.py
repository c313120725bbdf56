"""A view in a notebook, without one: what its displays are told, what it reads, what it refuses."""

import asyncio
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import devexplore as dx
from devexplore.app import hosted
from devexplore.app.display import Display
from devexplore.app.explore import served_runs
from devexplore.app.hosted import Hosted
from devexplore.app.place import InMemory, Kernel
from devexplore.app.selection import Selection
from devexplore.app.view import View
from devexplore.errors import InvalidSpec

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture
def served(runs):
    return served_runs([runs[0]])


def in_kernel(cell):
    """Runs a cell's code in an event loop of its own, in a thread: a browser's may be running in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(cell())).result()


def watchers(selection):
    """How many things follow it, but for itself."""

    def count(one):
        return sum(len(each) for whats in one.param.watchers.values() for each in whats.values())

    return count(selection) - count(Selection())


def test_a_display_is_told_all_at_the_start_and_then_what_changes(served):
    selection, sent = Selection(), []

    async def cell():
        display = Display(served, selection, Kernel(), sent.append)
        start = sent[0]["start"]
        assert start["frame"] == "frame"
        assert start["parts"]["frame"]["viewer"] == "shell"
        assert start["parts"]["frame"]["values"]["inside"] is True
        assert set(start["parts"]) >= {"frame", "timeline", "trajectory", "tokens"}
        sent.clear()
        display.hear("frame", {"step": 40})  # the user scrubs
        await asyncio.sleep(0.05)
        assert selection.step == 40
        assert {"part": "frame", "say": {"step": 40}} not in sent  # it knows
        selection.step = 11  # Python does
        await asyncio.sleep(0.05)
        assert {"part": "frame", "say": {"step": 11}} in sent
        display.close()
        await asyncio.sleep(0.05)
        sent.clear()
        selection.step = 40
        await asyncio.sleep(0.05)
        assert sent == []

    in_kernel(cell)
    assert watchers(selection) == 0


def test_a_display_of_one_pane_has_no_other(served):
    sent = []

    async def cell():
        display = Display(served, Selection(), Kernel(), sent.append, only="trajectory")
        assert set(sent[0]["start"]["parts"]) == {"frame", "trajectory"}
        assert sent[0]["start"]["parts"]["frame"]["values"]["shows"] == "trajectory"
        display.close()
        await asyncio.sleep(0)

    in_kernel(cell)


def test_a_display_that_is_silent_when_another_comes_is_gone(served, monkeypatch):
    monkeypatch.setattr(hosted, "SILENT_S", 0.05)

    async def cell():
        widget = Hosted(served, Selection(), Kernel(), 400)
        for name in ("a", "b"):
            widget._hear(None, {"display": name, "want": "open"}, None)
        widget._hear(None, {"display": "a", "want": "alive"}, None)
        assert widget.displays == 2
        await asyncio.sleep(0.1)
        widget._hear(None, {"display": "c", "want": "open"}, None)
        assert widget.displays == 3  # a has answered, b was not asked yet
        widget._hear(None, {"display": "a", "want": "alive"}, None)
        widget._hear(None, {"display": "c", "want": "alive"}, None)
        await asyncio.sleep(0.1)
        widget._hear(None, {"display": "d", "want": "open"}, None)
        assert set(widget._displays) == {"a", "c", "d"}
        widget._hear(None, {"display": "d", "want": "close"}, None)
        assert set(widget._displays) == {"a", "c"}
        widget.close()
        assert widget.displays == 0
        await asyncio.sleep(0)

    in_kernel(cell)


def test_the_code_is_sent_when_asked_for_and_is_in_no_state(served):
    async def cell():
        widget = Hosted(served, Selection(), Kernel(), 400)
        sent = []
        widget.send = lambda content, buffers=None: sent.append((content, buffers))
        widget._hear(None, {"want": "code"}, None)
        (content, (packed,)) = sent[0]
        assert content["code"] == widget.version
        assert len(packed) > 1_000_000  # Plotly is in it
        assert len(str(widget.get_state())) < 20_000
        widget.close()

    in_kernel(cell)


@pytest.fixture
def view(served):
    return View(served, Selection(), InMemory(), 400, "widget", "asked for")


def test_a_view_reads_what_the_page_shows(view, served):
    derived = next(iter(served.values()))
    assert view.run.path == derived.run.path
    assert view.form is None
    table = view.tokens()
    assert len(table) > 0
    assert "loss_change" in " ".join(table.columns)
    forms = dx.find_forms(derived.dynamics.wait())
    for form in range(forms.sizes["form"]):
        view.selection.form = form
        np.testing.assert_allclose(view.form["step"], forms["step"][form])
    view.selection.form = forms.sizes["form"] + 5
    assert view.form is None


def test_a_view_draws_and_saves_by_name_and_refuses_other_names(view, tmp_path):
    assert len(view.figure("stages").data) > 0
    with pytest.raises(InvalidSpec, match=r"expected one of .*trajectory.*, got 'trajektory'"):
        view.figure("trajektory")
    with pytest.raises(InvalidSpec, match=r"ends with \.html"):
        view.save(tmp_path / "page.png")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"how": "magic"}, "how: expected one of auto, widget, server, browser, got 'magic'"),
        ({"height": 3}, r"whole number of pixels, 480 to 10,000, got 3$"),
        ({"height": "tall"}, r"whole number of pixels, 480 to 10,000, got 'tall'"),
        ({"select": {"stpe": 1}}, "no 'stpe'"),
        ({"how": "widget"}, "a widget needs a notebook"),
    ],
)
def test_explore_says_what_cannot_be(runs, options, words):
    with pytest.raises(InvalidSpec, match=words):
        dx.explore(runs[0], **options)


def test_outside_a_notebook_a_server_shows_the_view_until_it_is_closed(runs):
    view = dx.explore(runs[0], how="server")
    address = view.address
    with urllib.request.urlopen(address, timeout=60) as page:
        said = page.read().decode()
    assert "<html" in said
    assert "plotly" in said
    assert "cdn." not in said
    assert watchers(view.selection) > 0  # a session follows it
    view.close()
    assert watchers(view.selection) == 0
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(address, timeout=5)


def test_one_selection_is_not_for_views_of_different_runs(runs):
    shared = Selection()
    View(served_runs([runs[0]]), shared, InMemory(), 500, "widget", "asked for")
    with pytest.raises(InvalidSpec, match=f"looks at the run '{runs[0].name}', and here is {runs[1].name}"):
        View(served_runs([runs[1]]), shared, InMemory(), 500, "widget", "asked for")


def test_a_run_that_is_none_of_the_view_is_told(view, runs):
    view.selection.run = "nowhere"
    for read in (lambda: view.run, view.tokens, lambda: view.figure("stages")):
        with pytest.raises(InvalidSpec, match=f"this view has {runs[0].name}, not 'nowhere'"):
            read()


def test_a_tree_in_memory_is_not_shown_as_its_files(runs):
    with pytest.raises(InvalidSpec, match="may be other than its files"):
        dx.explore(runs[0].tree.dx.run, how="server")


class TestWidgets:
    def test_traits_and_the_selection_follow_each_other(self, runs):
        async def cell():
            curve = dx.widgets.TrajectoryWidget(runs[0], step=40)
            assert (curve.step, curve.selection.step) == (40, 40)
            curve.step = 11
            assert curve.selection.step == 11
            curve.selection.param.update(form=0, circles=False)
            assert (curve.form, curve.circles) == (0, False)
            tokens = dx.widgets.TokenWidget(runs[0], selection=curve.selection)
            tokens.token = 3
            assert curve.selection.token == 3
            curve.close()
            tokens.close()
            return curve.selection

        assert watchers(in_kernel(cell)) == 0

    def test_a_value_that_cannot_be_is_not_taken(self, runs):
        async def cell():
            tokens = dx.widgets.TokenWidget(runs[0])
            tokens.sequence = -7
            assert (tokens.sequence, tokens.selection.sequence) == (0, 0)
            tokens.close()

        in_kernel(cell)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"height": 1}, "whole number of pixels, 40 to 10,000, got 1"),
            ({"stpe": 3}, "StepPlayer has no 'stpe'; it has pinned, step"),
            ({"step": "late"}, "step cannot be 'late'"),
        ],
    )
    def test_what_cannot_be_is_told(self, runs, options, words):
        with pytest.raises(InvalidSpec, match=words):
            dx.widgets.StepPlayer(runs[0], **options)
