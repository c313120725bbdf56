"""Run SGLD walks side by side, each a row of one buffer with its own w*, ε, nβ, γ and free weights.

Chains of one checkpoint are rows; so are chains of other checkpoints, of other points of a hyper-parameter
grid, and of other components of the network. A row's walk depends on its own entries alone, never on the
rows beside it.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from devexplore.sampling.network import Gradient
from devexplore.sampling.randomness import block_steps, random_blocks
from devexplore.sampling.sgld import Target, Walker, sgld_step
from devexplore.sampling.spec import LLCSpec

Progress = Callable[[int, int], None]
"""(updates done, updates in all), counted over all chains."""

Observe = Callable[[int, Int[Tensor, " alive"], Float[Tensor, "alive parameter"]], None]
"""(draw, which rows, their weights): sees the weights at each recorded draw."""

_ENORMOUS = 1e4
_CHECK_EVERY = 32


class Rows(NamedTuple):
    """Walks to run side by side."""

    checkpoint: Int[Tensor, " row"]
    """Which row of ``anchors`` and ``baselines`` the walk belongs to."""
    component: Int[Tensor, " row"]
    """Which row of ``free`` says what moves."""
    step_size: Float[Tensor, " row"]
    n_beta: Float[Tensor, " row"]
    localization: Float[Tensor, " row"]
    keys: list[tuple[int, ...]]
    """Seeds: rows with equal keys see the same batches and noise."""

    def take(self, index: Int[Tensor, " kept"]) -> "Rows":
        kept = (field[index] for field in self[:5])
        return Rows(*kept, keys=[self.keys[row] for row in index.tolist()])


class RowTraces(NamedTuple):
    """What the walks left behind. A diverged row holds NaN for the draws it did not make."""

    loss: Float[Tensor, "row draw"]
    baseline: Float[Tensor, "row draw"]
    diverged: Bool[Tensor, " row"]
    distance: Float[Tensor, " row"]


class _Side(NamedTuple):
    """The rows that walk together: their place among all rows, their settings, where they are."""

    place: Int[Tensor, " alive"]
    rows: Rows
    target: Target
    walker: Walker
    peak_loss: Float[Tensor, " alive"]

    def take(self, index: Int[Tensor, " kept"]) -> "_Side":
        def some(fields: tuple[Tensor | None, ...]) -> list[Tensor | None]:
            return [None if field is None else field[index] for field in fields]

        return _Side(
            self.place[index],
            self.rows.take(index),
            Target(*some(self.target)),  # type: ignore[arg-type]
            Walker(*some(self.walker)),  # type: ignore[arg-type]
            self.peak_loss[index],
        )


def run_rows(
    gradient: Gradient,
    data: tuple[Tensor, ...],
    anchors: Float[Tensor, "checkpoint parameter"],
    baselines: Float[Tensor, "checkpoint sample"],
    rows: Rows,
    spec: LLCSpec,
    *,
    free: Bool[Tensor, "component parameter"] | None = None,
    progress: Progress | None = None,
    observe: Observe | None = None,
) -> RowTraces:
    """Walk every row for ``spec.updates`` updates (ε, nβ, γ come from ``rows``, the rest from ``spec``).

    Draw k is the loss at the weights *before* update burn_in + (k+1)·thinning, on the batch of that update,
    which those weights have not seen; its baseline is the same batch's loss at w*. ``baselines`` holds the
    loss of every sample at every checkpoint's w*. ``free`` None: all weights move.

    A row has diverged when its loss or weights are not finite, or its batch loss exceeded
    L* + 10⁴·(P/(2nβ) + |L*|), where P/(2nβ) is the excess loss of P well-tempered regular weights. It is
    retired and the others walk on. (Rows are looked at every few dozen steps: accelerators never wait.)
    """
    n_rows, n_parameters = len(rows.keys), anchors.shape[1]
    mean_baseline = baselines.mean(dim=1)
    excess_scale = n_parameters / (2 * rows.n_beta) + mean_baseline[rows.checkpoint].abs()
    limit = mean_baseline[rows.checkpoint] + _ENORMOUS * excess_scale
    loss, baseline = torch.full((2, spec.draws, n_rows), torch.nan, device=anchors.device)
    distance = torch.full((n_rows,), torch.nan, device=anchors.device)
    diverged = torch.zeros(n_rows, dtype=torch.bool, device=anchors.device)

    keys = list(dict.fromkeys(rows.keys))
    streams = [
        random_blocks(
            key,
            n_parameters=n_parameters,
            n_samples=baselines.shape[1],
            batch_size=spec.batch_size,
            device=anchors.device,
        )
        for key in keys
    ]
    stream_of = torch.tensor([keys.index(key) for key in rows.keys], device=anchors.device)
    shared_batch = spec.batch_size >= baselines.shape[1]
    side = _start(anchors, rows, free, spec)
    checked = 0
    for first in range(0, spec.updates, block_steps(n_parameters)):
        blocks = [next(stream) for stream in streams]
        noise = torch.stack([block.noise for block in blocks], dim=1)
        indices = [block.indices for block in blocks if block.indices is not None]
        batches = torch.stack(indices, dim=1) if indices else None
        place, alive, target, walker, peak_loss = side
        stream = stream_of[place]
        one_to_one = torch.equal(stream, torch.arange(len(keys), device=stream.device))
        done = min(first + noise.shape[0], spec.updates)
        for update in range(first, done):
            own = None if batches is None else batches[update - first]
            if own is not None and not one_to_one:
                own = own[stream]
            batch = data if own is None else tuple(_gather(tensor, own) for tensor in data)
            losses, gradients = gradient(walker.weights, batch, shared_batch)
            peak_loss = torch.maximum(peak_loss, losses)
            draw, phase = divmod(update - spec.burn_in, spec.thinning)
            if draw >= 0 and phase == spec.thinning - 1:
                loss[draw, place] = losses
                baseline[draw, place] = (
                    mean_baseline[alive.checkpoint]
                    if own is None
                    else baselines[alive.checkpoint[:, None], own].mean(dim=1)
                )
                if observe is not None:
                    observe(draw, place, walker.weights)
            own_noise = noise[update - first] if one_to_one else noise[update - first][stream]
            walker = sgld_step(walker, gradients, own_noise, target, adapt=update < spec.burn_in)
        side = side._replace(walker=walker, peak_loss=peak_loss)
        if done - checked >= _CHECK_EVERY or done == spec.updates:
            checked = done
            healthy = torch.isfinite(walker.weights).all(dim=1) & (peak_loss <= limit[place])
            last_seen = (walker.weights - target.anchor).norm(dim=1)
            distance[place] = torch.where(diverged[place], distance[place], last_seen)
            diverged[place] |= ~healthy
            side = _retire(side, healthy)
            if progress is not None:
                progress(done * n_rows, spec.updates * n_rows)
            if len(side.place) == 0:
                break
    finite_distance = torch.where(torch.isfinite(distance), distance, torch.nan)
    return RowTraces(loss.T, baseline.T, diverged, finite_distance)


def _gather(
    tensor: Float[Tensor, "sample ..."], index: Int[Tensor, "row batch"]
) -> Float[Tensor, "row batch ..."]:
    """``tensor[index]``, three times as fast."""
    return tensor.index_select(0, index.reshape(-1)).view(index.shape + tensor.shape[1:])


def _start(
    anchors: Float[Tensor, "checkpoint parameter"],
    rows: Rows,
    free: Bool[Tensor, "component parameter"] | None,
    spec: LLCSpec,
) -> _Side:
    anchor = anchors[rows.checkpoint]
    columns = (column[:, None] for column in (rows.step_size, rows.n_beta, rows.localization))
    target = Target(anchor, *columns, free=None if free is None else free[rows.component])
    second_moment = torch.zeros_like(anchor) if spec.sampler == "rmsprop_sgld" else None
    place = torch.arange(len(anchor), device=anchor.device)
    return _Side(
        place, rows, target, Walker(anchor, second_moment), torch.zeros(len(anchor), device=anchor.device)
    )


def _retire(side: _Side, healthy: Bool[Tensor, " alive"]) -> _Side:
    """Rows that diverged record NaN from here on; they are taken out once they are half of all.

    Not at once, for every new number of rows has to be recorded anew (see ``network``).
    """
    if bool(healthy.all()):
        return side
    if 2 * int(healthy.sum()) <= len(healthy):
        return side.take(healthy.nonzero()[:, 0])
    weights = torch.where(healthy[:, None], side.walker.weights, torch.nan)
    return side._replace(walker=side.walker._replace(weights=weights))
