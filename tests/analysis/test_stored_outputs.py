"""Analysis starts from the fullest outputs that a run holds, and takes nothing that is no outputs of one."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from devexplore.analysis import essential_dynamics, joint_dynamics
from devexplore.analysis.stored_outputs import stored_outputs
from devexplore.errors import InvalidSpec
from devexplore.run import held_outputs

VALUES = np.random.default_rng(0).normal(size=(6, 4, 3))


def outputs(values: np.ndarray = VALUES, steps=range(6), kind: str = "logits") -> xr.DataArray:
    dims = ("step", "sequence", "position")[: values.ndim]
    coords = None if steps is None else {"step": np.asarray(steps)}
    return xr.DataArray(values, coords, dims, name="output", attrs={"kind": kind})


def run(**held_as: int | xr.DataArray) -> Any:
    """A run that holds these outputs, or some of so many checkpoints, in these groups."""
    held = {
        f"outputs/{name}": (outputs()[:one] if isinstance(one, int) else one).to_dataset()
        for name, one in held_as.items()
    }
    held["probe"] = xr.Dataset({"token_id": ("position", np.arange(3))})
    return SimpleNamespace(
        name="planted", path="planted", probe_id="p", has=held.__contains__, dataset=held.__getitem__
    )


@pytest.mark.parametrize(
    ("checkpoints", "kind", "first"),
    [
        ({"logits": 3, "logits_sketch": 6}, None, "logits_sketch"),
        ({"logits": 3, "logits_sketch": 6}, "logits", "logits_sketch"),
        ({"logits": 6, "logits_sketch": 6}, None, "logits"),
        ({"logits": 6, "logits_sketch": 3}, None, "logits"),
        ({"logits": 5, "log_probs": 5}, None, "log_probs"),
        ({"logits": 5, "log_probs": 4}, None, "logits"),
        ({"logits": 5, "log_probs": 4}, "log_probs", "log_probs"),
    ],
)
def test_the_outputs_of_the_most_checkpoints_come_first_and_of_equals_whole_ones(checkpoints, kind, first):
    source = run(**checkpoints)
    assert held_outputs(source, kind)[0] == f"outputs/{first}"
    found, its_kind = stored_outputs(source, kind)
    assert found.sizes["step"] == checkpoints[first]
    assert its_kind == first.removesuffix("_sketch")


def test_runs_are_joined_in_the_group_in_which_they_have_the_most_checkpoints_together():
    joint = joint_dynamics([run(log_probs=3, logits=6), run(log_probs=4, logits=2)])
    assert (joint.attrs["output_kind"], joint.sizes["point"]) == ("logits", 8)
    joint = joint_dynamics([run(log_probs=3, logits=6), run(log_probs=5, logits=2)])
    assert (joint.attrs["output_kind"], joint.sizes["point"]) == ("log_probs", 8)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (VALUES + 0j, "complex128"),
        (VALUES.astype(object), "object"),
        (VALUES.astype(str), "<U32"),
        ((1e9 * VALUES).astype("datetime64[ns]"), "datetime64"),
        (VALUES > 0, "bool"),
        (VALUES[:, :0], "at least one output at each step"),
    ],
)
def test_outputs_that_are_no_real_numbers_are_refused(values, says: str):
    with pytest.raises(InvalidSpec, match=says):
        essential_dynamics(outputs(values))


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        (None, r"assign_coords\(step=…\)"),
        (np.arange(6).astype("datetime64[D]"), "finite numbers, got datetime64"),
        (list("abcdef"), "finite numbers, got <U1 a"),
        ([0, 1, 2, 3, 4, np.nan], "finite numbers, got float64 nan"),
        ([0, 1, 2, 3, 4, np.inf], "finite numbers, got float64 inf"),
        ([0, 1, 2, 2, 3, 4], "occur once"),
        (2**62 + np.arange(6), "4611686018427387909 cannot be told apart"),
    ],
)
def test_steps_that_are_no_numbers_of_a_time_are_refused(steps, says: str):
    with pytest.raises(InvalidSpec, match=says):
        essential_dynamics(outputs(steps=steps))
    with pytest.raises(InvalidSpec, match=says):
        joint_dynamics(run(logits=outputs(steps=steps)))


@pytest.mark.parametrize("source", [outputs().to_dataset(), VALUES, None, "language", 3])
def test_what_is_neither_run_nor_outputs_is_refused_with_the_way_to_one(source):
    with pytest.raises(InvalidSpec, match=r"expected a run or outputs as a DataArray .*dx\.open"):
        essential_dynamics(source)
    for several in (source, [source], [run(logits=6), source]):
        with pytest.raises(InvalidSpec, match=r"expected a run, got .*dx\.open"):
            joint_dynamics(several)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidSpec, match="expected a run, got DataArray"):
        joint_dynamics(outputs())  # pyright: ignore[reportArgumentType]


def test_steps_in_any_order_and_outputs_without_other_dimensions_are_outputs():
    backwards, _ = stored_outputs(outputs()[::-1], None)
    xr.testing.assert_equal(backwards, outputs())
    alone, _ = stored_outputs(outputs(VALUES[:, 0, 0].astype(np.float16)), None)
    assert alone.dims == ("step",)
