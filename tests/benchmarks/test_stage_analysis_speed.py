"""Stages, developments and agreement of probes on the bundled language run, in memory, one thread."""

from time import process_time

import pytest

import devexplore as dx

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.benchmark(timer=process_time)]


@pytest.fixture(scope="module")
def run() -> dx.Run:
    run = dx.open("language")
    dx.essential_dynamics(run)  # the outputs, on the first use on a machine
    return run


def test_stages_of_the_llc(benchmark, run: dx.Run) -> None:
    assert benchmark(lambda: dx.find_stages(run)).sizes["stage"] > 1


def test_developments_with_intervals(benchmark, run: dx.Run) -> None:
    assert "missing" in benchmark(lambda: dx.developments(run)).attrs


def test_agreement_of_every_curve(benchmark, run: dx.Run) -> None:
    found = benchmark.pedantic(lambda: dx.agreement(run), rounds=3, warmup_rounds=1)
    assert found.sizes["curve_name"] > 5


def test_change_points_of_the_loss(benchmark, run: dx.Run) -> None:
    assert benchmark(lambda: dx.change_points(run, curve="loss")).sizes["curve_step"] == 140


def test_free_energy_with_draws(benchmark, run: dx.Run) -> None:
    stages = dx.find_stages(run)
    assert benchmark(lambda: dx.free_energy(run, stages)).sizes["n"] > 100
