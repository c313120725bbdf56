"""The heat map of a sweep: one panel for each checkpoint and nβ, marks that do not rest on colour."""

import json

import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr

from devexplore.analysis.calibration import recommend
from devexplore.views.calibration import _channels, _luminance, _readable, calibration_figure
from devexplore.views.style import DARK, LIGHT, Theme

AXES = ("rung", "n_beta", "localization")


@pytest.fixture
def sweep() -> xr.Dataset:
    """Three step sizes × two nβ × three γ at two checkpoints: a plateau, crosses, a ring and a NaN."""
    shape = (2, 3, 2, 3)
    llc = np.broadcast_to(np.array([17.0, 16.8, 16.0]), shape).copy()
    llc[0] /= 2
    step_size = np.broadcast_to(np.array([1e-5, 3e-5, 9e-5])[:, None, None], shape[1:])
    verdict = np.zeros(shape, dtype=np.int8)
    verdict[:, 2, 1, 0] = 2
    verdict[1, 0, 0, 2] = 1
    llc[:, 2, 1, 0] = [np.nan, -300.0]
    reason = np.where(verdict == 2, "chains left; far away", np.where(verdict == 1, "R̂ is large", "")).astype(
        object
    )
    return xr.Dataset(
        {
            "llc": (("step", *AXES), llc),
            "llc_se": (("step", *AXES), np.full(shape, 0.1)),
            "verdict": (("step", *AXES), verdict),
            "reason": (("step", *AXES), reason),
            "step_size": (AXES, step_size),
        },
        coords={
            "step": [100, 20_000],
            "rung": range(3),
            "n_beta": [100.0, 300.0],
            "localization": [1.0, 10.0, 100.0],
        },
        attrs={"h_max": 20.0, "batch_size": 64, "chains": 4, "draws": 100, "burn_in": 500, "thinning": 5},
    )


def heatmaps(figure: go.Figure) -> list[go.Heatmap]:
    return [trace for trace in figure.data if isinstance(trace, go.Heatmap)]


def named(figure: go.Figure, name: str) -> list[go.Scatter]:
    return [trace for trace in figure.data if trace.name == name]


def test_there_is_a_panel_for_each_checkpoint_and_n_beta(sweep: xr.Dataset) -> None:
    figure = calibration_figure(sweep)
    assert len(heatmaps(figure)) == 4
    words = [annotation.text for annotation in figure.layout.annotations]
    assert {"<b>nβ 100</b>", "<b>nβ 300</b>", "<b>step 100</b>", "<b>step 20,000</b>"} <= set(words)


def test_panels_do_not_overlap_and_stay_on_the_page(sweep: xr.Dataset) -> None:
    layout = calibration_figure(sweep).layout
    boxes = []
    for number in range(1, 5):
        name = "" if number == 1 else str(number)
        boxes.append((*layout[f"xaxis{name}"].domain, *layout[f"yaxis{name}"].domain))
    for i, (left, right, low, high) in enumerate(boxes):
        assert 0 <= left < right <= 1 + 1e-9
        assert 0 <= low < high <= 1 + 1e-9
        for other in boxes[:i]:
            assert right <= other[0] or other[1] <= left or high <= other[2] or other[3] <= low


def test_the_shade_is_the_coefficient_over_the_largest_at_its_checkpoint(sweep: xr.Dataset) -> None:
    shades = [np.array(trace.z, dtype=float) for trace in heatmaps(calibration_figure(sweep))]
    for shade in (shades[0], shades[2]):  # nβ 100 at both checkpoints, which differ by a factor 2
        np.testing.assert_allclose(shade[0], [1.0, 16.8 / 17, 16 / 17])


def test_what_is_no_llc_has_a_cross_and_no_shade_and_no_number(sweep: xr.Dataset) -> None:
    figure = calibration_figure(sweep)
    for panel in (1, 3):
        assert np.isnan(np.array(heatmaps(figure)[panel].z, dtype=float)[2, 0])
        cross = named(figure, "not an LLC")[panel]
        assert (list(cross.x), list(cross.y)) == ([0], [2])
        texts = named(figure, "values")[panel]
        assert texts.text[2 * 3] == ""
        assert "not an LLC" in texts.customdata[2 * 3]
        assert "– chains left<br>– far away" in texts.customdata[2 * 3]


def test_smaller_steps_than_one_at_which_chains_leave_are_numbers_without_shade(sweep: xr.Dataset) -> None:
    figure = calibration_figure(sweep)
    assert np.isnan(np.array(heatmaps(figure)[3].z, dtype=float)[:, 0]).all()
    texts = named(figure, "values")[3]
    assert texts.text[0].startswith("17<br>")


def test_chains_that_have_not_settled_are_numbers_without_shade(sweep: xr.Dataset) -> None:
    dims, shape = sweep["llc"].dims, sweep["llc"].shape
    drifting = sweep.assign(half_drift=(dims, np.full(shape, 0.3)), half_drift_z=(dims, np.full(shape, 30.0)))
    advice = recommend(drifting)
    settled = advice.map["settled"]
    assert 0 < int(settled.sum()) < settled.size
    for column in range(2):
        shade = np.array(heatmaps(calibration_figure(drifting, advice))[column].z, dtype=float)
        assert np.isnan(shade[~settled.isel(n_beta=column).values]).all()


def test_doubtful_cells_are_ringed(sweep: xr.Dataset) -> None:
    rings = named(calibration_figure(sweep), "doubtful")
    assert [len(ring.x) for ring in rings] == [0, 0, 1, 0]


def test_plateau_and_choice_are_framed_at_every_checkpoint(sweep: xr.Dataset) -> None:
    advice = recommend(sweep)
    assert advice.found
    figure = calibration_figure(sweep, advice)
    heavy = [shape for shape in figure.layout.shapes if shape.line.width > 2]
    assert len(heavy) == 2
    assert len(figure.layout.shapes) - len(heavy) == 2 * int(advice.map["plateau"].sum())
    for shape in heavy:
        assert (shape.x0 + shape.x1) / 2 == pytest.approx(advice.point["localization"])
        assert (shape.y0 + shape.y1) / 2 == pytest.approx(advice.point["rung"])
        assert shape.line.dash == "solid"
    assert any(advice.reasons[0][:40] in a.text for a in figure.layout.annotations)


def test_the_least_bad_choice_is_framed_otherwise_than_a_plateau(sweep: xr.Dataset) -> None:
    advice = recommend(sweep)._replace(found=False)
    figure = calibration_figure(sweep, advice)
    assert {s.line.dash for s in figure.layout.shapes if s.line.width > 2} == {"dot"}
    assert any("least bad" in annotation.text for annotation in figure.layout.annotations)


def test_rows_are_named_by_step_size_or_by_their_share_of_the_limit(sweep: xr.Dataset) -> None:
    assert list(calibration_figure(sweep).layout.yaxis.ticktext) == ["ε 1e-05", "ε 3e-05", "ε 9e-05"]
    held = sweep["n_beta"] * 20.0 + sweep["localization"]
    shares = xr.DataArray([0.08, 0.2, 0.5], dims="rung")
    by_share = sweep.assign(step_size=(shares / held).transpose(*AXES))
    assert list(calibration_figure(by_share).layout.yaxis.ticktext) == ["0.08", "0.2", "0.5"]


def test_the_figure_is_json_without_nan_in_its_words(sweep: xr.Dataset) -> None:
    figure = json.loads(calibration_figure(sweep, recommend(sweep)).to_json())
    texts = [text for trace in figure["data"] for text in trace.get("text", [])]
    assert not any("nan" in text for text in texts)


def test_single_valued_axes_make_one_panel(sweep: xr.Dataset) -> None:
    small = sweep.isel(step=[0], n_beta=[0], localization=[1])
    assert len(heatmaps(calibration_figure(small, recommend(small)))) == 1


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_numbers_can_be_read_on_every_shade(theme: Theme) -> None:
    """Contrast of at least 4 : 1 between text and cell."""
    low, high = _channels(theme.sunken), _channels(theme.cool[1])
    for shade in np.linspace(0, 1, 21):
        ground = _luminance(low + shade * (high - low))
        text = _luminance(_channels(_readable(float(shade), theme)))
        assert (max(ground, text) + 0.05) / (min(ground, text) + 0.05) >= 4
