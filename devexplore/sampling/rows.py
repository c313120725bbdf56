"""Run SGLD walks side by side, each a row of one buffer with its own w*, ε, nβ and γ.

Chains of one checkpoint are rows; so are chains of other checkpoints and of other points of a hyper-parameter
grid. A row's walk depends on its own entries alone, never on the rows beside it.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from devexplore.sampling.network import Gradient
from devexplore.sampling.randomness import RandomBlock, block_steps, random_blocks
from devexplore.sampling.sgld import sgld_step
from devexplore.sampling.spec import LLCSpec

Progress = Callable[[int, int], None]
"""(updates done, updates in all), counted over all chains."""

_ENORMOUS = 1e4
_CHECK_EVERY = 32


class Rows(NamedTuple):
    """Walks to run side by side."""

    checkpoint: Int[Tensor, " row"]
    """Which row of ``anchors`` and ``baselines`` the walk belongs to."""
    step_size: Float[Tensor, " row"]
    n_beta: Float[Tensor, " row"]
    localization: Float[Tensor, " row"]
    keys: list[tuple[int, ...]]
    """Seeds: rows with equal keys see the same batches and noise."""

    def take(self, index: Int[Tensor, " kept"]) -> "Rows":
        kept = (field[index] for field in self[:4])
        return Rows(*kept, keys=[self.keys[row] for row in index.tolist()])


class RowTraces(NamedTuple):
    """What the walks left behind. A diverged row holds NaN for the draws it did not make."""

    loss: Float[Tensor, "row draw"]
    baseline: Float[Tensor, "row draw"]
    diverged: Bool[Tensor, " row"]
    distance: Float[Tensor, " row"]


class _Walkers(NamedTuple):
    """The rows still walking: their place among all rows, their settings as columns, where they are."""

    place: Int[Tensor, " alive"]
    rows: Rows
    anchor: Float[Tensor, "alive parameter"]
    weights: Float[Tensor, "alive parameter"]
    peak_loss: Float[Tensor, " alive"]

    def take(self, index: Int[Tensor, " kept"]) -> "_Walkers":
        return _Walkers(
            self.place[index],
            self.rows.take(index),
            self.anchor[index],
            self.weights[index],
            self.peak_loss[index],
        )


def run_rows(
    gradient: Gradient,
    data: tuple[Tensor, ...],
    anchors: Float[Tensor, "checkpoint parameter"],
    baselines: Float[Tensor, "checkpoint sample"],
    rows: Rows,
    spec: LLCSpec,
    progress: Progress | None = None,
) -> RowTraces:
    """Walk every row for ``spec.updates`` updates (ε, nβ, γ come from ``rows``, the rest from ``spec``).

    Draw k is the loss at the weights *before* update burn_in + (k+1)·thinning, on the batch of that update,
    which those weights have not seen; its baseline is the same batch's loss at w*. ``baselines`` holds the
    loss of every sample at every checkpoint's w*.

    A row has diverged when its loss or weights are not finite, or its batch loss exceeded
    L* + 10⁴·(P/(2nβ) + |L*|), where P/(2nβ) is the excess loss of P well-tempered regular weights. It is
    retired and the others walk on. (Rows are looked at every few dozen steps: accelerators never wait.)
    """
    n_rows, n_parameters = len(rows.keys), anchors.shape[1]
    full_batch = spec.batch_size >= baselines.shape[1]
    mean_baseline = baselines.mean(dim=1)
    excess_scale = n_parameters / (2 * rows.n_beta) + mean_baseline[rows.checkpoint].abs()
    limit = mean_baseline[rows.checkpoint] + _ENORMOUS * excess_scale
    loss, baseline = torch.full((2, spec.draws, n_rows), torch.nan, device=anchors.device)
    distance = torch.full((n_rows,), torch.nan, device=anchors.device)
    diverged = torch.zeros(n_rows, dtype=torch.bool, device=anchors.device)

    streams = {
        key: random_blocks(
            key,
            n_parameters=n_parameters,
            n_samples=baselines.shape[1],
            batch_size=spec.batch_size,
            device=anchors.device,
        )
        for key in rows.keys
    }
    start = anchors[rows.checkpoint]
    walkers = _Walkers(torch.arange(n_rows, device=start.device), rows, start, start, torch.zeros_like(limit))
    checked = 0
    for first in range(0, spec.updates, block_steps(n_parameters)):
        fresh = {key: next(streams[key]) for key in dict.fromkeys(walkers.rows.keys)}
        block = _side_by_side([fresh[key] for key in walkers.rows.keys])
        place, alive, anchor, weights, peak_loss = walkers
        step_size, n_beta, localization = (column[:, None] for column in alive[1:4])
        done = min(first + len(block.noise), spec.updates)
        for update in range(first, done):
            indices = None if block.indices is None else block.indices[update - first]
            batch = data if indices is None else tuple(tensor[indices] for tensor in data)
            losses, gradients = gradient(weights, batch, full_batch)
            peak_loss = torch.maximum(peak_loss, losses)
            draw, phase = divmod(update - spec.burn_in, spec.thinning)
            if draw >= 0 and phase == spec.thinning - 1:
                loss[draw, place] = losses
                baseline[draw, place] = (
                    mean_baseline[alive.checkpoint]
                    if indices is None
                    else baselines[alive.checkpoint[:, None], indices].mean(dim=1)
                )
            weights = sgld_step(
                weights,
                gradients,
                anchor,
                block.noise[update - first],
                step_size=step_size,
                n_beta=n_beta,
                localization=localization,
            )
        walkers = walkers._replace(weights=weights, peak_loss=peak_loss)
        if done - checked >= _CHECK_EVERY or done == spec.updates:
            checked = done
            healthy = torch.isfinite(weights).all(dim=1) & (peak_loss <= limit[place])
            diverged[place] = ~healthy
            distance[place] = (weights - anchor).norm(dim=1)
            if not bool(healthy.all()):
                walkers = walkers.take(healthy.nonzero()[:, 0])
            if progress is not None:
                progress(done * n_rows, spec.updates * n_rows)
            if len(walkers.place) == 0:
                break
    finite_distance = torch.where(torch.isfinite(distance), distance, torch.nan)
    return RowTraces(loss.T, baseline.T, diverged, finite_distance)


def _side_by_side(blocks: list[RandomBlock]) -> RandomBlock:
    """Blocks of single chains as one block whose second dimension is the row."""
    noise = torch.stack([block.noise for block in blocks], dim=1)
    indices = [block.indices for block in blocks if block.indices is not None]
    return RandomBlock(torch.stack(indices, dim=1) if indices else None, noise)
