"""A staircase is drawn as it was found."""

import numpy as np

import devexplore as dx
from devexplore.views.axes import log_step
from devexplore.views.change_points import change_points_figure

STEP = np.unique(np.geomspace(1, 10_001, 90).astype(int)) - 1


def test_each_level_is_a_line_and_each_change_a_band_over_its_interval() -> None:
    changes = dx.change_points(STEP, 4.0 * (STEP >= 50) - 3.0 * (STEP >= 900))
    figure = change_points_figure(changes)
    values, levels = figure.data
    np.testing.assert_array_equal(values.customdata, STEP)
    np.testing.assert_allclose(levels.y[0::3], [0, 4, 1], atol=1e-9)
    np.testing.assert_allclose(levels.y[1::3], [0, 4, 1], atol=1e-9)
    assert np.isnan(levels.y[2::3]).all()
    np.testing.assert_allclose(levels.x[3::3], log_step(changes["step"].values))
    bands = [(shape.x0, shape.x1) for shape in figure.layout.shapes]
    np.testing.assert_allclose(
        bands, np.stack([log_step(changes["lower"]), log_step(changes["upper"])], axis=1)
    )
    assert figure.layout.title.text == "values: 2 changes of level, bands their 90 % intervals"


def test_a_curve_without_changes_is_drawn_without_levels() -> None:
    noise = np.random.default_rng(0).normal(size=len(STEP))
    figure = change_points_figure(dx.change_points(STEP, noise, np.ones(len(STEP))))
    assert len(figure.data[1].x) == 0
    assert figure.layout.title.text.startswith("values: 0 changes")
    assert figure.data[0].error_y.array.max() == 1
