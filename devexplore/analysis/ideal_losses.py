"""Losses that idealised predictors have on a run's probe, to set beside the network's."""

import numpy as np
import xarray as xr


def ideal_losses(probe: xr.Dataset | None, references: xr.Dataset | None = None) -> xr.Dataset | None:
    """Mean squared error of each idealised predictor of in-context regression, at each example.

    ``zero`` answers 0, the mean of the task prior; ``ridge`` is the Bayes optimum for tasks without end, as
    stored with the probe; others (``dmmse``) are there where ``references`` (predictor, sequence, position)
    holds their answers.

    Returns:
        loss and loss_se, its standard error over sequences (predictor, position); None for a probe without
        targets and ridge's answers.
    """
    if probe is None or not {"targets", "ridge"} <= set(probe):
        return None
    targets = probe["targets"].transpose("sequence", "position").values.astype(np.float64)
    answers = {
        "zero": np.zeros_like(targets),
        "ridge": probe["ridge"].transpose("sequence", "position").values,
    }
    if references is not None:
        for name in references["predictor"].values.tolist():
            held = references["output"].sel(predictor=name).transpose("sequence", "position").values
            answers.setdefault(str(name), held.astype(np.float64))
    squared = np.stack([(values - targets) ** 2 for values in answers.values()])
    count = targets.shape[0]
    spread = (
        squared.std(axis=1, ddof=1) / np.sqrt(count) if count > 1 else np.full(squared[:, 0].shape, np.nan)
    )
    return xr.Dataset(
        {
            "loss": (("predictor", "position"), squared.mean(axis=1), {"units": "squared error"}),
            "loss_se": (("predictor", "position"), spread, {"units": "squared error"}),
        },
        coords={"predictor": np.array(list(answers), dtype=object)},
    )
