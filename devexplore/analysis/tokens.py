"""Which tokens (or positions of a regression context) a stretch of training improved or worsened."""

from typing import TYPE_CHECKING, Literal

import numpy as np
import xarray as xr

from devexplore.errors import InvalidSpec
from devexplore.schema import LOSSES, PROBE, STEP

if TYPE_CHECKING:
    from devexplore.run import Run


def loss_change(source: "Run | xr.Dataset", step_from: float, step_to: float) -> xr.DataArray:
    """token_loss at ``step_to`` minus that at ``step_from``, (sequence, position); negative: the loss fell.

    In the units of the loss (nats, or squared error). Steps between checkpoints stand for the nearest
    measured one, in ln(1 + step) as on the timeline; ``attrs`` ``step_from`` and ``step_to`` say which. NaN
    where either has no value.

    Raises:
        NotMeasured: for a run without token losses.
    """
    losses = source if isinstance(source, xr.Dataset) else source.dataset(LOSSES)
    used = [nearest_step(losses[STEP].values, step) for step in (step_from, step_to)]
    before, after = (losses["token_loss"].sel({STEP: step}, drop=True).load() for step in used)
    change = (after.astype(np.float64) - before.astype(np.float64)).rename("loss_change")
    change.attrs = {
        "units": losses["token_loss"].attrs.get("units", ""),
        "long_name": "change of loss (negative: fell)",
        "step_from": used[0],
        "step_to": used[1],
    }
    return change


def most_changed(
    change: xr.DataArray,
    probe: "Run | xr.Dataset | None" = None,
    n: int = 20,
    direction: Literal["improved", "worsened"] = "improved",
) -> xr.Dataset:
    """The ``n`` single positions whose loss fell (or rose) most, strongest first, over ``rank`` = 1 … n.

    Holds sequence, position, loss_change, and, where the probe has them, token_text (the token read) and
    target_text (the token predicted). Only true changes in the direction are listed, so there may be fewer
    than ``n``.
    """
    sign = _sign(direction)
    flat = sign * change.transpose("sequence", "position").values.ravel()
    order = np.argsort(-np.where(np.isfinite(flat), flat, -np.inf), kind="stable")[:n]
    order = order[flat[order] > 0]
    sequence, position = np.unravel_index(order, (change.sizes["sequence"], change.sizes["position"]))
    table = xr.Dataset(
        {
            "sequence": ("rank", _labels(change, "sequence")[sequence]),
            "position": ("rank", _labels(change, "position")[position]),
            "loss_change": ("rank", sign * flat[order]),
        },
        coords={"rank": np.arange(1, len(order) + 1)},
        attrs={**change.attrs, "direction": direction},
    )
    for name, text in _texts(probe).items():
        table[name] = ("rank", text[sequence, position])
    return table


def most_changed_tokens(
    change: xr.DataArray,
    probe: "Run | xr.Dataset",
    n: int = 20,
    direction: Literal["improved", "worsened"] = "improved",
    min_count: int = 3,
) -> xr.Dataset:
    """Predicted tokens whose mean loss fell (or rose) most: target_text, loss_change, its se, count, by rank.

    Tokens seen fewer than ``min_count`` times are left out; the standard error is that of the mean over
    occurrences.

    Raises:
        InvalidSpec: if the probe has no target_text (only language runs have).
    """
    sign = _sign(direction)
    texts = _texts(probe)
    if "target_text" not in texts:
        raise InvalidSpec("ranking by token needs a probe with target_text; only language runs have one")
    values = change.transpose("sequence", "position").values.ravel()
    valued = np.isfinite(values)
    token, label, count = np.unique(
        texts["target_text"].astype(str).ravel()[valued], return_inverse=True, return_counts=True
    )
    values = values[valued]
    mean = np.bincount(label, values, len(token)) / count
    spread = np.bincount(label, (values - mean[label]) ** 2, len(token))
    se = np.sqrt(spread / np.maximum(count - 1, 1) / count)
    order = np.argsort(-sign * mean, kind="stable")
    order = order[(count[order] >= min_count) & (sign * mean[order] > 0)][:n]
    return xr.Dataset(
        {
            "target_text": ("rank", token[order].astype(object)),
            "loss_change": ("rank", mean[order]),
            "loss_change_se": ("rank", np.where(count[order] > 1, se[order], np.nan)),
            "count": ("rank", count[order]),
        },
        coords={"rank": np.arange(1, len(order) + 1)},
        attrs={**change.attrs, "direction": direction},
    )


def nearest_step(steps: np.ndarray, step: float) -> int:
    """The measured step nearest to ``step`` in ln(1 + step)."""
    return int(steps[np.argmin(np.abs(np.log1p(steps.astype(np.float64)) - np.log1p(max(step, 0))))])


def _texts(probe: "Run | xr.Dataset | None") -> dict[str, np.ndarray]:
    if probe is None:
        return {}
    dataset = probe if isinstance(probe, xr.Dataset) else probe.dataset(PROBE)
    names = [name for name in ("token_text", "target_text") if name in dataset]
    return {name: dataset[name].transpose("sequence", "position").values for name in names}


def _labels(change: xr.DataArray, dim: str) -> np.ndarray:
    return change[dim].values


def _sign(direction: str) -> int:
    if direction not in ("improved", "worsened"):
        raise InvalidSpec(f"direction must be 'improved' or 'worsened', got {direction!r}")
    return -1 if direction == "improved" else 1
