"""Which stage's solution a Bayesian posterior would prefer, and from how many samples on."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import xarray as xr
from jaxtyping import Float

from devexplore.analysis.stage_curves import run_losses, value_at
from devexplore.analysis.stages import find_stages, require_stages
from devexplore.analysis.trust import trust
from devexplore.arguments import require_run
from devexplore.checks import whole_number
from devexplore.errors import InvalidSpec
from devexplore.geometry import nearest_in_log_time
from devexplore.sampling.trust import NOT_AN_LLC
from devexplore.schema import LLC, STEP
from devexplore.stats.free_energy import crossing, free_energies, preference
from devexplore.stats.points import numbers

if TYPE_CHECKING:
    from devexplore.run import Run

_GRID: Final = (1.0, 9.0)
"""Exponents of 10 that the default n spans at least."""
_A_DECADE: Final = 20


def free_energy(
    source: "Run | xr.Dataset",
    stages: xr.Dataset | None = None,
    *,
    n: Sequence[float] | np.ndarray | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> xr.Dataset:
    """Free energy F_n = n·L + λ·ln n of each stage's solution, which one is preferred at each number n of
    samples, and where neighbours cross.

    A stage is represented by its end: L and λ̂ of the measured checkpoint nearest to it (in ln(1 + step)). L
    is the loss at w* that the LLC was measured against (``init_loss``: over the whole pool, not a minibatch;
    without it the test loss, or the training loss). A checkpoint that is *not an LLC* (``analysis.trust``)
    represents nobody: its stage has NaN, and ``why`` gives the reason, as where no loss is recorded.

    What this is not: λ̂ measured at one nβ is not the λ of n → ∞, and w* of a training run is no global
    minimum of its phase; F says how the two terms of the expansion weigh against each other at these numbers.
    L counts as exact and the λ̂ as independent. (Chains that share their noise err alike, so preferences are
    rather surer than said; an SE that was not measured counts as 0.) n is in units in which the posterior is
    exp(−n·L), with L as trained.

    Args:
        source: a run; or a Dataset over ``stage`` with loss, llc and llc_se, as of solutions from theory.
        stages: of that run, from ``find_stages`` (None: found now).
        n: numbers of samples, at least 1; None: 20 a decade from 10 to 10⁹, or farther to hold the crossings.
        draws, seed: of λ ~ N(λ̂, SE), for probabilities and intervals.

    Returns:
        Over (stage, n): free_energy (no unit: it stands in the posterior's exponent) and preferred, the
        probability of having the lowest one. Over stage: step, loss, llc, llc_se, verdict and why of the
        representative; and of each stage with the one before it (NaN for the first, and where either is
        unknown): crossing_n, from which on the lower loss wins (NaN: one is better at every n),
        crossing_lower and crossing_upper (90 %; a draw in which one is better at every n counts as 1),
        crossing_probability (share of draws that have a crossing).

    Raises:
        NotMeasured: for a run without LLC.
        InvalidSpec: for a Dataset that lacks a variable, no stage, n below 1, negative standard errors, draws
            or seed that are none.
    """
    table = _given(source) if isinstance(source, xr.Dataset) else _ends(source, stages)
    draws, seed = whole_number("draws", draws, 1), whole_number("seed", seed, 0)
    loss, llc, llc_se = (numbers(table[name].values, name) for name in ("loss", "llc", "llc_se"))
    grid = _default_grid(loss, llc, llc_se) if n is None else numbers(n, "n")
    if len(loss) == 0 or grid.ndim != 1 or len(grid) == 0:
        raise InvalidSpec("expected at least one stage, and numbers of samples n in one row")
    found = preference(loss, llc, llc_se, grid, draws=draws, seed=seed)
    with_before = {
        "crossing_n": (
            found.crossing,
            "samples from which on the lower loss of this stage and the last wins",
        ),
        "crossing_lower": (found.lower, "5 % quantile of the crossing"),
        "crossing_upper": (found.upper, "95 % quantile of the crossing"),
        "crossing_probability": (found.probability, "share of draws in which the two cross"),
    }
    result = table.assign_coords(n=("n", grid, {"long_name": "samples"}))
    result["free_energy"] = (
        ("stage", "n"),
        free_energies(loss, llc, grid),
        {"units": "1", "long_name": "free energy n·L + λ̂·ln n"},
    )
    result["preferred"] = (
        ("stage", "n"),
        found.preferred,
        {"long_name": "probability of the lowest free energy"},
    )
    for name, (values, words) in with_before.items():
        result[name] = ("stage", np.concatenate([[np.nan], values]), {"long_name": words})
    result.attrs |= {"draws": draws, "seed": seed}
    return result


def in_sight(energies: xr.Dataset) -> xr.Dataset:
    """The numbers of samples that tell something: up to a hundred times the last crossing, at least 10⁴."""
    upper = energies["crossing_upper"].where(np.isfinite(energies["crossing_n"]))
    return energies.sel(n=slice(None, max(1e4, 100 * float(np.nan_to_num(upper.max())))))


def _ends(run: "Run", stages: xr.Dataset | None) -> xr.Dataset:
    """What is known at the end of each stage."""
    require_run(run, " or a Dataset with loss, llc and llc_se over stage")
    llc = run.dataset(LLC)
    stages = find_stages(run) if stages is None else stages
    require_stages(stages, ("name", "end"))
    ends = stages["end"].values
    measured = llc[STEP].values
    at = nearest_in_log_time(measured, ends)[:, 0]
    step, judged, here = measured[at], trust(llc).isel({STEP: at}), llc.isel({STEP: at})
    refused = judged["verdict"].values == NOT_AN_LLC
    if "init_loss" in llc:
        loss, name = here["init_loss"].values, "init_loss"
    else:
        curve = run_losses(run)
        loss, name = value_at(curve.step, curve.value, step), curve.name
    loss = loss.astype(float)
    silent = np.where(np.isnan(loss), "no loss is recorded", "")
    reasons = np.where(refused, judged["reason"].values, silent)
    why = [
        f"step {at_step}: {reason}" if reason else "" for at_step, reason in zip(step, reasons, strict=True)
    ]
    se = np.nan_to_num(here["llc_se"].values) if "llc_se" in llc else np.zeros(len(step))
    columns = {
        "name": stages["name"].values,
        "step": step,
        "loss": loss,
        "llc": np.where(refused, np.nan, here["llc"].values),
        "llc_se": np.where(refused, np.nan, se),
        "verdict": judged["verdict"].values,
        "why": np.array(why, dtype=object),
    }
    table = xr.Dataset({key: ("stage", values) for key, values in columns.items()})
    table = table.assign_coords(stage=stages["stage"].values)
    table.attrs = {"loss": name, "run": run.name}
    return table


def _given(table: xr.Dataset) -> xr.Dataset:
    lacking = [
        name for name in ("loss", "llc", "llc_se") if name not in table or table[name].dims != ("stage",)
    ]
    if lacking:
        raise InvalidSpec(
            f"expected a run, or a Dataset with loss, llc, llc_se over stage; it lacks {', '.join(lacking)}"
        )
    return table


def _default_grid(
    loss: Float[np.ndarray, " stage"], llc: Float[np.ndarray, " stage"], llc_se: Float[np.ndarray, " stage"]
) -> Float[np.ndarray, " n"]:
    """20 a decade, from 10 to 10⁹ or to ten times the last crossing of any two."""
    pairs = np.stack(np.triu_indices(len(loss), 1), axis=-1)
    crossings = crossing(loss[pairs], llc[pairs])
    last = np.nanmax(np.append(crossings, 0.0))
    first, stop = _GRID
    stop = max(stop, np.ceil(np.log10(last * 10))) if last > 0 else stop
    return np.logspace(first, stop, round((stop - first) * _A_DECADE) + 1)
