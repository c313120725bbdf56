"""Which estimates of an LLC curve are to be believed, and why not the others."""

from collections import Counter
from dataclasses import asdict
from typing import NamedTuple

import numpy as np
import xarray as xr

from devexplore.sampling.sweep import Setting
from devexplore.sampling.thresholds import Thresholds
from devexplore.sampling.trust import TRUSTED, VERDICT_WORDS, judge
from devexplore.schema import STEP


def trust(llc: xr.Dataset, thresholds: Thresholds | None = None) -> xr.Dataset:
    """A verdict for every checkpoint of the group /llc, from the checks that were recorded with it.

    Older runs lack some checks and attributes: what is there is judged, and what is not accuses nobody.
    ``attrs["not_judged"]`` names the checks that were missing, and ``attrs["by_sign_alone"]`` says whether
    there was nothing but values (a published curve): one that is not negative then stays at verdict 0.

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
    units = str(llc["excess_loss"].attrs.get("units", "")) if "excess_loss" in llc else ""
    found = judge(checks, Setting.of_attributes(llc.attrs, units), limits)
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
    result.attrs["by_sign_alone"] = checks.keys() <= {"llc", "llc_se"}
    return result


def trust_of_components(refined: xr.Dataset) -> xr.DataArray:
    """Verdicts over (step, component) of a group of refined LLCs, each component a curve of its own.

    What takes a Lanczos run (stability, slope, saddles) is not judged: a component's largest eigenvalue is at
    most the whole network's, whose verdict in /llc at the same settings covers its stability.
    """
    verdicts = []
    for place in range(refined.sizes["component"]):
        one = refined.isel(component=place)
        size = {"n_parameters": int(one["n_parameters"])} if "n_parameters" in one.coords else {}
        verdicts.append(trust(one.drop_vars("component").assign_attrs(size))["verdict"])
    return xr.concat(verdicts, "component").assign_coords(component=refined["component"]).transpose(STEP, ...)


class VerdictCount(NamedTuple):
    """How many checkpoints have one verdict."""

    level: int
    n: int
    reason: str
    """The commonest in a few words, and whether there are others; empty where trusted."""
    by_sign_alone: bool = False

    @property
    def words(self) -> str:
        """As in "6 doubtful: mostly chains disagree"; nobody trusts what could not be judged."""
        word = "not judged" if self.by_sign_alone and self.level == TRUSTED else VERDICT_WORDS[self.level]
        return f"{self.n} {word}" + (f": {self.reason}" if self.reason else "")


def count_verdicts(judged: xr.Dataset) -> list[VerdictCount]:
    """The verdicts that occur, best first, each with its commonest reason."""
    counts = []
    for level in range(len(VERDICT_WORDS)):
        kinds = Counter(judged["kind"].values[judged["verdict"].values == level].tolist()).most_common()
        if kinds:
            (reason, most), n = kinds[0], sum(times for _, times in kinds)
            if most < n:
                reason = f"mostly {reason}" if most > n / 2 else f"{reason} and others"
            counts.append(VerdictCount(level, n, reason, judged.attrs.get("by_sign_alone", False)))
    return counts
