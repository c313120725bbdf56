"""Token views: limits that are symmetric and fixed, items that are the predicted tokens, honest grids."""

import numpy as np
import pytest
import xarray as xr

from devexplore.analysis.tokens import loss_change
from devexplore.views.stages import stage_marks
from devexplore.views.style import LIGHT
from devexplore.views.tokens import GRID_ROWS, colour_limit, grid_view, stage_ranges, text_view


def change(values):
    return xr.DataArray(np.array(values, dtype=float)[None], dims=("sequence", "position"))


def test_the_limit_is_the_same_for_falls_and_rises():
    values = np.linspace(-3, 1, 200)
    assert colour_limit(change(values)) == colour_limit(change(-values))


def test_the_limit_covers_nearly_all_changes_and_is_a_round_number():
    values = np.random.default_rng(0).normal(size=1000)
    limit = colour_limit(change(values))
    assert np.quantile(np.abs(values), 0.98) <= limit < 1.1 * np.quantile(np.abs(values), 0.98)
    assert limit == pytest.approx(round(limit, 1))


@pytest.mark.parametrize("values", [[0.0, 0.0], [np.nan, np.nan], []])
def test_without_any_change_the_limit_is_one(values):
    assert colour_limit(change(values)) == 1.0


def test_a_change_too_small_to_mean_anything_does_not_set_the_colours():
    assert colour_limit(change([1e-9, -2e-9]), least=0.004) == 0.004
    assert colour_limit(change([0.5, -0.5]), least=0.004) == 0.5


def test_missing_losses_do_not_move_the_limit():
    assert colour_limit(change([1.0, -1.0, np.nan])) == colour_limit(change([1.0, -1.0]))


def test_an_item_is_the_predicted_token_with_its_own_losses(losses):
    probe = xr.Dataset(
        {
            "token_text": (("sequence", "position"), np.array([["the", " cat", " sat"]], dtype=object)),
            "target_text": (("sequence", "position"), np.array([[" cat", " sat", "."]], dtype=object)),
        }
    )
    view = text_view(losses, probe, 0)
    assert (view["lead"], view["items"]) == ("the", [" cat", " sat", "."])
    np.testing.assert_array_equal(view["loss"], losses["token_loss"].values[:, 0])
    fell = loss_change(losses, 0, 9999).values[0]
    np.testing.assert_allclose(view["loss"][-1] - view["loss"][0], fell)


def test_a_small_grid_shows_every_sequence(losses):
    view = grid_view(losses)
    assert view["rows"] == ["sequence 1"]
    assert view["columns"] == ["1", "2", "3"]
    assert view["loss"].shape == (5, 3)


def test_a_large_grid_starts_with_the_mean_over_all_sequences(losses):
    wide = xr.concat([losses[["token_loss"]]] * (GRID_ROWS + 20), dim="sequence")
    view = grid_view(wide)
    assert view["rows"][0] == f"mean of {GRID_ROWS + 20}"
    assert len(view["rows"]) == GRID_ROWS + 1
    np.testing.assert_allclose(view["loss"][:, :3], wide["token_loss"].mean("sequence"), rtol=1e-6)


def test_a_stage_is_compared_from_its_start_to_its_end(stages):
    assert stage_ranges(stage_marks(stages, LIGHT)) == [(0, 100), (100, 1000), (1000, 9999)]


def test_the_probe_names_a_grids_rows_and_columns(losses):
    probe = xr.Dataset(
        {
            "inputs": (("sequence", "position", "channel"), np.zeros((1, 3, 2))),
            "value": ("position", [0.1, 0.25, 1.0]),
        },
        attrs={"sequence_name": "feature", "position_name": "value"},
    )
    view = grid_view(losses, probe)
    assert (view["rows"], view["columns"], view["column_title"]) == (
        ["feature 1"],
        ["0.1", "0.25", "1"],
        "value",
    )
