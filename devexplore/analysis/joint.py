"""Several runs in one function space: their joint principal components, with idealised predictors beside."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from jaxtyping import Float

from devexplore.analysis.function_gram import feature_blocks
from devexplore.analysis.one_space import one_space
from devexplore.arguments import as_runs
from devexplore.checks import whole_number
from devexplore.schema import SKETCHED, STEP
from devexplore.stats.gram import gram_matrix, gram_pca

if TYPE_CHECKING:
    from devexplore.run import Run

_BLOCK_BYTES = 128 * 2**20
"""Of all rows together; two blocks, and what they are put together from, are held at a time."""


def joint_dynamics(
    runs: "Run | Sequence[Run]", n_components: int = 4, kind: str | None = None, references: bool = True
) -> xr.Dataset:
    """PCA of several runs' outputs on the probe of the first, all checkpoints of all runs together.

    One Gram matrix over all checkpoints, centred on their common mean, no scaling; the last score of each
    component is >= 0. Every checkpoint counts once, so a run with more of them weighs more, and what sets the
    runs apart is variance like what each goes through. For one run the scores are those of
    ``essential_dynamics``.

    Idealised predictors take no part in the PCA. They are projected: score_k = ⟨f − mean, v_k⟩ with v_k =
    Σ_t weights[t, k]·f_t. A projected point is no place on the curve: ``predictor_residual_share`` says how
    much of the predictor lies outside these components, ``nearest_distance`` how far the nearest checkpoint
    is in the whole function space. Predictors of several runs that differ (dMMSE of other tasks) are named
    after their run.

    Args:
        runs: measured on one probe, or made so by ``share_probe``. Runs of one name are numbered.
        n_components: at most one less than there are checkpoints; fewer are returned when more are asked for.
        kind: which outputs; default those of the most checkpoints among what all of them hold.
        references: whether to project the predictors stored with the runs (``share_probe`` stores them).

    Returns:
        score, weights (point, component), residual_share (point), with coordinates ``run`` and ``step`` of
        each point, runs in the order given, steps increasing; explained_variance_ratio (component);
        predictor_score, predictor_share (predictor, component), the share of the squared distance from the
        mean that lies along each component; predictor_distance (from the mean), predictor_residual_share,
        nearest_run, nearest_step, nearest_distance (predictor). Distances are in the units of the outputs.
        Attribute ``references`` says where predictors are missing, and why; ``sketched``, if there, that so
        few numbers of each checkpoint were kept, and inner products err by ``stats.sketch.sketch_error``.

    Raises:
        NotMeasured: for runs without outputs of this kind.
        InvalidSpec: for an empty list, or what is no run; for runs on other probes, or with outputs of other
            shapes, saying what differs.
        SchemaError: for outputs that hold NaN or infinity.
    """
    runs = as_runs(runs)
    whole_number("n_components", n_components, 1)
    space = one_space(runs, kind, references)
    names, outputs, predictors = space.names, space.outputs, space.predictors
    count = sum(output.sizes[STEP] for output in outputs)
    gram = gram_matrix(_blocks(outputs, list(predictors.values())))
    pca = gram_pca(gram[:count, :count], min(n_components, count - 1))
    centred = _about_the_mean_of_the_first(gram, count)
    scores = centred[:, :count] @ pca.weights
    squared = np.clip(np.diag(centred), 0, None)
    shares = np.divide(scores**2, squared[:, None], out=np.zeros_like(scores), where=squared[:, None] > 0)
    between = np.sqrt(np.clip(squared[count:, None] + squared[:count] - 2 * centred[count:, :count], 0, None))
    nearest = between.argmin(axis=1)
    run_of = np.repeat(np.array(names, dtype=object), [output.sizes[STEP] for output in outputs])
    step_of = np.concatenate([output[STEP].values for output in outputs])
    outside = np.where(squared > 0, np.clip(1 - shares.sum(axis=1), 0, 1), 0.0)
    return xr.Dataset(
        {
            "score": (("point", "component"), pca.scores),
            "weights": (("point", "component"), pca.weights),
            "residual_share": (("point",), outside[:count]),
            "explained_variance_ratio": (("component",), pca.explained_variance_ratio),
            "predictor_score": (("predictor", "component"), scores[count:]),
            "predictor_share": (("predictor", "component"), shares[count:]),
            "predictor_distance": (("predictor",), np.sqrt(squared[count:])),
            "predictor_residual_share": (("predictor",), outside[count:]),
            "nearest_run": (("predictor",), run_of[nearest]),
            "nearest_step": (("predictor",), step_of[nearest]),
            "nearest_distance": (("predictor",), between[np.arange(len(nearest)), nearest]),
        },
        coords={
            "run": (("point",), run_of),
            "step": (("point",), step_of),
            "component": np.arange(1, pca.scores.shape[1] + 1),
            "predictor": np.array(list(predictors), dtype=object),
        },
        attrs={
            "output_kind": space.kind,
            "runs": names,
            "probe_of": names[0],
            "n_checkpoints": count,
            "n_features": space.n_features,
            **({} if space.sketched is None else {SKETCHED: space.sketched}),
            "references": "; ".join(space.missing),
        },
    )


def _blocks(
    outputs: list[xr.DataArray], predictors: list[xr.DataArray]
) -> Iterator[Float[np.ndarray, "row feature"]]:
    """All checkpoints of all runs, then the predictors, in the blocks that suit the first run's chunks."""
    arrays = [array.transpose(*outputs[0].dims) for array in (*outputs, *predictors)]
    most = max(1, _BLOCK_BYTES // sum(array.sizes[STEP] * array.dtype.itemsize for array in arrays))
    streams = []
    for array in arrays:
        array.encoding = outputs[0].encoding
        streams.append(feature_blocks(array, most * array.sizes[STEP] * array.dtype.itemsize))
    for parts in zip(*streams, strict=True):
        yield np.concatenate(parts)


def _about_the_mean_of_the_first(gram: Float[np.ndarray, "row row"], count: int) -> np.ndarray:
    """Inner products of all rows, centred on the mean of the first ``count``: the others do not move it."""
    towards = gram[:, :count].mean(axis=1)
    return gram - towards[:, None] - towards + towards[:count].mean()
