"""Chains as the page draws them: every checkpoint's traces at once, thinned to what a page can hold."""

from typing import Any, Final, NamedTuple

import numpy as np
import xarray as xr

from devexplore.analysis.chain_readings import NOT_JUDGED
from devexplore.sampling.trust import TRUSTED, VERDICT_WORDS
from devexplore.views.axes import padded
from devexplore.views.llc_row import settings

MOST_BYTES: Final = 400_000
"""Of all traces together; of longer chains every second, third … draw is drawn."""

SETTLED: Final = 8
"""The range of λ̂ holds the running estimate from this part (an eighth) of the draws on."""

IN_SIGHT: Final = 2.0
"""A trivial predictor, or a limit, is drawn where that stretches an axis at most so many times."""


class Check(NamedTuple):
    """A number that a verdict looks at, over training."""

    name: str
    title: str
    hint: str
    threshold: str
    """Its limit among the attributes of ``analysis.trust``."""
    below: bool = False
    """Whether it accuses below its limit, rather than above."""


CHECKS: Final = (
    Check("rhat", "R̂", "R̂ over chains: near 1 where they agree", "rhat"),
    Check("ess", "ESS", "effective number of independent draws", "ess", below=True),
    Check("relative_distance", "‖w − w*‖ / ‖w*‖", "how far from w* the chains end", "relative_distance"),
    Check(
        "forgotten",
        "forgotten",
        "share of what w* learned that the chains forget (verdicts allow two standard errors)",
        "forgotten",
    ),
    Check(
        "stability",
        "ε(nβ·h + γ)",
        "stability of the step: from 4 on SGLD has no stationary state",
        "stability",
    ),
)
"""Drawn over training where there is room, in the order in which they are shown."""


def chains_payload(readings: xr.Dataset, limits: dict[str, Any]) -> dict[str, Any]:
    """All that the page draws of ``analysis.chain_readings``; ``limits`` are the attributes of the verdicts.

    Arrays over (step, chain, draw) are flat, in that order, single precision.
    """
    sizes, step = readings.sizes, readings["step"].values
    steps = {"steps": step.astype(float), "settings": settings(readings), "words": verdict_words(readings)}
    if "verdict" in readings:
        steps |= {
            "verdict": readings["verdict"].values.astype(int),
            "reason": readings["reason"].values.tolist(),
            "checks": [_check(one, readings, limits) for one in CHECKS if _known(readings, one.name)],
        }
    for name in ("llc", "llc_se", "excess_loss", "relative_distance"):
        steps[name] = _single(readings[name]) if name in readings else np.full(len(step), np.nan, "f4")
    if "excess" not in readings:
        return steps
    thin, every = thinned(readings)
    numbers = {
        name: _single(thin[name]) for name in ("excess", "running_llc", "running_se", "chain_llc", "distance")
    }
    return steps | {
        "traces": {
            **numbers,
            "chains": sizes["chain"],
            "draws": updates(thin),
            "burn_in": burn_in(readings),
            "diverged": (readings["diverged"].values == 1).astype(int).ravel(),
            "trivial": _single(trivial_excess(readings)),
            "trivial_name": trivial_name(readings),
            "unit": readings["excess"].attrs.get("units", ""),
            "excess_range": np.array([excess_range(readings.isel(step=i)) for i in range(len(step))], "f4"),
            "llc_range": np.array([llc_range(readings.isel(step=i)) for i in range(len(step))], "f4"),
            "thinned": f"every {every}th draw is drawn, λ̂ is of all" if every > 1 else "",
        }
    }


def verdict_words(readings: xr.Dataset) -> list[str]:
    """What each verdict is called; nobody trusts what could not be judged."""
    trusted, *others = VERDICT_WORDS
    return ["not judged" if readings.attrs.get("by_sign_alone") else trusted, *others]


def verdict_of(at: xr.Dataset) -> str:
    """The verdict on one checkpoint in words, with its reason."""
    level = int(at["verdict"]) if "verdict" in at else NOT_JUDGED
    if level == NOT_JUDGED:
        return "no LLC was kept of these chains"
    reason = str(at["reason"].item())
    word = verdict_words(at)[level]
    return f"{word}: {reason}" if level != TRUSTED and reason else word


def thinned(readings: xr.Dataset) -> tuple[xr.Dataset, int]:
    """Every n-th draw, the last one among them, and n: the least at which the traces are ``MOST_BYTES``."""
    sizes = readings.sizes
    whole = 4 * sizes["step"] * sizes["draw"] * (sizes["chain"] + 2)
    every = max(-(-whole // MOST_BYTES), 1)
    return readings.isel(draw=np.arange(sizes["draw"] - 1, -1, -every)[::-1]), every


def updates(readings: xr.Dataset) -> np.ndarray:
    """The SGLD update after which each draw was taken; its number where that was not kept."""
    if "draw" in readings.coords:
        return readings["draw"].values.astype(float) + 1.0
    return np.arange(1.0, readings.sizes["draw"] + 1)


def burn_in(readings: xr.Dataset) -> float:
    """Updates before the first draw; 0 where they are not known."""
    return float(readings.attrs.get("burn_in", 0)) if "draw" in readings.coords else 0.0


def trivial_name(readings: xr.Dataset) -> str:
    return str(readings.attrs.get("trivial_name", "trivial predictor"))


def trivial_excess(readings: xr.Dataset) -> xr.DataArray:
    """How far above L(w*) a predictor is that learned nothing; NaN where that is not known."""
    if "trivial_excess" in readings:
        return readings["trivial_excess"]
    return xr.full_like(readings["step"], np.nan, dtype=float)


def excess_range(at: xr.Dataset) -> tuple[float, float]:
    """The axis of one checkpoint's traces: L(w*) is in it, the trivial predictor where it is near."""
    return _in_sight(padded(np.append(at["excess"].values.ravel(), 0.0)), float(trivial_excess(at)))


def llc_range(at: xr.Dataset) -> tuple[float, float]:
    """The axis of one checkpoint's running λ̂, from where it has settled somewhat, and of each chain's own."""
    from_here = at.sizes["draw"] // SETTLED
    mean, error = (at[name].values[from_here:] for name in ("running_llc", "running_se"))
    error = np.nan_to_num(error)
    return padded(np.concatenate([mean - error, mean + error, at["chain_llc"].values]))


def _check(check: Check, readings: xr.Dataset, limits: dict[str, Any]) -> dict[str, Any]:
    values, limit = readings[check.name].values.astype(float), float(limits[check.threshold])
    shown = values
    if check.name == "forgotten":  # its gap may be as good as nothing: what is far beyond is off the axis
        shown = shown.clip(-0.2, 1.2)
    return {
        "name": check.name,
        "title": check.title,
        "hint": check.hint,
        "value": values.astype("f4"),
        "limit": limit,
        "below": check.below,
        "range": list(_in_sight(padded(shown, 0.1), limit)),
    }


def _in_sight(limits: tuple[float, float], value: float) -> tuple[float, float]:
    """These limits of an axis, stretched to a value unless that is far away (or not a number)."""
    low, high = limits
    wide = min(low, value), max(high, value)
    if np.isfinite(value) and wide != limits and wide[1] - wide[0] <= IN_SIGHT * (high - low):
        return padded(np.array(wide), 0.04)
    return limits


def _known(readings: xr.Dataset, name: str) -> bool:
    return name in readings and bool(np.isfinite(readings[name].values).any())


def _single(values: xr.DataArray) -> np.ndarray:
    return np.ascontiguousarray(values.values, dtype=np.float32).ravel()
