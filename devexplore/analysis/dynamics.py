"""Essential dynamics: the path of a network through function space, in its principal components."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from jaxtyping import Float

from devexplore.analysis.clock import NAMES, Time, clock
from devexplore.analysis.function_gram import function_gram
from devexplore.analysis.plane_vertices import plane_names, vertex_table
from devexplore.analysis.walk import walk_table
from devexplore.checks import whole_number
from devexplore.errors import InvalidSpec
from devexplore.geometry import (
    CrossValidation,
    OsculatingCircles,
    Smoothed,
    choose_bandwidth,
    circles_from_derivatives,
    local_noise,
    plane_pairs,
    smooth,
)
from devexplore.schema import CONTENT_HASH
from devexplore.stats.gram import gram_pca

if TYPE_CHECKING:
    from devexplore.run import Run

_CURVE_POINTS = 400


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
    scores. ``bandwidth`` is in its units; the default is the one that predicts left-out checkpoints best
    (generalised cross-validation over 0.6–10 % of the range of time). It widens where fewer than four
    checkpoints lie within it (``attrs`` say how far). Circles come from the derivatives of the same fit.

    Args:
        source: a run (its outputs are used, see ``kind``) or outputs with a dimension ``step``; read in
            blocks.
        n_components: at most one less than there are checkpoints; fewer are returned when more are asked for.
        min_persistence: vertices that stand out less (0 … 1, see ``geometry.Vertices``) are left out.
        kind: which outputs of a run: log_probs, predictions, logits or true_token_logit; default those
            measured at the most checkpoints.

    Returns:
        score, smooth_score, tangent, weights (step, component); explained_variance_ratio (component);
        noise (step, component), the standard deviation of scores about their path; time (step);
        center (step, plane, axis), radius, curvature (step, plane), curvature > 0 turning left; space_center
        (step, component) and space_radius (step), the circle in all components at once; vertex_step, its 90 %
        interval vertex_step_low and vertex_step_high, vertex_support (how often the vertex is there when the
        noise is drawn anew), vertex_plane, vertex_point, cusp, vertex_persistence (vertex); curve_step,
        curve_time, curve_score, the smooth curve drawn densely; cross_validation (candidate), the error at
        each candidate bandwidth; walk_step_variance and walk_noise_variance (walk_step), the random walk that
        moves and scatters like the run (``stats.surrogates``), with which ``find_forms`` compares.
        ``weights`` turn coordinates into affine combinations of checkpoints (``stats.affine_weights``). A
        straight stretch has radius inf and centre NaN. Two checkpoints give one component and no plane. Fewer
        than five give no vertices: any three points lie on a parabola, and a parabola always has one.

    Raises:
        NotMeasured: for a run without outputs, or fewer than two checkpoints.
        InvalidSpec: for an unknown time, a bandwidth <= 0, or repeated steps.
        SchemaError: for outputs that hold NaN or infinity.
    """
    whole_number("n_components", n_components, 1)
    if not 0 <= min_persistence < 1:
        raise InvalidSpec(f"min_persistence must be in [0, 1), got {min_persistence}")
    clock(np.zeros(1), np.zeros((1, 1)), time)  # an unknown time is told before outputs are read
    inner = function_gram(source, kind)
    step = inner.step.astype(np.float64)
    pca = gram_pca(inner.gram, min(n_components, len(step) - 1))
    at = clock(step, pca.scores, time)
    tried = choose_bandwidth(at.time, pca.scores)
    chosen = bandwidth is None
    width = float(tried.bandwidth[tried.best]) if bandwidth is None else bandwidth
    fit = smooth(at.time, pca.scores, width)
    dense = np.linspace(at.time[0], at.time[-1], max(_CURVE_POINTS, min(4 * len(step), 2000)))
    curve = smooth(at.time, pca.scores, width, at=dense)
    noise = local_noise(at.time, pca.scores)

    component = np.arange(1, pca.scores.shape[1] + 1)
    pairs = plane_pairs(len(component))
    names = plane_names(pairs)
    dataset = xr.Dataset(
        {
            "score": (("step", "component"), pca.scores),
            "smooth_score": (("step", "component"), fit.position),
            "noise": (("step", "component"), noise),
            "tangent": (("step", "component"), _unit(fit.velocity)),
            "weights": (("step", "component"), pca.weights),
            "explained_variance_ratio": (("component",), pca.explained_variance_ratio),
            "time": (("step",), at.time),
            "plane_component": (("plane", "axis"), component[pairs]),
            "curve_step": (("curve",), at.step_at(dense)),
            "curve_time": (("curve",), dense),
            "curve_score": (("curve", "component"), curve.position),
        },
        coords={"step": inner.step, "component": component, "plane": names, "axis": ["x", "y"]},
    )
    dataset = dataset.merge(_circles(fit, pairs)).merge(_space_circle(fit, len(component)))
    dataset = dataset.merge(vertex_table(at, fit, curve, dense, width, noise, pairs, names, min_persistence))
    dataset = dataset.merge(_cross_validation(tried)).merge(walk_table(inner.gram, at, width))
    widest = float(fit.bandwidth.max())
    dataset.attrs = {
        "output_kind": inner.kind,
        "time": time,
        "bandwidth": float(width),
        "bandwidth_chosen_by": "cross-validation" if chosen else "user",
        "widest_bandwidth": widest,
        "degree": 3,
        "min_persistence": min_persistence,
        "smoothing": smoothing_sentence(time, width, widest, chosen),
        "first_step": int(step[0]),
        "last_step": int(step[-1]),
        "n_checkpoints": len(step),
        "n_features": inner.n_features,
    }
    if inner.content_hash is not None:
        dataset = dataset.assign_coords({CONTENT_HASH: ("step", inner.content_hash)})
    if inner.sketched is not None:
        dataset.attrs["sketched"] = inner.sketched
    return dataset


def _circles(fit: Smoothed, pairs: np.ndarray) -> xr.Dataset:
    count = len(fit.position)
    circles = [
        circles_from_derivatives(fit.position[:, pair], fit.velocity[:, pair], fit.acceleration[:, pair])
        for pair in pairs
    ]
    return xr.Dataset(
        {
            "center": (("step", "plane", "axis"), _stack([c.center for c in circles], (count, 0, 2))),
            "radius": (("step", "plane"), _stack([c.radius for c in circles], (count, 0))),
            "curvature": (("step", "plane"), _stack([c.curvature for c in circles], (count, 0))),
        }
    )


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


def _cross_validation(tried: CrossValidation) -> xr.Dataset:
    return xr.Dataset(
        {"cross_validation": (("candidate",), tried.error)}, coords={"candidate": tried.bandwidth}
    )


def smoothing_sentence(time: Time, bandwidth: float, widest: float, chosen: bool) -> str:
    how = ", chosen by cross-validation" if chosen else ""
    text = f"local cubic, Gaussian weights, bandwidth {bandwidth:.3g} in {NAMES[time]}{how}"
    return text if widest <= bandwidth else f"{text}, up to {widest:.3g} where checkpoints are sparse"


def _stack(arrays: list[np.ndarray], empty_shape: tuple[int, ...]) -> np.ndarray:
    return np.stack(arrays, axis=1) if arrays else np.empty(empty_shape)


def _unit(vectors: Float[np.ndarray, "step v"]) -> Float[np.ndarray, "step v"]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.full_like(vectors, np.nan), where=length > 0)
