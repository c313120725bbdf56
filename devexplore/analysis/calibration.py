"""From a sweep over sampler settings to the settings to measure with, and the reasons in words."""

import math
from collections import Counter
from typing import Final, NamedTuple

import numpy as np
import xarray as xr

from devexplore.analysis.plateau import AGREE, AXES, FACTOR, gives_llc, plateau_map
from devexplore.errors import InvalidSpec, SchemaError
from devexplore.schema import STEP

_ABOUT_EQUAL: Final = 0.1
_TARGET_SE: Final = 0.03
_CHAINS: Final = (4, 8)
_FEWEST_UPDATES: Final = 160
"""After burn-in."""
_MOST_UPDATES: Final = 4
"""Times those of the sweep."""
_MOST_DRAWS: Final = 200
_LONGER: Final = 4
"""Times the sweep's burn-in, where its chains had not settled."""

_SYMBOLS: Final = {"n_beta": "nβ", "localization": "γ"}
_CHAIN_SETTINGS: Final = ("batch_size", "chains", "draws", "burn_in", "thinning")


class Recommendation(NamedTuple):
    """One point of a sweep, and why it was chosen."""

    found: bool
    """Whether the point lies on a plateau. If not, it is the least bad one, and the reasons say so."""
    settings: dict[str, float | int]
    """``LLCSpec`` settings to measure with."""
    reasons: tuple[str, ...]
    """In plain words; the first says what was found."""
    point: dict[str, int]
    """The point's index along ``rung``, ``n_beta`` and ``localization``."""
    map: xr.Dataset
    """What was found at every grid point (``plateau_map``)."""


def recommend(sweep: xr.Dataset) -> Recommendation:
    """The settings to measure a run's LLC with, from a sweep over a few checkpoints (``measure.calibrate``).

    1. Candidates are the grid points that give an LLC, from chains that have settled, at as many checkpoints
       as any point does; checkpoints at which none of them does are set aside, and named.
    2. Of the candidates, those on a plateau (``plateau_map``).
    3. Without a plateau, the candidates at which the bias of ε, the dependence on nβ and γ, and the standard
       errors of all, added in squares, are within a tenth of the least.
    4. Of what is left, the point at which bias of ε and standard error, added in squares, are least: all
       points did the same work.

    Burn-in is 2/(εγ) updates, in which directions held by γ alone relax to 1/e, but no longer than the
    sweep's own (whose halves the verdict compared). Draws aim at a standard error of 3 % of λ̂, and are
    thinned to at most 200 a chain.

    For what single checkpoints would ask for, hand in ``sweep.sel(step=[…])``.

    Raises SchemaError (this is no sweep) and InvalidSpec (no finite value in it).
    """
    _check(sweep)
    found = plateau_map(sweep)
    on_plateau = bool(found["plateau"].any())
    point = _choose(found)
    at, valid = found.isel(point), gives_llc(sweep)
    if bool((valid & found["settled"]).any()):
        valid &= found["settled"]
    burn_in, burn_in_words = _burn_in(sweep, at)
    lengths, length_words = _lengths(sweep, float(at["relative_se"]), burn_in)
    settings = {
        "step_size": float(f"{float(at['step_size']):.3g}"),
        "n_beta": float(f"{float(at['n_beta']):.4g}"),
        "localization": float(f"{float(at['localization']):.4g}"),
        "batch_size": int(sweep.attrs["batch_size"]),
        "burn_in": burn_in,
        **lengths,
    }
    reasons = (
        _what_was_found(found, at, on_plateau),
        *([] if on_plateau else _last_alone(sweep)),
        *_set_aside(sweep, valid, point),
        _step_size_words(at),
        *(_around(sweep, valid, point, name) for name in _SYMBOLS),
        burn_in_words,
        length_words,
    )
    return Recommendation(on_plateau, settings, reasons, point, found)


def _choose(found: xr.Dataset) -> dict[str, int]:
    """The point of least error on the plateau, or among those within a tenth of the least bad."""
    candidates = found["plateau"].values
    if not candidates.any():
        badness = _badness(found)
        candidates = badness <= (1 + _ABOUT_EQUAL) * badness.min()
    error = np.hypot(found["step_bias"].fillna(found["step_bound"]).values, found["relative_se"].values)
    score = np.where(candidates, error, np.inf)
    place = np.unravel_index(int(np.argmin(score)), score.shape)
    return {name: int(index) for name, index in zip(AXES, place, strict=True)}


def _check(sweep: xr.Dataset) -> None:
    lost = [name for name in ("llc", "llc_se", "verdict", "step_size") if name not in sweep]
    lost += [name for name in (STEP, *AXES) if name not in sweep.dims]
    lost += [name for name in ("h_max", *_CHAIN_SETTINGS) if name not in sweep.attrs]
    if lost:
        raise SchemaError(f"expected a sweep as dx.calibrate makes it; this lacks {', '.join(lost)}")
    if not np.isfinite(sweep["llc"].values).any():
        raise InvalidSpec("no chain of this sweep stayed finite; sweep again with smaller step_sizes")


def _badness(found: xr.Dataset) -> np.ndarray:
    """Relative errors and their own errors in squares, unknown ones as 100 %; infinite for no candidates."""
    names = ["step_bias", "step_bias_se", "relative_se"]
    if np.isfinite(found["sensitivity"].values).any():
        names += ["sensitivity", "sensitivity_se"]
    score = np.sqrt(np.sum([found[name].fillna(1.0).values ** 2 for name in names], axis=0))
    trusted, finite = found["trusted"].values, np.isfinite(found["relative_se"].values)
    return np.where(trusted if trusted.any() else finite, score, np.inf)


def _burn_in(sweep: xr.Dataset, at: xr.Dataset) -> tuple[int, str]:
    pull = float(at["step_size"]) * float(at["localization"])
    own = int(sweep.attrs["burn_in"]) * (1 if bool(at["settled"]) else _LONGER)
    slowest = "the slowest directions, held by γ alone, relax"
    if pull * own >= 2:
        updates = math.ceil(2 / pull)
        return updates, f"burn-in {updates:,}: {slowest} in 2/(εγ) updates"
    time = "never (γ = 0)" if pull == 0 else f"in 2/(εγ) = {math.ceil(2 / pull):,} updates"
    return own, (
        f"burn-in {own:,}, {'as' if bool(at['settled']) else f'{_LONGER} times that'} in the sweep: "
        f"{slowest} {time}, which is not waited for; what they would add later is not in λ̂"
    )


def _lengths(sweep: xr.Dataset, relative_se: float, burn_in: int) -> tuple[dict[str, int], str]:
    """Chains, draws and thinning for the standard error aimed at, within bounds, and the words."""
    made, every = int(sweep.attrs["chains"]), int(sweep.attrs["thinning"])
    sampled = int(sweep.attrs["draws"]) * every
    chains = min(max(made, _CHAINS[0]), _CHAINS[1])
    wanted = sampled * (relative_se / _TARGET_SE) ** 2 * made / chains
    updates = min(max(wanted, _FEWEST_UPDATES), _MOST_UPDATES * sampled)
    thinning = max(every, math.ceil(updates / _MOST_DRAWS))
    draws = math.ceil(updates / thinning)
    expected = relative_se * math.sqrt(sampled * made / (draws * thinning * chains))
    words = f"{chains} chains × {draws} draws, one in {thinning} updates: standard error {expected:.1%}"
    if "seconds_per_update" in sweep.attrs:
        seconds = chains * (burn_in + draws * thinning) * float(sweep.attrs["seconds_per_update"])
        words += f", in about {seconds:.2g} s a checkpoint where the sweep ran"
    return {"chains": chains, "draws": draws, "thinning": thinning}, words


def _last_alone(sweep: xr.Dataset) -> list[str]:
    """What the last checkpoint would ask for, if that is a plateau."""
    last = sweep.isel({STEP: [-1]})
    if sweep.sizes[STEP] == 1 or not bool(gives_llc(last).any()):
        return []
    found = plateau_map(last)
    if not bool(found["plateau"].any()):
        return []
    point = _choose(found)
    value = last.isel({STEP: 0, **point})
    return [
        f"step {int(value[STEP]):,} alone has a plateau, at {_where(found.isel(point))}: λ̂ = "
        f"{float(value['llc']):.3g} ± {float(value['llc_se']):.2g} there, where other checkpoints have no "
        "LLC or depend on nβ and γ"
    ]


def _where(at: xr.Dataset) -> str:
    return f"ε {float(at['step_size']):.3g}, nβ {float(at['n_beta']):.4g}, γ {float(at['localization']):.4g}"


def _what_was_found(found: xr.Dataset, at: xr.Dataset, on_plateau: bool) -> str:
    where = _where(at)
    total = found["plateau"].size
    if on_plateau:
        count = int(found["plateau"].sum())
        return (
            f"plateau: {count} of {total} grid points agree with their neighbours within {AGREE:.0%} or two "
            f"standard errors; of these {where} has the least error"
        )
    return f"no plateau found: {_why_none(found)}; the least bad is {where}"


def _why_none(found: xr.Dataset) -> str:
    trusted, settled = (found.where(found[name]) for name in ("trusted", "step_plateau"))
    if not bool(found["trusted"].any()):
        return "no grid point gives an LLC at any checkpoint"
    if not bool(found["settled"].where(found["trusted"], False).any()):
        return (
            "chains are too short to settle at any point, so that λ̂ is too low; give the sweep more minutes"
        )
    if not bool(found["step_plateau"].any()):
        if not bool(trusted["step_bias"].notnull().any()):
            return "chains have settled at one step size only, or at none; give the sweep more minutes"
        noise = float(np.fmax(trusted["step_bias_se"], trusted["relative_se"]).min())
        if noise > AGREE:
            return f"λ̂ is known to ±{noise:.0%} at best; give the sweep more minutes"
        return f"λ̂ still changes with ε by more than {AGREE:.0%} (and two standard errors)"
    if not bool(settled["sensitivity"].notnull().any()):
        return "no neighbour in nβ or γ gives an LLC at the same checkpoints"
    least = settled["sensitivity"].where(settled["sensitivity"] == settled["sensitivity"].min())
    noise = float(settled["sensitivity_se"].where(least.notnull()).min())
    if noise > AGREE:
        return f"what nβ and γ do to λ̂ is known to ±{noise:.0%} at best; give the sweep more minutes"
    change = f"{float(least.min()):.0%} or more for a factor of {FACTOR:.0f}"
    return f"λ̂ depends on nβ and γ wherever ε is small enough, by {change}"


def _set_aside(sweep: xr.Dataset, valid: xr.DataArray, point: dict[str, int]) -> list[str]:
    """Which checkpoints give no LLC at the chosen point, and why not."""
    words, most = [], int(valid.sum(STEP).max())
    for step in sweep[STEP].values:
        if bool(valid.sel({STEP: step}).isel(point)):
            continue
        everywhere = not bool(valid.sel({STEP: step}).any())
        why = _reason(sweep.sel({STEP: step}).isel(point))
        words.append(
            f"no setting of the sweep gives an LLC at step {int(step):,}{why}"
            if everywhere
            else f"this point gives no LLC at step {int(step):,}, and no other serves more than {most} "
            f"checkpoints{why}"
        )
    return words


def _reason(at: xr.Dataset) -> str:
    text = str(at["reason"].item()) if "reason" in at else ""
    return f": {text or 'chains leave w* at a larger step size, and a smaller one only takes longer to'}"


def _step_size_words(at: xr.Dataset) -> str:
    bias, noise, bound = (float(at[name]) for name in ("step_bias", "step_bias_se", "step_bound"))
    most = f"{bound:.0%}" if math.isfinite(bound) else "without limit (unstable)"
    steepest = f"the steepest direction alone is biased by {most}"
    if not math.isfinite(bias):
        return f"ε {float(at['step_size']):.3g}: no other step size gives an LLC to compare with; {steepest}"
    return (
        f"ε {float(at['step_size']):.3g}: extrapolated to ε → 0, {bias:+.1%} ± {noise:.1%} of λ̂ comes from "
        f"the step size; {steepest}"
    )


def _around(sweep: xr.Dataset, valid: xr.DataArray, point: dict[str, int], name: str) -> str:
    """What λ̂ would be one step to each side of the grid."""
    symbol, values = _SYMBOLS[name], sweep[name].values
    here = sweep.isel(point)
    label = f"{symbol} {float(values[point[name]]):.4g}"
    if len(values) == 1:
        return f"{label} was the only one tried: how much λ̂ depends on it is unknown"
    sides = []
    for index in (point[name] - 1, point[name] + 1):
        if not 0 <= index < len(values):
            sides.append(f"no {'smaller' if index < 0 else 'larger'} {symbol} was tried")
            continue
        there = sweep.isel({**point, name: index})
        both = valid.isel(point) & valid.isel({**point, name: index})
        if not bool(both.any()):
            why = _most_common(there)
            sides.append(
                f"at {float(values[index]):.4g} no LLC of settled chains at the same checkpoints{why}"
            )
            continue
        a, b = here["llc"].where(both, 0), there["llc"].where(both, 0)
        change = float((a * (b - a)).sum() / (a * a).sum())
        last = sweep[STEP].values[np.asarray(both)][-1]
        sides.append(
            f"λ̂ {change:+.0%} at {float(values[index]):.4g} (step {int(last):,}: "
            f"{float(a.sel(step=last)):.3g} → {float(b.sel(step=last)):.3g})"
        )
    return f"{label}: " + "; ".join(sides)


def _most_common(at: xr.Dataset) -> str:
    if "reason" not in at:
        return ""
    texts = Counter(str(text) for text in at["reason"].values if str(text))
    return f" ({texts.most_common(1)[0][0]})" if texts else ""
