"""Networks and their data: sizes, reproducibility, causality, and what each system promises of itself."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from devexplore import systems
from devexplore.errors import InvalidSpec
from devexplore.systems.attention_only import AttentionOnlyTransformer, ShortformerAttention
from devexplore.systems.base import in_parts, rng
from devexplore.systems.deep_linear import PRESETS as DEEP_LINEAR
from devexplore.systems.deep_linear import DeepLinear
from devexplore.systems.language import PRESETS as LANGUAGE
from devexplore.systems.regression import PRESETS as REGRESSION
from devexplore.systems.regression import Block, Regression, RegressionTransformer
from devexplore.systems.superposition import PRESETS as SUPERPOSITION
from devexplore.systems.superposition import Superposition

NOWHERE = Path("no-such-run")


@pytest.fixture(params=systems.NAMES)
def system(request: pytest.FixtureRequest, smallest, tmp_path: Path) -> systems.System:
    return systems.from_preset(request.param, "small", smallest(request.param), tmp_path)


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def randomised(network: torch.nn.Module) -> torch.nn.Module:
    """Every weight, biases and positions included, drawn anew, so that nothing is zero by initialisation."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return network.double().eval()


def test_networks_have_the_published_numbers_of_parameters():
    assert parameters(RegressionTransformer(REGRESSION["paper"])) == 51_717
    assert parameters(RegressionTransformer(REGRESSION["small"])) == 51_717
    assert parameters(AttentionOnlyTransformer(LANGUAGE["small"])) == 107_904
    assert parameters(AttentionOnlyTransformer(LANGUAGE["paper"])) == 3_355_016


def initial_weights(system: systems.System, seed: int) -> torch.Tensor:
    network = system.network()
    system.initialise(network, seed)
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(system: systems.System):
    assert torch.equal(initial_weights(system, 3), initial_weights(system, 3))
    assert not torch.equal(initial_weights(system, 3), initial_weights(system, 4))


def test_initial_weights_do_not_depend_on_torchs_own_random_state(system: systems.System):
    torch.manual_seed(1)
    first = initial_weights(system, 0)
    torch.manual_seed(2)
    assert torch.equal(first, initial_weights(system, 0))


def equal(left: tuple[torch.Tensor, ...], right: tuple[torch.Tensor, ...]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def test_batches_depend_on_seed_and_step_alone(system: systems.System, smallest, tmp_path: Path):
    forwards = [system.batch(0, step) for step in range(4)]
    again = systems.from_preset(system.name, "small", smallest(system.name), tmp_path)
    np.random.seed(5)  # noqa: NPY002 - the global state that must not matter
    backwards = [again.batch(0, step) for step in reversed(range(4))][::-1]
    assert all(equal(a, b) for a, b in zip(forwards, backwards, strict=True))
    assert not equal(system.batch(0, 1), system.batch(1, 1))
    fixed_data = system.name == "deep_linear"  # full-batch gradient descent: all of it at every step
    assert equal(forwards[0], forwards[1]) == fixed_data


def test_pools_are_reproducible_and_held_out_samples_are_others(system: systems.System):
    assert equal(system.pool(16, 0), system.pool(16, 0))
    assert equal(system.pool(16, 0, held_out=True), system.pool(16, 0, held_out=True))
    assert not equal(
        tuple(t[:16] for t in system.pool(16, 0)), tuple(t[:16] for t in system.pool(16, 0, held_out=True))
    )


def test_random_streams_of_different_purposes_differ():
    draws = {
        rng(seed, purpose, step).integers(2**62)
        for seed in (0, 1)
        for purpose in ("init", "batch", "pool", "held-out", "probe", "tasks")
        for step in (0, 1)
    }
    assert len(draws) == 24


def test_the_loss_of_a_sample_is_its_mean_over_positions(system: systems.System):
    network, batch = system.network(), system.pool(5, 0)
    system.initialise(network, 0)
    positions = system.position_loss(network, batch)
    torch.testing.assert_close(system.per_sample_loss(network, batch), positions.mean(dim=1))
    parts = [system.position_loss(network, part) for part in in_parts(batch, 2)]
    torch.testing.assert_close(torch.cat(parts), positions)


def test_predictions_of_tokens_ignore_the_future():
    network = randomised(AttentionOnlyTransformer(replace(LANGUAGE["small"], context=16, width=16)))
    tokens = torch.randint(512, (3, 16), generator=torch.Generator().manual_seed(0))
    changed = tokens.clone()
    changed[:, 9:] = (changed[:, 9:] + 1) % 512
    before, after = network(tokens), network(changed)
    torch.testing.assert_close(before[:, :9], after[:, :9])
    assert not torch.allclose(before[:, 9:], after[:, 9:])


def test_predictions_of_y_see_their_own_x_but_neither_their_y_nor_later_pairs():
    system = Regression(replace(REGRESSION["small"], width=16), NOWHERE)
    network = randomised(system.network())
    x, y = (tensor.double() for tensor in system.pool(3, 0))
    before = system.outputs(network, (x, y), "predictions")
    later_y, own_x = y.clone(), x.clone()
    later_y[:, 4:] += 1
    own_x[:, 4] += 1
    after_y = system.outputs(network, (x, later_y), "predictions")
    after_x = system.outputs(network, (own_x, y), "predictions")
    torch.testing.assert_close(before[:, :5], after_y[:, :5])
    assert (before[:, 5:] - after_y[:, 5:]).abs().min() > 1e-6
    torch.testing.assert_close(before[:, :4], after_x[:, :4])
    assert (before[:, 4] - after_x[:, 4]).abs().min() > 1e-6


def test_positions_never_enter_values():
    """With one token repeated all values are equal, so no pattern of attention can change the mixture."""
    attention = randomised(ShortformerAttention(width=16, heads=4))
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 1, 16, dtype=torch.float64, generator=generator).expand(2, 7, 16)
    position, other = torch.randn(2, 7, 16, dtype=torch.float64, generator=generator)
    torch.testing.assert_close(attention(x, position), attention(x, other))
    torch.testing.assert_close(
        attention(x, position), attention.get_submodule("out")(attention.get_submodule("value")(x))
    )
    mixed = torch.randn(2, 7, 16, dtype=torch.float64, generator=generator)
    assert not torch.allclose(attention(mixed, position), attention(mixed, other))


@pytest.mark.parametrize(("doubled", "factor"), [(False, 1), (True, 2)])
def test_a_doubled_residual_gives_2x_plus_attention_plus_mlp(doubled: bool, factor: int):
    block = randomised(Block(replace(REGRESSION["small"], width=16, doubled_residual=doubled)))
    x = torch.randn(2, 6, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    part = block.get_submodule
    attention = part("attention")(part("norm_attention")(x))
    mlp = part("mlp")(part("norm_mlp")(x + attention))
    torch.testing.assert_close(block(x), factor * x + attention + mlp)


def test_attention_written_out_is_the_networks_attention():
    attention = randomised(ShortformerAttention(width=8, heads=2))
    x, position = torch.randn(2, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    part = attention.get_submodule
    q, k, v = part("query")(x + position), part("key")(x + position), part("value")(x)
    heads = []
    for head in (slice(0, 4), slice(4, 8)):
        scores = q[:, head] @ k[:, head].T / 4**0.5
        scores = scores.masked_fill(torch.ones(5, 5).triu(1).bool(), -torch.inf)
        heads.append(scores.softmax(dim=-1) @ v[:, head])
    expected = part("out")(torch.cat(heads, dim=-1))
    torch.testing.assert_close(attention(x[None], position)[0], expected)


def test_a_finite_task_pool_uses_its_tasks_and_no_others():
    spec = replace(REGRESSION["small"], tasks=3, noise_variance=0.0)
    system = Regression(spec, NOWHERE)
    found = []
    for x, y in (system.batch(0, 0), system.batch(0, 7), system.pool(64, 0, held_out=True)):
        found.append(torch.linalg.lstsq(x.double(), y.double()[..., None]).solution[..., 0])
    tasks = torch.cat(found)
    distinct = torch.unique((tasks * 1e3).round(), dim=0)
    assert len(distinct) == 3
    free = Regression(replace(spec, tasks=None), NOWHERE).batch(0, 0)
    solutions = torch.linalg.lstsq(free[0].double(), free[1].double()[..., None]).solution[..., 0]
    assert len(torch.unique((solutions * 1e3).round(), dim=0)) == spec.batch_size


@pytest.mark.parametrize(
    ("system", "baseline"),
    [
        (Regression(REGRESSION["small"], NOWHERE), lambda x, y: (y**2).mean(dim=1)),
        (DeepLinear(DEEP_LINEAR["small"], NOWHERE), lambda x, y: 0.5 * (y**2).sum(dim=1)),
        (Superposition(SUPERPOSITION["small"], NOWHERE), lambda x: ((x - x.mean(dim=0)) ** 2).sum(dim=1)),
        (Superposition(SUPERPOSITION["paper"], NOWHERE), lambda x: ((x - x.mean(dim=0)) ** 2).sum(dim=1)),
    ],
    ids=["regression", "deep_linear", "superposition-5", "superposition-6"],
)
def test_the_trivial_loss_is_the_mean_loss_of_the_best_constant(system: systems.System, baseline):
    losses = baseline(*(tensor.double() for tensor in system.pool(40_000, 1, held_out=True)))
    error = losses.std() / len(losses) ** 0.5
    assert abs(losses.mean() - system.trivial_loss) < 4 * error
    assert error < 0.02 * system.trivial_loss


def test_the_trivial_loss_of_language_is_that_of_equal_logits(smallest, tmp_path: Path):
    system = systems.from_preset("language", "small", smallest("language"), tmp_path)
    network = system.network()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    losses = system.position_loss(network, system.pool(3, 0))
    torch.testing.assert_close(losses, torch.full_like(losses, system.trivial_loss))


def test_an_unknown_preset_system_or_hyper_parameter_is_refused_naming_the_known_ones(tmp_path: Path):
    with pytest.raises(InvalidSpec, match="language, regression, superposition, deep_linear"):
        systems.from_preset("vision", "small", {}, tmp_path)
    with pytest.raises(InvalidSpec, match="small, paper"):
        systems.from_preset("regression", "huge", {}, tmp_path)
    with pytest.raises(InvalidSpec, match=r"no hyper-parameter depth; it has steps"):
        systems.from_preset("regression", "small", {"depth": 3}, tmp_path)


NOT_WHOLE = [0, -1, 1.5, 4000.0, True, "ten", None, float("nan")]
NOT_POSITIVE = [0, -1.0, float("nan"), float("inf"), "ten", True, None]
NEGATIVE = [-0.1, float("nan"), float("inf"), "ten", None]
BAD = {
    "language": {
        **dict.fromkeys(
            ["steps", "vocabulary", "context", "width", "layers", "heads", "batch_size"], NOT_WHOLE
        ),
        **dict.fromkeys(["linear_checkpoints", "log_checkpoints"], NOT_WHOLE),
        **dict.fromkeys(["peak_learning_rate", "init_scale"], NOT_POSITIVE),
        "warmup_steps": [-1, 0.5, "ten", None],
        "weight_decay": NEGATIVE,
        "gradient_clip": NOT_POSITIVE[:-1],
        "betas": [0.9, (0.9,), (0.9, 1.0), (-0.1, 0.9), "ten", None],
        "text": [5, None],
    },
    "regression": {
        **dict.fromkeys(
            ["steps", "dimension", "examples", "width", "heads", "layers", "mlp_width", "batch_size"],
            NOT_WHOLE,
        ),
        **dict.fromkeys(["linear_checkpoints", "log_checkpoints"], NOT_WHOLE),
        "peak_learning_rate": NOT_POSITIVE,
        "noise_variance": NEGATIVE,
        "tasks": [0, -1, 1.5, True, "ten"],
        "doubled_residual": [1, "yes", None],
    },
    "superposition": {
        **dict.fromkeys(["steps", "features", "batch_size"], NOT_WHOLE),
        **dict.fromkeys(["linear_checkpoints", "log_checkpoints"], NOT_WHOLE),
        "hidden": [*NOT_WHOLE, 3],
        "peak_learning_rate": NOT_POSITIVE,
        "start_gon": [-1, 7, 1.5, "ten", None],
        **dict.fromkeys(["start_noise", "start_bias"], NEGATIVE),
    },
    "deep_linear": {
        **dict.fromkeys(["steps", "samples", "linear_checkpoints", "log_checkpoints"], NOT_WHOLE),
        **dict.fromkeys(["init_scale", "peak_learning_rate"], NOT_POSITIVE),
        "noise_std": NEGATIVE,
        "widths": [6, (6, 6), (6, 0, 6), (6.0, 6, 6), "ten", None],
        "singular_values": [
            3.0,
            (),
            (1.0, 2.0),
            (1.0, 1.0),
            (1.0, 0.0),
            (1.0, "x"),
            tuple(range(9, 0, -1)),
            None,
        ],
    },
}


@pytest.mark.parametrize(("name", "field"), [(n, f) for n, fields in BAD.items() for f in fields])
def test_every_hyper_parameter_refuses_what_it_cannot_be(name: str, field: str, tmp_path: Path):
    for value in BAD[name][field]:
        with pytest.raises(InvalidSpec) as refused:
            systems.from_preset(name, "small", {field: value}, tmp_path)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", systems.NAMES)
def test_every_hyper_parameter_is_checked(name: str, smallest, tmp_path: Path):
    spec = systems.from_preset(name, "small", smallest(name), tmp_path).spec
    assert set(vars(spec)) == set(BAD[name])


def test_combinations_that_make_no_network_are_refused(tmp_path: Path):
    for name, changes, words in [
        ("language", {"width": 10, "heads": 4}, "width 10 is not a multiple of 4 heads"),
        ("language", {"vocabulary": 257}, "vocabulary must be between 258 and 65,536, got 257"),
        ("language", {"vocabulary": 65_537}, "vocabulary must be between 258 and 65,536, got 65537"),
        ("language", {"context": 7}, "context must be at least 8 tokens, got 7"),
        ("language", {"layers": 3}, "layers must be 1 or 2, got 3"),
        ("regression", {"width": 10, "heads": 4}, "width 10 is not a multiple of 4 heads"),
    ]:
        with pytest.raises(InvalidSpec, match=words):
            systems.from_preset(name, "small", changes, tmp_path)


def test_a_system_comes_back_from_its_recipe(system: systems.System, tmp_path: Path):
    import json

    recipe = json.loads(json.dumps({"system": system.name, **system.recipe()}))
    assert systems.from_recipe(recipe, tmp_path).spec == system.spec
    recipe["spec"]["colour"] = "blue"
    with pytest.raises(InvalidSpec, match="colour"):
        systems.from_recipe(recipe, tmp_path)
