"""Stages: stretches of training between critical points of the LLC curve (without one, of the loss)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float

from devexplore.errors import InvalidSpec, NotMeasured
from devexplore.schema import CHECKPOINTS, LLC, LOSSES, STEP
from devexplore.stats.critical_points import CriticalPoints, critical_points
from devexplore.stats.noisy_curve import NoisyCurve, noisy_curve

if TYPE_CHECKING:
    from devexplore.run import Run

_FEWEST = 5


class _Curves(NamedTuple):
    """A run's LLC (may be empty) and loss (may be empty), each at its own steps."""

    llc_step: Float[np.ndarray, " llc"]
    llc: Float[np.ndarray, " llc"]
    llc_se: Float[np.ndarray, " llc"]
    loss_step: Float[np.ndarray, " loss"]
    loss: Float[np.ndarray, " loss"]
    loss_name: str


def find_stages(
    source: "Run | np.ndarray | xr.DataArray",
    llc: np.ndarray | xr.DataArray | None = None,
    llc_se: np.ndarray | xr.DataArray | None = None,
    loss: np.ndarray | xr.DataArray | None = None,
    *,
    boundaries: Sequence[float] | None = None,
    plateau_slope: float | None = None,
    min_persistence: float | None = None,
    min_probability: float = 0.8,
) -> xr.Dataset:
    """Stages of training: over ``stage``, start and end (steps; [start, end)) and what changed in each.

    Boundaries are the critical points of λ̂ on x = ln(1 + step) (``stats.critical_points``: sign changes of
    the slope, and plateaus). Checkpoints whose λ̂ is surely negative are left out of the curve. Without at
    least five values of the LLC the loss curve takes its place, the stages' types are undecided, and
    ``attrs`` ``curve`` and ``note`` say so.

    Args:
        source: a run (groups llc, losses and checkpoints are used as far as measured), or the steps of the
            arrays.
        llc, llc_se, loss: values at those steps, where the source is no run.
        boundaries: steps chosen by hand instead; their ``probability`` is NaN.
        plateau_slope, min_persistence, min_probability: see ``stats.critical_points``; x = ln(1 + step).

    Returns:
        start, end, name (S1 …), type: "A" if the LLC rises (Δλ̂ > 0), "B" if it falls, "undecided" where the
        central 95 % of the posterior of Δλ̂ hold zero; delta_llc and delta_llc_se from the smooth curve;
        delta_loss from the recorded loss, linear in x between checkpoints. Of the boundary at ``end``:
        probability, boundary_lower, boundary_upper (steps, 90 %), boundary_kind, boundary_persistence; NaN
        and "end" for the last stage.

    Raises:
        NotMeasured: for a run with neither LLC nor losses.
        InvalidSpec: for arrays without values, or of different lengths.
    """
    curves, measured_at, left_out = _local_minima(_curves(source, llc, llc_se, loss))
    has_llc = len(np.unique(curves.llc_step)) >= _FEWEST
    step, value, se = (
        (curves.llc_step, curves.llc, curves.llc_se)
        if has_llc
        else (curves.loss_step, curves.loss, np.zeros_like(curves.loss))
    )
    first, last = (int(end) for end in (measured_at if has_llc else (step.min(), step.max())))
    points = None
    if boundaries is None and len(np.unique(step)) >= _FEWEST:
        points = critical_points(np.log1p(step), value, se, plateau_slope, min_persistence, min_probability)
    table = _boundary_table(points, boundaries or [], first, last)
    edges = np.concatenate([[first], table["end"]])
    llc_curve = None
    if has_llc:
        llc_curve = points.curve if points is not None else noisy_curve(np.log1p(step), value, se)
    delta, delta_se, kind = _llc_change(llc_curve, np.log1p(edges))
    variables = {
        "start": edges[:-1],
        **table,
        "name": np.array([f"S{i + 1}" for i in range(len(edges) - 1)], dtype=object),
        "type": kind,
        "delta_loss": np.diff(_at(curves.loss_step, curves.loss, edges)),
        "delta_llc": delta,
        "delta_llc_se": delta_se,
    }
    stages = xr.Dataset({name: ("stage", values) for name, values in variables.items()})
    stages = stages.assign_coords(stage=np.arange(1, stages.sizes["stage"] + 1))
    stages.attrs = {
        "curve": "llc" if has_llc else curves.loss_name,
        "note": _note(has_llc, curves.loss_name, boundaries is not None, points is not None)
        + (
            f"; {left_out} checkpoints with λ̂ below zero are no local minima and left out" if left_out else ""
        ),
        "left_out": left_out,
        "min_probability": min_probability,
    }
    if points is not None:
        stages.attrs |= {"plateau_slope": points.plateau_slope, "noise": points.curve.noise}
    return stages


def may_be_local_minimum(llc: Any, llc_se: Any) -> Any:
    """Which λ̂ are not surely negative: at least −3 standard errors. NaN is not."""
    return llc >= -3 * llc_se


def _local_minima(curves: _Curves) -> tuple[_Curves, tuple[float, float], int]:
    """The curves without checkpoints whose λ̂ lies more than three standard errors below zero.

    A learning coefficient is never negative: from such a checkpoint the chains walked downhill, so it is
    no local minimum at this scale and its value (often huge) says nothing of degeneracy. Also gives the
    range of steps that was measured, and how many were left out; none are where fewer than ``_FEWEST``
    would remain.
    """
    step, llc, se = curves.llc_step, curves.llc, curves.llc_se
    if len(step) == 0:
        return curves, (np.nan, np.nan), 0
    keep = may_be_local_minimum(llc, se)
    if len(np.unique(step[keep])) < _FEWEST:
        keep[:] = True
    kept = curves._replace(llc_step=step[keep], llc=llc[keep], llc_se=se[keep])
    return kept, (step.min(), step.max()), int((~keep).sum())


def _boundary_table(
    points: CriticalPoints | None, chosen: Sequence[float], first: int, last: int
) -> dict[str, np.ndarray]:
    """Ends of the stages and what is known of each, the end of the data last; one boundary a step."""
    rows: dict[int, tuple[float, float, float, str, float]] = {}
    for step in sorted(chosen):
        rows[round(step)] = (np.nan, np.nan, np.nan, "chosen", np.nan)
    if points is not None:
        steps, lower, upper = (np.expm1(x) for x in (points.location, points.lower, points.upper))
        for at in range(len(steps)):
            rows.setdefault(
                round(steps[at]),
                (points.probability[at], lower[at], upper[at], str(points.kind[at]), points.persistence[at]),
            )
    rows = {step: row for step, row in rows.items() if first < step < last}
    rows[last] = (np.nan, np.nan, np.nan, "end", np.nan)
    probability, lower, upper, kind, persistence = zip(*rows.values(), strict=True)
    return {
        "end": np.array(list(rows), dtype=np.int64),
        "probability": np.array(probability),
        "boundary_lower": np.array(lower),
        "boundary_upper": np.array(upper),
        "boundary_kind": np.array(kind, dtype=object),
        "boundary_persistence": np.array(persistence),
    }


def _llc_change(
    curve: NoisyCurve | None, x: Float[np.ndarray, " edge"]
) -> tuple[Float[np.ndarray, " stage"], Float[np.ndarray, " stage"], np.ndarray]:
    """Change of the smooth LLC over each stage, its standard deviation, and its type."""
    if curve is None:
        nothing = np.full(len(x) - 1, np.nan)
        return nothing, nothing, np.full(len(x) - 1, "undecided", dtype=object)
    at = np.interp(x, curve.x, np.arange(len(curve.x)))
    low = np.minimum(at.astype(int), len(curve.x) - 2)
    draws = curve.draws[:, low] * (1 - (at - low)) + curve.draws[:, low + 1] * (at - low)
    change = np.diff(draws, axis=1)
    lower, upper = np.quantile(change, [0.025, 0.975], axis=0)
    kind = np.where(lower > 0, "A", np.where(upper < 0, "B", "undecided")).astype(object)
    return np.diff(np.interp(x, curve.x, curve.mean)), change.std(axis=0), kind


def _at(
    step: Float[np.ndarray, " n"], value: Float[np.ndarray, " n"], wanted: np.ndarray
) -> Float[np.ndarray, " edge"]:
    """Values between checkpoints, linear in ln(1 + step); NaN outside the measured range."""
    if len(step) == 0:
        return np.full(len(wanted), np.nan)
    return np.interp(np.log1p(wanted), np.log1p(step), value, left=np.nan, right=np.nan)


def _note(has_llc: bool, loss_name: str, chosen: bool, fitted: bool) -> str:
    if chosen:
        return "boundaries chosen by hand"
    if not fitted:
        return f"fewer than {_FEWEST} checkpoints with values: the whole run is one stage"
    if has_llc:
        return "boundaries are critical points of the LLC curve"
    return f"no LLC measured: boundaries are critical points of {loss_name}, and no stage has a type"


def _curves(source, llc, llc_se, loss) -> _Curves:
    if isinstance(source, np.ndarray | xr.DataArray | list):
        step = np.asarray(source, dtype=np.float64)
        empty = np.empty(0)
        values = _valued(step, llc, llc_se) if llc is not None else (empty, empty, empty)
        losses = _valued(step, loss, None)[:2] if loss is not None else (empty, empty)
        name = "loss"
    else:
        values, losses, name = _run_curves(source)
    if len(values[0]) == 0 and len(losses[0]) == 0:
        raise InvalidSpec("expected values of the LLC or of the loss at the given steps, got none")
    return _Curves(values[0], values[1], values[2], losses[0], losses[1], name)


def _run_curves(run: "Run") -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...], str]:
    empty = np.empty(0)
    values, losses, name = (empty, empty, empty), (empty, empty), "loss"
    if run.has(LLC):
        data = run.dataset(LLC)
        values = _valued(data[STEP].values, data["llc"], data.get("llc_se"))
    for group, variable in ((LOSSES, "test_loss"), (CHECKPOINTS, "train_loss")):
        if len(losses[0]) == 0 and run.has(group) and variable in run.dataset(group):
            data = run.dataset(group)
            losses, name = _valued(data[STEP].values, data[variable], None)[:2], variable
    if len(values[0]) == 0 and len(losses[0]) == 0:
        raise NotMeasured(
            f"{run.name} has neither LLC nor losses; measure them with `devexplore measure {run.path}`"
        )
    return values, losses, name


def _valued(step, value, se) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps, values and standard errors (zero where unknown) at the steps that have a value, in order."""
    step, value = np.asarray(step, dtype=np.float64), np.asarray(value, dtype=np.float64)
    se = np.zeros_like(value) if se is None else np.nan_to_num(np.asarray(se, dtype=np.float64))
    if not step.shape == value.shape == se.shape or step.ndim != 1:
        raise InvalidSpec(
            f"expected one value per step, got {value.shape} and {se.shape} for steps {step.shape}"
        )
    keep = np.isfinite(value)
    order = np.argsort(step[keep], kind="stable")
    return step[keep][order], value[keep][order], se[keep][order]
