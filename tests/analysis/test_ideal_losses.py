"""Losses of ideal predictors: exact on a probe whose answers are known; none where nothing is known."""

import numpy as np
import xarray as xr

from devexplore.analysis.ideal_losses import ideal_losses
from devexplore.run import open_run

PLACE = ("sequence", "position")


def test_zero_has_the_mean_square_of_the_targets_and_ridge_its_own_error():
    targets = np.array([[1.0, -2.0], [3.0, 0.0]])
    probe = xr.Dataset(
        {"targets": (PLACE, targets), "ridge": (PLACE, targets + np.array([[0.5, 0.0], [-0.5, 1.0]]))}
    )
    found = ideal_losses(probe)
    assert found.sel(predictor="zero")["loss"].values.tolist() == [5.0, 2.0]
    assert found.sel(predictor="ridge")["loss"].values.tolist() == [0.25, 0.5]
    np.testing.assert_allclose(found.sel(predictor="zero")["loss_se"], [4.0, 2.0])  # |9 − 1|/2, |0 − 4|/2


def test_other_predictors_come_from_the_stored_references():
    targets = np.ones((3, 2))
    probe = xr.Dataset({"targets": (PLACE, targets), "ridge": (PLACE, targets)})
    held = xr.Dataset(
        {"output": (("predictor", *PLACE), np.full((1, 3, 2), 3.0))}, coords={"predictor": ["dmmse"]}
    )
    assert ideal_losses(probe, held).sel(predictor="dmmse")["loss"].values.tolist() == [4.0, 4.0]


def test_on_the_bundled_run_ridge_learns_from_its_examples_and_zero_does_not():
    loss = ideal_losses(open_run("regression").dataset("probe"))["loss"]
    ridge, zero = loss.sel(predictor="ridge").values, loss.sel(predictor="zero").values
    assert ridge[0] == zero[0]  # no example was seen
    assert (np.diff(ridge) < 0).all()
    assert ridge[-1] < 0.1 * zero[-1]


def test_without_targets_there_are_none():
    assert ideal_losses(None) is None
    assert ideal_losses(xr.Dataset({"inputs": (PLACE, np.zeros((1, 1)))})) is None
