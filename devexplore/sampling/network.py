"""A network's loss as a function of rows of flat weights.

Sampling moves *all* weights by the same rule, so it sees a network as one vector: a row of a float32 buffer.
Here rows are turned back into named tensors and the loss and its gradient are taken: for all rows in one
vectorized call (small networks, where the cost is the number of kernel calls) or row by row (large ones).
Either is recorded once for each set of shapes and replayed (see ``recording``).
"""

import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap
from torch.fx import GraphModule
from torch.nn.attention import SDPBackend, sdpa_kernel

from devexplore.errors import CheckpointMismatch, InvalidSpec, NonFiniteWeights
from devexplore.sampling.recording import peak_bytes, record
from devexplore.sampling.weights import Free, free_mask

PerSampleLoss = Callable[[Any, tuple[Tensor, ...]], Tensor]
"""(model, batch) → the loss of each sample in the batch, shape (batch,); batch is a tuple of tensors."""

Path = Literal["vectorized", "sequential", "compiled"]
"""How gradients are taken: all rows in one call, row by row, or row by row through ``torch.compile``."""

Gradient = Callable[
    [Float[Tensor, "row parameter"], tuple[Tensor, ...], bool],
    tuple[Float[Tensor, " row"], Float[Tensor, "row parameter"]],
]
"""(weights, batch, batch is shared by all rows) → mean batch loss of each row and its gradient."""


class Placed(NamedTuple):
    """One checkpoint as the sampler sees it."""

    anchor: Float[Tensor, " parameter"]
    """w*, the sampled weights, flat, float32."""
    fixed: dict[str, Tensor]
    """What stays as it is: buffers, and parameters without ``requires_grad``."""


class _LossModule(nn.Module):
    """Makes (model, loss) one module, so that ``functional_call`` swaps weights beneath any loss function."""

    def __init__(self, model: nn.Module, per_sample_loss: PerSampleLoss) -> None:
        super().__init__()
        self.model = model
        self.per_sample_loss = per_sample_loss

    def forward(self, *batch: Tensor) -> Tensor:
        losses = self.per_sample_loss(self.model, batch)
        expected = (batch[0].shape[0],)
        if not isinstance(losses, Tensor) or tuple(losses.shape) != expected:
            got = tuple(losses.shape) if isinstance(losses, Tensor) else type(losses).__name__
            raise InvalidSpec(
                f"per_sample_loss must return one loss per sample, shape {expected}, got {got}: "
                "average over tokens or outputs, but not over the batch."
            )
        return losses


class FlatNetwork:
    """``model`` under ``per_sample_loss``, addressed by flat float32 weights.

    The sampled weights are the model's parameters with ``requires_grad``. Tied parameters are one parameter.
    With ``precision="bfloat16"`` forward and backward passes compute in bfloat16, from float32 weights.

    Raises InvalidSpec (nothing to sample).
    """

    def __init__(self, model: nn.Module, per_sample_loss: PerSampleLoss, precision: str = "float32") -> None:
        self._own = {name: tensor.detach() for name, tensor in model.state_dict(keep_vars=True).items()}
        self._parameters = dict(model.named_parameters())
        self._module = _LossModule(model, per_sample_loss)
        sampled = {name: p for name, p in self._parameters.items() if p.requires_grad}
        if sum(p.numel() for p in sampled.values()) == 0:
            raise InvalidSpec("The model has no parameter with requires_grad, so there is nothing to sample.")
        odd = [name for name, p in sampled.items() if not p.is_floating_point()]
        if odd:
            raise InvalidSpec(
                f"{', '.join(odd)}: only real weights can be sampled, not {sampled[odd[0]].dtype}."
            )
        self.device = next(iter(self._parameters.values())).device
        self._reduced = precision == "bfloat16"
        self._shapes = {name: tuple(tensor.shape) for name, tensor in sampled.items()}
        self._sizes = [tensor.numel() for tensor in sampled.values()]
        self.n_parameters = sum(self._sizes)
        aliases = {name for name, _ in model.named_parameters(remove_duplicate=False)}
        self._aliases = aliases - set(self._parameters)
        self._recordings: dict[Hashable, GraphModule] = {}
        self._ready: dict[Hashable, Callable[..., tuple[Tensor, Tensor]]] = {}
        self._compiled: dict[Hashable, Callable[..., tuple[Tensor, Tensor]]] = {}

    def place(self, w_star: Mapping[str, Tensor] | None = None) -> Placed:
        """One checkpoint's weights (None: the model's own), split into sampled and fixed.

        Raises NonFiniteWeights and CheckpointMismatch (names or shapes are not the model's).
        """
        given = self._own if w_star is None else w_star
        _check_weights(given, self._own, required=self._parameters)
        anchor = torch.cat([self._own_copy(given[name]).reshape(-1) for name in self._shapes])
        fixed = {
            f"model.{name}": self._own_copy(tensor)
            for name, tensor in given.items()
            if name not in self._shapes and name not in self._aliases
        }
        return Placed(anchor, fixed)

    def mask(self, free: Free | None) -> Bool[Tensor, " parameter"] | None:
        """Which flat weights move; None where all do."""
        return None if free is None else free_mask(free, self._shapes).to(self.device)

    def check(self, placed: Placed, data: tuple[Tensor, ...]) -> None:
        """Raise InvalidSpec unless the loss is a function of the weights, and one that has a gradient."""
        some = tuple(tensor[:16] for tensor in data)
        once, again = self.losses(placed, some), self.losses(placed, some)
        if not torch.equal(torch.nan_to_num(once), torch.nan_to_num(again)):
            raise InvalidSpec(
                "the loss of the same data at the same weights differs from call to call: something in it is "
                "random (dropout that stays on in evaluation mode?). An LLC needs a function of the weights."
            )
        weights = placed.anchor.clone().requires_grad_()
        with torch.enable_grad():
            loss = functional_call(self._module, self._named(weights) | placed.fixed, some).sum()
        if not loss.requires_grad:
            raise InvalidSpec(
                "the loss has no gradient in the weights: it is detached, or leaves torch on the way."
            )

    def losses(self, placed: Placed, batch: tuple[Tensor, ...]) -> Float[Tensor, " sample"]:
        """The loss of each sample at w*, without gradient, in the precision of the chains."""
        with torch.no_grad():
            weights = self._named(self._computing(placed.anchor))
            fixed = {name: self._computing(tensor) for name, tensor in placed.fixed.items()}
            batch = tuple(self._computing(tensor) for tensor in batch)
            return functional_call(self._module, weights | fixed, batch).float()

    def gradient(self, path: Path, fixed: dict[str, Tensor]) -> Gradient:
        """The function from rows of weights to losses and gradients, taken by this path."""
        rows = self._vectorized if path == "vectorized" else self._row_by_row

        def gradient(weights: Tensor, batch: tuple[Tensor, ...], shared: bool) -> tuple[Tensor, Tensor]:
            return rows(path, weights, fixed, batch, shared)

        return gradient

    def required_bytes(
        self, path: Path, placed: Placed, data: tuple[Tensor, ...], batch_size: int, rows: int = 1
    ) -> int:
        """The most that forward and backward hold at once for this many rows (one, unless vectorized).

        Nothing is computed, and what is recorded serves later. Raises RuntimeError where the loss cannot be
        recorded.
        """
        lead = (rows, batch_size) if path == "vectorized" else (batch_size,)
        batch = tuple(tensor.new_empty(lead + tensor.shape[1:]) for tensor in data)
        weights = placed.anchor.expand(rows, -1).contiguous() if path == "vectorized" else placed.anchor
        return peak_bytes(self._recorded(path, False, weights, placed.fixed, batch))

    def _own_copy(self, tensor: Tensor) -> Tensor:
        copy = tensor.detach().to(self.device)
        return copy.to(torch.float32) if copy.is_floating_point() else copy

    def _computing(self, tensor: Tensor) -> Tensor:
        """In the precision of forward and backward passes."""
        return tensor.bfloat16() if self._reduced and tensor.is_floating_point() else tensor

    def unflatten(self, weights: Float[Tensor, " parameter"]) -> dict[str, Tensor]:
        """Flat weights by the model's parameter names."""
        pieces = weights.split(self._sizes)
        return {
            name: piece.reshape(shape)
            for piece, (name, shape) in zip(pieces, self._shapes.items(), strict=True)
        }

    def _named(self, weights: Float[Tensor, " parameter"]) -> dict[str, Tensor]:
        return {f"model.{name}": tensor for name, tensor in self.unflatten(weights).items()}

    def _row_function(self) -> Callable[..., tuple[Tensor, Tensor]]:
        """Loss and gradient of one row of weights."""

        def mean_loss(weights: Tensor, fixed: dict[str, Tensor], batch: tuple[Tensor, ...]) -> Tensor:
            return functional_call(self._module, self._named(weights) | fixed, batch).float().mean()

        def loss_and_gradient(
            weights: Tensor, fixed: dict[str, Tensor], *batch: Tensor
        ) -> tuple[Tensor, Tensor]:
            fixed = {name: self._computing(tensor) for name, tensor in fixed.items()}
            batch = tuple(self._computing(tensor) for tensor in batch)
            gradient, loss = grad_and_value(mean_loss)(self._computing(weights), fixed, batch)
            return loss, gradient.float()

        return loss_and_gradient

    def _rows_function(self, shared: bool) -> Callable[..., tuple[Tensor, Tensor]]:
        one = self._row_function()

        def losses_and_gradients(
            weights: Tensor, fixed: dict[str, Tensor], *batch: Tensor
        ) -> tuple[Tensor, Tensor]:
            in_dims = (0, None, *[None if shared else 0] * len(batch))
            return vmap(one, in_dims=in_dims, randomness="error")(weights, fixed, *batch)

        return losses_and_gradients

    def _recorded(
        self, path: Path, shared: bool, weights: Tensor, fixed: dict[str, Tensor], batch: tuple[Tensor, ...]
    ) -> GraphModule:
        """The recording for these shapes. A random layer raises: L must be a function of w."""
        key = self._key(path, shared, weights, batch)
        if key not in self._recordings:
            function = self._rows_function(shared) if path == "vectorized" else self._row_function()
            with self._attention(path):
                self._recordings[key] = record(function, weights, fixed, *batch)
        return self._recordings[key]

    def _key(self, path: Path, shared: bool, weights: Tensor, batch: tuple[Tensor, ...]) -> Hashable:
        return (path, shared, weights.shape, *(tensor.shape for tensor in batch))

    def _attention(self, path: Path) -> Any:
        """Fused attention kernels have no vectorized form, a slow backward pass in bfloat16 on CPU, and are
        slower than what the compiler makes of the plain form.
        """
        plain = path != "sequential" or (self._reduced and self.device.type == "cpu")
        return sdpa_kernel(SDPBackend.MATH) if plain else nullcontext()

    def _vectorized(
        self, path: Path, weights: Tensor, fixed: dict[str, Tensor], batch: tuple[Tensor, ...], shared: bool
    ) -> tuple[Tensor, Tensor]:
        """Loss and gradient of all rows in one call."""
        return self._replayed(path, shared, weights, fixed, batch)(weights, fixed, *batch)

    def _row_by_row(
        self, path: Path, weights: Tensor, fixed: dict[str, Tensor], batch: tuple[Tensor, ...], shared: bool
    ) -> tuple[Tensor, Tensor]:
        rows = [batch] * len(weights) if shared else [tuple(t[i] for t in batch) for i in range(len(weights))]
        one = self._row(path, weights[0], fixed, rows[0])
        losses, gradients = torch.empty(len(weights), device=weights.device), torch.empty_like(weights)
        for row, (own_weights, own_batch) in enumerate(zip(weights, rows, strict=True)):
            losses[row], gradients[row] = one(own_weights, fixed, *own_batch)
        return losses, gradients

    def _row(
        self, path: Path, weights: Tensor, fixed: dict[str, Tensor], batch: tuple[Tensor, ...]
    ) -> Callable[..., tuple[Tensor, Tensor]]:
        """Loss and gradient of one row, recorded (and compiled) if that is possible."""
        try:
            recorded = self._replayed(path, False, weights, fixed, batch)
        except RuntimeError:  # a loss that branches on its numbers
            return self._row_function()
        if path != "compiled":
            return recorded
        if recorded not in self._compiled:
            self._compiled[recorded] = torch.no_grad()(torch.compile(recorded))
            with warnings.catch_warnings():  # of torch, about its own parts
                warnings.simplefilter("ignore", DeprecationWarning)
                self._compiled[recorded](weights, fixed, *batch)
        return self._compiled[recorded]

    def _replayed(
        self, path: Path, shared: bool, weights: Tensor, fixed: dict[str, Tensor], batch: tuple[Tensor, ...]
    ) -> Callable[..., tuple[Tensor, Tensor]]:
        """The recording, once it has been seen to run on these shapes."""
        key = self._key(path, shared, weights, batch)
        if key not in self._ready:
            recorded = self._recorded(path, shared, weights, fixed, batch)
            try:
                with torch.no_grad():
                    recorded(weights, fixed, *batch)
            except RuntimeError:  # a kernel lays its result out in another way than was foretold
                function = self._rows_function(shared) if path == "vectorized" else self._row_function()
                with self._attention(path):
                    recorded = record(function, weights, fixed, *batch, compute=True)
            self._ready[key] = torch.no_grad()(recorded)
        return self._ready[key]


def _check_weights(
    given: Mapping[str, Tensor], own: Mapping[str, Tensor], required: Mapping[str, Tensor]
) -> None:
    missing = sorted(set(required) - set(given))
    extra = sorted(set(given) - set(own))
    if missing or extra:
        raise CheckpointMismatch(
            f"w_star is not a set of weights of this model: missing {missing or 'nothing'}, "
            f"unknown {extra or 'nothing'}."
        )
    for name, tensor in given.items():
        if tensor.shape != own[name].shape:
            raise CheckpointMismatch(
                f"w_star[{name!r}] has shape {tuple(tensor.shape)}, the model's is {tuple(own[name].shape)}."
            )
        if not bool(torch.isfinite(tensor).all()):
            raise NonFiniteWeights(f"{name!r} holds NaN or infinite values: no chain can start there.")


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside (dropout off: L must be a function of w); each module's mode restored after."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
