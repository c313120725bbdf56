"""Healthy estimates are not accused; planted faults are named.

Chains come from the engine, curvature from ``curvature``; the checks of a case are what a store would hold.
"""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from devexplore.sampling import LLCSpec, estimate_llc, llc_from_traces
from devexplore.sampling.curvature import Curvature, curvature, slope_shift, stability
from devexplore.sampling.sweep import Setting
from devexplore.sampling.thresholds import Thresholds
from devexplore.sampling.trust import DOUBTFUL, NOT_AN_LLC, TRUSTED, Verdicts, judge

Loss = Callable[[nn.Module, tuple[Tensor, ...]], Tensor]
NO_DATA = (torch.zeros(1),)


def half_squared_error(model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    return 0.5 * ((model(batch[0]) - batch[1]) ** 2).sum(dim=-1)


class Point(nn.Module):
    """Weights that are only a point: the loss is a function of w."""

    def __init__(self, at: Tensor) -> None:
        super().__init__()
        self.w = nn.Parameter(at.clone())


def potential(of_w: Callable[[Tensor], Tensor]) -> Loss:
    return lambda model, batch: of_w(model.w).sum().expand(len(batch[0]))


class Problem(NamedTuple):
    """A network at w*, with settings at which its LLC can be measured."""

    model: nn.Module
    loss: Loss
    data: tuple[Tensor, ...]
    settings: dict[str, float]
    trivial_loss: float | None = None


def curvature_at(problem: Problem) -> Curvature:
    names = [name for name, _ in problem.model.named_parameters()]
    own = [parameter.detach() for parameter in problem.model.parameters()]
    loss = _Loss(problem.model, problem.loss)

    def gradient(weights: Tensor) -> Tensor:
        rows = []
        for row in weights:
            flat = row.clone().requires_grad_()
            pieces = flat.split([parameter.numel() for parameter in own])
            named = {
                f"model.{name}": piece.view_as(parameter)
                for name, piece, parameter in zip(names, pieces, own, strict=True)
            }
            mean = torch.func.functional_call(loss, named, problem.data).mean()
            rows.append(torch.autograd.grad(mean, flat)[0])
        return torch.stack(rows)

    return curvature(gradient, torch.cat([parameter.flatten() for parameter in own])[None])


class _Loss(nn.Module):
    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, *batch: Tensor) -> Tensor:
        return self.loss(self.model, batch)


class Sampled(NamedTuple):
    """Many chains at one checkpoint, to be judged in sets."""

    problem: Problem
    spec: LLCSpec
    traces: tuple
    curvature: Curvature

    def checks(self, chains: slice = slice(None), draws: slice = slice(None)) -> dict[str, float]:
        spec, traces = self.spec, self.traces
        estimate = llc_from_traces(
            traces.loss[chains, draws],
            traces.baseline[chains, draws],
            traces.status[chains],
            n_beta=spec.n_beta,
            distance=traces.distance[chains],
            anchor_norm=traces.anchor_norm,
            localization=spec.localization,
            n_parameters=self.n_parameters,
            init_loss=traces.init_loss,
        )
        temperature = {"n_beta": spec.n_beta, "localization": spec.localization}
        h_max, h_min, descent, slope, gradient_norm = self.curvature
        shift = slope_shift(
            slope,
            gradient_norm,
            **temperature,
            step_size=spec.step_size,
            burn_in=spec.burn_in,
            updates=spec.updates,
        )
        return estimate._asdict() | {
            "h_max": h_max[0],
            "h_min": h_min[0],
            "descent": descent[0],
            "stability": stability(h_max, step_size=spec.step_size, **temperature)[0],
            "slope_shift": shift.shift[0],
        }

    @property
    def n_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.problem.model.parameters())

    def setting(self, chains: int) -> Setting:
        return Setting(
            n_beta=self.spec.n_beta,
            localization=self.spec.localization,
            step_size=self.spec.step_size,
            updates=self.spec.updates,
            chains=chains,
            n_parameters=self.n_parameters,
            trivial_loss=self.problem.trivial_loss,
            trivial_name="mean predictor",
        )

    def verdict(self) -> Verdicts:
        checks = {name: np.array([value], dtype=float) for name, value in self.checks().items()}
        return judge(checks, self.setting(self.spec.chains))


def sample(problem: Problem, *, chains: int = 8, draws: int = 400, burn_in: int = 400, **changes) -> Sampled:
    spec = LLCSpec(**problem.settings | changes, chains=chains, draws=draws, burn_in=burn_in)
    traces = estimate_llc(problem.model, problem.loss, problem.data, spec).traces
    return Sampled(problem, spec, traces, curvature_at(problem))


def normals(seed: int) -> Callable[..., Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64)


def quadratic() -> Problem:
    h = torch.linspace(0.5, 5, 10)
    settings = {"step_size": 1e-2, "n_beta": 20.0, "localization": 5.0, "batch_size": 1}
    return Problem(Point(torch.ones(10)), potential(lambda w: 0.5 * h * (w - 1) ** 2), NO_DATA, settings)


def linear_network(widths: list[int], rank: int, noise: float, **settings: float) -> Problem:
    """A (deep) linear network at the balanced optimum of given rank on 2,000 noisy samples."""
    normal = normals(seed=len(widths))
    inputs = normal(2000, widths[0])
    left, right = (torch.linalg.qr(normal(width, rank)).Q for width in (widths[0], widths[-1]))
    targets = inputs @ (left * torch.linspace(2, 1, rank)) @ right.T + noise * normal(2000, widths[-1])
    best = torch.linalg.lstsq(inputs, targets).solution
    kept = torch.linalg.svd(inputs @ best, full_matrices=False).Vh[:rank]
    u, s, vh = torch.linalg.svd(best @ kept.T @ kept, full_matrices=False)
    layers = [nn.Linear(a, b, bias=False) for a, b in itertools.pairwise(widths)]
    root = torch.diag(s[:rank] ** (1 / len(layers)))
    with torch.no_grad():
        for i, layer in enumerate(layers):
            block = root
            block = block @ u[:, :rank].T if i == 0 else block
            block = vh[:rank].T @ block if i == len(layers) - 1 else block
            layer.weight.zero_()
            layer.weight[: block.shape[0], : block.shape[1]] = block.float()
    data = (inputs.float(), targets.float())
    trivial = float(0.5 * (targets**2).sum(dim=1).mean())
    return Problem(nn.Sequential(*layers), half_squared_error, data, settings, trivial)


HEALTHY = {
    "quadratic": quadratic,
    "linear regression": lambda: linear_network(
        [10, 3], 3, 1.0, step_size=5e-4, n_beta=260.0, localization=1.0, batch_size=128
    ),
    "reduced rank 8-4-8": lambda: linear_network(
        [8, 4, 8], 2, 1.0, step_size=3e-4, n_beta=200.0, localization=1.0, batch_size=128
    ),
    "deep linear 6-6-6-6": lambda: linear_network(
        [6, 6, 6, 6], 3, 0.5, step_size=2e-4, n_beta=150.0, localization=10.0, batch_size=64
    ),
}
PER_NETWORK = 50


@pytest.mark.slow
def test_of_two_hundred_healthy_estimates_at_most_one_in_twenty_is_accused() -> None:
    """Fifty sets of 3 to 8 chains and 40 to 1000 draws on each network, by all checks together."""
    accused = []
    rng = np.random.default_rng(0)
    for name, build in HEALTHY.items():
        sampled = sample(build(), chains=8 * PER_NETWORK, draws=1000, burn_in=2000)
        for one in range(PER_NETWORK):
            n_chains = int(rng.integers(3, 9))
            draws, thinning = [(40, 5), (100, 5), (200, 2), (400, 1), (1000, 1)][one % 5]
            chains = slice(8 * one, 8 * one + n_chains)
            checks = sampled.checks(chains, slice(1000 - draws * thinning, None, thinning))
            found = judge(
                {key: np.array([value], dtype=float) for key, value in checks.items()},
                sampled.setting(n_chains),
            )
            if found.verdict[0] != TRUSTED:
                accused.append(f"{name}, {n_chains} chains × {draws} draws: {found.reasons[0]}")
    assert len(accused) <= 10, "\n".join(accused)


@pytest.mark.parametrize("name", HEALTHY)
def test_each_healthy_network_is_trusted(name: str) -> None:
    found = sample(HEALTHY[name](), draws=300, burn_in=1000).verdict()
    assert found.reasons == [()]
    assert found.verdict.tolist() == [TRUSTED]


CURVATURES = torch.linspace(0.5, 5, 10)
STIFFEST = 20 * 5.0 + 5.0
"""nβ·h_max + γ of the quadratic."""


def only(found: Verdicts) -> tuple[int, str]:
    """The verdict on the only checkpoint, and its reasons."""
    assert len(found.verdict) == 1
    return int(found.verdict[0]), "; ".join(found.reasons[0])


@pytest.mark.parametrize(
    ("stability", "level", "words"),
    [
        (1.8, TRUSTED, ""),
        (2.5, DOUBTFUL, "2.5 of 4 makes the stiffest direction's variance 2.7 times"),
        (3.9, NOT_AN_LLC, "the most a minimum of 10 weights can have: the step is too large"),
        (4.05, NOT_AN_LLC, "the step is unstable: ε(nβ·h_max + γ) = 4.05"),
    ],
)
def test_a_step_just_below_and_just_above_the_limit_is_named(
    stability: float, level: int, words: str
) -> None:
    verdict, reasons = only(sample(quadratic(), step_size=stability / STIFFEST).verdict())
    assert verdict == level
    assert words in reasons


@pytest.mark.parametrize(
    ("displacement", "level", "words"),
    [(0.02, TRUSTED, ""), (0.18, DOUBTFUL, "not quite a minimum"), (0.6, NOT_AN_LLC, "w* is no minimum")],
)
def test_a_w_star_beside_the_minimum_is_named_as_far_as_it_matters(
    displacement: float, level: int, words: str
) -> None:
    centre = 1 + displacement * torch.linspace(1, 0.2, 10)
    beside = quadratic()._replace(loss=potential(lambda w: 0.5 * CURVATURES * (w - centre) ** 2))
    verdict, reasons = only(sample(beside).verdict())
    assert verdict == level
    assert words in reasons


def saddle(steepness: float) -> Problem:
    """Ten directions up, one down to a valley of depth steepness²/4·16 at a distance of 4·√steepness."""

    def loss(w: Tensor) -> Tensor:
        along = w[10] - 1
        valley = along**4 / 64 - steepness * along**2 / 2
        return 0.5 * CURVATURES * (w[:10] - 1) ** 2 + valley / 10

    return Problem(Point(torch.ones(11)), potential(loss), NO_DATA, quadratic().settings)


def test_a_saddle_is_named_and_one_that_is_deep_is_no_llc() -> None:
    verdict, reasons = only(sample(saddle(0.55), draws=800, burn_in=1600).verdict())
    assert verdict >= DOUBTFUL
    assert "w* is a saddle" in reasons
    verdict, reasons = only(sample(saddle(1.0), draws=800, burn_in=1600).verdict())
    assert verdict == NOT_AN_LLC
    assert "w* is a saddle" in reasons
    assert "below zero: the chains found lower ground" in reasons


def test_chains_that_leave_a_shallow_basin_for_a_deep_one_are_named() -> None:
    """Two wells in each of six directions: a minimum at w*, and lower ground behind a low barrier."""

    def loss(w: Tensor) -> Tensor:
        return 0.25 * (w**2 - 1) ** 2 + 0.2 * (w - 1)

    at = torch.full((6,), 0.8787)  # w³ − w + .2 = 0
    problem = Problem(
        Point(at),
        potential(loss),
        NO_DATA,
        {"step_size": 1e-2, "n_beta": 30.0, "localization": 0.1, "batch_size": 1},
    )
    assert curvature_at(problem).h_min[0] > 1  # a proper minimum
    verdict, reasons = only(sample(problem, draws=1000, burn_in=4000).verdict())
    assert verdict == NOT_AN_LLC
    assert "below zero: the chains found lower ground" in reasons


def trained_classifier(steps: int) -> Problem:
    """A small network after so many steps on four Gaussian classes, with an nβ far too low for it."""
    torch.manual_seed(0)
    labels = torch.arange(400) % 4
    inputs = torch.randn(400, 5) + 2.5 * torch.eye(5)[labels]
    model = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 4))

    def loss(model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")

    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(steps):
        optimiser.zero_grad()
        loss(model, (inputs, labels)).mean().backward()
        optimiser.step()
    settings = {"step_size": 0.02, "n_beta": 2.0, "localization": 0.05, "batch_size": 400}
    return Problem(model, loss, (inputs, labels), settings, trivial_loss=float(np.log(4)))


def test_chains_above_the_trivial_predictor_are_the_loss_upside_down() -> None:
    verdict, reasons = only(sample(trained_classifier(200), draws=400, burn_in=2000).verdict())
    assert verdict == NOT_AN_LLC
    assert "above L(w*), above the mean predictor: λ̂ here is the loss upside down" in reasons


def test_a_loss_that_is_not_a_number_at_w_star_is_named() -> None:
    nowhere = Problem(Point(-torch.ones(3)), potential(torch.log), NO_DATA, quadratic().settings)
    verdict, reasons = only(sample(nowhere, draws=20, burn_in=0).verdict())
    assert (verdict, reasons) == (NOT_AN_LLC, "L(w*) is not a number: the weights or the loss are not finite")


def test_some_diverged_chains_cast_doubt_and_all_leave_nothing() -> None:
    """With a quartic tail, a large step sends off those chains that happen to wander far."""
    quartic = Problem(
        Point(torch.zeros(1)),
        potential(lambda w: 0.5 * w**2 + 0.1 * w**4),
        NO_DATA,
        {"step_size": 1.0, "n_beta": 1.0, "localization": 0.0, "batch_size": 1},
    )
    sampled = sample(quartic, chains=16, draws=100, burn_in=100)
    diverged = int((sampled.traces.status != 0).sum())
    assert 0 < diverged < 16
    verdict, reasons = only(sampled.verdict())
    assert verdict == DOUBTFUL
    assert f"chains diverged and left out: {diverged} of 16" in reasons
    verdict, reasons = only(sample(quadratic(), step_size=0.1).verdict())
    assert verdict == NOT_AN_LLC
    assert "all 8 chains diverged" in reasons


def curve(init_loss: np.ndarray, llc: np.ndarray, error: float, n_beta: float, **more: float) -> Verdicts:
    checks = {
        "llc": llc,
        "llc_se": np.full(len(llc), error),
        "init_loss": init_loss,
        "excess_loss": llc / n_beta,
    }
    return judge(checks, Setting(n_beta=n_beta, **more))


@pytest.mark.parametrize("checkpoints", [12, 60, 300])
def test_an_llc_that_is_the_loss_upside_down_along_training_is_named_at_any_density(checkpoints: int) -> None:
    """As in published data: chains sit at 4.43 whatever the checkpoint. No trivial loss is known here."""
    rng = np.random.default_rng(0)
    init_loss = np.linspace(4.1, 2.5, checkpoints)
    found = curve(init_loss, 66.7 * (4.43 - init_loss) + 0.3 * rng.normal(size=checkpoints), 0.3, 66.7)
    assert (found.verdict == NOT_AN_LLC).all()
    assert "chains sit at the same loss (4.43) whatever the checkpoint" in found.reasons[5][0]


def test_only_the_stretch_that_is_upside_down_is_accused() -> None:
    init_loss = np.linspace(4.1, 2.5, 60)
    llc = np.where(np.arange(60) < 30, 66.7 * (4.43 - init_loss), 20 + np.linspace(0, 5, 60))
    found = curve(init_loss, llc, 0.3, 66.7)
    assert (found.verdict[:25] == NOT_AN_LLC).all()
    assert (found.verdict[35:] == TRUSTED).all()


@pytest.mark.parametrize("seed", range(20))
def test_a_healthy_curve_that_rises_while_the_loss_falls_is_not_accused(seed: int) -> None:
    """λ grows from stage to stage up to 60 while nβ·L falls by some hundreds."""
    rng = np.random.default_rng(seed)
    x = np.linspace(0, 1, 80)
    stages = sum(
        height / (1 + np.exp(-(x - at) / width))
        for height, at, width in zip(
            rng.uniform(5, 20, 3), rng.uniform(0.1, 0.9, 3), rng.uniform(0.01, 0.1, 3), strict=True
        )
    )
    init_loss = 5 - 3 * x ** rng.uniform(0.3, 1) - 0.5 / (1 + np.exp(-(x - rng.uniform()) / 0.02))
    found = curve(init_loss, stages + rng.normal(size=80), 1.0, 200.0, trivial_loss=6.2)
    assert (found.verdict == TRUSTED).all()


def one(setting: Setting | None = None, **checks: float) -> tuple[int, str]:
    return only(judge({name: np.array([value]) for name, value in checks.items()}, setting or Setting()))


@pytest.mark.parametrize(
    ("checks", "words"),
    [
        (
            {"half_drift": 0.4, "half_drift_z": 6.0},
            "second half of the draws is 40% higher than of the first",
        ),
        ({"rhat": 1.5}, "chains disagree: R̂ = 1.50 > 1.2"),
        ({"ess": 4.0}, "only 4.0 effective draws"),
        ({"spread": 8.0}, "8.0 times what diffusion under γ alone reaches"),
        ({"relative_distance": 5.0}, "5.0 times as far from w* as w* is from zero"),
        ({"diverged_chains": 1.0}, "chains diverged and left out: 1"),
    ],
)
def test_each_warning_says_what_was_seen(checks: dict[str, float], words: str) -> None:
    verdict, reasons = one(llc=10.0, llc_se=1.0, **checks)
    assert verdict == DOUBTFUL
    assert words in reasons


def test_an_llc_above_half_the_parameters_is_doubtful_and_above_all_of_them_none() -> None:
    setting = Setting(n_parameters=20)
    assert one(setting, llc=10.5, llc_se=0.1) == (TRUSTED, "")
    assert one(setting, llc=14.0, llc_se=0.1)[0] == DOUBTFUL
    verdict, reasons = one(setting, llc=25.0, llc_se=0.1)
    assert verdict == NOT_AN_LLC
    assert "above P/2 = 10" in reasons


def test_short_chains_have_not_diffused_far_and_are_held_against_what_they_could_reach() -> None:
    """After a tenth of the relaxation time, half of the final spread is five times too much."""
    short = Setting(localization=10.0, step_size=1e-3, updates=10)
    assert one(Setting(), llc=10.0, llc_se=1.0, spread=0.5) == (TRUSTED, "")
    assert one(short, llc=10.0, llc_se=1.0, spread=0.5)[0] == DOUBTFUL
    assert one(short, llc=10.0, llc_se=1.0, spread=0.09) == (TRUSTED, "")


def test_what_was_not_recorded_accuses_nobody() -> None:
    assert one(llc=5.0) == (TRUSTED, "")
    unknown = dict.fromkeys(("llc_se", "rhat", "ess", "stability", "slope_shift", "half_drift_z"), np.nan)
    assert one(llc=5.0, **unknown) == (TRUSTED, "")


def test_an_estimate_without_a_value_is_none() -> None:
    assert one(llc=np.nan, diverged_chains=3.0) == (NOT_AN_LLC, "all 3 chains diverged")
    assert one(llc=np.nan) == (NOT_AN_LLC, "λ̂ has no value")
    assert one(llc=np.nan, init_loss=np.nan, diverged_chains=3.0)[1].startswith("L(w*) is not a number")


def test_other_limits_give_other_verdicts_and_the_gravest_reason_comes_first() -> None:
    checks = {"llc": np.array([-5.0]), "llc_se": np.array([1.0]), "rhat": np.array([1.5])}
    found = judge(checks, Setting())
    assert found.verdict.tolist() == [NOT_AN_LLC]
    assert found.kinds == [("below zero, so no local minimum", "chains disagree")]
    lenient = judge(checks, Setting(), Thresholds(negative_fatal=10, rhat=2))
    assert lenient.verdict.tolist() == [TRUSTED]


def test_a_plateau_that_earlier_chains_fall_to_is_not_accused_with_them() -> None:
    """Saddle to saddle: chains of checkpoints on the way down end on the next plateau, where its own stay."""
    init_loss = np.concatenate([np.linspace(9, 1.2, 12), np.full(8, 0.34)])
    fallen = np.full(20, 0.353)
    llc = 1000 * (fallen - init_loss)
    checks = {
        "llc": llc,
        "llc_se": np.full(20, 0.5),
        "init_loss": init_loss,
        "excess_loss": fallen - init_loss,
    }
    verdict = judge(checks, Setting(n_beta=1000.0)).verdict
    assert (verdict[:12] == 2).all()
    assert (verdict[12:] == 0).all()


def test_a_saddle_near_the_edge_of_what_the_pull_holds_is_counted_by_how_far_l_falls() -> None:
    """L = −½|h|t² + ct⁴ has depth h²/16c; under γ the valley lies where L has fallen by u(2 − u) of it."""
    h, c, n_beta, localization = -4.0, 1.0, 100.0, 280.0
    t2 = (n_beta * abs(h) - localization) / (4 * n_beta * c)
    fallen, depth = 0.5 * abs(h) * t2 - c * t2**2, h**2 / (16 * c)
    share = 1 - localization / (n_beta * abs(h))
    assert fallen / depth == pytest.approx(share * (2 - share))
    checks = {
        "llc": np.array([n_beta * fallen]),
        "llc_se": np.array([0.1]),
        "h_min": np.array([h]),
        "descent": np.array([depth]),
    }
    setting = Setting(n_beta=n_beta, localization=localization, step_size=1e-3, updates=4000)
    (reasons,) = judge(checks, setting).reasons
    assert reasons[0].startswith("w* is a saddle")
    assert f"about {n_beta * fallen:.2g} off" in reasons[0]
