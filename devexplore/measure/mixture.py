"""Affine combinations of checkpoints' outputs: the α of a form, and the checkpoints it is compared with."""

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from devexplore.arguments import require_dataset
from devexplore.errors import InvalidSpec
from devexplore.geometry import nearest_in_log_time
from devexplore.schema import LIFTED, NEAREST, PATH

NEGLIGIBLE: Final = 1e-4
"""Summed |α| of the checkpoints that are left out by default, at most."""


class Mixture(NamedTuple):
    """What each predictor is made of: row p of ``weights`` sums to 1 over ``checkpoint``.

    ``step`` is the training step each predictor stands for, ``alpha`` the form's weights over all of its
    checkpoints, with exact zeros where they were left out; ``dropped`` their summed |α|.
    """

    names: tuple[str, ...]
    checkpoint: Int[np.ndarray, " checkpoint"]
    weights: Float[np.ndarray, "predictor checkpoint"]
    step: Float[np.ndarray, " predictor"]
    alpha: Float[np.ndarray, " all_checkpoints"]
    dropped: float


def mixture(form: xr.Dataset, tolerance: float = NEGLIGIBLE) -> Mixture:
    """The predictors of a form and what it is compared with.

    ``lifted`` is the form itself. ``path``, only if the form has ``path_weights`` (checkpoint), is the
    trajectory's own point at the form's step *in the same components*: it differs from ``lifted`` only by
    the way from the path to the form, whereas a checkpoint also has all components that were left out.
    ``nearest`` is the checkpoint nearest to the form's step in ln(1 + step), ``start`` the first, ``end`` the
    last.

    Checkpoints of the smallest |α| are left out while their summed |α| is at most ``tolerance``; the others
    are scaled so that Σα = 1 again. Only checkpoints that some predictor needs are in the result.

    Raises:
        InvalidSpec: unless ``form`` is one form with finite weights(checkpoint), Σ = 1, and a step, and the
            tolerance from 0 to below 1.
    """
    if not 0 <= tolerance < 1:
        raise InvalidSpec(f"tolerance must be from 0 to below 1, the summed |α| left out, got {tolerance}")
    require_dataset(form, (), "a form, as find_forms gives it")
    if "checkpoint" not in form.coords or "weights" not in form:
        raise InvalidSpec(
            "expected a form, as find_forms gives it: weights(checkpoint) and the coordinate checkpoint; "
            f"got {', '.join(map(str, form.variables)) or 'nothing'}"
        )
    if form.sizes.get("form") == 0:
        raise InvalidSpec("no form was found to lift; dx.circle_center(dynamics, step) gives a turn's centre")
    if "step" not in form or form["step"].size != 1:
        raise InvalidSpec("expected a form with one 'step'; choose one, such as forms.isel(form=0)")
    step, checkpoint = float(form["step"].item()), form["checkpoint"].values
    if not np.isfinite(step) or not np.array_equal(checkpoint, np.unique(np.rint(checkpoint))):
        raise InvalidSpec("expected a finite step, and checkpoints that are training steps, increasing")
    alpha, dropped = _without_smallest(_weights(form, "weights"), tolerance)
    nearest = int(nearest_in_log_time(checkpoint, max(step, 0.0))[0])
    single = {NEAREST: nearest, "start": int(checkpoint.argmin()), "end": int(checkpoint.argmax())}
    rows, steps = {LIFTED: alpha}, {LIFTED: step}
    if "path_weights" in form:
        rows[PATH], steps[PATH] = _without_smallest(_weights(form, "path_weights"), tolerance)[0], step
    rows |= {name: np.eye(len(alpha))[place] for name, place in single.items()}
    steps |= {name: float(checkpoint[place]) for name, place in single.items()}
    weights = np.stack(list(rows.values()))
    used = (weights != 0).any(axis=0)
    return Mixture(
        tuple(rows), checkpoint[used], weights[:, used], np.array(list(steps.values())), alpha, dropped
    )


def combine(
    weights: Float[np.ndarray, "predictor checkpoint"], outputs: Iterable[np.ndarray]
) -> Float[np.ndarray, "predictor ..."]:
    """Σ_t weights[:, t]·output_t in float64, from outputs that arrive in pieces of consecutive checkpoints.

    Each piece has shape (checkpoints of the piece, …); only one is held at a time. Combinations with negative
    weights cancel digits, hence float64 whatever the outputs' type.
    """
    total, done = np.zeros(()), 0
    for piece in outputs:
        share = weights[:, done : done + len(piece)] @ piece.reshape(len(piece), -1).astype(np.float64)
        share = share.reshape(len(weights), *piece.shape[1:])
        total = share if done == 0 else np.add(total, share, out=total)
        done += len(piece)
    if done != weights.shape[1]:
        raise InvalidSpec(f"expected outputs of {weights.shape[1]} checkpoints, got {done}")
    return total


def _weights(form: xr.Dataset, name: str) -> Float[np.ndarray, " checkpoint"]:
    if form[name].dims != ("checkpoint",):
        raise InvalidSpec(
            f"expected {name}(checkpoint) of one form, got {name}({', '.join(map(str, form[name].dims))}); "
            "choose one, such as forms.isel(form=0)"
        )
    alpha = form[name].values
    rounding = 64 * (np.finfo(alpha.dtype).eps if alpha.dtype.kind == "f" else 0)
    alpha = alpha.astype(np.float64)
    if not np.isfinite(alpha).all() or abs(alpha.sum() - 1) > 1e-6 + rounding * np.abs(alpha).sum():
        raise InvalidSpec(f"{name} of a form must be finite and sum to 1, got a sum of {alpha.sum():.6g}")
    return alpha


def _without_smallest(
    alpha: Float[np.ndarray, " checkpoint"], tolerance: float
) -> tuple[Float[np.ndarray, " checkpoint"], float]:
    order = np.argsort(np.abs(alpha))
    small = order[np.cumsum(np.abs(alpha[order])) <= tolerance]
    kept = alpha.copy()
    kept[small] = 0.0
    return kept / kept.sum(), float(np.abs(alpha[small]).sum())
