"""Refined LLCs on the timeline."""

import numpy as np
import xarray as xr

from devexplore.views.refined import refined_row
from devexplore.views.style import DARK, LIGHT


def example() -> tuple[xr.Dataset, xr.DataArray]:
    names = ["layer 1 head 1", "layer 1 head 2", "layer 2 head 1", "embedding"]
    value = np.arange(20, dtype=float).reshape(5, 4)
    refined = xr.Dataset(
        {"llc": (("step", "component"), value), "llc_se": (("step", "component"), np.full((5, 4), 0.5))},
        coords={"step": [0, 10, 100, 1000, 10000], "component": names},
    )
    verdict = xr.zeros_like(refined["llc"], dtype=np.int8)
    verdict[0], verdict[2, 1] = 2, 1
    return refined, verdict


def test_every_component_is_one_line_broken_where_there_is_no_llc_and_named_in_its_hover() -> None:
    refined, verdict = example()
    row = refined_row(refined, verdict, "refined LLC", LIGHT)
    lines = {trace.name: trace for trace in row.traces if trace.mode == "lines+markers"}
    assert list(lines) == refined["component"].values.tolist()
    for name, line in lines.items():
        expected = refined["llc"].sel(component=name).values.copy()
        expected[0] = np.nan
        np.testing.assert_array_equal(np.asarray(line.y, dtype=float), expected)
        assert name in line.text[1]
        assert "trusted" in line.text[1]
    assert row.range[0] <= 4
    assert row.range[1] >= 19


def test_doubtful_estimates_are_marked_by_shape_and_layers_by_colour_in_both_themes() -> None:
    refined, verdict = example()
    for theme in (LIGHT, DARK):
        row = refined_row(refined, verdict, "refined LLC", theme)
        (marks,) = (trace for trace in row.traces if trace.name == "doubtful")
        assert marks.marker.symbol == "circle-open"
        assert list(marks.y) == [refined["llc"].values[2, 1]]
        colours = {t.name: t.line.color for t in row.traces if t.mode == "lines+markers"}
        assert colours["layer 1 head 1"] in theme.warm
        assert colours["layer 2 head 1"] in theme.cool
        assert colours["embedding"] in theme.undecided
        styles = {(t.line.color, t.line.dash) for t in row.traces if t.mode == "lines+markers"}
        assert len(styles) == 4


def test_a_run_without_a_single_llc_still_has_a_row() -> None:
    refined, verdict = example()
    row = refined_row(refined, xr.full_like(verdict, 2), "refined LLC", LIGHT)
    assert np.isfinite(row.range).all()
