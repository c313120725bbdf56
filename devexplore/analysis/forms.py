"""Forms: places of function space on which the cusps of all projections agree, against a null."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from devexplore.analysis.clock import Clock, Time, clock
from devexplore.analysis.dynamics import smoothing_sentence
from devexplore.analysis.form_search import SHARPENING, Search
from devexplore.analysis.plane_vertices import plane_names
from devexplore.analysis.requirements import hashes, require_dynamics
from devexplore.analysis.thinning import spread_rows
from devexplore.analysis.walk import walk_model
from devexplore.checks import whole_number
from devexplore.errors import InvalidSpec
from devexplore.geometry import Agreement, CommonCusps, Turns, plane_pairs
from devexplore.schema import FORMS, KIND
from devexplore.stats.gram import affine_weights
from devexplore.stats.surrogates import draw_walk

Progress = Callable[[int, int], None]
"""Told the number of surrogates done, and of all."""

FEWEST_COMPONENTS = 4
"""In the three planes of three components smooth curves agree by chance too often (in about one of six)."""
_LEAST_SIGNAL = 2.0
"""A component counts if its path varies so many times more than its scores scatter about it."""


def find_forms(
    dynamics: xr.Dataset,
    tolerance: float = 0.05,
    min_turn: float = 30.0,
    max_p: float = 0.05,
    n_surrogates: int = 199,
    seed: int = 0,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Forms of essential dynamics: common cusps of all planes that a random walk would not have.

    A form is a time and a place c of score space. It is sought on the trajectory smoothed with half the
    bandwidth of ``dynamics``, as smoothing rounds sharp turns first. In every plane of two components there
    is a vertex within two such bandwidths of that time, the planes' cusps (the centres of the osculating
    circles there) agree on c within ``tolerance``, and the trajectory comes from farther than the tolerance,
    turns by at least ``min_turn``, and leaves. Its ``strength`` is the share of the trajectory's whole
    turning, at the scale of the tolerance, that happens there. Components whose path does not stand out from
    their noise do not take part; four must.

    The null: surrogate random walks with the run's step lengths, effective number of directions and noise
    (``stats.surrogates``) go through the same components, choice of bandwidth, smoothing and search.
    ``p_value`` is (1 + number of surrogates whose strongest form is at least as strong) / (1 + surrogates).
    A smooth curve that happens to nearly stop in all components at once is no walk and may count. The
    tolerance is a share of the whole extent, which a strong first component rules: in the planes of weak ones
    it is wide, and most strong turns of walks agree within it, so that p is mostly that of a turn so strong.

    Args:
        dynamics: from ``essential_dynamics``. At most 400 of its checkpoints are used.
        tolerance: share of the trajectory's extent (its largest distance between two points).
        min_turn: degrees.
        max_p: forms above it are left out; 1 shows all that agree.
        progress: called with the number of surrogates done and of all: about 10 ms each for 140 checkpoints,
            but some 0.5 s each for 400 of them with ``time="arc_length"``.

    Returns:
        Dataset over ``form``, by p-value, then strength: step, step_low, step_high (90 % interval of the time
        about which it turns, from the noise and the spacing of checkpoints), enter_step and leave_step (when
        the trajectory came within the tolerance, and left: it may rest there), coordinates (form, component),
        residual (root mean square distance of the planes' cusps from c, share of the extent), strength, angle
        (degrees), p_value and p_value_se (its standard error over draws of surrogates),
        plane_step, plane_radius (form, plane), plane_center (form, plane, axis); weights and path_weights
        (form, checkpoint): c, and the trajectory's own point at that time, as affine combinations of
        checkpoints (``dx.lift``). Over ``turn``, every turn of the trajectory in order of time, form or not:
        turn_step, turn_angle, turn_least_angle (of all planes, degrees), turn_residual, turn_strength, and
        turn_p_value, against the strongest turns of surrogates, planes agreeing or not. surrogate_strength
        and surrogate_turn_strength (surrogate): 0 where a surrogate has none. ``attrs`` give the setting, and
        ``conclusion`` in words.

    Raises:
        InvalidSpec: for a tolerance, turn, p or number of surrogates out of range.

    Source: Hoogland et al. 2024, section 4 and appendix on essential dynamics, for forms; the null, strength
    and tolerances are ours.
    """
    require_dynamics(dynamics)
    _check(tolerance, min_turn, max_p, n_surrogates, seed)
    setting = Agreement(tolerance, np.deg2rad(min_turn))
    components = _components_with_signal(dynamics)
    step = dynamics["step"].values.astype(np.float64)
    rows = spread_rows(dynamics["time"].values)
    fixed = dynamics.attrs["bandwidth"] if dynamics.attrs["bandwidth_chosen_by"] == "user" else None
    kind: Time = dynamics.attrs["time"]
    if components < FEWEST_COMPONENTS:
        return _forms(dynamics, None, _Null.empty(), setting, components, max_p, seed)
    scores = dynamics["score"].transpose("step", "component").values[rows, :components]
    search = Search(Clock(dynamics["time"].values[rows], step[rows], kind), fixed, setting)
    found = search.cusps(scores)
    null = _null(dynamics, search, components, n_surrogates, seed, progress)
    half = search.half_width(scores, found.time, np.random.default_rng(seed))
    path, sharp = search.path_at(scores, found.time), search.bandwidth(scores) * SHARPENING
    located = _Located(found, search.clock, half, path, search.extent(scores), sharp)
    return _forms(dynamics, located, null, setting, components, max_p, seed)


class _Located(NamedTuple):
    cusps: CommonCusps
    clock: Clock
    half_width: Float[np.ndarray, " cusp"]
    path: Float[np.ndarray, "cusp component"]
    extent: float
    bandwidth: float


class _Null(NamedTuple):
    """The strongest form and the strongest turn of each surrogate; 0 where it has none."""

    form: Float[np.ndarray, " surrogate"]
    turn: Float[np.ndarray, " surrogate"]

    @classmethod
    def empty(cls) -> "_Null":
        return cls(np.empty(0), np.empty(0))


def _p_values(strength: Float[np.ndarray, " n"], null: Float[np.ndarray, " surrogate"]) -> np.ndarray:
    return (1 + np.sum(null >= strength[:, None], axis=1)) / (1 + len(null))


def _p_value_se(p_value: Float[np.ndarray, " n"], surrogates: int) -> np.ndarray:
    """How far p-values move from one draw of surrogates to another."""
    return np.sqrt(p_value * (1 - p_value) / (1 + surrogates))


def _null(
    dynamics: xr.Dataset,
    search: Search,
    components: int,
    n_surrogates: int,
    seed: int,
    progress: Progress | None,
) -> _Null:
    model = walk_model(dynamics)
    null = _Null(np.zeros(n_surrogates), np.zeros(n_surrogates))
    for i in range(n_surrogates):
        scores = draw_walk(model, components, np.random.default_rng([seed, i])).scores
        own = search
        if search.clock.kind == "arc_length":  # a surrogate's time is its own
            own = search.with_time(clock(search.clock.step, scores, "arc_length"))
        found = own.cusps(scores)
        null.form[i] = found.strength.max(initial=0.0)
        null.turn[i] = found.turns.strength.max(initial=0.0)
        if progress is not None:
            progress(i + 1, n_surrogates)
    return null


def _components_with_signal(dynamics: xr.Dataset) -> int:
    """How many of the first components stand out from their noise, without a gap."""
    path = dynamics["smooth_score"].std("step")
    scatter = np.sqrt(((dynamics["score"] - dynamics["smooth_score"]) ** 2).mean("step"))
    stands_out = (path >= _LEAST_SIGNAL * scatter).values & (path > 0).values
    return int(np.argmin(stands_out)) if not stands_out.all() else len(stands_out)


def _check(tolerance: float, min_turn: float, max_p: float, n_surrogates: int, seed: int) -> None:
    if not 1e-4 <= tolerance < 0.5:
        raise InvalidSpec(
            f"tolerance must be a share of the trajectory's extent in [0.0001, 0.5), got {tolerance}"
        )
    if not 0 <= min_turn < 180:
        raise InvalidSpec(f"min_turn must be an angle in degrees in [0, 180), got {min_turn}")
    if not 0 < max_p <= 1:
        raise InvalidSpec(f"max_p must be in (0, 1], got {max_p}")
    for name, value in (("n_surrogates", n_surrogates), ("seed", seed)):
        whole_number(name, value, 0)
    if n_surrogates < 1 / max_p - 1:
        raise InvalidSpec(
            f"with {n_surrogates} surrogates no p-value can be below {1 / (1 + n_surrogates):.3g}; "
            f"take at least {int(np.ceil(1 / max_p - 1))} for max_p={max_p}"
        )


def _forms(
    dynamics: xr.Dataset,
    located: _Located | None,
    null: _Null,
    setting: Agreement,
    components: int,
    max_p: float,
    seed: int,
) -> xr.Dataset:
    if located is None:
        located = _nowhere(components, dynamics.attrs["bandwidth"] * SHARPENING)
    found, turns = located.cusps, located.cusps.turns
    p_value = _p_values(found.strength, null.form)
    order: Int[np.ndarray, " form"] = np.flatnonzero(p_value <= max_p)
    order = order[np.lexsort([-found.strength[order], p_value[order]])]
    step_of = located.clock.step_at
    low, high = found.time - located.half_width, found.time + located.half_width
    loadings = dynamics["weights"].transpose("step", "component").values[:, :components]
    dataset = xr.Dataset(
        {
            "step": (("form",), step_of(found.time[order])),
            "step_low": (("form",), step_of(low[order])),
            "step_high": (("form",), step_of(high[order])),
            "coordinates": (("form", "component"), found.center[order]),
            "residual": (("form",), found.residual[order]),
            "strength": (("form",), found.strength[order]),
            "angle": (("form",), np.rad2deg(found.angle[order])),
            "p_value": (("form",), p_value[order]),
            "p_value_se": (("form",), _p_value_se(p_value[order], len(null.form))),
            "enter_step": (("form",), step_of(found.enter[order])),
            "leave_step": (("form",), step_of(found.leave[order])),
            "plane_step": (("form", "plane"), step_of(found.plane_time[order])),
            "plane_radius": (("form", "plane"), found.plane_radius[order]),
            "plane_center": (("form", "plane", "axis"), found.plane_center[order]),
            "weights": (("form", "checkpoint"), affine_weights(loadings, found.center[order])),
            "path_weights": (("form", "checkpoint"), affine_weights(loadings, located.path[order])),
            "turn_step": (("turn",), step_of(turns.time)),
            "turn_angle": (("turn",), np.rad2deg(turns.angle)),
            "turn_least_angle": (("turn",), np.rad2deg(turns.least_angle)),
            "turn_residual": (("turn",), turns.residual),
            "turn_strength": (("turn",), turns.strength),
            "turn_p_value": (("turn",), _p_values(turns.strength, null.turn)),
            "surrogate_strength": (("surrogate",), null.form),
            "surrogate_turn_strength": (("surrogate",), null.turn),
        },
        coords={
            "component": np.arange(1, components + 1),
            "plane": plane_names(plane_pairs(components)),
            "axis": ["x", "y"],
            "checkpoint": dynamics["step"].values,
            **hashes(dynamics),
        },
    )
    dataset.attrs = {
        KIND: FORMS,
        "output_kind": dynamics.attrs["output_kind"],
        "tolerance": setting.place,
        "min_turn": round(float(np.rad2deg(setting.turn)), 6),
        "max_p": max_p,
        "seed": seed,
        "extent": located.extent,
        "n_candidates": len(found.time),
        "bandwidth": located.bandwidth,
        "smoothing": smoothing_sentence(
            dynamics.attrs["time"], located.bandwidth, located.bandwidth, chosen=False
        ),
        "conclusion": _conclusion(p_value[order], len(found.time), len(null.form), max_p, components),
    }
    return dataset


def _nowhere(components: int, bandwidth: float) -> _Located:
    """No form and no turn, for a trajectory whose planes cannot be compared."""
    none, planes = np.empty(0), len(plane_pairs(components))
    turns = Turns(none, none, none, none, none)
    cusps = CommonCusps(
        none, none, none, np.empty((0, components)), none, none, none,
        np.empty((0, planes)), np.empty((0, planes, 2)), np.empty((0, planes)), turns,
    )  # fmt: skip
    return _Located(
        cusps, Clock(np.arange(2.0), np.arange(2.0), "index"), none, cusps.center, np.nan, bandwidth
    )


def _conclusion(
    p_value: Float[np.ndarray, " form"], candidates: int, surrogates: int, max_p: float, components: int
) -> str:
    forms, least_p = len(p_value), float(p_value.min(initial=1.0))
    if components < FEWEST_COMPONENTS:
        return (
            f"{components} components stand out from their noise: "
            f"whether planes agree can be told from {FEWEST_COMPONENTS} on"
        )
    if candidates == 0:
        return "no turn has its cusps at one time and place in all planes"
    caution = ", a p that moves with bandwidth and seed" if 0.01 < least_p <= max_p < 1 else ""
    return (
        f"{candidates} turn{'s' if candidates > 1 else ''} with cusps that agree in all planes; "
        f"{forms} with p ≤ {max_p:g} against {surrogates} random walks like this run"
        f"{caution}"
    )
