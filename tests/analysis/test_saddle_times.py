"""When modes are half learned: on strengths made by the theory itself, and on the bundled run."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.integrate import solve_ivp

import devexplore as dx
from devexplore.analysis.saddle_times import saddle_times
from devexplore.errors import InvalidSpec, NotMeasured
from devexplore.measure.deep_linear_metrics import deep_linear_metrics
from devexplore.measure.subject import Subject

SPEC = {"peak_learning_rate": 0.01, "widths": [4, 4, 4, 4], "singular_values": [2.0, 1.0], "init_scale": 0.1}


def run_of(metrics: xr.Dataset, spec: dict[str, Any], system: str = "deep_linear") -> Any:
    return SimpleNamespace(
        name="made",
        system=system,
        recipe={"spec": spec},
        has=lambda group: True,
        dataset=lambda group: metrics,
        remedy=lambda only: f"run `measure --only {only}`",
    )


def test_strengths_that_follow_the_theory_are_predicted_exactly_from_the_start_and_from_any_checkpoint():
    values = np.array(SPEC["singular_values"])
    grown = solve_ivp(
        lambda _, c: c**2 * (values - c**3), (0, 40), [0.1, 0.1], dense_output=True, rtol=1e-10, atol=1e-12
    )
    steps = np.arange(0, 4000, 25)
    strength = grown.sol(steps * 0.01).T ** 3
    metrics = xr.Dataset({"mode_strength": (("step", "teacher_mode"), strength)}, coords={"step": steps})
    found = saddle_times(run_of(metrics, SPEC))
    np.testing.assert_array_equal(found["teacher_value"], values)
    np.testing.assert_array_equal(found["half_upper"] - found["half_lower"], 25)
    for name in ("predicted", "predicted_from_checkpoint"):
        assert ((found["half_lower"] <= found[name]) & (found[name] <= found["half_upper"])).all()
    np.testing.assert_allclose(found["predicted"], found["predicted_from_checkpoint"], rtol=1e-6)
    unfinished = saddle_times(run_of(metrics.isel(step=slice(0, 10)), SPEC))
    assert np.isnan(unfinished["half_upper"]).all()
    np.testing.assert_array_equal(unfinished["predicted"], found["predicted"])


def test_on_the_bundled_run_the_order_and_the_rise_are_as_predicted_and_late_plateaus_last_longer():
    run = dx.open("deep_linear")
    subject = Subject(run, torch.device("cpu"))
    steps = [int(step) for step in run.checkpoints.steps]
    strength = [
        deep_linear_metrics(subject.system, subject.load(step), (), subject.seed)["mode_strength"].values
        for step in steps
    ]
    metrics = xr.Dataset({"mode_strength": (("step", "teacher_mode"), strength)}, coords={"step": steps})
    found = saddle_times(run_of(metrics, run.recipe["spec"]))
    assert (np.diff(found["half_upper"]) > 0).all()
    assert (np.diff(found["predicted"]) > 0).all()
    np.testing.assert_allclose(strength[-1], found["teacher_value"], rtol=0.01)
    late = found["predicted_from_checkpoint"]
    assert ((found["half_lower"] < late) & (late < 1.05 * found["half_upper"])).all()
    off = found["predicted"] / found["half_upper"]
    assert off[0] == pytest.approx(1, abs=0.2)
    assert ((off[1:] > 0.25) & (off[1:] < 0.7)).all()


def test_a_student_equal_to_the_teacher_has_its_strengths():
    run = dx.open("deep_linear")
    subject = Subject(run, torch.device("cpu"))
    left, values, right = subject.system.teacher(3)
    matrices = [torch.eye(6), torch.eye(6), (left * values) @ right.T]
    with torch.no_grad():
        for parameter, matrix in zip(subject.model.parameters(), matrices, strict=True):
            parameter.copy_(matrix)
    found = deep_linear_metrics(subject.system, subject.model, (), 3)
    np.testing.assert_allclose(found["mode_strength"].values, values, rtol=1e-5)
    np.testing.assert_allclose(found["singular_value"].values, [*values, 0, 0], atol=1e-5)


def test_other_systems_and_metrics_of_an_older_version_are_refused_with_what_to_do():
    with pytest.raises(InvalidSpec, match="only deep_linear"):
        saddle_times(run_of(xr.Dataset(), SPEC, "language"))
    with pytest.raises(NotMeasured, match="--only metrics"):
        saddle_times(run_of(xr.Dataset(), SPEC))
