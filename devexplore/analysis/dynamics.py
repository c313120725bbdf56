"""Essential dynamics: the path of a network through function space, in its principal components."""

import itertools
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np
import xarray as xr
from jaxtyping import Float

from devexplore.analysis.function_gram import function_gram
from devexplore.errors import InvalidSpec
from devexplore.geometry import (
    OsculatingCircles,
    Smoothed,
    arc_length,
    at_index,
    circles_from_derivatives,
    curvature_se,
    curvature_vertices,
    noise_size,
    smooth,
)
from devexplore.stats.gram import gram_pca

if TYPE_CHECKING:
    from devexplore.run import Run

Time = Literal["log_step", "step", "index", "arc_length"]

_BANDWIDTH_SHARE = 0.04
_CURVE_POINTS = 400
_FEWEST_FOR_VERTICES = 5


class _Clock(NamedTuple):
    """The time coordinate of smoothing, and the training step at any of its values."""

    at_checkpoint: Float[np.ndarray, " step"]
    step: Float[np.ndarray, " step"]
    is_log: bool

    def step_at(self, time: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        if self.is_log:
            return np.clip(np.expm1(time), self.step[0], self.step[-1])
        return np.interp(time, self.at_checkpoint, self.step)


def essential_dynamics(
    source: "Run | xr.DataArray",
    n_components: int = 4,
    time: Time = "log_step",
    bandwidth: float | None = None,
    min_persistence: float = 0.05,
    kind: str | None = None,
) -> xr.Dataset:
    """PCA of a model's outputs over checkpoints, smoothed, with circles, evolute and cusps of every plane.

    Outputs are centred over checkpoints, not scaled; the last score of each component is >= 0. Scores are in
    the units of the outputs. They are smoothed by local cubics with Gaussian weights in the declared
    ``time``: ``log_step`` = ln(1 + step), ``step``, ``index`` of the checkpoint, or ``arc_length`` of the
    scores. ``bandwidth`` is in its units; the default is 4 % of its range. It widens where fewer than four
    checkpoints lie within it (``attrs`` say how far). Circles come from the derivatives of the same fit.

    Args:
        source: a run (its outputs are used, see ``kind``) or outputs with a dimension ``step``; read in
            blocks.
        n_components: at most one less than there are checkpoints; fewer are returned when more are asked for.
        min_persistence: vertices that stand out less (0 … 1, see ``geometry.Vertices``) are left out.
        kind: which outputs of a run: log_probs, predictions, logits or true_token_logit; default the first it
            has.

    Returns:
        score, smooth_score, tangent, weights (step, component); explained_variance_ratio (component);
        center (step, plane, axis), radius, curvature (step, plane), curvature > 0 turning left; space_center
        (step, component) and space_radius (step), the circle in all components at once; vertex_step,
        vertex_plane, vertex_point, cusp, vertex_persistence (vertex); curve_step, curve_score, the smooth
        curve drawn densely. ``weights`` turn coordinates into affine combinations of checkpoints
        (``stats.affine_weights``). A straight stretch has radius inf and centre NaN. Two checkpoints give
        one component and no plane. Fewer than five give no vertices: any three points lie on a parabola,
        and a parabola always has one.

    Raises:
        NotMeasured: for a run without outputs, or fewer than two checkpoints.
        InvalidSpec: for an unknown time, a bandwidth <= 0, or repeated steps.
        SchemaError: for outputs that hold NaN or infinity.
    """
    if time not in get_args(Time):
        raise InvalidSpec(f"time must be one of {', '.join(get_args(Time))}, got {time!r}")
    if n_components < 1:
        raise InvalidSpec(f"n_components must be at least 1, got {n_components}")
    inner = function_gram(source, kind)
    step = inner.step.astype(np.float64)
    pca = gram_pca(inner.gram, min(n_components, len(step) - 1))
    clock = _clock(step, pca.scores, time)
    range_of_time = float(np.ptp(clock.at_checkpoint))
    if bandwidth is None:
        bandwidth = _BANDWIDTH_SHARE * range_of_time if range_of_time > 0 else 1.0
    fit = smooth(clock.at_checkpoint, pca.scores, bandwidth)
    dense = np.linspace(
        clock.at_checkpoint[0], clock.at_checkpoint[-1], max(_CURVE_POINTS, min(4 * len(step), 2000))
    )
    curve = smooth(clock.at_checkpoint, pca.scores, bandwidth, at=dense)

    component = np.arange(1, pca.scores.shape[1] + 1)
    pairs = np.array(list(itertools.combinations(range(len(component)), 2)), dtype=int).reshape(-1, 2)
    circles = [
        circles_from_derivatives(fit.position[:, pair], fit.velocity[:, pair], fit.acceleration[:, pair])
        for pair in pairs
    ]
    names = np.array([f"PC{i + 1}–PC{j + 1}" for i, j in pairs], dtype=object)
    dataset = xr.Dataset(
        {
            "score": (("step", "component"), pca.scores),
            "smooth_score": (("step", "component"), fit.position),
            "tangent": (("step", "component"), _unit(fit.velocity)),
            "weights": (("step", "component"), pca.weights),
            "explained_variance_ratio": (("component",), pca.explained_variance_ratio),
            "plane_component": (("plane", "axis"), component[pairs]),
            "center": (("step", "plane", "axis"), _stack([c.center for c in circles], (len(step), 0, 2))),
            "radius": (("step", "plane"), _stack([c.radius for c in circles], (len(step), 0))),
            "curvature": (("step", "plane"), _stack([c.curvature for c in circles], (len(step), 0))),
            "curve_step": (("curve",), clock.step_at(dense)),
            "curve_score": (("curve", "component"), curve.position),
        },
        coords={"step": inner.step, "component": component, "plane": names, "axis": ["x", "y"]},
    )
    dataset = dataset.merge(_space_circle(fit, len(component)))
    if len(step) >= _FEWEST_FOR_VERTICES:
        noise = noise_size(clock.at_checkpoint, pca.scores)
        found = [
            _vertices(curve, pair, name, min_persistence, noise[pair])
            for pair, name in zip(pairs, names, strict=True)
        ]
    else:
        found = []
    dataset = dataset.merge(_vertex_table(found, dense, clock))
    widest = float(fit.bandwidth.max())
    dataset.attrs = {
        "output_kind": inner.kind,
        "time": time,
        "bandwidth": float(bandwidth),
        "widest_bandwidth": widest,
        "degree": 3,
        "min_persistence": min_persistence,
        "smoothing": _sentence(time, bandwidth, widest),
        "first_step": int(step[0]),
        "last_step": int(step[-1]),
        "n_checkpoints": len(step),
        "n_features": inner.n_features,
    }
    return dataset


def _clock(
    step: Float[np.ndarray, " step"], scores: Float[np.ndarray, "step component"], time: Time
) -> _Clock:
    if time == "log_step":
        return _Clock(np.log1p(step), step, is_log=True)
    if time == "step":
        return _Clock(step, step, is_log=False)
    if time == "index":
        return _Clock(np.arange(len(step), dtype=np.float64), step, is_log=False)
    return _Clock(arc_length(scores), step, is_log=False)


def _space_circle(fit: Smoothed, n_components: int) -> xr.Dataset:
    """The osculating circle in all components at once; without a second component every curve is straight."""
    if n_components < 2:
        count = len(fit.position)
        circles = OsculatingCircles(
            np.full((count, n_components), np.nan), np.full(count, np.inf), np.zeros(count)
        )
    else:
        circles = circles_from_derivatives(fit.position, fit.velocity, fit.acceleration)
    return xr.Dataset(
        {"space_center": (("step", "component"), circles.center), "space_radius": (("step",), circles.radius)}
    )


class _PlaneVertices(NamedTuple):
    plane: str
    index: Float[np.ndarray, " vertex"]  # pyright: ignore[reportIncompatibleMethodOverride]
    point: Float[np.ndarray, "vertex 2"]
    cusp: Float[np.ndarray, "vertex 2"]
    curvature: Float[np.ndarray, " vertex"]
    persistence: Float[np.ndarray, " vertex"]


def _vertices(
    curve: Smoothed, pair: np.ndarray, name: str, min_persistence: float, noise: np.ndarray
) -> _PlaneVertices:
    position = curve.position[:, pair]
    circles = circles_from_derivatives(position, curve.velocity[:, pair], curve.acceleration[:, pair])
    place = arc_length(position)
    moving = np.concatenate([[True], np.diff(place) > 0])
    rows = np.flatnonzero(moving)
    se = curvature_se(curve.velocity[:, pair], curve.acceleration[:, pair], noise, curve.gain)
    found, _ = curvature_vertices(
        place[rows], circles.curvature[rows], place[-1], min_persistence, curvature_se=se[rows]
    )
    index = np.interp(found.index, np.arange(len(rows)), rows)
    return _PlaneVertices(
        name,
        index,
        at_index(position, index),
        at_index(circles.center, index),
        found.curvature,
        found.persistence,
    )


def _vertex_table(
    found: list[_PlaneVertices], dense: Float[np.ndarray, " curve"], clock: _Clock
) -> xr.Dataset:
    index = np.concatenate([plane.index for plane in found] or [np.empty(0)])
    time = np.interp(index, np.arange(len(dense)), dense)
    order = np.argsort(time, kind="stable")
    planes = np.array([plane.plane for plane in found for _ in plane.index], dtype=object)
    return xr.Dataset(
        {
            "vertex_step": (("vertex",), clock.step_at(time)[order]),
            "vertex_plane": (("vertex",), planes[order]),
            "vertex_point": (
                ("vertex", "axis"),
                np.concatenate([*(p.point for p in found), np.empty((0, 2))])[order],
            ),
            "cusp": (("vertex", "axis"), np.concatenate([*(p.cusp for p in found), np.empty((0, 2))])[order]),
            "vertex_curvature": (
                ("vertex",),
                np.concatenate([*(p.curvature for p in found), np.empty(0)])[order],
            ),
            "vertex_persistence": (
                ("vertex",),
                np.concatenate([*(p.persistence for p in found), np.empty(0)])[order],
            ),
        }
    )


def _sentence(time: Time, bandwidth: float, widest: float) -> str:
    coordinate = {
        "log_step": "ln(1 + step)",
        "step": "steps",
        "index": "checkpoint index",
        "arc_length": "arc length of the scores",
    }[time]
    text = f"local cubic, Gaussian weights, bandwidth {bandwidth:.3g} in {coordinate}"
    return text if widest <= bandwidth else f"{text}, up to {widest:.3g} where checkpoints are sparse"


def _stack(arrays: list[np.ndarray], empty_shape: tuple[int, ...]) -> np.ndarray:
    return np.stack(arrays, axis=1) if arrays else np.empty(empty_shape)


def _unit(vectors: Float[np.ndarray, "step v"]) -> Float[np.ndarray, "step v"]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.full_like(vectors, np.nan), where=length > 0)
