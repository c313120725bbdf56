"""Per-token change on the bundled language run: 140 checkpoints, 4,096 predictions, one thread."""

import pytest

import devexplore as dx

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def run() -> dx.Run:
    return dx.open("language")


def test_grouping_by_when_learned(benchmark, run: dx.Run) -> None:
    stages = dx.find_stages(run)
    assert int(benchmark(lambda: dx.when_learned(run, stages))["count"].sum()) == 32 * 128


def test_ranking_by_class_over_two_steps(benchmark, run: dx.Run) -> None:
    ranked = benchmark(lambda: dx.most_changed(dx.loss_change(run, 400, 11_200), by="class"))
    assert ranked["token_class"].values[0] == "induction"


def test_losses_of_a_page_of_text_at_every_checkpoint(benchmark, run: dx.Run) -> None:
    page = "def test_integrate():\n    x = Symbol('x')\n    assert integrate(x**2, x) == x**3/3\n\n\n" * 24
    own = benchmark.pedantic(lambda: dx.token_losses(run, page), rounds=3, warmup_rounds=1)
    assert own.sizes["step"] == 140
