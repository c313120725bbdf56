"""Chains: the same walk on every path, retired when they diverge, and a model left as it was."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from devexplore.errors import CheckpointMismatch, InvalidSpec, NonFiniteWeights
from devexplore.sampling import ChainTraces, Engine, Execution, LLCSpec, estimate_llc, estimate_llcs
from devexplore.sampling.network import FlatNetwork

SPEC = LLCSpec(
    step_size=1e-3,
    localization=5.0,
    n_beta=30.0,
    batch_size=16,
    chains=5,
    draws=40,
    burn_in=7,
    thinning=2,
    seed=3,
)


def squared_error(model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    inputs, targets = batch
    return ((model(inputs) - targets) ** 2).sum(dim=-1)


def regression_data(n: int = 100) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(n, 3, generator=generator)
    return inputs, torch.randn(n, 2, generator=generator) + inputs[:, :2]


def small_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Tanh(), nn.Linear(4, 2))


def assert_same_walk(one: ChainTraces, other: ChainTraces) -> None:
    for field, mine, theirs in zip(one._fields, one, other, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=2e-4, atol=1e-5, err_msg=field)


@pytest.mark.parametrize("batch_size", [16, 100])
def test_vectorized_sequential_and_any_block_of_rows_walk_alike(batch_size: int) -> None:
    spec = LLCSpec(**{**vars(SPEC), "batch_size": batch_size})
    data, model = regression_data(), small_network()

    def walk(path: str, rows_per_block: int | None) -> ChainTraces:
        execution = Execution(path=path, rows_per_block=rows_per_block)
        return estimate_llc(model, squared_error, data, spec, execution=execution).traces

    together = walk("vectorized", None)
    assert np.ptp(together.loss[:, -1]) > 0.01
    for path, rows_per_block in [
        ("vectorized", 1),
        ("vectorized", 2),
        ("sequential", None),
        ("sequential", 3),
    ]:
        assert_same_walk(together, walk(path, rows_per_block))


def test_a_seed_repeats_and_another_seed_does_not() -> None:
    def run(seed: int) -> np.ndarray:
        spec = LLCSpec(**{**vars(SPEC), "seed": seed})
        return estimate_llc(small_network(), squared_error, regression_data(), spec).traces.loss

    np.testing.assert_array_equal(run(3), run(3))
    assert not np.allclose(run(3), run(4), rtol=1e-2)


def test_more_chains_and_more_draws_only_extend_a_run() -> None:
    def run(chains: int, draws: int) -> np.ndarray:
        spec = LLCSpec(**{**vars(SPEC), "chains": chains, "draws": draws})
        return estimate_llc(small_network(), squared_error, regression_data(), spec).traces.loss

    np.testing.assert_allclose(run(5, 90)[:2, :40], run(2, 40), rtol=1e-4)


def test_the_first_draw_without_burn_in_is_at_w_star_and_pairs_with_itself() -> None:
    spec = LLCSpec(**{**vars(SPEC), "burn_in": 0, "thinning": 1})
    traces = estimate_llc(small_network(), squared_error, regression_data(), spec).traces
    np.testing.assert_allclose(traces.loss[:, 0], traces.baseline[:, 0], rtol=1e-5)


def test_the_baseline_is_the_whole_data_sets_loss_at_w_star_whatever_its_batches() -> None:
    model, data = small_network(), regression_data()
    truth = float(squared_error(model, data).detach().double().mean())
    for baseline_batch in (7, 100, 1000):
        traces = estimate_llc(model, squared_error, data, SPEC, baseline_batch=baseline_batch).traces
        assert traces.init_loss == pytest.approx(truth, rel=1e-6)
    full = LLCSpec(**{**vars(SPEC), "batch_size": 100})
    np.testing.assert_allclose(
        estimate_llc(model, squared_error, data, full).traces.baseline, truth, rtol=1e-6
    )


def test_unshared_noise_gives_each_checkpoint_its_own_walk() -> None:
    def first_batches(shared: bool, scale: float) -> np.ndarray:
        model = nn.Linear(3, 2)
        weights = {"weight": torch.full((2, 3), scale), "bias": torch.zeros(2)}
        spec = LLCSpec(**{**vars(SPEC), "shared_noise": shared})
        data = (torch.arange(100.0)[:, None].expand(-1, 3), torch.zeros(100, 2))
        baseline = estimate_llc(model, squared_error, data, spec, w_star=weights).traces.baseline
        return baseline / scale**2

    np.testing.assert_allclose(first_batches(True, 1.0), first_batches(True, 2.0), rtol=1e-5)
    assert not np.allclose(first_batches(False, 1.0), first_batches(False, 2.0), rtol=1e-2)


class Scalar(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(1))


def potential(of_w: Callable[[Tensor], Tensor]) -> Callable[[Scalar, tuple[Tensor, ...]], Tensor]:
    return lambda model, batch: of_w(model.w).sum().expand(len(batch[0]))


@pytest.mark.parametrize("path", ["vectorized", "sequential"])
def test_beyond_the_stable_step_size_chains_are_marked_diverged_and_nothing_is_raised(
    path: str,
) -> None:
    # a = nβ·h + γ = 11: stable below ε = 4/11
    spec = LLCSpec(step_size=0.42, localization=1, n_beta=10, batch_size=1, chains=3, draws=300, burn_in=100)
    result = estimate_llc(
        Scalar(), potential(lambda w: 0.5 * w**2), (torch.zeros(1),), spec, execution=Execution(path=path)
    )
    assert result.traces.status.tolist() == [1, 1, 1]
    assert result.estimate.diverged_chains == 3
    assert np.isnan(result.estimate[:5]).all()


def test_a_diverged_chain_is_retired_and_leaves_the_others_walking_as_without_it() -> None:
    # with a quartic tail, a large step sends off those chains that happen to wander far
    spec = LLCSpec(step_size=1, localization=0, n_beta=1, batch_size=1, chains=16, draws=100, burn_in=100)
    loss, data = potential(lambda w: 0.5 * w**2 + 0.1 * w**4), (torch.zeros(1),)
    traces, estimate = estimate_llc(Scalar(), loss, data, spec)[:2]
    healthy = traces.status == 0
    assert 0 < healthy.sum() < 16
    assert estimate.diverged_chains == (~healthy).sum()
    assert np.isfinite(traces.loss[healthy]).all()
    assert np.isfinite(estimate.llc)
    assert np.isfinite(estimate.llc_se)
    alone = estimate_llc(Scalar(), loss, data, spec, execution=Execution(rows_per_block=1)).traces
    np.testing.assert_array_equal(alone.status, traces.status)
    np.testing.assert_allclose(alone.loss[healthy], traces.loss[healthy], rtol=1e-3, atol=1e-6)


def test_checkpoints_grid_points_and_components_as_rows_equal_their_runs_alone() -> None:
    data, model = regression_data(), small_network()
    first = {name: tensor.detach() for name, tensor in model.named_parameters()}
    second = {name: 1.1 * tensor for name, tensor in first.items()}
    grid = [SPEC, LLCSpec(**{**vars(SPEC), "step_size": 5e-4, "n_beta": 60.0, "localization": 50.0})]
    components = {"all": None, "last layer": "3.*"}
    stacked = estimate_llcs(
        model, squared_error, data, SPEC, [first, second], grid=grid, components=components
    )
    alone = [
        estimate_llc(model, squared_error, data, spec, w_star=w_star, free=free)
        for w_star in (first, second)
        for spec in grid
        for free in components.values()
    ]
    assert len({round(result.estimate.llc, 3) for result in alone}) == 8
    for one, other in zip(stacked, alone, strict=True):
        assert_same_walk(one.traces, other.traces)
        assert one.estimate.llc == pytest.approx(other.estimate.llc, rel=1e-3)
        assert one.checks.keys() == other.checks.keys()
        assert one.checks["h_max"] == pytest.approx(other.checks["h_max"], rel=1e-3)


def test_checkpoints_with_other_buffers_are_each_run_with_their_own() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    first = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    second = first | {"1.running_mean": first["1.running_mean"] + 3.0}
    stacked = estimate_llcs(model, squared_error, regression_data(), SPEC, [first, second])
    for w_star, result in zip((first, second), stacked, strict=True):
        alone = estimate_llc(model, squared_error, regression_data(), SPEC, w_star=w_star)
        assert_same_walk(result.traces, alone.traces)
    assert not np.allclose(stacked[0].traces.loss, stacked[1].traces.loss, rtol=0.1)


def test_a_grid_may_change_nothing_but_step_size_n_beta_and_localization() -> None:
    other = LLCSpec(**{**vars(SPEC), "draws": 50})
    with pytest.raises(InvalidSpec, match="step_size, n_beta, localization only"):
        estimate_llcs(small_network(), squared_error, regression_data(), SPEC, [], grid=[other])


def test_rows_stay_within_the_memory_and_a_single_row_that_does_not_fit_is_refused() -> None:
    def rows(memory: str, chains: int = 400) -> int:
        spec = LLCSpec(**{**vars(SPEC), "chains": chains})
        execution = Execution(memory=memory, path="vectorized")
        engine = Engine(small_network(), squared_error, regression_data(), spec, execution=execution)
        return engine.plan(None, chains).rows_per_block

    assert 1 <= rows("1MB") < rows("4MB") <= 256
    with pytest.raises(InvalidSpec, match=r"needs .* of memory and 0.01 MB are allowed: lower batch_size"):
        rows("10KB", chains=2)


@pytest.mark.parametrize(
    "wrong", [{"memory": "much"}, {"path": "fast"}, {"rows_per_block": 0}, {"memory": 0}]
)
def test_an_execution_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(InvalidSpec, match=f"^{name} .*got {value!r}"):
        Execution(**wrong)  # type: ignore[arg-type]


def test_free_weights_move_and_the_others_stay_at_w_star() -> None:
    model = small_network()
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    mask = torch.zeros(4, 3, dtype=torch.bool)
    mask[1] = True
    engine = Engine(model, squared_error, regression_data(), SPEC, components={"row": {"0.weight": mask}})
    seen: list[Tensor] = []
    engine.run([None], observe=lambda draw, place, weights: seen.append(weights.clone()))
    moved = (torch.stack(seen) - engine.anchor(None)).abs().amax(dim=(0, 1)) > 0
    expected = torch.cat(
        [mask.flatten() if n == "0.weight" else torch.zeros(s).bool().flatten() for n, s in shapes.items()]
    )
    assert torch.equal(moved, expected)


def test_patterns_that_fit_nothing_and_masks_of_another_shape_are_refused_by_name() -> None:
    def estimate(free: object) -> None:
        estimate_llc(small_network(), squared_error, regression_data(), SPEC, free=free)  # type: ignore[arg-type]

    with pytest.raises(InvalidSpec, match=r"no sampled parameter matches 'head\.\*'; there are 0\.weight"):
        estimate("head.*")
    with pytest.raises(InvalidSpec, match=r"mask of '3\.bias' must be boolean of shape \(2,\)"):
        estimate({"3.bias": torch.ones(3, dtype=torch.bool)})
    with pytest.raises(InvalidSpec, match="no weight is left to move"):
        estimate({"3.bias": torch.zeros(2, dtype=torch.bool)})


def test_rmsprop_sgld_samples_the_same_target_as_sgld() -> None:
    """On a quadratic of curvatures 1 … 100 both give ½Σ nβh/(nβh + γ), far below the unstable step size."""
    curvature = torch.tensor([1.0, 3.0, 10.0, 30.0, 100.0])

    class Bowl(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.zeros(5))

    def loss(model: Bowl, batch: tuple[Tensor, ...]) -> Tensor:
        return (0.5 * (curvature * model.w**2).sum()).expand(len(batch[0]))

    spec = LLCSpec(
        step_size=2e-4,
        localization=5.0,
        n_beta=20.0,
        batch_size=1,
        chains=64,
        draws=1000,
        burn_in=1000,
        thinning=5,
    )
    truth = float((0.5 * 20 * curvature / (20 * curvature + 5)).sum())
    for sampler in ("sgld", "rmsprop_sgld"):
        result = estimate_llc(Bowl(), loss, (torch.zeros(1),), LLCSpec(**{**vars(spec), "sampler": sampler}))
        assert result.estimate.llc_se < 0.02 * truth
        assert abs(result.estimate.llc - truth) < 4 * result.estimate.llc_se + 0.03 * truth


def test_bfloat16_passes_give_the_same_coefficient_within_rounding() -> None:
    spec = LLCSpec(**{**vars(SPEC), "draws": 400, "burn_in": 100})
    model, data = small_network(), regression_data(1000)
    single = estimate_llc(model, squared_error, data, spec)
    half = estimate_llc(model, squared_error, data, LLCSpec(**{**vars(spec), "precision": "bfloat16"}))
    assert half.estimate.llc == pytest.approx(
        single.estimate.llc, abs=0.1 * abs(single.estimate.llc) + single.estimate.llc_se
    )
    assert half.checks["h_max"] == pytest.approx(
        single.checks["h_max"], rel=1e-6
    )  # always in single precision


def test_the_model_is_left_as_it_was_and_dropout_is_off_while_sampling() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2))
    model[0].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    traces = estimate_llc(
        model, squared_error, regression_data(), SPEC, execution=Execution(path="vectorized")
    ).traces
    assert (traces.status == 0).all()
    assert [module.training for module in model.modules()] == [True, False, True, True]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_frozen_weights_and_buffers_stay_where_w_star_puts_them() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    model[0].requires_grad_(False)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    weights["1.running_mean"] += 3.0
    assert FlatNetwork(model, squared_error).n_parameters == 4
    traces = estimate_llc(model, squared_error, regression_data(), SPEC, w_star=weights).traces
    model.load_state_dict(weights)
    model.eval()
    assert traces.init_loss == pytest.approx(
        float(squared_error(model, regression_data()).detach().mean()), rel=1e-5
    )


def test_tied_weights_are_one_weight() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Linear(3, 2, bias=False)
            self.unembed = nn.Linear(3, 2, bias=False)
            self.unembed.weight = self.embed.weight

        def forward(self, inputs: Tensor) -> Tensor:
            return self.embed(inputs) + self.unembed(inputs)

    weights = {name: torch.ones(2, 3) for name in ("embed.weight", "unembed.weight")}
    network = FlatNetwork(Tied(), squared_error)
    data = (torch.ones(4, 3), torch.zeros(4, 2))
    assert network.n_parameters == 6
    assert float(network.losses(network.place(weights), data)[0]) == pytest.approx(72.0)


def test_a_loss_that_cannot_be_vectorized_falls_back_to_the_sequential_path() -> None:
    def branching(model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        losses = squared_error(model, batch)
        return losses if losses.sum().item() > 0 else 2 * losses

    branched = estimate_llc(small_network(), branching, regression_data(), SPEC)
    plain = estimate_llc(small_network(), squared_error, regression_data(), SPEC)
    assert_same_walk(branched.traces, plain.traces)


def test_fused_attention_is_vectorized_with_the_same_walk() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Linear(3, 12)
            self.out = nn.Linear(4, 2)

        def forward(self, inputs: Tensor) -> Tensor:
            q, k, v = self.mix(inputs.unflatten(0, (-1, 4))).unsqueeze(1).chunk(3, dim=-1)
            attended = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            return self.out(attended.squeeze(1)).flatten(0, 1)

    torch.manual_seed(0)
    model = Attention()
    vectorized, sequential = (
        estimate_llc(
            model, squared_error, regression_data(), SPEC, execution=Execution(path=path), baseline_batch=100
        )
        for path in ("vectorized", "sequential")
    )
    assert_same_walk(vectorized.traces, sequential.traces)


def test_half_precision_weights_and_double_data_are_sampled_in_single() -> None:
    model, (inputs, targets) = small_network(), regression_data()
    half = {name: tensor.half() for name, tensor in model.state_dict().items()}
    traces = estimate_llc(model, squared_error, (inputs.double(), targets.double()), SPEC, w_star=half).traces
    assert traces.loss.dtype == np.float32
    assert (traces.status == 0).all()


def test_progress_counts_up_to_all_updates_of_all_chains() -> None:
    seen: list[tuple[int, int]] = []
    estimate_llc(
        small_network(), squared_error, regression_data(), SPEC, progress=lambda *counts: seen.append(counts)
    )
    assert seen == sorted(seen)
    assert seen[-1] == (5 * 87, 5 * 87)


@pytest.mark.parametrize("wrong", [lambda losses: losses.mean(), lambda losses: losses[:, None], float])
def test_a_loss_that_is_not_one_number_per_sample_is_refused(wrong: Callable[[Tensor], object]) -> None:
    def loss(model: nn.Module, batch: tuple[Tensor, ...]) -> object:
        losses = squared_error(model, batch)
        return wrong(losses) if wrong is not float else float(losses.sum())

    with pytest.raises(InvalidSpec, match="one loss per sample"):
        estimate_llc(small_network(), loss, regression_data(), SPEC)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(bad: float) -> None:
    weights = {name: tensor.clone() for name, tensor in small_network().state_dict().items()}
    weights["3.bias"][0] = bad
    with pytest.raises(NonFiniteWeights, match=r"3\.bias"):
        estimate_llc(small_network(), squared_error, regression_data(), SPEC, w_star=weights)


def test_weights_of_another_model_are_refused_by_name_or_shape() -> None:
    weights = dict(small_network().state_dict())
    moved = {name.replace("3.", "4."): tensor for name, tensor in weights.items()}
    with pytest.raises(CheckpointMismatch, match=r"missing \['3\.bias'"):
        estimate_llc(small_network(), squared_error, regression_data(), SPEC, w_star=moved)
    with pytest.raises(CheckpointMismatch, match=r"shape \(3,\)"):
        estimate_llc(
            small_network(),
            squared_error,
            regression_data(),
            SPEC,
            w_star=weights | {"3.bias": torch.zeros(3)},
        )


def test_data_of_unequal_lengths_or_none_are_refused() -> None:
    inputs, targets = regression_data()
    for data in [(inputs, targets[:-1]), (inputs[:0], targets[:0]), ()]:
        with pytest.raises(InvalidSpec, match="same number of samples"):
            estimate_llc(small_network(), squared_error, data, SPEC)


def test_index_blocks_and_noise_count_towards_the_memory() -> None:
    """8,192 samples a batch and 64 steps a block are 4 MB of indices for each of 64 streams, three times."""
    spec = LLCSpec(**{**vars(SPEC), "chains": 64, "batch_size": 8192})
    data = regression_data(20_000)

    def rows(memory: str) -> int:
        execution = Execution(memory=memory, path="sequential")
        engine = Engine(small_network(), squared_error, data, spec, execution=execution)
        return engine.plan(None, 64).rows_per_block

    assert rows("100MB") <= 8
    assert rows("4GB") == 64


def test_a_preconditioned_step_is_not_judged_by_the_stability_of_a_plain_one() -> None:
    spec = LLCSpec(**{**vars(SPEC), "burn_in": 100, "sampler": "rmsprop_sgld"})
    result = estimate_llc(small_network(), squared_error, regression_data(), spec)
    assert np.isnan(result.checks["stability"])
    assert np.isfinite(
        estimate_llc(small_network(), squared_error, regression_data(), SPEC).checks["stability"]
    )


def test_curvature_does_not_depend_on_memory_or_batches_of_passes() -> None:
    found = [
        estimate_llc(small_network(), squared_error, regression_data(), SPEC, baseline_batch=batch).checks
        for batch in (3, 100)
    ]
    for name in ("h_max", "h_min", "slope_shift"):
        assert found[0][name] == pytest.approx(found[1][name], rel=1e-2, abs=1e-4)
