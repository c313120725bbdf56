"""Toy model of superposition: more features than dimensions, f(x) = ReLU(WᵀWx + b) (Elhage et al. 2022).

One feature is on at a time: x = μ·e_i with i uniform and μ ~ U[0, 1]. With two hidden dimensions the columns
of W are points in the plane, the critical points of the loss are regular k-gons, and SGD started near a 4-gon
jumps from k-gon to k-gon, each with a lower loss and a higher learning coefficient (Chen et al. 2023, arXiv
2310.06301).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from devexplore.systems.base import (
    Probe,
    System,
    Variable,
    check_kind,
    normal,
    not_negative,
    positive,
    require,
    rng,
    whole,
)


@dataclass(frozen=True)
class SuperpositionSpec:
    """Hyper-parameters. Training starts from a regular ``start_gon``-gon of unit columns, the other columns
    at 0, all of W disturbed by N(0, ``start_noise``²), and b drawn from |N(0, ``start_bias``²)|.

    A 4-gon is a shallow minimum: a further feature leaves it only where its column starts long enough, hence
    the noise of the ``small`` preset.
    """

    steps: int = 4_500
    features: int = 6
    hidden: int = 2
    start_gon: int = 4
    start_noise: float = 0.3
    start_bias: float = 0.1
    batch_size: int = 1024
    peak_learning_rate: float = 5e-3
    linear_checkpoints: int = 75
    log_checkpoints: int = 50

    def __post_init__(self) -> None:
        whole(self, "steps", "features", "hidden", "batch_size", "linear_checkpoints", "log_checkpoints")
        whole(self, "start_gon", least=0)
        positive(self, "peak_learning_rate")
        not_negative(self, "start_noise", "start_bias")
        require(self.hidden == 2, f"the k-gons live in hidden = 2 dimensions, got {self.hidden}")
        require(
            self.start_gon <= self.features,
            f"start_gon must be 0 … {self.features}, got {self.start_gon}",
        )


PRESETS: Mapping[str, SuperpositionSpec] = {
    "small": SuperpositionSpec(
        steps=5_000,
        features=5,
        batch_size=64,
        peak_learning_rate=0.05,
        linear_checkpoints=60,
        log_checkpoints=100,
    ),
    "paper": SuperpositionSpec(),
}


class SuperpositionNetwork(nn.Module):
    """Inputs (batch, features) → reconstructions (batch, features)."""

    def __init__(self, spec: SuperpositionSpec) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(spec.hidden, spec.features))
        self.bias = nn.Parameter(torch.zeros(spec.features))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x @ self.weight.T @ self.weight + self.bias)


class Superposition(System):
    spec: SuperpositionSpec
    name: ClassVar[str] = "superposition"
    output_kinds: ClassVar[tuple[str, ...]] = ("predictions",)
    trivial_name: ClassVar[str] = "best constant prediction"
    loss_units: ClassVar[str] = "squared error"
    eval_batch: ClassVar[int] = 65_536
    pool_size: ClassVar[int] = 10_000
    held_out_size: ClassVar[int] = 20_000
    PROBE_VALUES: ClassVar[int] = 20
    llc_defaults: ClassVar[Mapping[str, Any]] = {
        "step_size": 1e-3,
        "n_beta": 200.0,
        "localization": 10.0,
        "batch_size": 256,
        "chains": 8,
        "draws": 250,
        "burn_in": 1000,
        "thinning": 12,
    }

    @property
    def trivial_loss(self) -> float:
        """The best constant: each coordinate is on with probability 1/c and mean ½ → c·(1/(3c) − 1/(2c)²)."""
        c = self.spec.features
        return 1 / 3 - 1 / (4 * c)

    def network(self) -> nn.Module:
        return SuperpositionNetwork(self.spec)

    def initialise(self, model: nn.Module, seed: int) -> None:
        generator, spec = rng(seed, "init"), self.spec
        with torch.no_grad():
            weight = spec.start_noise * normal(generator, spec.hidden, spec.features)
            angles = torch.arange(spec.start_gon) * (2 * torch.pi / max(spec.start_gon, 1))
            weight[:, : spec.start_gon] += torch.stack([angles.cos(), angles.sin()])
            model.get_parameter("weight").copy_(weight)
            model.get_parameter("bias").copy_(spec.start_bias * normal(generator, spec.features).abs())

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD(model.parameters(), lr=self.spec.peak_learning_rate)

    def learning_rate(self, step: int) -> float:
        return self.spec.peak_learning_rate

    def _samples(self, generator: np.random.Generator, n: int) -> tuple[Tensor, ...]:
        x = np.zeros((n, self.spec.features), dtype=np.float32)
        x[np.arange(n), generator.integers(self.spec.features, size=n)] = generator.random(
            n, dtype=np.float32
        )
        return (torch.from_numpy(x),)

    def batch(self, seed: int, step: int) -> tuple[Tensor, ...]:
        return self._samples(rng(seed, "batch", step), self.spec.batch_size)

    def pool(self, n: int, seed: int, *, held_out: bool = False) -> tuple[Tensor, ...]:
        return self._samples(rng(seed, "held-out" if held_out else "pool"), n)

    def position_loss(self, model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """‖x − f(x)‖², one "position" a sample; inputs may carry further leading dimensions."""
        (x,) = batch
        return ((model(x) - x) ** 2).sum(dim=-1).view(len(x), -1)

    def outputs(self, model: nn.Module, batch: tuple[Tensor, ...], kind: str) -> Tensor:
        check_kind(self, kind)
        return model(batch[0])

    def reference_names(self, kind: str) -> tuple[str, ...]:
        return ("constant", "identity")

    def _reference(self, name: str, batch: tuple[Tensor, ...], seed: int) -> Tensor:
        """``constant``: the mean 1/(2c) of each of the c features, whatever is shown (``trivial_loss``).
        ``identity``: every feature kept, which two dimensions cannot do.
        """
        x = batch[0].cpu()
        return x if name == "identity" else torch.full_like(x, 1 / (2 * self.spec.features))

    def probe(self, seed: int) -> Probe:
        """Every feature at evenly spaced values of μ; no randomness."""
        values = np.linspace(0, 1, self.PROBE_VALUES + 1, dtype=np.float32)[1:]
        x = np.eye(self.spec.features, dtype=np.float32)[:, None, :] * values[:, None]
        return Probe(
            batch=(torch.from_numpy(x),),
            variables={
                "inputs": Variable(("sequence", "position", "channel"), x, {"long_name": "x = μ·e_i"}),
                "value": Variable(("position",), values, {"long_name": "μ"}),
            },
            sequence_name="feature",
            position_name="value",
        )
