"""What a lifted form predicts, and what it favours, as plain data that the page and the notebooks write."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import xarray as xr

from devexplore.analysis.form_readings import FormReading
from devexplore.stats.token_classes import PADDING
from devexplore.views.lifting import PREDICTOR_WORDS
from devexplore.views.tokens import dimension_name, grid_labels

HINTS: Final[Mapping[str, str]] = {
    "lifted": "The form: an affine combination of checkpoints' outputs",
    "path": "The trajectory's own point at the form's step, in the same components",
    "nearest": "The checkpoint nearest to the form's step",
    "start": "The first checkpoint",
    "end": "The last checkpoint",
}
_WINDOW: Final = 8
_ROWS: Final = 8
_TOKENS: Final = 10
_CHARACTERS: Final = 40

Guess = tuple[str, float, bool]
"""A predicted token, its probability, and whether it is the true one."""


def columns(lifted: xr.Dataset) -> list[dict[str, Any]]:
    """The predictors of a lift: name, what to call it, its step, what it is."""
    names, steps = lifted["predictor"].values.tolist(), lifted["predictor_step"].values.tolist()
    return [
        {"name": name, "words": PREDICTOR_WORDS[name], "step": round(step), "hint": HINTS[name]}
        for name, step in zip(names, steps, strict=True)
    ]


def prediction_rows(
    lifted: xr.Dataset,
    sequence: int = 0,
    reference: str = "nearest",
    top: int = 3,
    others: int = 1,
    positions: Sequence[int] | None = None,
) -> list[dict[str, Any]]:
    """One text, one row a position: ``place``; the end of the text read so far, ``before`` and ``last``; the
    true next token ``target`` (None at the end); ``gain``, the log-probability that the form gives it less
    that of ``reference``, in nats (None where there is none); ``guesses``, of each predictor: the ``top``
    most probable tokens of the form, ``others`` of each other. Places behind the end of a shorter text are
    left out; ``positions`` keeps to some of them.
    """
    here = lifted.isel(sequence=sequence)
    places = here["position"].values if positions is None else np.asarray(positions)
    words = [str(word) for word in here["context_text"].values]
    names = here["predictor"].values.tolist()
    here = here.sel(position=places).transpose(..., "predictor", "position", "top", missing_dims="ignore")
    ids, texts, shares = (here[f"top_{what}"].values for what in ("id", "text", "probability"))
    target_id, target = here["target_id"].values, here["target_text"].values
    log_prob = here["target_log_prob"].values
    gains = log_prob[names.index("lifted")] - log_prob[names.index(reference)]
    rows = []
    for i, place in enumerate(places.tolist()):
        if ids[0, i, 0] == PADDING:
            continue
        guesses = [
            [
                (str(text), round(float(share), 4), bool(identity == target_id[i]))
                for text, share, identity in zip(texts[k, i], shares[k, i], ids[k, i], strict=True)
            ][: top if name == "lifted" else others]
            for k, name in enumerate(names)
        ]
        rows.append(
            {
                "place": place,
                "before": "".join(words[max(0, place - _WINDOW) : place]),
                "last": words[place],
                "target": None if target_id[i] == PADDING else str(target[i]),
                "gain": number(gains[i]),
                "guesses": guesses,
            }
        )
    return rows


def text_table(lifted: xr.Dataset, sequence: int, reference: str) -> dict[str, Any]:
    """Predictions on one text for the page, with what stands above the columns."""
    return {
        "kind": "text",
        "columns": columns(lifted),
        "reference": PREDICTOR_WORDS[reference],
        "rows": prediction_rows(lifted, sequence, reference),
        "sequence": sequence,
        "sequences": lifted.sizes["sequence"],
        "sequence_name": "text",
    }


def value_table(lifted: xr.Dataset, probe: xr.Dataset | None, sequence: int) -> dict[str, Any]:
    """Predicted numbers beside those of idealised predictors.

    Outputs of several channels: one small grid (sequence × channel) a predictor, at the last position, where
    the inputs of the bundled systems are largest. Else one sequence, one row a position.
    """
    ideals = [str(name) for name in lifted["ideal"].values]
    heads = columns(lifted)
    beside = [
        {"name": name, "words": name, "step": None, "hint": "An idealised predictor"} for name in ideals
    ]
    row, column = dimension_name(probe, "sequence"), dimension_name(probe, "position")
    prediction = lifted["prediction"]
    both = (prediction, lifted["reference"].transpose("ideal", *prediction.dims[1:]))
    if "channel" in prediction.dims:
        at = "" if prediction.sizes["position"] == 1 else f", {column} {_last(prediction, probe)}"
        own, ideal = (held.isel(position=-1).values for held in both)
        told = [k for k in range(len(ideals)) if np.ptp(ideal[k]) > 0]  # a constant one needs no grid
        grids = [*own, *ideal[told]]
        return {
            "kind": "grids",
            "columns": heads + [beside[k] for k in told],
            "grids": [[[number(value) for value in line] for line in grid] for grid in grids],
            "rows": grid_labels(prediction, probe, "sequence"),
            "caption": f"Rows: {row}{at}. Columns: channel of the output.",
        }
    heads += beside
    numbers = np.concatenate([held.isel(sequence=sequence).values for held in both])
    if probe is not None and "targets" in probe:
        heads.append({"name": "target", "words": "target", "step": None, "hint": "What is to be predicted"})
        numbers = np.concatenate([numbers, probe["targets"].isel(sequence=[sequence]).values])
    return {
        "kind": "values",
        "columns": heads,
        "rows": grid_labels(prediction, probe, "position"),
        "row_name": column,
        "values": [[number(value) for value in line] for line in numbers.T],
        "sequence": sequence,
        "sequences": prediction.sizes["sequence"],
        "sequence_name": row,
    }


def distance_table(distances: xr.Dataset) -> dict[str, Any]:
    """Mean squared distance of each predictor to each ideal one, over the whole probe."""
    mean = distances["mean_distance"].transpose("predictor", "ideal").values
    return {
        "ideals": [str(name) for name in distances["ideal"].values],
        "rows": [
            {"words": PREDICTOR_WORDS[name], "values": [number(value) for value in line]}
            for name, line in zip(distances["predictor"].values.tolist(), mean, strict=True)
        ],
    }


def favours(reading: FormReading) -> dict[str, Any]:
    """Tokens and contexts that a form favours and disfavours against its reference."""
    return {
        "reference": PREDICTOR_WORDS[reading.reference],
        "sides": [
            {
                "words": tokens.attrs["direction"],
                "tokens": [
                    (str(text), number(100 * change))
                    for text, change in zip(
                        tokens["token_text"].values[:_TOKENS],
                        tokens["probability_change"].values[:_TOKENS],
                        strict=True,
                    )
                ],
                "contexts": [
                    _context(contexts.isel(rank=rank)) for rank in range(min(_ROWS, contexts.sizes["rank"]))
                ],
            }
            for tokens, contexts in (
                (reading.favoured_tokens, reading.favoured_contexts),
                (reading.disfavoured_tokens, reading.disfavoured_contexts),
            )
        ],
    }


def _context(context: xr.Dataset) -> dict[str, Any]:
    target, last = str(context["target_text"].item()), str(context["token_text"].item())
    guesses: list[Guess] = []
    for prefix in ("", "reference_"):
        text = str(context[f"{prefix}top_text"].values[0])
        guesses.append((text, float(context[f"{prefix}top_probability"].values[0]), text == target))
    return {
        "before": str(context["context"].item()).removesuffix(last)[-_CHARACTERS:],
        "last": last,
        "target": (target, float(context["probability"]), False),
        "gain": number(float(context["log_prob_change"])),
        "guesses": guesses,
    }


def number(value: float) -> float | None:
    """For JSON: None where there is no value, six digits else."""
    return float(f"{value:.6g}") if np.isfinite(value) else None


def _last(prediction: xr.DataArray, probe: xr.Dataset | None) -> str:
    return grid_labels(prediction, probe, "position")[-1]
