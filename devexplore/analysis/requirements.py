"""What functions that take essential dynamics expect, checked in one place."""

import numpy as np
import xarray as xr

from devexplore.errors import InvalidSpec
from devexplore.schema import CONTENT_HASH

_VARIABLES = ("score", "smooth_score", "weights", "time", "walk_step_variance", "space_center")
_ATTRIBUTES = ("output_kind", "time", "bandwidth", "bandwidth_chosen_by", "n_checkpoints")


def hashes(dynamics: xr.Dataset) -> dict[str, tuple[str, np.ndarray]]:
    """The coordinate that tells ``dx.lift`` whose weights these combinations are for, where it is known."""
    known = CONTENT_HASH in dynamics.coords
    return {CONTENT_HASH: ("checkpoint", dynamics[CONTENT_HASH].values)} if known else {}


def require_dynamics(dataset: object) -> None:
    """Raise ``InvalidSpec`` unless this is what ``essential_dynamics`` returned, with all its checkpoints."""
    again = "call essential_dynamics (again) and give what it returns"
    if not isinstance(dataset, xr.Dataset):
        raise InvalidSpec(
            f"expected the Dataset of essential_dynamics, got {type(dataset).__name__}; {again}"
        )
    lacking = [name for name in _VARIABLES if name not in dataset]
    lacking += [f"attribute {name}" for name in _ATTRIBUTES if name not in dataset.attrs]
    if lacking or not {"step", "component"} <= set(dataset["score"].dims):
        what = ", ".join(lacking) or "a whole score(step, component)"
        raise InvalidSpec(f"these are not (or older) essential dynamics: they lack {what}; {again}")
    if dataset.sizes["step"] != dataset.attrs["n_checkpoints"]:
        raise InvalidSpec(
            f"these are {dataset.sizes['step']} of {dataset.attrs['n_checkpoints']} checkpoints, of which no "
            "point of function space can be combined; take the part from the outputs, "
            "essential_dynamics(outputs.isel(step=…))"
        )
    if not np.isfinite(dataset["score"]).all():
        raise InvalidSpec(f"the scores hold NaN or infinity; {again}")
