"""Per-token loss over training, on readable text or on a labelled grid."""

from typing import Any

import numpy as np
import xarray as xr

from devexplore.analysis.labelled_losses import PLACE
from devexplore.views.stages import StageMark

LIMIT_QUANTILE = 0.98
GRID_ROWS = 48


def colour_limit(change: xr.DataArray, least: float = 0.0) -> float:
    """The symmetric limit ±L of the colours; 1 when nothing changed.

    The 98 % quantile of |change| over the whole probe, rounded up to two digits: the same for every sequence.
    Never below ``least``, so that rounding errors are not shown as strong colours.
    """
    size = np.abs(change.values.astype(float))
    size = size[np.isfinite(size)]
    limit = max(float(np.quantile(size, LIMIT_QUANTILE)) if size.size else 0.0, least)
    if limit <= 0.0:
        return 1.0
    digit = 10.0 ** (np.floor(np.log10(limit)) - 1)
    return float(np.ceil(round(limit / digit, 6)) * digit)


def text_view(losses: xr.Dataset, probe: xr.Dataset, sequence: int) -> dict[str, Any]:
    """One sequence of readable text.

    Item i is the token *predicted* at position i, with its loss at every step; ``lead`` is the first token,
    which nothing predicts.
    """
    here = losses["token_loss"].isel(sequence=sequence).transpose("step", "position")
    words = [str(text) for text in probe["target_text"].isel(sequence=sequence).values]
    return {
        "form": "text",
        "title": "Tokens",
        "step": here["step"].values.astype(float),
        "loss": here.values.astype(np.float32),
        "lead": str(probe["token_text"].isel(sequence=sequence, position=0).item()),
        "items": words,
        "unit": here.attrs.get("units", "nats"),
        "sequence": sequence,
        "pages": [
            [i, f"text {i + 1} of {losses.sizes['sequence']}"] for i in range(losses.sizes["sequence"])
        ],
        "note": "Coloured by the loss of predicting each token.",
    }


def own_text_view(losses: xr.Dataset) -> dict[str, Any]:
    """The user's own text (``dx.token_losses``) as one piece: item i is the i-th of ``own_places``."""
    rows, columns = own_places(losses)
    here = losses["token_loss"].transpose("step", "sequence", "position")
    return {
        "form": "text",
        "title": "Tokens",
        "step": here["step"].values.astype(float),
        "loss": here.values[:, rows, columns].astype(np.float32),
        "lead": str(losses["token_text"].isel(sequence=0, position=0).item()),
        "items": [str(text) for text in losses["target_text"].values[rows, columns]],
        "unit": here.attrs.get("units", "nats"),
        "sequence": 0,
        "pages": [[0, "own text"]],
        "note": "Your text, coloured by the loss of predicting each token.",
    }


def own_places(losses: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Windows and positions at which a text's tokens are counted, in the order of the text."""
    rows, columns = np.nonzero(losses["token_loss"].notnull().any("step").transpose(*PLACE).values)
    return rows, columns


def grid_item(losses: xr.Dataset, sequence: int, position: int) -> int:
    """Number of the cell that shows this place, on the page of the grid that shows this sequence."""
    mean = losses.sizes["sequence"] > GRID_ROWS
    return (sequence % GRID_ROWS + mean) * losses.sizes["position"] + position


def grid_view(losses: xr.Dataset, probe: xr.Dataset | None = None, sequence: int = 0) -> dict[str, Any]:
    """Runs without text: a grid of sequence × position; of many sequences so many as hold this one, below
    the mean of all.

    The probe says what they are (``sequence_name``, ``position_name``) and, in a variable along that one
    dimension, their values: the superposition probe's μ, a deep linear teacher's singular values.
    """
    row, column = (dimension_name(probe, dim) for dim in ("sequence", "position"))
    here = losses["token_loss"].transpose("step", "sequence", "position")
    values = here.values.astype(np.float32)
    count = values.shape[1]
    pages = list(range(0, count, GRID_ROWS))
    first = pages[min(sequence // GRID_ROWS, len(pages) - 1)]
    labels = grid_labels(here, probe, "sequence")
    names = [f"{row} {label}" for label in labels[first : first + GRID_ROWS]]
    shown = values[:, first : first + GRID_ROWS]
    if count > GRID_ROWS:
        shown = np.concatenate([values.mean(axis=1, keepdims=True), shown], axis=1)
        names = [f"mean of {count}", *names]
    return {
        "form": "grid",
        "title": "Loss per input",
        "step": here["step"].values.astype(float),
        "loss": shown.reshape(shown.shape[0], -1),
        "rows": names,
        "columns": grid_labels(here, probe, "position"),
        "column_title": column,
        "unit": here.attrs.get("units", "squared error"),
        "sequence": first,
        "pages": [[at, f"{at + 1}–{min(at + GRID_ROWS, count)} of {count}"] for at in pages],
        "note": f"Rows: {row}s of the probe. Columns: {column}.",
    }


def stage_ranges(stages: list[StageMark]) -> list[tuple[float, float]]:
    """The two steps between which a stage's change is taken."""
    return [(stage.start, stage.end) for stage in stages]


def dimension_name(probe: xr.Dataset | None, dim: str) -> str:
    """What the probe calls its sequences or positions."""
    return dim if probe is None else str(probe.attrs.get(f"{dim}_name", dim)).replace("_", " ")


def grid_labels(values: xr.DataArray, probe: xr.Dataset | None, dim: str) -> list[str]:
    """What to call each sequence or position: the probe's values along it, where it has any, else numbers
    from 1."""
    held = label_values(probe, dim)
    if held is not None:
        return [f"{value:.2g}" for value in held.values.tolist()]
    return [str(i + 1) for i in range(values.sizes[dim])]


def label_values(probe: xr.Dataset | None, dim: str) -> xr.DataArray | None:
    """The probe's numbers along its sequences or positions, where it has any."""
    held = [] if probe is None else [v for v in probe.data_vars.values() if v.dims == (dim,)]
    return held[0] if held and held[0].dtype.kind == "f" else None
