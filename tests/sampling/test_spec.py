"""An LLCSpec holds only settings that a chain can run with."""

import dataclasses
import math

import pytest

from devexplore.errors import InvalidSpec
from devexplore.sampling import LLCSpec

VALID = {"step_size": 1e-3, "localization": 1.0, "batch_size": 8, "chains": 2, "draws": 10, "burn_in": 0}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("step_size", 0.0),
        ("step_size", -1e-3),
        ("step_size", math.nan),
        ("step_size", "0.1"),
        ("localization", -1.0),
        ("localization", math.inf),
        ("n_beta", 0.0),
        ("n_beta", True),
        ("batch_size", 0),
        ("batch_size", 2.5),
        ("chains", 0),
        ("draws", 3),
        ("burn_in", -1),
        ("thinning", 0),
        ("seed", -1),
        ("seed", True),
        ("shared_noise", 1),
    ],
)
def test_a_setting_outside_its_range_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InvalidSpec, match=name):
        LLCSpec(**(VALID | {name: value}))


def test_a_spec_cannot_be_changed_after_validation() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        LLCSpec(**VALID).step_size = 1.0  # type: ignore[misc]


def test_n_beta_defaults_to_n_over_log_n_of_the_data_set_whatever_the_batch_size() -> None:
    small_batch, large_batch = (LLCSpec(**(VALID | {"batch_size": size})) for size in (1, 500))
    assert small_batch.n_beta_for(1000) == large_batch.n_beta_for(1000) == 1000 / math.log(1000)
    assert LLCSpec(**VALID, n_beta=7).n_beta_for(1000) == 7.0
    with pytest.raises(InvalidSpec, match="state n_beta"):
        small_batch.n_beta_for(1)
