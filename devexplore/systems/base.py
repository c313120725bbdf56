"""What a system is: a network, its data, its loss, and a probe on which its development is watched.

A system is stateless. Every random draw comes from a generator seeded by ``(seed, purpose, step)``, so that
the batch of step 1,234 is the same whether training got there in one go or after ten interruptions, and on
any device.
"""

import math
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from devexplore.errors import InvalidSpec


def rng(seed: int, purpose: str, step: int = 0) -> np.random.Generator:
    """A generator for one purpose ("init", "batch", "probe" …) at one step; streams never overlap."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), step])


def normal(generator: np.random.Generator, *shape: int) -> Tensor:
    """Standard normal float32 draws of the given shape."""
    return torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))


@dataclass(frozen=True)
class Variable:
    """One named array of a probe: its values, its dimension names and what a reader should know of it."""

    dims: tuple[str, ...]
    values: np.ndarray
    attrs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Probe:
    """Fixed inputs on which every checkpoint is run.

    ``batch`` is what the network's loss takes (tensors indexed by sequence along dimension 0),
    ``variables`` what a person reads, ``sequence_names`` and ``position_names`` how the two axes are
    called.
    """

    batch: tuple[Tensor, ...]
    variables: Mapping[str, Variable]
    sequence_name: str
    position_name: str


class System(ABC):
    """Network + data + loss of one family. Subclasses hold a frozen spec and nothing else that changes."""

    name: ClassVar[str]
    output_kinds: ClassVar[tuple[str, ...]]
    """Kinds of output this system can give, the one that essential dynamics takes by default first."""

    loss_units: ClassVar[str]
    spec: Any

    def __init__(self, spec: Any, folder: Path, stored_recipe: Mapping[str, Any] | None = None) -> None:
        """``folder`` is the run's; ``stored_recipe`` its run.json where the run exists already."""
        self.spec = spec
        self.folder = folder
        self.stored_recipe: Mapping[str, Any] = stored_recipe if stored_recipe is not None else {}

    @property
    def batch_size(self) -> int:
        return self.spec.batch_size

    trivial_name: ClassVar[str]
    """What that predictor is called in a sentence, without article."""

    @property
    @abstractmethod
    def trivial_loss(self) -> float:
        """Loss of a predictor that ignores its input (LLC chains should stay well below it)."""

    @abstractmethod
    def network(self) -> nn.Module:
        """The network, weights not yet those of any run."""

    @abstractmethod
    def initialise(self, model: nn.Module, seed: int) -> None:
        """Set the weights at step 0."""

    @abstractmethod
    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer: ...

    @abstractmethod
    def learning_rate(self, step: int) -> float:
        """Learning rate of the update from ``step`` to ``step + 1``."""

    @abstractmethod
    def batch(self, seed: int, step: int) -> tuple[Tensor, ...]:
        """The training batch of one step; dimension 0 is the sample."""

    @abstractmethod
    def pool(self, n: int, seed: int, *, held_out: bool = False) -> tuple[Tensor, ...]:
        """``n`` samples of the training distribution (or of the held-out one), the same for the same seed."""

    def restricted_pool(self, data: str, n: int, seed: int) -> tuple[Tensor, ...]:
        """``n`` samples of another distribution, for data-restricted LLCs. Raises InvalidSpec if unknown."""
        raise InvalidSpec(f"{self.name} knows no other data than its own, got {data!r}")

    def components(self, model: nn.Module) -> dict[str, dict[str, Tensor | None]]:
        """Parts of the network by name, for weight-restricted LLCs: {parameter: mask, or None for all of it}.

        Here each parameter is one.
        """
        return {name: {name: None} for name, _ in model.named_parameters()}

    @abstractmethod
    def position_loss(self, model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """Loss of every prediction, shape (sample, position)."""

    @abstractmethod
    def outputs(self, model: nn.Module, batch: tuple[Tensor, ...], kind: str) -> Tensor:
        """Outputs of the given kind, shape (sample, position) or (sample, position, channel)."""

    @abstractmethod
    def reference_names(self, kind: str) -> tuple[str, ...]:
        """Idealised predictors that have outputs of this kind; () where an ideal does not fix them."""

    def reference(self, name: str, batch: tuple[Tensor, ...], kind: str, seed: int) -> Tensor:
        """Outputs of one idealised predictor, of the shape of ``outputs``; its tasks, teacher or text are
        those of the run with this seed.

        Raises InvalidSpec for a predictor or kind that is not in ``reference_names``, MissingText for what
        is counted in a text that this machine lacks.
        """
        check_kind(self, kind)
        names = self.reference_names(kind)
        require(
            name in names,
            f"{self.name} has no ideal predictor {name!r} with outputs of kind {kind!r}; "
            f"it has {', '.join(names) or 'none of that kind'}",
        )
        return self._reference(name, batch, seed)

    @abstractmethod
    def _reference(self, name: str, batch: tuple[Tensor, ...], seed: int) -> Tensor:
        """Outputs of one of the ``reference_names``."""

    def references(self, batch: tuple[Tensor, ...], kind: str, seed: int) -> dict[str, Tensor]:
        """Outputs of every idealised predictor of this kind, by name; raises what ``reference`` raises."""
        check_kind(self, kind)
        return {name: self.reference(name, batch, kind, seed) for name in self.reference_names(kind)}

    @abstractmethod
    def probe(self, seed: int) -> Probe: ...

    def stored_probe(self, values: Mapping[str, np.ndarray]) -> tuple[Tensor, ...] | None:
        """The probe's batch out of its stored variables; None where it is made again from the seed alone."""
        return None

    def per_sample_loss(self, model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """Mean loss over positions, shape (sample,). Training minimises its mean; LLC chains sample with
        it.
        """
        return self.position_loss(model, batch).mean(dim=1)

    def output_positions(self, kind: str) -> np.ndarray | None:
        """Which positions of the probe the outputs of this kind are kept at; None: the position axis as it
        comes.
        """
        return None

    def output_dim(self, kind: str) -> str | None:
        """Name of the last dimension of an output kind, or None where there is one number a position."""
        return None if kind == "true_token_logit" else "channel"

    eval_batch: ClassVar[int] = 256
    """Samples a forward pass takes at once when measuring."""

    llc_defaults: ClassVar[Mapping[str, Any]] = {}
    """Sampler settings tried on this system's small preset (see data/README.md); any can be overridden."""

    pool_size: ClassVar[int] = 4096
    """Samples in the pool on which LLC chains run (the n of the estimate)."""

    held_out_size: ClassVar[int] = 1024
    """Held-out samples behind ``test_loss`` and the metrics."""

    def files(self) -> Mapping[str, str]:
        """Text files that belong in the run folder beside run.json (a tokenizer), by name."""
        return {}

    def recipe(self) -> dict[str, Any]:
        """What run.json keeps, enough to make this system again."""
        return {"spec": asdict(self.spec)}


def rows_of_head(shape: tuple[int, ...], heads: int, head: int, *, dim: int = 0, blocks: int = 1) -> Tensor:
    """Mask of one head's share along ``dim`` of a weight whose equal ``blocks`` (q, k, v) hold all heads."""
    size = shape[dim] // blocks // heads
    along = torch.zeros(shape[dim], dtype=torch.bool)
    for block in range(blocks):
        first = (block * heads + head) * size
        along[first : first + size] = True
    return along.view([-1 if d == dim else 1 for d in range(len(shape))]).expand(shape).contiguous()


def causal_pattern(queries: Tensor, keys: Tensor) -> Tensor:
    """Attention softmax(q·k/√d) of every position to itself and those before it, as
    ``F.scaled_dot_product_attention`` uses it without showing it. (…, position, d) twice →
    (…, position, position), rows are queries and sum to 1.
    """
    length, size = queries.shape[-2:]
    later = torch.full((length, length), -torch.inf, device=queries.device, dtype=queries.dtype).triu(1)
    rows = torch.baddbmm(later[None], queries.flatten(0, -3), keys.flatten(0, -3).mT, alpha=size**-0.5)
    return torch.softmax(rows, dim=-1).view(*queries.shape[:-2], length, length)


def in_parts(batch: tuple[Tensor, ...], size: int) -> list[tuple[Tensor, ...]]:
    """Cut a batch into pieces of at most ``size`` samples."""
    n = len(batch[0])
    return [tuple(tensor[start : start + size] for tensor in batch) for start in range(0, n, size)]


def require(condition: bool, message: str) -> None:
    """Raise InvalidSpec with the message unless the condition holds."""
    if not condition:
        raise InvalidSpec(message)


def check_kind(system: System, kind: str) -> None:
    """Raise InvalidSpec unless the system can give outputs of this kind."""
    require(
        kind in system.output_kinds,
        f"{system.name} has no outputs of kind {kind!r}; choose one of {', '.join(system.output_kinds)}",
    )


def is_whole(value: Any, least: int = 1) -> bool:
    """Whether this is an int (no bool, no float) of at least ``least``."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_real(value: Any) -> bool:
    """Whether this is a finite number (no bool)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def whole(spec: Any, *names: str, least: int = 1) -> None:
    """Raise InvalidSpec unless each named hyper-parameter is a whole number of at least ``least``."""
    for name in names:
        value = getattr(spec, name)
        require(
            is_whole(value, least),
            f"{type(spec).__name__}.{name} must be a whole number of at least {least}, got {value!r}",
        )


def positive(spec: Any, *names: str) -> None:
    """Raise InvalidSpec unless each named hyper-parameter is a finite number above zero."""
    for name in names:
        value = getattr(spec, name)
        require(
            is_real(value) and value > 0,
            f"{type(spec).__name__}.{name} must be a finite number above 0, got {value!r}",
        )


def not_negative(spec: Any, *names: str) -> None:
    """Raise InvalidSpec unless each named hyper-parameter is a finite number, zero or above."""
    for name in names:
        value = getattr(spec, name)
        require(
            is_real(value) and value >= 0,
            f"{type(spec).__name__}.{name} must be a finite number of at least 0, got {value!r}",
        )
