"""What a training wrote down on its way: ``training.csv``."""

import csv

import numpy as np
import xarray as xr

from devexplore import schema
from devexplore.errors import CheckpointNotFound, SchemaError
from devexplore.run import Run


def training_log(run: Run) -> dict[int, dict[str, str]]:
    """Its rows by step, without one that was cut off by a kill; none without the file. Raises SchemaError."""
    path = run.path / schema.TRAINING_LOG
    if not path.exists():
        return {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {int(row["step"]): row for row in csv.DictReader(file) if row.get("seconds")}
    except (KeyError, ValueError) as error:
        raise SchemaError(
            f"{path} is not a training log ({error}); delete it to go without training losses"
        ) from None


def logged_losses(run: Run) -> xr.Dataset | None:
    """``train_loss(step)`` of the checkpoints, as a sweep would store it; NaN where the log does not tell it
    yet. None where it tells none of them."""
    try:
        steps = run.checkpoints.steps
    except CheckpointNotFound:
        return None
    rows = training_log(run)
    losses = np.array([float(rows[step]["loss"]) if step in rows else np.nan for step in steps.tolist()])
    if not np.isfinite(losses).any():
        return None
    attrs = {"long_name": "training loss (one batch)"}
    return xr.Dataset({"train_loss": ("step", losses, attrs)}, coords={"step": steps})
