"""The local learning coefficient of any network: one checkpoint, or many checkpoints and settings at once."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from devexplore.sampling.engine import Engine
from devexplore.sampling.execution import Execution
from devexplore.sampling.network import PerSampleLoss
from devexplore.sampling.result import LLCResult
from devexplore.sampling.rows import Progress
from devexplore.sampling.spec import LLCSpec
from devexplore.sampling.weights import Free


def estimate_llc(
    model: nn.Module,
    per_sample_loss: PerSampleLoss,
    data: tuple[Tensor, ...],
    spec: LLCSpec,
    *,
    w_star: Mapping[str, Tensor] | None = None,
    free: Free | None = None,
    trivial_loss: float | None = None,
    baseline_batch: int | None = None,
    execution: Execution | None = None,
    progress: Progress | None = None,
) -> LLCResult:
    """Local learning coefficient λ̂(w*) = nβ·(E[L] − L(w*)) of any network, by SGLD at ``spec``.

    per_sample_loss: (model, batch) → the loss of each sample, shape (batch,); called with other weights
        in the model, in evaluation mode. Each sample weighs the same.
    data: tensors indexed along dimension 0 (say inputs and targets). L is the mean over all of them, and
        L(w*) comes from one pass over all of them. They move to the model's device; floats become float32.
    w_star: named weights (a ``state_dict``); None takes the model's own. The model itself is left as it was.
    free: the weights that move, as a pattern over parameter names (``"layers.0.*"``), several, or a mapping
        from names to boolean masks; the others stay at w*. This is the weight-restricted LLC of Wang et al.
        2024. None: all. The *data*-restricted LLC is this function on other ``data``.
    trivial_loss: loss of a predictor that ignores its input; chains that rise above it are found out.
    baseline_batch: samples at a time in passes over all data (memory only; the result does not depend on it).
    execution: path, block size and memory budget (see ``Execution``).
    progress: called with (updates done, updates in all) every few dozen updates.

    Chains that diverge are marked in ``traces.status`` and left out of the estimate; they raise nothing.

    Raises InvalidSpec (data or loss of the wrong shape), NonFiniteWeights, CheckpointMismatch.
    """
    engine = Engine(
        model,
        per_sample_loss,
        data,
        spec,
        components=None if free is None else {"free": free},
        trivial_loss=trivial_loss,
        baseline_batch=baseline_batch,
        execution=execution,
    )
    return engine.run([w_star], progress=progress)[0]


def estimate_llcs(
    model: nn.Module,
    per_sample_loss: PerSampleLoss,
    data: tuple[Tensor, ...],
    spec: LLCSpec,
    w_stars: Sequence[Mapping[str, Tensor]],
    *,
    grid: Sequence[LLCSpec] | None = None,
    components: Mapping[str, Free | None] | None = None,
    trivial_loss: float | None = None,
    baseline_batch: int | None = None,
    execution: Execution | None = None,
    progress: Progress | None = None,
) -> list[LLCResult]:
    """Many local learning coefficients as rows of one buffer, in order (checkpoint, grid point, component).

    grid: specs that differ from ``spec`` in step_size, n_beta and localization only; None: ``spec`` alone.
    components: {name: the weights that move} (None: all), for weight-restricted LLCs; None: all weights.

    Otherwise as ``estimate_llc``, whose result each entry equals up to rounding.
    """
    engine = Engine(
        model,
        per_sample_loss,
        data,
        spec,
        components=components,
        trivial_loss=trivial_loss,
        baseline_batch=baseline_batch,
        execution=execution,
    )
    return engine.run(w_stars, grid=grid, progress=progress)
