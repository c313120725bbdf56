"""Verdicts on /llc as stores hold it, new and old."""

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from devexplore.analysis.trust import count_verdicts, trust
from devexplore.sampling.thresholds import Thresholds
from devexplore.sampling.trust import DOUBTFUL, NOT_AN_LLC, TRUSTED

SETTINGS = {
    "n_beta": 100.0,
    "localization": 10.0,
    "step_size": 1e-3,
    "burn_in": 100,
    "draws": 200,
    "thinning": 2,
    "chains": 4,
    "n_parameters": 30,
    "trivial_loss": 6.0,
    "trivial_name": "uniform predictor",
}


@pytest.fixture
def llc() -> xr.Dataset:
    """Four good checkpoints of seven; one diverged, one above the uniform predictor, one short of draws."""
    step = np.array([0, 1, 10, 100, 1000, 5000, 9000])
    checks = {
        "llc": [1.0, np.nan, 300.0, 10.0, 11.0, 10.5, 10.0],
        "llc_se": [0.3, np.nan, 1.0, 0.3, 0.3, 0.3, 0.3],
        "rhat": [1.0, np.nan, 1.0, 1.0, 1.0, 1.0, 1.0],
        "ess": [100.0, np.nan, 100.0, 100.0, 5.0, 100.0, 100.0],
        "init_loss": [5.0, 4.8, 4.5, 3.0, 2.0, 1.5, 1.0],
        "excess_loss": [0.01, np.nan, 3.0, 0.1, 0.11, 0.105, 0.1],
        "diverged_chains": [0, 4, 0, 0, 0, 0, 0],
    }
    data = xr.Dataset({name: ("step", values) for name, values in checks.items()}, coords={"step": step})
    data["excess_loss"].attrs["units"] = "nats"
    return data.assign(content_hash=("step", np.array(list("abcdefg"), dtype=object))).assign_attrs(SETTINGS)


def test_each_checkpoint_has_a_verdict_and_its_reason_in_words(llc: xr.Dataset) -> None:
    judged = trust(llc)
    expected = [TRUSTED, NOT_AN_LLC, NOT_AN_LLC, TRUSTED, DOUBTFUL, TRUSTED, TRUSTED]
    assert judged["verdict"].values.tolist() == expected
    assert judged["verdict"].dtype == np.int8
    assert judged["reason"].values[0] == judged["kind"].values[0] == ""
    assert judged["reason"].values[1] == "all 4 chains diverged"
    assert (
        judged["reason"]
        .values[2]
        .startswith(
            "chains sit 3 nats above L(w*), above the uniform predictor: λ̂ here is the loss upside down; "
        )
    )
    assert "above P/2 = 15" in judged["reason"].values[2]
    assert judged["kind"].values.tolist()[4] == "too few effective draws"


def test_the_thresholds_are_recorded_and_can_be_chosen(llc: xr.Dataset) -> None:
    assert trust(llc).attrs["ess"] == Thresholds().ess
    lenient = trust(llc, Thresholds(ess=3.0))
    assert lenient["verdict"].values[4] == TRUSTED
    assert lenient.attrs["ess"] == 3.0


def test_an_older_run_is_judged_by_what_it_holds_and_says_what_is_missing(llc: xr.Dataset) -> None:
    old = llc.drop_vars("init_loss").assign_attrs(n_parameters=None)
    del old.attrs["trivial_loss"], old.attrs["step_size"]
    judged = trust(old)
    assert judged["verdict"].values.tolist() == [0, NOT_AN_LLC, 0, 0, DOUBTFUL, 0, 0]
    assert {"init_loss", "slope_shift", "stability"} <= set(judged.attrs["not_judged"])
    assert "init_loss" not in trust(llc).attrs["not_judged"]


def test_a_curve_of_bare_values_is_judged_by_sign(llc: xr.Dataset) -> None:
    bare = llc[["llc"]].drop_attrs()
    bare["llc"][3] = -1.0
    assert trust(bare)["verdict"].values.tolist() == [0, 2, 0, 2, 0, 0, 0]


def test_verdicts_are_counted_with_the_commonest_reason_of_each(llc: xr.Dataset) -> None:
    def words(*at: int) -> list[str]:
        several = llc.isel(step=list(at)).assign_coords(step=np.arange(len(at)))
        return [count.words for count in count_verdicts(trust(several))]

    assert words(3, 5, 6) == ["3 trusted"]
    assert words(3, 4, 6) == ["2 trusted", "1 doubtful: too few effective draws"]
    assert words(1, 1, 2, 4) == [
        "1 doubtful: too few effective draws",
        "3 not an LLC: mostly all chains diverged",
    ]


def test_a_verdict_needs_no_torch() -> None:
    program = (
        "import sys, devexplore.sampling.trust, devexplore.analysis.trust; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
