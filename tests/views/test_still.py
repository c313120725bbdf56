"""The still picture of a run: small, whole, escaped, and true to the curves."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import xarray as xr

import devexplore as dx
from devexplore.analysis.trust import trust
from devexplore.errors import InvalidSpec, NotMeasured
from devexplore.sampling.trust import DOUBTFUL, NOT_AN_LLC, TRUSTED
from devexplore.tree_run import run_of
from devexplore.views.axes import log_step
from devexplore.views.llc_row import estimate_range
from devexplore.views.still import _LEFT, _RIGHT, MOST_BYTES, WIDTH, still

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def run() -> dx.Run:
    return dx.open("superposition")


@pytest.fixture(scope="module")
def stages(run) -> xr.Dataset:
    return dx.find_stages(run)


def made_up(steps: int, name: str = "long") -> dx.Run:
    """A run of so many checkpoints in memory, with an LLC and a loss."""
    step = np.arange(steps)
    llc = xr.Dataset(
        {"llc": ("step", np.sin(step / 99.0) + 2.0), "llc_se": ("step", np.full(step.size, 0.1))},
        {"step": step},
    )
    losses = xr.Dataset({"test_loss": ("step", 1 / np.log(step + 2.0))}, {"step": step})
    losses["test_loss"].attrs["units"] = "nats"
    run = run_of(xr.DataTree.from_dict({"/llc": llc, "/losses": losses}))
    run.name = name
    return run


def paths(drawn: str, kind: str) -> list[str]:
    return [
        path.get("d", "")
        for path in ElementTree.fromstring(drawn).iter(f"{SVG}path")
        if path.get("class") == kind
    ]


def texts(drawn: str) -> list[str]:
    return ["".join(text.itertext()) for text in ElementTree.fromstring(drawn).iter(f"{SVG}text")]


@pytest.mark.parametrize("name", ["language", "regression", "superposition", "deep_linear"])
def test_bundled_runs_are_small_whole_pictures_that_load_nothing(name):
    run = dx.open(name)
    drawn = still(run, dx.find_stages(run))
    assert len(drawn.encode()) <= MOST_BYTES / 2
    root = ElementTree.fromstring(drawn)
    assert root.tag == f"{SVG}svg"
    assert (root.get("width"), root.get("role")) == ("100%", "img")
    assert "<script" not in drawn
    assert set(re.findall(r"https?://[^\s\"']+", drawn)) == {"http://www.w3.org/2000/svg"}


def test_each_estimate_is_drawn_by_its_verdict_at_its_step(run, stages):
    drawn = still(run, stages)
    llc = run.dataset("llc").load()
    known, verdict = np.isfinite(llc["llc"].values), trust(llc)["verdict"].values
    (dots,) = paths(drawn, "dots")
    across = [float(x) for x in re.findall(r"M([\d.]+) ", dots)]
    x = log_step(llc["step"].values)
    expected = _LEFT + x[known & (verdict == TRUSTED)] / x.max() * (WIDTH - _LEFT - _RIGHT)
    np.testing.assert_allclose(across, expected, atol=0.051)
    inside = known & (verdict != NOT_AN_LLC)
    low, high = estimate_range(llc["llc"].values, np.nan_to_num(llc["llc_se"].values), verdict)
    seen = known & (llc["llc"].values >= low) & (llc["llc"].values <= high)
    for kind, level in (("doubtful", DOUBTFUL), ("none", NOT_AN_LLC)):
        rings = re.findall(r"M([\d.]+) ", "".join(paths(drawn, kind)))
        assert len(rings) == (seen & (verdict == level)).sum()
    assert inside.sum() > 3
    assert (seen & (verdict == NOT_AN_LLC)).any()


def test_stages_are_named_and_their_types_are_told_by_bands_and_by_words(run, stages):
    drawn = still(run, stages)
    names = [str(name) for name in stages["name"].values]
    assert [text for text in texts(drawn) if text in names] == names
    kinds = stages["type"].values.astype(str)
    for kind in ("A", "B", "undecided"):
        assert "".join(paths(drawn, f"band-{kind}")).count("Z") == 2 * (kinds == kind).sum()
    (told,) = ElementTree.fromstring(drawn).iter(f"{SVG}desc")
    assert all(f"{name}: steps" in (told.text or "") for name in names)


def test_axes_are_labelled_to_the_last_step(run, stages):
    said = texts(still(run, stages))
    assert {"test loss", "(squared error)", "LLC", "step", "0", "10", "100", "5k"} <= set(said)


def test_stages_are_sought_where_none_are_given(run, stages):
    assert still(run) == still(run, stages)


def test_many_checkpoints_are_thinned_and_hundreds_of_stages_left_out():
    long = made_up(3000)
    stages = dx.find_stages(made_up(60), boundaries=[20])
    assert 10_000 < len(still(long, stages).encode()) <= MOST_BYTES
    crowd = dx.find_stages(made_up(800), boundaries=np.arange(2, 790))
    assert crowd.sizes["stage"] > 500
    assert len(still(long, crowd).encode()) <= MOST_BYTES


def test_names_and_units_of_other_people_are_text():
    evil = '<script>alert("x")</script>&amp;"\'url(<hatch>)'
    run = made_up(60, evil)
    losses = run.dataset("losses")
    losses["test_loss"].attrs["units"] = "<b>&"
    stages = dx.find_stages(run, boundaries=[30])
    stages["name"] = ("stage", np.array([evil, "é <i>"], dtype=object))
    stages["note"] = ("stage", np.array([f"{evil} " * 4000, ""], dtype=object))
    drawn = still(run, stages)
    assert len(drawn.encode()) <= MOST_BYTES
    assert "<script" not in drawn
    said = texts(drawn)
    assert "é <i>" in said
    assert "(<b>&)" in said


def test_one_curve_is_enough_and_none_is_refused():
    run = made_up(60)
    lonely = run_of(run.dataset("losses"))
    drawn = still(lonely)
    assert "LLC" not in texts(drawn)
    assert len(paths(drawn, "line")) == 1
    with pytest.raises(NotMeasured, match="has neither LLC nor losses"):
        still(run_of(xr.DataTree()))


def test_a_single_checkpoint_is_a_dot():
    step = xr.Dataset({"test_loss": ("step", [1.5])}, {"step": [0]})
    drawn = still(run_of(step))
    assert "".join(paths(drawn, "dots")).count("M") == 1
    assert "nan" not in drawn


def test_themes_are_the_pages_own_or_follow_the_notebook(run, stages):
    light, dark, auto = (still(run, stages, theme=theme) for theme in ("light", "dark", "auto"))
    assert "#ffffff" in light
    assert "#171a1e" not in light
    assert "#171a1e" in dark
    assert all(
        mark in auto for mark in ("#ffffff", "#171a1e", '[data-jp-theme-light="false"]', ".vscode-dark")
    )
    with pytest.raises(InvalidSpec, match="expected 'auto', 'light' or 'dark', got 'solar'"):
        still(run, stages, theme="solar")  # type: ignore[arg-type]


def test_pictures_on_one_page_keep_their_own_colours(run, stages):
    names = {
        re.search(r'class="(dx-still-\w+)"', still(run, stages, theme=t)).group(1) for t in ("light", "dark")
    }  # type: ignore[union-attr]
    assert len(names) == 2
