"""Rankings of changed predictions as plain data, one entry a row, for pages that draw their own bars."""

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from devexplore.views.token_words import called, label_words

_CONTEXT = 48
"""Characters of the text before a prediction."""


def ranked_rows(
    ranking: xr.Dataset, item: Callable[[int, int], int], labels: dict[str, dict[int, str]]
) -> list[dict[str, Any]]:
    """Rows of ``most_changed``, the strongest change first.

    ``item``: number of a place (its sequence and position) among what the page shows of its sequence. Single
    predictions carry it, and their text where there is any; groups their name, standard error and count.
    """
    by, attrs = ranking.attrs["by"], ranking.attrs
    rows = []
    for rank in range(ranking.sizes["rank"]):
        one = {name: values[rank] for name, values in ((n, ranking[n].values) for n in ranking.data_vars)}
        row: dict[str, Any] = {"change": float(one["loss_change"])}
        if by == "place":
            sequence, position = int(one["sequence"]), int(one["position"])
            row |= {"sequence": sequence, "item": item(sequence, position)}
            if "target_text" in one:
                row |= {"before": str(one["context"])[-_CONTEXT:], "token": str(one["target_text"])}
            else:
                words = (
                    _called(attrs, dim, at, labels)
                    for dim, at in (("sequence", sequence), ("position", position))
                )
                row["name"] = ", ".join(words)
        else:
            error = float(one["loss_change_se"])
            row |= {"se": error if np.isfinite(error) else None, "count": int(one["count"])}
            if by == "token":
                row["token"] = str(one["target_text"])
            elif by == "class":
                row["name"] = str(one["token_class"])
            else:
                row["name"] = _called(attrs, by, int(one[by]), labels)
        rows.append(row)
    return rows


def _called(attrs: dict[Any, Any], dim: str, at: int, labels: dict[str, dict[int, str]]) -> str:
    return f"{called(attrs, dim)} {label_words(at, labels.get(dim))}"
