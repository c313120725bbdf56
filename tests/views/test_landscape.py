"""The landscape: wells stand where and as deep as their stage's numbers say, and n moves what it should."""

from base64 import b64decode

import numpy as np
import pytest
import xarray as xr

from devexplore.views.landscape import landscape_figure
from devexplore.views.landscape_odds import n_words
from devexplore.views.style import LIGHT
from devexplore.views.wells import ground, heights, same_wells, well_places


def layer(figure, name):
    return [trace for trace in figure.data if (trace.meta or {}).get("layer") == name]


def notes(figure):
    return [note.text for note in figure.layout.annotations]


@pytest.fixture
def energies():
    """Three solutions: simple and bad, middling, complex and good; their free energies in closed form."""
    loss, llc, n = np.array([3.0, 2.0, 1.9]), np.array([2.0, 40.0, 100.0]), np.geomspace(10, 1e5, 30)
    return xr.Dataset(
        {
            "loss": ("stage", loss),
            "llc": ("stage", llc),
            "llc_se": ("stage", [0.2, 1.0, 2.0]),
            "step": ("stage", [100, 1000, 9999]),
            "verdict": ("stage", [1, 0, 0]),
            "free_energy": (("stage", "n"), loss[:, None] * n + llc[:, None] * np.log(n)),
            "preferred": (("stage", "n"), np.full((3, 30), 1 / 3)),
            "crossing_n": ("stage", [np.nan, 200.0, 5000.0]),
            "crossing_lower": ("stage", [np.nan, 150.0, 4000.0]),
            "crossing_upper": ("stage", [np.nan, 250.0, 7000.0]),
        },
        coords={"n": n},
    )


def test_at_every_stop_of_the_slider_the_lowest_well_is_the_one_of_lowest_free_energy(energies, marks):
    figure = landscape_figure(energies, marks, LIGHT)
    stops = figure.layout.sliders[0].steps
    lowest = energies["free_energy"].values.argmin(axis=0)
    assert len(stops) == 30
    assert set(lowest) == {0, 1, 2}
    for stop, best in zip(stops, lowest, strict=True):
        frame, _ = stop.args
        assert int(np.argmin(frame["y"][1])) == best
        assert frame["text"][1][best].endswith("lowest")


def test_wells_stand_at_their_llc_and_the_slider_starts_at_its_own_stop(energies, marks):
    figure = landscape_figure(energies, marks, LIGHT)
    slider, (wells,) = figure.layout.sliders[0], layer(figure, "wells")
    assert np.allclose(wells.x, energies["llc"])
    assert np.allclose(wells.y, slider.steps[slider.active].args[0]["y"][1])
    assert np.allclose(layer(figure, "measured llc")[0].x, energies["llc"])
    assert list(wells.marker.symbol) == ["circle-open", "circle", "circle"]


def test_a_stop_moves_the_ground_and_the_line_at_n_to_where_they_are_drawn_for_its_n(energies, marks):
    figure = landscape_figure(energies, marks, LIGHT)
    (slider,) = figure.layout.sliders
    for at, step in enumerate(slider.steps):
        changes, moved = step.args
        assert changes["x0"][-1] == pytest.approx(np.log10(energies["n"][at]))
        assert figure.data[moved[-1]].x is None
        if at == slider.active:
            sent = np.frombuffer(b64decode(changes["y"][0]["bdata"]), changes["y"][0]["dtype"])
            assert np.allclose(sent, layer(figure, "ground")[0].y, atol=1e-6)
            assert changes["x0"][-1] == layer(figure, "n")[0].x0


def test_a_stage_without_an_llc_has_no_well_and_the_foot_says_why(energies, marks):
    energies["free_energy"][0] = np.nan
    energies["why"] = ("stage", np.array(["chains left", "", ""], dtype=object))
    figure = landscape_figure(energies, marks, LIGHT)
    assert len(layer(figure, "wells")[0].x) == 2
    assert "S1 has no well (chains left)." in notes(figure)[-1]


def test_the_ground_has_its_minima_at_the_wells_and_nowhere_else():
    places, height = np.array([5.0, 1.0, 9.0]), np.array([0.0, 1.0, 0.4])
    x, y = ground(places, height)
    minima = np.flatnonzero((y[1:-1] < y[:-2]) & (y[1:-1] <= y[2:])) + 1
    assert np.allclose(x[minima], [1.0, 5.0, 9.0])
    assert np.allclose(y[minima], [1.0, 0.0, 0.4])
    assert (np.diff(x) >= 0).all()


def test_equal_llcs_are_moved_apart_and_distant_ones_are_not():
    assert np.allclose(well_places(np.array([1.0, 10.0, 5.0])), [1.0, 10.0, 5.0])
    moved = well_places(np.array([1.0, 10.0, 10.0]))
    assert moved[0] == 1.0
    assert moved[2] - moved[1] == pytest.approx(0.14 * 9)
    assert moved[1:].mean() == pytest.approx(10.0)
    assert heights(np.array([3.0, 1.0, 2.0])).tolist() == [1.0, 0.0, 0.5]
    assert heights(np.array([2.0, 2.0])).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("n", "said"), [(316, "316"), (3162, "3.2k"), (1e7, "10M"), (250e3, "250k"), (2e9, "2G")]
)
def test_numbers_of_samples_in_words(n, said):
    assert n_words(n) == said


def test_each_well_is_tied_to_its_llc(energies, marks):
    energies["llc"][2] = 41.0  # beside 40: both wells stand aside
    figure = landscape_figure(energies, marks, LIGHT)
    (ties,), (wells,) = layer(figure, "ties"), layer(figure, "wells")
    ends = np.reshape(ties.x, (3, 4))
    assert np.allclose(ends[:, 0], energies["llc"])
    assert np.allclose(ends[:, 2], wells.x)
    assert wells.x[2] - wells.x[1] > 5


def test_stages_that_no_n_parts_share_a_well_and_others_do_not(energies, marks):
    assert same_wells(energies["free_energy"].values) == [[0], [1], [2]]
    energies["free_energy"][2] = energies["free_energy"][1] + 0.5
    assert same_wells(energies["free_energy"].values) == [[0], [1, 2]]
    figure = landscape_figure(energies, marks, LIGHT)
    (wells,) = layer(figure, "wells")
    assert wells.x[1] == pytest.approx((40 + 100) / 2)
    assert "S2" in wells.text[1]
    assert "S3" in wells.text[1]


def test_crossing_bars_that_overlap_lie_in_lanes_below_the_curves_and_names_above_them(energies, marks):
    energies["crossing_lower"][2] = 200.0
    energies["preferred"][:] = np.array([[1.0], [1.0], [0.2]])
    figure = landscape_figure(energies, marks, LIGHT)
    first, second = (trace.y[0] for trace in layer(figure, "crossing"))
    assert second < first < 0
    names = [note for note in figure.layout.annotations if note.yref == "y2"]
    assert all(note.y > 1 for note in names)
    assert layer(figure, "n")[0].y == (0, 1)


def test_where_n_decides_nothing_and_where_it_does_out_of_sight_the_foot_says_so(energies, marks):
    assert "decides nothing" not in notes(landscape_figure(energies, marks, LIGHT))[-1]
    energies["free_energy"][:] = np.array([[9.0], [5.0], [0.0]])
    energies["crossing_n"][1:] = [6.0, 3e5]
    energies.attrs["loss"] = "init_loss"
    figure = landscape_figure(energies, marks, LIGHT)
    said = notes(figure)[-1]
    assert "S3: lowest at every n shown" in said
    assert "Bars on the right" in said
    assert "S2 and the stage before cross out of sight, at n = 6." in said
    assert "S3 and the stage before cross out of sight, at n = 3e+05." in said
    energies["crossing_n"][1:] = np.nan
    assert "Bars on the right" not in notes(landscape_figure(energies, marks, LIGHT))[-1]
    assert "L is the loss at w* over all the data" in said
    slider = figure.layout.sliders[0]
    assert slider.active == len(slider.steps) // 2
