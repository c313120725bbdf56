"""Which estimates of an LLC curve are to be believed, and why not the others."""

from collections import Counter
from dataclasses import asdict
from typing import Any

import numpy as np
import xarray as xr

from devexplore.sampling.trust import DOUBTFUL, NOT_AN_LLC, TRUSTED, VERDICT_WORDS, Setting, Thresholds, judge
from devexplore.schema import STEP


def trust(llc: xr.Dataset, thresholds: Thresholds | None = None) -> xr.Dataset:
    """A verdict for every checkpoint of the group /llc, from the checks that were recorded with it.

    Older runs lack some checks and attributes: what is there is judged, and what is not accuses nobody.
    ``attrs["not_judged"]`` names the checks that were missing.

    Returns, over ``step``: verdict (0 trusted, 1 doubtful, 2 not an LLC), reason (plain words with numbers,
    the gravest first, separated by "; "; empty where trusted) and kind (the gravest in a few words).
    Attributes hold the thresholds.
    """
    limits = Thresholds() if thresholds is None else thresholds
    checks = {
        str(name): values.values
        for name, values in llc.data_vars.items()
        if values.dims == (STEP,) and np.issubdtype(values.dtype, np.number)
    }
    found = judge(checks, _setting(llc), limits)
    result = xr.Dataset(
        {
            "verdict": (
                STEP,
                found.verdict,
                {"flag_values": [0, 1, 2], "flag_meanings": list(VERDICT_WORDS)},
            ),
            "reason": (STEP, np.array(["; ".join(words) for words in found.reasons], dtype=object)),
            "kind": (STEP, np.array([names[0] if names else "" for names in found.kinds], dtype=object)),
        },
        coords={STEP: llc[STEP]},
        attrs=asdict(limits),
    )
    wanted = ("init_loss", "spread", "half_drift_z", "descent", "stability", "slope_shift")
    result.attrs["not_judged"] = [name for name in wanted if name not in checks]
    return result


def summarize_trust(judged: xr.Dataset) -> str:
    """The verdicts counted, with the commonest reason: "131 trusted · 6 doubtful · 3 not an LLC (…)"."""
    verdict = judged["verdict"].values
    counts = [
        (int((verdict == level).sum()), VERDICT_WORDS[level]) for level in (TRUSTED, DOUBTFUL, NOT_AN_LLC)
    ]
    words = " · ".join(f"{count} {word}" for count, word in counts if count > 0)
    kinds = Counter(str(kind) for kind in judged["kind"].values if kind)
    if not kinds:
        return words
    (commonest, _), *others = kinds.most_common()
    return f"{words} ({'mostly ' if others else ''}{commonest})"


def _setting(llc: xr.Dataset) -> Setting:
    """How the chains were run, as far as the group's attributes say."""
    attrs = llc.attrs
    updates = None
    if all(name in attrs for name in ("burn_in", "draws", "thinning")):
        updates = int(attrs["burn_in"]) + int(attrs["draws"]) * int(attrs["thinning"])
    return Setting(
        n_beta=_number(attrs, "n_beta"),
        localization=_number(attrs, "localization"),
        step_size=_number(attrs, "step_size") if attrs.get("sampler", "sgld") == "sgld" else None,
        updates=updates,
        chains=_whole(attrs, "chains"),
        n_parameters=_whole(attrs, "n_parameters"),
        trivial_loss=_number(attrs, "trivial_loss"),
        trivial_name=str(attrs.get("trivial_name", Setting.trivial_name)),
        loss_units=str(llc["excess_loss"].attrs.get("units", "")) if "excess_loss" in llc else "",
    )


def _number(attrs: dict[Any, Any], name: str) -> float | None:
    value = attrs.get(name)
    return None if value is None or not np.isfinite(value) else float(value)


def _whole(attrs: dict[Any, Any], name: str) -> int | None:
    value = _number(attrs, name)
    return None if value is None else int(value)
