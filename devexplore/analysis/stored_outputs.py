"""Outputs as analysis takes them: chosen among what a run holds, in order of steps, refused if unusable."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from devexplore.arguments import require_run
from devexplore.errors import InvalidSpec, NotMeasured
from devexplore.run import held_outputs
from devexplore.schema import OUTPUT_KINDS, OUTPUTS, SKETCH, STEP

if TYPE_CHECKING:
    from devexplore.run import Run


def stored_outputs(source: "Run | xr.DataArray", kind: str | None) -> tuple[xr.DataArray, str]:
    """Outputs and their kind, read lazily, steps increasing: of a run, those of the most checkpoints
    (``held_outputs``) among those of ``kind``, or among all.

    Raises:
        NotMeasured: for a run without outputs, or fewer than two checkpoints.
        InvalidSpec: for what is neither run nor DataArray, outputs that are no real numbers or have no
            features, or steps that are missing, not finite or repeated.
    """
    if isinstance(source, xr.DataArray):
        output = source
        kind = kind or str(output.attrs.get("kind", output.name or "output"))
    else:
        require_run(source, " or outputs as a DataArray with a dimension 'step'")
        held = held_outputs(source, kind)
        if not held:
            kinds = OUTPUT_KINDS if kind is None else (kind,)
            raise NotMeasured(
                f"{source.name} holds no outputs ({', '.join(kinds)}); {source.remedy('outputs')}"
            )
        kind = held[0].removeprefix(f"{OUTPUTS}/").removesuffix(SKETCH)
        output = source.dataset(held[0])["output"]
    _require_numbers(output)
    steps = _finite_steps(output)
    return (output if (np.diff(steps) > 0).all() else output.sortby(STEP)), kind


def _require_numbers(output: xr.DataArray) -> None:
    if STEP not in output.dims:
        raise InvalidSpec(f"expected outputs with a dimension 'step', got {output.dims}")
    if output.dtype.kind not in "fiu":
        raise InvalidSpec(f"expected outputs in real numbers, got {output.dtype}; turn them into these first")
    if output.sizes[STEP] < 2:
        raise NotMeasured(
            f"essential dynamics needs at least two checkpoints, got {output.sizes[STEP]}; measure more"
        )
    if output.size == 0:
        raise InvalidSpec(f"expected at least one output at each step, got none ({dict(output.sizes)})")


def _finite_steps(output: xr.DataArray) -> np.ndarray:
    """Steps as the floating-point numbers that time is made of, each once."""
    if STEP not in output.coords:
        raise InvalidSpec(
            "expected a coordinate 'step' that says which training step each checkpoint is of, got none; "
            "add it with outputs.assign_coords(step=…)"
        )
    stored = output[STEP].values
    steps = stored.astype(np.float64) if stored.dtype.kind in "fiu" else np.full(len(stored), np.nan)
    if not np.isfinite(steps).all():
        raise InvalidSpec(
            f"expected training steps as finite numbers, got {stored.dtype} {stored[~np.isfinite(steps)][0]}"
        )
    if len(np.unique(stored)) < len(stored):
        raise InvalidSpec("every step must occur once in the outputs; drop the repeated checkpoints")
    if len(np.unique(steps)) < len(steps):
        raise InvalidSpec(
            f"steps up to {stored.max()} cannot be told apart as 64-bit floats; count them from a later start"
        )
    return steps
