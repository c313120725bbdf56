"""A network's loss as a function of rows of flat weights.

Sampling moves *all* weights by the same rule, so it sees a network as one vector: a row of a float32 buffer.
Here rows are turned back into named tensors and the loss and its gradient are taken, either for all rows in
one vectorized call (small networks, where the cost is the number of kernel calls) or row by row (large ones).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.attention import SDPBackend, sdpa_kernel

from devexplore.errors import CheckpointMismatch, InvalidSpec, NonFiniteWeights

PerSampleLoss = Callable[[Any, tuple[Tensor, ...]], Tensor]
"""(model, batch) → the loss of each sample in the batch, shape (batch,); batch is a tuple of tensors."""

Gradient = Callable[
    [Float[Tensor, "row parameter"], tuple[Tensor, ...], bool],
    tuple[Float[Tensor, " row"], Float[Tensor, "row parameter"]],
]
"""(weights, batch, batch is shared by all rows) → mean batch loss of each row and its gradient."""


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

    The sampled weights are the model's parameters with ``requires_grad``; others, and buffers, stay fixed at
    their values in ``w_star`` (or in the model). Tied parameters are one parameter.

    Raises NonFiniteWeights, CheckpointMismatch (names or shapes of ``w_star`` are not the model's) and
    InvalidSpec (nothing to sample).
    """

    def __init__(
        self, model: nn.Module, per_sample_loss: PerSampleLoss, w_star: Mapping[str, Tensor] | None
    ) -> None:
        own = {name: tensor.detach() for name, tensor in model.state_dict(keep_vars=True).items()}
        given = own if w_star is None else w_star
        parameters = dict(model.named_parameters())
        _check_weights(given, own, required=parameters)
        self._module = _LossModule(model, per_sample_loss)
        sampled = {name: given[name] for name, p in parameters.items() if p.requires_grad}
        if not sampled:
            raise InvalidSpec("The model has no parameter with requires_grad, so there is nothing to sample.")
        self.device = next(iter(parameters.values())).device
        self._names = [f"model.{name}" for name in sampled]
        self._shapes = [tuple(tensor.shape) for tensor in sampled.values()]
        self._sizes = [tensor.numel() for tensor in sampled.values()]
        self.anchor: Float[Tensor, " parameter"] = torch.cat(
            [self._own_copy(t).reshape(-1) for t in sampled.values()]
        )
        aliases = {name for name, _ in model.named_parameters(remove_duplicate=False)} - set(parameters)
        fixed = {
            name: tensor for name, tensor in given.items() if name not in sampled and name not in aliases
        }
        self._fixed = {f"model.{name}": self._own_copy(tensor) for name, tensor in fixed.items()}
        self._recordings: dict[tuple[Any, ...], Callable[..., Any]] = {}

    @property
    def n_parameters(self) -> int:
        return self.anchor.numel()

    def _own_copy(self, tensor: Tensor) -> Tensor:
        copy = tensor.detach().to(self.device)
        return copy.to(torch.float32) if copy.is_floating_point() else copy

    def _named(self, weights: Float[Tensor, "*row parameter"]) -> dict[str, Tensor]:
        pieces = weights.split(self._sizes, dim=-1)
        rows = weights.shape[:-1]
        shaped = [piece.reshape(rows + shape) for piece, shape in zip(pieces, self._shapes, strict=True)]
        return dict(zip(self._names, shaped, strict=True))

    def losses(
        self, weights: Float[Tensor, " parameter"], batch: tuple[Tensor, ...]
    ) -> Float[Tensor, " sample"]:
        """The loss of each sample at one row of weights, without gradient."""
        with torch.no_grad():
            return functional_call(self._module, self._named(weights) | self._fixed, batch)

    def _mean_loss(self, named: dict[str, Tensor], batch: tuple[Tensor, ...]) -> Tensor:
        return functional_call(self._module, named | self._fixed, batch).mean()

    def vectorized(
        self, weights: Float[Tensor, "row parameter"], batch: tuple[Tensor, ...], shared: bool
    ) -> tuple[Float[Tensor, " row"], Float[Tensor, "row parameter"]]:
        """Loss and gradient of all rows in one call. A random layer raises: L must be a function of w.

        The call is recorded once per set of shapes and replayed, which takes a third off its cost in
        small networks, where most time goes into deciding which kernels to call. The numbers are the same.
        """
        shapes = (shared, weights.shape, *(tensor.shape for tensor in batch))
        if shapes not in self._recordings:

            def loss_and_gradient(weights: Tensor, *batch: Tensor) -> tuple[Tensor, Tensor]:
                in_dims = (0, None if shared else 0)
                batched = vmap(grad_and_value(self._mean_loss), in_dims=in_dims, randomness="error")
                gradients, losses = batched(self._named(weights), batch)
                return losses, torch.cat([gradients[name].flatten(1) for name in self._names], dim=1)

            # fused attention kernels have no vectorized form; the plain one has, with the same result
            with sdpa_kernel(SDPBackend.MATH):
                self._recordings[shapes] = make_fx(loss_and_gradient)(weights, *batch)
        with torch.no_grad():
            return self._recordings[shapes](weights, *batch)

    def sequential(
        self, weights: Float[Tensor, "row parameter"], batch: tuple[Tensor, ...], shared: bool
    ) -> tuple[Float[Tensor, " row"], Float[Tensor, "row parameter"]]:
        """Loss and gradient row by row, by plain autograd."""
        losses = torch.empty(len(weights), device=weights.device)
        gradients = torch.empty_like(weights)
        for row in range(len(weights)):
            named = {name: leaf.detach().requires_grad_() for name, leaf in self._named(weights[row]).items()}
            loss = self._mean_loss(named, batch if shared else tuple(tensor[row] for tensor in batch))
            pieces = torch.autograd.grad(loss, list(named.values()), materialize_grads=True)
            torch.cat([piece.reshape(-1) for piece in pieces], out=gradients[row])
            losses[row] = loss.detach()
        return losses, gradients


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
