"""Deep linear networks, y = W_L … W_1 x, whose training from a small start climbs a staircase of saddles.

The teacher is a linear map with distinct singular values. From small weights, gradient descent learns its
modes one by one, the strongest first; in between the loss rests on plateaus, where the student has the
teacher's first r modes (Saxe et al. 2014; Jacot et al. 2021). The learning coefficient of each rank is known
in closed form (Aoyagi 2024).
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
    is_real,
    is_whole,
    normal,
    not_negative,
    positive,
    require,
    rng,
    whole,
)


@dataclass(frozen=True)
class DeepLinearSpec:
    """Hyper-parameters. ``widths`` H_0 … H_L; ``singular_values`` of the teacher, decreasing;
    ``init_scale`` a draws W_l from N(0, a²/H_{l−1}); ``samples`` in the fixed training set, all of which
    enter every step.
    """

    steps: int = 20_000
    widths: tuple[int, ...] = (6, 6, 6, 6)
    singular_values: tuple[float, ...] = (4.0, 2.5, 1.5, 0.8)
    init_scale: float = 0.03
    noise_std: float = 0.1
    samples: int = 1024
    peak_learning_rate: float = 0.01
    linear_checkpoints: int = 60
    log_checkpoints: int = 90

    def __post_init__(self) -> None:
        whole(self, "steps", "samples", "linear_checkpoints", "log_checkpoints")
        positive(self, "init_scale", "peak_learning_rate")
        not_negative(self, "noise_std")
        widths, values = self.widths, self.singular_values
        require(
            isinstance(widths, tuple) and len(widths) >= 3 and all(is_whole(width) for width in widths),
            f"widths must name at least 3 layers (input, hidden, output) of at least 1, got {widths!r}",
        )
        require(
            isinstance(values, tuple) and len(values) >= 1 and all(is_real(value) for value in values),
            f"singular_values must be numbers separated by commas, got {values!r}",
        )
        require(
            all(a > b for a, b in zip(values, (*values[1:], 0.0), strict=True)),
            f"singular_values must decrease and stay above 0, got {values}",
        )
        require(
            len(values) <= min(self.widths[0], self.widths[-1]),
            f"{self.widths[0]} × {self.widths[-1]} maps have fewer than {len(values)} singular values",
        )

    @property
    def batch_size(self) -> int:
        return self.samples


PRESETS: Mapping[str, DeepLinearSpec] = {
    "small": DeepLinearSpec(),
    "paper": DeepLinearSpec(
        steps=60_000,
        widths=(10, 10, 10, 10),
        singular_values=(8.0, 6.0, 4.5, 3.0, 2.0),
        init_scale=0.01,
        peak_learning_rate=0.003,
    ),
}


class DeepLinearNetwork(nn.Module):
    """Inputs (…, H_0) → outputs (…, H_L)."""

    def __init__(self, spec: DeepLinearSpec) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Linear(a, b, bias=False) for a, b in zip(spec.widths[:-1], spec.widths[1:], strict=True))
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class DeepLinear(System):
    spec: DeepLinearSpec
    name: ClassVar[str] = "deep_linear"
    output_kinds: ClassVar[tuple[str, ...]] = ("predictions",)
    trivial_name: ClassVar[str] = "predictor of zero"
    loss_units: ClassVar[str] = "half squared error"
    eval_batch: ClassVar[int] = 65_536
    held_out_size: ClassVar[int] = 4096
    llc_defaults: ClassVar[Mapping[str, Any]] = {
        "step_size": 6e-5,
        "n_beta": 300.0,
        "localization": 1000.0,
        "batch_size": 256,
        "chains": 8,
        "draws": 250,
        "burn_in": 250,
        "thinning": 4,
    }

    @property
    def trivial_loss(self) -> float:
        """Predicting 0 costs ½(Σ s² + H_L σ²)."""
        spec = self.spec
        return 0.5 * (sum(s**2 for s in spec.singular_values) + spec.widths[-1] * spec.noise_std**2)

    def teacher(self, seed: int) -> tuple[Tensor, Tensor, Tensor]:
        """Left vectors, singular values and right vectors of the teacher, drawn once from the seed."""
        spec, generator = self.spec, rng(seed, "teacher")
        rank = len(spec.singular_values)
        left = torch.linalg.qr(normal(generator, spec.widths[-1], rank).double())[0]
        right = torch.linalg.qr(normal(generator, spec.widths[0], rank).double())[0]
        return left.float(), torch.tensor(spec.singular_values), right.float()

    def network(self) -> nn.Module:
        return DeepLinearNetwork(self.spec)

    def initialise(self, model: nn.Module, seed: int) -> None:
        generator = rng(seed, "init")
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(
                    self.spec.init_scale * normal(generator, *parameter.shape) / parameter.shape[1] ** 0.5
                )

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD(model.parameters(), lr=self.spec.peak_learning_rate)

    def learning_rate(self, step: int) -> float:
        return self.spec.peak_learning_rate

    def _samples(self, generator: np.random.Generator, n: int, seed: int) -> tuple[Tensor, ...]:
        left, values, right = self.teacher(seed)
        x = normal(generator, n, self.spec.widths[0])
        return x, x @ right * values @ left.T + self.spec.noise_std * normal(
            generator, n, self.spec.widths[-1]
        )

    def batch(self, seed: int, step: int) -> tuple[Tensor, ...]:
        """The whole training set, the same at every step: plain gradient descent."""
        return self._samples(rng(seed, "train"), self.spec.samples, seed)

    def pool(self, n: int, seed: int, *, held_out: bool = False) -> tuple[Tensor, ...]:
        """The training set itself (all of it, whatever ``n``), on which the weights are a critical point;
        or fresh samples.
        """
        if held_out:
            return self._samples(rng(seed, "held-out"), n, seed)
        return self.batch(seed, 0)

    def position_loss(self, model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """½‖y − f(x)‖², one "position" a sample."""
        x, y = batch
        return 0.5 * ((model(x) - y) ** 2).sum(dim=-1).view(len(x), -1)

    def outputs(self, model: nn.Module, batch: tuple[Tensor, ...], kind: str) -> Tensor:
        check_kind(self, kind)
        return model(batch[0])

    def reference_names(self, kind: str) -> tuple[str, ...]:
        return ("zero", "teacher")

    def _reference(self, name: str, batch: tuple[Tensor, ...], seed: int) -> Tensor:
        """``zero``: the saddle that training starts at. ``teacher``: the map that training is to find."""
        left, values, right = self.teacher(seed)
        teacher = batch[0].cpu() @ right * values @ left.T
        return teacher if name == "teacher" else torch.zeros_like(teacher)

    def probe(self, seed: int) -> Probe:
        """The teacher's right singular vectors: each shows how much of one mode has been learned."""
        left, values, right = self.teacher(seed)
        x, y = right.T[:, None, :].contiguous(), (left * values).T[:, None, :].contiguous()
        dims = ("sequence", "position", "channel")
        return Probe(
            batch=(x, y),
            variables={
                "inputs": Variable(
                    (*dims[:2], "dimension"),
                    x.numpy(),
                    {"long_name": "right singular vector of the teacher"},
                ),
                "targets": Variable(dims, y.numpy(), {"long_name": "teacher's output"}),
                "teacher_value": Variable(
                    ("sequence",), values.numpy(), {"long_name": "singular value of the teacher"}
                ),
            },
            sequence_name="mode",
            position_name="input",
        )
