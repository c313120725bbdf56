"""In-context linear regression: a transformer that must work out a linear map from the examples in its
context.

Each sequence hides a task t. It shows K pairs (x_k, y_k = t·x_k + noise) as 2K tokens, ``[0, x_k]`` and
``[y_k, 0]``; at each x token the network predicts y. Setting of Raventós et al. 2023 (arXiv 2306.15063) and
of Hoogland et al. 2024 (arXiv 2402.02364): two pre-LN blocks, four heads, width 64, 51,717 parameters.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from devexplore.errors import InvalidSpec
from devexplore.systems.base import (
    Probe,
    System,
    Variable,
    causal_pattern,
    check_kind,
    is_whole,
    normal,
    not_negative,
    positive,
    require,
    rng,
    rows_of_head,
    whole,
)
from devexplore.systems.regression_ideals import dmmse_predictions, ridge_predictions


@dataclass(frozen=True)
class RegressionSpec:
    """Hyper-parameters. ``tasks`` is the size M of the task pool (None: a new task for every sequence, M =
    ∞).

    ``doubled_residual``: the network published with arXiv 2402.02364 adds the residual stream twice in each
    block, x ← 2x + attn + mlp. True gives that network, False the ordinary x ← x + attn + mlp.
    """

    steps: int = 500_000
    dimension: int = 4
    examples: int = 8
    noise_variance: float = 0.125
    tasks: int | None = None
    width: int = 64
    heads: int = 4
    layers: int = 2
    mlp_width: int = 64
    doubled_residual: bool = False
    batch_size: int = 256
    peak_learning_rate: float = 3e-3
    linear_checkpoints: int = 100
    log_checkpoints: int = 100

    def __post_init__(self) -> None:
        whole(self, "steps", "dimension", "examples", "width", "heads", "layers", "mlp_width", "batch_size")
        whole(self, "linear_checkpoints", "log_checkpoints")
        positive(self, "peak_learning_rate")
        not_negative(self, "noise_variance")
        require(self.width % self.heads == 0, f"width {self.width} is not a multiple of {self.heads} heads")
        require(
            self.tasks is None or is_whole(self.tasks),
            f"tasks must be a whole number of at least 1, or None, got {self.tasks!r}",
        )
        require(
            isinstance(self.doubled_residual, bool),
            f"doubled_residual must be true or false, got {self.doubled_residual!r}",
        )


PRESETS: Mapping[str, RegressionSpec] = {
    "small": RegressionSpec(steps=10_000, linear_checkpoints=50, log_checkpoints=90),
    "paper": RegressionSpec(doubled_residual=True),
}


class Attention(nn.Module):
    """Causal multi-head attention without biases."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self._split(x)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(x.shape))

    def pattern(self, x: Tensor) -> Tensor:
        """Attention (batch, head, query, key) that ``forward`` pays on the same inputs."""
        q, k, _ = self._split(x)
        return causal_pattern(q, k)

    def _split(self, x: Tensor) -> Tensor:
        """Queries, keys and values, (batch, position, width) → (3, batch, head, position, width / heads)."""
        batch, position, _ = x.shape
        return self.qkv(x).view(batch, position, 3, self.heads, -1).permute(2, 0, 3, 1, 4)


class Block(nn.Module):
    def __init__(self, spec: RegressionSpec) -> None:
        super().__init__()
        self.doubled = spec.doubled_residual
        self.norm_attention = nn.LayerNorm(spec.width)
        self.attention = Attention(spec.width, spec.heads)
        self.norm_mlp = nn.LayerNorm(spec.width)
        self.mlp = nn.Sequential(
            nn.Linear(spec.width, spec.mlp_width), nn.ReLU(), nn.Linear(spec.mlp_width, spec.width)
        )

    def forward(self, x: Tensor) -> Tensor:
        mid = x + self.attention(self.norm_attention(x))
        out = mid + self.mlp(self.norm_mlp(mid))
        return x + out if self.doubled else out


class RegressionTransformer(nn.Module):
    """Tokens (batch, 2K, D+1) → outputs of the same shape; entry 0 of the output at an x token is the
    prediction ŷ.
    """

    def __init__(self, spec: RegressionSpec) -> None:
        super().__init__()
        self.embed = nn.Linear(spec.dimension + 1, spec.width, bias=False)
        self.position = nn.Parameter(torch.zeros(2 * spec.examples, spec.width))
        self.blocks = nn.Sequential(*(Block(spec) for _ in range(spec.layers)))
        self.norm = nn.LayerNorm(spec.width)
        self.unembed = nn.Linear(spec.width, spec.dimension + 1)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.unembed(self.norm(self.blocks(self.embed(tokens) + self.position)))


class Regression(System):
    name: ClassVar[str] = "regression"
    output_kinds: ClassVar[tuple[str, ...]] = ("predictions", "logits")
    trivial_name: ClassVar[str] = "predictor of zero"
    loss_units: ClassVar[str] = "squared error"
    eval_batch: ClassVar[int] = 1024
    pool_size: ClassVar[int] = 16_384
    held_out_size: ClassVar[int] = 4096
    PROBE_SIZE: ClassVar[int] = 1024
    llc_defaults: ClassVar[Mapping[str, Any]] = {
        "step_size": 3e-5,
        "n_beta": 300.0,
        "localization": 300.0,
        "batch_size": 32,
        "chains": 4,
        "draws": 50,
        "burn_in": 450,
        "thinning": 4,
    }

    spec: RegressionSpec

    @property
    def trivial_loss(self) -> float:
        """ŷ = 0 (the task prior's mean) costs E[y²] = D + σ²."""
        return self.spec.dimension + self.spec.noise_variance

    def network(self) -> nn.Module:
        return RegressionTransformer(self.spec)

    def initialise(self, model: nn.Module, seed: int) -> None:
        """Matrices U(±1/√fan_in) as in torch's Linear, positions N(0, 0.02²), LayerNorms 1 and 0."""
        generator = rng(seed, "init")
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name == "position":
                    parameter.copy_(0.02 * normal(generator, *parameter.shape))
                elif parameter.ndim == 2:
                    bound = parameter.shape[1] ** -0.5
                    parameter.copy_(torch.from_numpy(generator.uniform(-bound, bound, parameter.shape)))
                elif "norm" in name and name.endswith("weight"):
                    parameter.fill_(1)
                else:
                    parameter.zero_()

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(model.parameters(), lr=self.spec.peak_learning_rate, fused=True)

    def learning_rate(self, step: int) -> float:
        """Triangle: rises linearly to the peak at half time, falls linearly to zero."""
        return self.spec.peak_learning_rate * max(0.0, 1 - abs(2 * (step + 0.5) / self.spec.steps - 1))

    def task_pool(self, seed: int) -> Tensor:
        """The M tasks of a run, shape (M, dimension). Raises InvalidSpec where M = ∞."""
        if self.spec.tasks is None:
            raise InvalidSpec(
                "a run with tasks=None (M = ∞) has no pool of tasks: every sequence has its own"
            )
        return normal(rng(seed, "tasks"), self.spec.tasks, self.spec.dimension)

    def _tasks(self, generator: np.random.Generator, n: int, seed: int) -> Tensor:
        if self.spec.tasks is None:
            return normal(generator, n, self.spec.dimension)
        return self.task_pool(seed)[torch.from_numpy(generator.integers(self.spec.tasks, size=n))]

    def _pairs(
        self, generator: np.random.Generator, task: Tensor, input_scale: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        spec, n = self.spec, len(task)
        x = input_scale * normal(generator, n, spec.examples, spec.dimension)
        noise = spec.noise_variance**0.5 * normal(generator, n, spec.examples)
        return x, torch.einsum("nkd,nd->nk", x, task) + noise

    def _samples(self, generator: np.random.Generator, n: int, seed: int) -> tuple[Tensor, Tensor]:
        return self._pairs(generator, self._tasks(generator, n, seed))

    def batch(self, seed: int, step: int) -> tuple[Tensor, ...]:
        return self._samples(rng(seed, "batch", step), self.spec.batch_size, seed)

    def pool(self, n: int, seed: int, *, held_out: bool = False) -> tuple[Tensor, ...]:
        return self._samples(rng(seed, "held-out" if held_out else "pool"), n, seed)

    def restricted_pool(self, data: str, n: int, seed: int) -> tuple[Tensor, ...]:
        """``tasks:SCALE``: the same regression with tasks drawn from N(0, SCALE²). ``inputs:SCALE``: with
        the run's own tasks and inputs drawn from N(0, SCALE²). The draws behind all scales are the same.
        """
        kind, _, scale = data.partition(":")
        try:
            factor = float(scale) if kind in ("tasks", "inputs") else float("nan")
        except ValueError:
            factor = float("nan")
        require(
            factor >= 0,
            "other data of a regression run are 'tasks:SCALE' or 'inputs:SCALE', such as tasks:2, "
            f"got {data!r}",
        )
        generator, spec = rng(seed, "restricted"), self.spec
        if kind == "tasks":
            return self._pairs(generator, factor * normal(generator, n, spec.dimension))
        return self._pairs(generator, self._tasks(generator, n, seed), input_scale=factor)

    def components(self, model: nn.Module) -> dict[str, dict[str, Tensor | None]]:
        """Every head, MLP and LayerNorm, embedding, positions, unembedding."""
        shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
        parts: dict[str, dict[str, Tensor | None]] = {
            "embedding": {"embed.weight": None},
            "positions": {"position": None},
        }
        for layer in range(self.spec.layers):
            qkv, out = (f"blocks.{layer}.attention.{name}.weight" for name in ("qkv", "out"))
            for head in range(self.spec.heads):
                parts[f"layer {layer + 1} head {head + 1}"] = {
                    qkv: rows_of_head(shapes[qkv], self.spec.heads, head, blocks=3),
                    out: rows_of_head(shapes[out], self.spec.heads, head, dim=1),
                }
            parts[f"layer {layer + 1} MLP"] = {
                name: None for name in shapes if name.startswith(f"blocks.{layer}.mlp.")
            }
        parts["unembedding"] = {"unembed.weight": None, "unembed.bias": None}
        return parts

    def tokens(self, x: Tensor, y: Tensor) -> Tensor:
        """What the network reads: ``[0, x_k]`` and ``[y_k, 0]`` in turn, shape (sequence, 2K, D + 1)."""
        tokens = x.new_zeros(x.shape[0], 2 * x.shape[1], x.shape[2] + 1)
        tokens[:, 0::2, 1:] = x
        tokens[:, 1::2, 0] = y
        return tokens

    def position_loss(self, model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        x, y = batch
        return (self.predictions(model(self.tokens(x, y))) - y) ** 2

    def outputs(self, model: nn.Module, batch: tuple[Tensor, ...], kind: str) -> Tensor:
        """``predictions``: ŷ_k, shape (sequence, K). ``logits``: all outputs at all 2K tokens, as the
        paper's ED used.
        """
        check_kind(self, kind)
        out = model(self.tokens(*batch))
        return self.predictions(out) if kind == "predictions" else out

    def predictions(self, out: Tensor) -> Tensor:
        """ŷ_k, entry 0 at the x tokens of the network's whole output; shape (sequence, K)."""
        return out[:, 0::2, 0]

    def output_dim(self, kind: str) -> str | None:
        return None if kind == "predictions" else "channel"

    def reference_names(self, kind: str) -> tuple[str, ...]:
        """Predictions only: what ``logits`` holds beside them, no data fix. ``dmmse`` needs a finite pool of
        tasks and noise.
        """
        if kind != "predictions":
            return ()
        discrete = self.spec.tasks is not None and self.spec.noise_variance > 0
        return ("zero", "ridge", "dmmse") if discrete else ("zero", "ridge")

    def _reference(self, name: str, batch: tuple[Tensor, ...], seed: int) -> Tensor:
        """``zero``: the mean of the task prior N(0, I). ``ridge``: the Bayes optimum for M = ∞. ``dmmse``:
        the Bayes optimum for this run's own M tasks.
        """
        x, y = (tensor.cpu() for tensor in batch)
        if name == "zero":
            return torch.zeros_like(y)
        if name == "ridge":
            return ridge_predictions(x, y, self.spec.noise_variance)
        return dmmse_predictions(x, y, self.task_pool(seed), self.spec.noise_variance)

    def probe(self, seed: int) -> Probe:
        x, y = self._samples(rng(seed, "probe"), self.PROBE_SIZE, seed)
        return Probe(
            batch=(x, y),
            variables={
                "inputs": Variable(("sequence", "position", "dimension"), x.numpy(), {"long_name": "x"}),
                "targets": Variable(("sequence", "position"), y.numpy(), {"long_name": "y, with its noise"}),
                "ridge": Variable(
                    ("sequence", "position"),
                    ridge_predictions(x, y, self.spec.noise_variance).numpy(),
                    {"long_name": "ridge prediction, the Bayes optimum for M = ∞"},
                ),
            },
            sequence_name="sequence",
            position_name="example",
        )
