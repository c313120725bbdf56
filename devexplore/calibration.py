"""Calibrate a run: sweep sampler settings, choose among them, and keep the choice for ``measure``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import xarray as xr

from devexplore.analysis.calibration import Recommendation, recommend
from devexplore.measure.calibrate import sweep_settings
from devexplore.measure.calibrated import write_calibration
from devexplore.run import Run

if TYPE_CHECKING:
    import torch


class Calibration(NamedTuple):
    """What a sweep gave and what follows from it; ``views.calibration.calibration_figure`` draws it."""

    sweep: xr.Dataset
    recommendation: Recommendation


def calibrate(
    run: Run,
    *,
    steps: Sequence[int] | None = None,
    step_sizes: Sequence[float] | None = None,
    n_betas: Sequence[float] | None = None,
    localizations: Sequence[float] | None = None,
    minutes: float = 10.0,
    memory: str | int | None = None,
    device: "torch.device | str" = "cpu",
    progress: bool = True,
) -> Calibration:
    """Find out which LLC settings suit a run, and keep them where ``measure --llc calibrated`` finds them.

    A sweep over step size, nβ and γ at a few checkpoints (``measure.calibrate.sweep_settings`` explains every
    argument) is judged by ``analysis.calibration.recommend``. The chosen settings, with reasons and
    provenance, take the place of an earlier choice in calibration.json beside the run's store. What was
    measured with other settings stays as it is.
    """
    sweep = sweep_settings(
        run,
        steps=steps,
        step_sizes=step_sizes,
        n_betas=n_betas,
        localizations=localizations,
        minutes=minutes,
        memory=memory,
        device=device,
        progress=progress,
    )
    recommendation = recommend(sweep)
    write_calibration(run, recommendation.settings, recommendation.reasons, recommendation.found, sweep)
    return Calibration(sweep, recommendation)
