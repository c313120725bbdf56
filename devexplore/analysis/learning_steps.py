"""When each single prediction was learned: the step at which its loss had fallen half-way."""

from typing import TYPE_CHECKING, Final

import numpy as np
import xarray as xr

from devexplore.analysis.labelled_losses import NAMES, PLACE, labelled_losses
from devexplore.checks import finite_number
from devexplore.errors import InvalidSpec
from devexplore.geometry import smoother
from devexplore.schema import STEP
from devexplore.stats.crossing import falling_crossing

if TYPE_CHECKING:
    from devexplore.run import Run

BANDWIDTH: Final = 0.3
"""Of the smoothing of single losses, in ln(1 + step): about a third of a step's size to either side."""

LEARNED, NEVER, UNLEARNED = "learned", "never learned", "unlearned"

_LEAST_SHARE: Final = 0.1


def learning_steps(
    source: "Run | xr.Dataset | xr.DataArray",
    *,
    probe: "Run | xr.Dataset | None" = None,
    min_fall: float | None = None,
    bandwidth: float = BANDWIDTH,
) -> xr.Dataset:
    """For every prediction the step at which its loss had fallen half-way from its early to its late value.

    Early, late and lowest are the first, the last and the least value of the loss smoothed in x = ln(1 +
    step) (local lines, Gaussian weights of this bandwidth). ``fate`` of a prediction:

    - *never learned*: its smoothed loss never lay ``min_fall`` below the early one;
    - *unlearned*: it did, but at the end more than half of that is lost again: late − lowest > (early −
      lowest) / 2, or what is left is less than ``min_fall``;
    - *learned*: the others, with learned_step: where the raw loss goes from above (early + late) / 2 to below
      it (``stats.crossing.falling_crossing``: the step that best parts a time above from a time below, so
      that neither an early dip nor a late excursion counts), between checkpoints linear in x.

    Args:
        source: a run, a Dataset like its group ``losses``, your own text (``dx.token_losses``), or labelled
            losses themselves.
        min_fall: in units of the loss; default a tenth of the mean loss at the first checkpoint. (For text
            that is about ln 2: the token has become twice as probable.)

    Returns:
        learned_step (NaN unless learned), early, late, lowest, fate (sequence, position), "" where a loss is
        missing; smooth_loss (step, sequence, position).

    Raises:
        InvalidSpec: for fewer than three checkpoints, or a ``min_fall`` or bandwidth that is not positive.
    """
    losses = source if isinstance(source, xr.DataArray) else labelled_losses(source, probe)
    losses = losses.transpose(STEP, *PLACE).load()
    if losses.sizes[STEP] < 3:
        raise InvalidSpec(
            f"when a prediction is learned can be told from three checkpoints on; there are losses at "
            f"{losses.sizes[STEP]}: dx.loss_change compares two"
        )
    bandwidth = finite_number("bandwidth, in ln(1 + step),", bandwidth, above=0)
    x = np.log1p(losses[STEP].values.astype(np.float64))
    flat = losses.values.reshape(len(x), -1).astype(np.float64)
    smooth = smoother(x, bandwidth, degree=1).weights[0] @ flat
    early, late, lowest = smooth[0], smooth[-1], smooth.min(axis=0)
    min_fall = least_fall(losses) if min_fall is None else min_fall
    min_fall = finite_number("min_fall, in units of the loss,", min_fall, above=0)
    fell = early - lowest >= min_fall
    kept = (early - late >= min_fall) & (late - lowest <= (early - lowest) / 2)
    fate = np.where(fell & kept, LEARNED, np.where(fell, UNLEARNED, NEVER)).astype(object)
    fate[~np.isfinite(flat).all(axis=0)] = ""
    crossing = np.full(len(early), np.nan)
    learned = fate == LEARNED
    crossing[learned] = falling_crossing(x, flat[:, learned], ((early + late) / 2)[learned])

    shape, units = losses.shape[1:], {"units": losses.attrs.get("units", "")}
    names = {name: losses.attrs[name] for name in NAMES if name in losses.attrs}
    return xr.Dataset(
        {
            "learned_step": (PLACE, np.expm1(crossing).reshape(shape), {"long_name": "half-way step"}),
            "early": (PLACE, early.reshape(shape), units),
            "late": (PLACE, late.reshape(shape), units),
            "lowest": (PLACE, lowest.reshape(shape), units),
            "fate": (PLACE, fate.reshape(shape)),
            "smooth_loss": ((STEP, *PLACE), smooth.reshape(losses.shape), units),
        },
        coords=losses.coords,
        attrs={**names, "min_fall": min_fall, "bandwidth": bandwidth, **units},
    )


def least_fall(losses: xr.DataArray) -> float:
    """The default of ``min_fall``: a tenth of the mean loss at the first checkpoint."""
    first = losses.isel({STEP: 0}).values.astype(np.float64)
    return _LEAST_SHARE * float(np.nanmean(first)) if np.isfinite(first).any() else 1.0
