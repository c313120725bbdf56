"""How far a lifted form is from what ideal predictors would say: zero, ridge, discrete MMSE and others."""

import numpy as np
import xarray as xr

from devexplore.errors import InvalidSpec


def reference_distances(lifted: xr.Dataset) -> xr.Dataset:
    """Mean squared difference between each predictor of a lift and each idealised one, at each position.

    For regression: distance (predictor, ideal, position) = mean over sequences of (ŷ − ŷ_ideal)², in squared
    units of the output; distance_se, its standard error over sequences; mean_distance (predictor, ideal),
    over positions as well. The first position has seen no example, so ridge and zero agree there. For other
    systems channels are summed, and there is no standard error: their probe is not a sample.

    Raises:
        InvalidSpec: for a lift of a language run (use ``read_form``).
    """
    if not isinstance(lifted, xr.Dataset) or "reference" not in lifted:
        raise InvalidSpec(
            "this lift has no idealised predictors beside it; for a language run use read_form(lifted)"
        )
    squared = (lifted["prediction"] - lifted["reference"]) ** 2
    if "channel" in squared.dims:
        squared = squared.sum("channel")
    squared = squared.transpose("predictor", "ideal", "sequence", "position")
    sampled = lifted.attrs.get("system") == "regression" and squared.sizes["sequence"] > 1
    se = squared.std("sequence", ddof=1) / np.sqrt(squared.sizes["sequence"]) if sampled else np.nan
    distance = squared.mean("sequence")
    return xr.Dataset(
        {
            "distance": distance.assign_attrs(long_name="mean squared distance"),
            "distance_se": se * xr.ones_like(distance),
            "mean_distance": distance.mean("position"),
        },
        attrs={key: lifted.attrs[key] for key in ("run", "system") if key in lifted.attrs},
    )
