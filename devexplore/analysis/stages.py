"""Stages: stretches of training between critical points of the LLC curve (without one, of the loss)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float

from devexplore.analysis.annotations import Boundaries, Boundary, saved_boundaries
from devexplore.analysis.milestones import curve_points
from devexplore.analysis.run_curves import run_curve
from devexplore.analysis.stage_curves import Arrays, Estimates, stage_curves, value_at
from devexplore.errors import InvalidSpec
from devexplore.geometry import nearest_in_log_time
from devexplore.sampling.trust import NOT_AN_LLC, TRUSTED
from devexplore.schema import KIND, STAGES
from devexplore.stats.critical_points import CriticalPoints, critical_points
from devexplore.stats.noisy_curve import NoisyCurve, noisy_curve
from devexplore.stats.points import numbers

if TYPE_CHECKING:
    from devexplore.run import Run

Steps = Sequence[float] | np.ndarray | xr.DataArray

_FEWEST = 5
_NEIGHBOURS = 3


def find_stages(
    source: "Run | np.ndarray | xr.DataArray",
    llc: np.ndarray | xr.DataArray | None = None,
    llc_se: np.ndarray | xr.DataArray | None = None,
    loss: np.ndarray | xr.DataArray | None = None,
    *,
    verdict: np.ndarray | xr.DataArray | None = None,
    boundaries: Boundaries
    | Sequence[float]
    | np.ndarray
    | xr.DataArray
    | Literal["candidates"]
    | None = None,
    curve: str | None = None,
    plateau_slope: float | None = None,
    min_persistence: float | None = None,
    min_probability: float = 0.8,
) -> xr.Dataset:
    """Stages of training: over ``stage``, start and end (steps; [start, end)) and what changed in each.

    Boundaries are the critical points of λ̂ on x = ln(1 + step) (``stats.critical_points``: sign changes of
    the slope, and plateaus). Checkpoints that are *not an LLC* (``analysis.trust``) are left out of the
    curve; ``attrs["left_out"]`` says how many. Without at least five others the loss curve takes its place,
    the stages' types are undecided, and ``attrs`` ``curve`` and ``note`` say so.

    Each end of a stage is judged by the three checkpoints nearest to it (in x). Where most of these are not
    an LLC, the curve there is a guess between others, and the stage's type is undecided whatever Δλ̂. Where
    most are doubtful or worse, the type stands (doubt is of a value's size more than of a large change's
    sign), but ``trusted`` is False.

    Args:
        source: a run (groups llc, losses and checkpoints are used as far as measured), or the steps of the
            arrays.
        llc, llc_se, loss: values at those steps, where the source is no run; NaN: not measured there.
        verdict: on those values of the LLC (``analysis.trust``). Without it they are judged by sign alone.
        boundaries: None takes those saved for a run (``dx.save_boundaries``) and otherwise the curve's own
            candidates; "candidates" takes these whatever was saved; or boundaries chosen by hand, as
            ``dx.Boundaries`` or as steps. What is said of a chosen one (probability, interval, kind) is said
            of the nearest candidate whose interval holds it: NaN and "chosen" where there is none. Those
            outside the steps of the curve bound nothing: they are left out, and ``attrs["note"]`` names them.
        curve: of a run: another curve whose critical points are the candidates (a name of
            ``analysis.run_curves``: the loss, the curvature, a metric), whatever was saved. Types are told by
            the LLC all the same.
        plateau_slope, min_persistence, min_probability: see ``stats.critical_points``; x = ln(1 + step).

    Returns:
        start, end; name (S1 …, or the user's) and note (the user's); type: "A" if the LLC rises (Δλ̂ > 0),
        "B" if it falls, "undecided" where the central 95 % of the posterior of Δλ̂ hold zero; supported (both
        ends lie among estimates that are an LLC; else the type is undecided); trusted (both ends are);
        delta_llc and delta_llc_se from the smooth curve; delta_loss from the recorded loss, linear in x
        between checkpoints; delta_curve and delta_curve_se where a ``curve`` was asked for. Of the boundary
        at ``end``: probability, boundary_lower, boundary_upper (steps, 90 %), boundary_kind,
        boundary_persistence, boundary_origin (``annotations.ORIGINS``) and boundary_note; NaN and "end" for
        the last stage.

    Raises:
        NotMeasured: for a run with neither LLC nor losses.
        InvalidSpec: for arrays without values, or of different lengths.
    """
    llcs, losses = stage_curves(source, llc, llc_se, loss, verdict)
    believed = llcs.verdict != NOT_AN_LLC
    has_llc = len(np.unique(llcs.step[believed])) >= _FEWEST
    step, value, se = (
        (llcs.step[believed], llcs.value[believed], llcs.se[believed])
        if has_llc
        else (losses.step, losses.value, np.zeros_like(losses.value))
    )
    measured_at = llcs.step if has_llc or len(step) == 0 else step
    first, last = int(measured_at.min()), int(measured_at.max())
    chosen = _chosen(source, boundaries if curve is None or boundaries is not None else "candidates")
    points = own = None
    if curve is not None:
        points = _of_curve(source, curve, plateau_slope, min_persistence, min_probability)
    elif (chosen is None or chosen.boundaries) and len(np.unique(step)) >= _FEWEST:
        points = own = critical_points(
            np.log1p(step), value, se, plateau_slope, min_persistence, min_probability
        )
    table = _boundary_table(points, chosen, first, last)
    edges = np.concatenate([[first], table["end"]])
    llc_curve = None
    if has_llc:
        llc_curve = own.curve if own is not None else noisy_curve(np.log1p(step), value, se)
    delta, delta_se, kind = _change(llc_curve, np.log1p(edges))
    supported, trusted = (_both_ends(llcs, edges, worst) for worst in (NOT_AN_LLC - 1, TRUSTED))
    left_out = int((~believed).sum())
    outside = [] if chosen is None else [step for step in chosen.steps if not first < step < last]
    variables = {
        "start": edges[:-1],
        **table,
        **_labels(chosen, edges),
        "type": np.where(supported, kind, "undecided").astype(object),
        "supported": supported,
        "trusted": trusted,
        "delta_loss": np.diff(value_at(losses.step, losses.value, edges)),
        "delta_llc": delta,
        "delta_llc_se": delta_se,
    }
    if curve is not None and points is not None:
        variables["delta_curve"], variables["delta_curve_se"], _ = _change(points.curve, np.log1p(edges))
    stages = xr.Dataset({name: ("stage", values) for name, values in variables.items()})
    stages = stages.assign_coords(stage=np.arange(1, stages.sizes["stage"] + 1))
    stages["delta_loss"].attrs = {"units": losses.unit} if losses.unit else {}
    stages.attrs = {
        KIND: STAGES,
        "curve": curve or ("llc" if has_llc else losses.name),
        "note": _note(has_llc, len(llcs.step), losses.name, chosen is not None, points is not None, curve)
        + (f"; not an LLC and left out: {left_out} of {len(llcs.step)} checkpoints" if left_out else "")
        + (
            f"; not between the steps {first} and {last}, and left out: {', '.join(map(str, outside))}"
            if outside
            else ""
        ),
        "left_out": left_out,
        "min_probability": min_probability,
    }
    if points is not None:
        stages.attrs |= {"plateau_slope": points.plateau_slope, "noise": points.curve.noise}
    return stages


def require_stages(stages: object, names: Sequence[str] = ("name", "start", "end")) -> None:
    """Raise ``InvalidSpec`` unless this is a table of stages, one or more, as ``find_stages`` gives it, with
    these of its columns.
    """
    if not isinstance(stages, xr.Dataset) or any(
        name not in stages.variables or stages[name].dims != ("stage",) for name in names
    ):
        got = f"only {', '.join(map(str, stages.variables))}" if isinstance(stages, xr.Dataset) else None
        raise InvalidSpec(
            f"expected stages with {', '.join(names)} over stage, as dx.find_stages(run) gives them, "
            f"got {got or type(stages).__name__}"
        )
    if stages.sizes["stage"] == 0:
        raise InvalidSpec("expected at least one stage, got none; find_stages(run) always gives one")


def _both_ends(llcs: Estimates, edges: Float[np.ndarray, " edge"], worst: int) -> Bool[np.ndarray, " stage"]:
    """Whether, at both ends of each stage, most of the nearest checkpoints have at most this verdict."""
    if len(llcs.step) == 0:
        return np.zeros(len(edges) - 1, dtype=bool)
    nearest = nearest_in_log_time(llcs.step, edges)[:, :_NEIGHBOURS]
    fine = (llcs.verdict[nearest] <= worst).mean(axis=1) > 0.5
    return fine[:-1] & fine[1:]


def _of_curve(
    source: object, curve: str, slope: float | None, persistence: float | None, probability: float
) -> CriticalPoints:
    if isinstance(source, Arrays):
        raise InvalidSpec("curve=… names a curve of a run; for arrays, dx.find_milestones takes any values")
    return curve_points(run_curve(source, curve), slope, persistence, probability)  # type: ignore[arg-type]


def _chosen(source, boundaries) -> Boundaries | None:
    """The boundaries that were chosen by hand, if any."""
    if isinstance(boundaries, Boundaries):
        return boundaries
    if isinstance(boundaries, str):
        if boundaries != "candidates":
            raise InvalidSpec(f'boundaries: expected steps or "candidates", got {boundaries!r}')
        return None
    if boundaries is not None:
        steps = numbers(boundaries, "boundaries").ravel()
        if not np.isfinite(steps).all():
            raise InvalidSpec(f"boundaries are steps, got {steps[~np.isfinite(steps)][0]}")
        return Boundaries(tuple(Boundary(step) for step in sorted({round(step) for step in steps.tolist()})))
    return None if isinstance(source, Arrays) else saved_boundaries(source)


def _boundary_table(
    points: CriticalPoints | None, chosen: Boundaries | None, first: int, last: int
) -> dict[str, np.ndarray]:
    """Ends of the stages and what is known of each, the end of the data last; one boundary a step."""
    found: list[tuple[int, tuple[float, float, float, str, float]]] = []
    if points is not None:
        steps, lower, upper = (np.expm1(x) for x in (points.location, points.lower, points.upper))
        found = [
            (
                round(steps[at]),
                (points.probability[at], lower[at], upper[at], str(points.kind[at]), points.persistence[at]),
            )
            for at in range(len(steps))
        ]
    rows: dict[int, tuple[Any, ...]] = {}
    if chosen is None:
        for step, known in found:
            rows.setdefault(step, (*known, "candidate", ""))
    for boundary in chosen.boundaries if chosen is not None else ():
        near = [(abs(step - boundary.step), k) for step, k in found if k[1] <= boundary.step <= k[2]]
        known = min(near)[1] if near else (np.nan, np.nan, np.nan, "chosen", np.nan)
        rows[boundary.step] = (*known, boundary.origin, boundary.note)
    rows = {step: row for step, row in rows.items() if first < step < last}
    rows[last] = (np.nan, np.nan, np.nan, "end", np.nan, "end", "")
    probability, lower, upper, kind, persistence, origin, note = zip(*rows.values(), strict=True)
    return {
        "end": np.array(list(rows), dtype=np.int64),
        "probability": np.array(probability),
        "boundary_lower": np.array(lower),
        "boundary_upper": np.array(upper),
        "boundary_kind": np.array(kind, dtype=object),
        "boundary_persistence": np.array(persistence),
        "boundary_origin": np.array(origin, dtype=object),
        "boundary_note": np.array(note, dtype=object),
    }


def _labels(chosen: Boundaries | None, edges: np.ndarray) -> dict[str, np.ndarray]:
    """Names and notes of the stages; of a boundary outside the data, those of what it leaves inside."""
    names, notes = [f"S{number}" for number in range(1, len(edges))], [""] * (len(edges) - 1)
    if chosen is not None:
        places = np.searchsorted(chosen.steps, edges[:-1], side="right")
        names = [chosen.names[place] for place in places]
        notes = [chosen.stage_notes[place] for place in places]
    return {"name": np.array(names, dtype=object), "note": np.array(notes, dtype=object)}


def _change(
    curve: NoisyCurve | None, x: Float[np.ndarray, " edge"]
) -> tuple[Float[np.ndarray, " stage"], Float[np.ndarray, " stage"], np.ndarray]:
    """Change of a smooth curve over each stage, its standard deviation, and the type it would have."""
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


def _note(has_llc: bool, n_llcs: int, loss_name: str, chosen: bool, fitted: bool, curve: str | None) -> str:
    if chosen:
        return "boundaries chosen by hand"
    if curve is not None:
        return f"boundaries are critical points of {curve}" + ("" if has_llc else ", and no stage has a type")
    if not fitted:
        return f"fewer than {_FEWEST} checkpoints with values: the whole run is one stage"
    if has_llc:
        return "boundaries are critical points of the LLC curve"
    why = "too few checkpoints have an LLC" if n_llcs else "no LLC measured"
    return f"{why}: boundaries are critical points of {loss_name}, and no stage has a type"
