"""Random walks behind the trajectory: one trace a plane, the walks that forms are compared with."""

import base64
import json

import numpy as np
import pytest
import xarray as xr

from devexplore.analysis import essential_dynamics
from devexplore.analysis.null_walks import null_walks
from devexplore.app.payload import encode
from devexplore.views.style import LIGHT
from devexplore.views.walk_layer import walk_layers


@pytest.fixture(scope="module")
def dynamics():
    rng = np.random.default_rng(3)
    step = np.unique(np.geomspace(1, 3000, 40).round().astype(int)) - 1
    path = np.cumsum(rng.standard_normal((step.size, 30)), axis=0)
    outputs = xr.DataArray(
        path, dims=("step", "feature"), coords={"step": step}, attrs={"kind": "predictions"}
    )
    return essential_dynamics(outputs, n_components=4)


def numbers(trace, axis):
    """As the page gets them."""
    sent = json.loads(encode(trace))[axis]
    return np.frombuffer(base64.b64decode(sent["bdata"]), dtype=sent["dtype"])


def test_every_plane_has_all_walks_in_one_trace_apart_from_each_other(dynamics):
    walks = null_walks(dynamics, 3)
    drawn = walk_layers(dynamics, walks, LIGHT)
    assert len(drawn["planes"]) == 3
    for trace in [*drawn["planes"], drawn["space"]]:
        assert trace["meta"]["layer"] == "null"
        assert trace["hoverinfo"] == "skip"
        assert np.isnan(numbers(trace, "x")).sum() == 3
    assert "3 of the random walks that forms are compared with" in drawn["words"]
    assert "3 random walks, not those" in walk_layers(dynamics, walks, LIGHT, compared=False)["words"]


def test_the_lines_are_the_walks_curves_in_the_components_that_are_drawn(dynamics):
    walks = null_walks(dynamics, 2)
    drawn = walk_layers(dynamics, walks, LIGHT, (1, 2, 4))
    size = walks.sizes["curve"]
    space = drawn["space"]
    for k in range(2):
        part = slice(k * (size + 1), k * (size + 1) + size)
        for axis, component in zip("xyz", (1, 2, 4), strict=True):
            expected = walks["curve_score"].isel(walk=k).sel(component=component).values
            np.testing.assert_allclose(numbers(space, axis)[part], expected)
