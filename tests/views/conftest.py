"""Small exact Datasets: an ellipse walked once, four stages, losses that fall and rise."""

import numpy as np
import pytest
import xarray as xr

from devexplore.views.stages import stage_marks
from devexplore.views.style import LIGHT


@pytest.fixture
def stages():
    return xr.Dataset(
        {
            "start": ("stage", [0, 100, 1000]),
            "end": ("stage", [100, 1000, 9999]),
            "type": ("stage", np.array(["A", "undecided", "B"], dtype=object)),
            "delta_loss": ("stage", [-2.0, np.nan, -0.5]),
            "delta_llc": ("stage", [20.0, np.nan, -3.0]),
            "delta_llc_se": ("stage", [0.5, np.nan, 0.4]),
            "name": ("stage", np.array(["S1", "S2", "S3"], dtype=object)),
        }
    )


@pytest.fixture
def marks(stages):
    return stage_marks(stages, LIGHT)


@pytest.fixture
def llc():
    step = np.array([0, 10, 100, 1000, 9999])
    return xr.Dataset(
        {
            "llc": ("step", [1.0, 5.0, 20.0, 25.0, 22.0]),
            "llc_se": ("step", [0.1, 0.2, 0.5, 0.5, 0.4]),
            "rhat": ("step", [1.01, 1.02, 1.5, 1.0, 1.1]),
            "ess": ("step", [200.0, 180.0, 20.0, 150.0, 170.0]),
            "excess_loss": ("step", [0.01, 0.02, 0.03, 2.0, 0.01]),
            "diverged_chains": ("step", [0, 0, 0, 0, 2]),
        },
        coords={"step": step},
    )


@pytest.fixture
def losses():
    step = np.array([0, 10, 100, 1000, 9999])
    fall = np.array([6.0, 5.0, 4.0, 3.5, 3.0])
    token = np.stack([fall, 2 * fall, 9 - fall], axis=1)[:, None, :]
    return xr.Dataset(
        {
            "token_loss": (("step", "sequence", "position"), token.astype("f4"), {"units": "nats"}),
            "test_loss": ("step", token.mean((1, 2)), {"units": "nats"}),
        },
        coords={"step": step},
    )


@pytest.fixture
def dynamics():
    """Ellipse (a, b) = (3, 2) in PC1–PC2 with its exact circles; straight lines would have radius ∞. In space
    every circle has radius 1, and its centre lies across the tangent.
    """
    angle = np.linspace(0.3, 5.5, 40)
    points = np.stack([3 * np.cos(angle), 2 * np.sin(angle), 0.5 * np.sin(2 * angle)], axis=1)
    step = np.linspace(0, 9_999, 40).round().astype(int)
    speed = np.sqrt(9 * np.sin(angle) ** 2 + 4 * np.cos(angle) ** 2)
    radius = speed**3 / 6
    center = np.stack([5 / 3 * np.cos(angle) ** 3, -5 / 2 * np.sin(angle) ** 3], axis=1)
    tangent = np.stack([-3 * np.sin(angle), 2 * np.cos(angle), np.cos(2 * angle)], axis=1)
    tangent = np.hstack([tangent, np.zeros((40, 1))]) / np.linalg.norm(tangent, axis=1, keepdims=True)
    across = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1) / np.hypot(*tangent.T[:2])[:, None]
    four = np.hstack([points, points[:, :1]])
    names = ["PC1–PC2", "PC1–PC3", "PC2–PC3", "PC1–PC4"]
    radii = np.stack([radius, radius, np.full(40, np.inf), radius], axis=1)
    return xr.Dataset(
        {
            "score": (("step", "component"), np.hstack([points, points[:, :1]]) + 0.01),
            "smooth_score": (("step", "component"), np.hstack([points, points[:, :1]])),
            "explained_variance_ratio": ("component", [0.7, 0.2, 0.05, 0.01]),
            "plane_component": (("plane", "axis"), [[1, 2], [1, 3], [2, 3], [1, 4]]),
            "tangent": (("step", "component"), tangent),
            "space_center": (("step", "component"), four + np.hstack([across, np.zeros((40, 2))])),
            "space_radius": ("step", np.ones(40)),
            "center": (("step", "plane", "axis"), np.stack([center] * 4, axis=1)),
            "radius": (("step", "plane"), radii),
            "curvature": (("step", "plane"), 1 / radii),
            "vertex_step": ("vertex", [2500.0, 7000.4, 5000.0]),
            "vertex_step_low": ("vertex", [2300.0, 6900.0, 4900.0]),
            "vertex_step_high": ("vertex", [2800.0, 7200.0, 5100.0]),
            "vertex_support": ("vertex", [0.94, 1.0, 0.5]),
            "vertex_plane": ("vertex", ["PC1–PC2", "PC1–PC2", "PC1–PC4"]),
            "vertex_point": (("vertex", "axis"), [[0.0, 2.0], [-3.0, 0.0], [0.0, 0.0]]),
            "cusp": (("vertex", "axis"), [[0.0, -2.5], [-5 / 3, 0.0], [0.0, 0.0]]),
            "curve_step": ("curve", np.linspace(0, 9_999, 200)),
            "curve_score": (
                ("curve", "component"),
                np.array(
                    [np.interp(np.linspace(0, 39, 200), np.arange(40), c) for c in [*points.T, points[:, 0]]]
                ).T,
            ),
        },
        coords={"step": step, "component": [1, 2, 3, 4], "plane": names},
        attrs={"output_kind": "log_probs", "smoothing": "local cubic, bandwidth 0.3"},
    )


@pytest.fixture
def forms():
    """One form at step 5,000; a turn at 2,500 that beats the null but whose planes do not agree; one that
    random walks make as well.
    """
    names = ["PC1–PC2", "PC1–PC3", "PC2–PC3"]
    place = np.array([-2.0, 0.5, 0.1])
    own = np.array([[-2.1, 0.5], [-2.0, 0.3], [0.5, 0.1]])
    return xr.Dataset(
        {
            "step": ("form", [5000.0]),
            "step_low": ("form", [4600.0]),
            "step_high": ("form", [5500.0]),
            "coordinates": (("form", "component"), place[None]),
            "residual": ("form", [0.021]),
            "strength": ("form", [0.3]),
            "angle": ("form", [120.0]),
            "p_value": ("form", [0.05]),
            "plane_step": (("form", "plane"), [[4900.0, 5000.0, 5200.0]]),
            "plane_center": (("form", "plane", "axis"), own[None]),
            "turn_step": ("turn", [2500.0, 5000.0, 8000.0]),
            "turn_angle": ("turn", [80.0, 120.0, 20.0]),
            "turn_residual": ("turn", [0.31, 0.021, np.nan]),
            "turn_strength": ("turn", [0.2, 0.3, 0.05]),
            "turn_p_value": ("turn", [0.1, 0.05, 0.9]),
            "surrogate_strength": ("surrogate", np.linspace(0.0, 0.19, 19)),
            "surrogate_turn_strength": ("surrogate", np.linspace(0.02, 0.21, 19)),
        },
        coords={"component": [1, 2, 3], "plane": names, "axis": ["x", "y"]},
        attrs={
            "tolerance": 0.05,
            "extent": 6.0,
            "min_turn": 30.0,
            "max_p": 0.1,
            "conclusion": "1 turn with cusps that agree; 1 with p ≤ 0.1 against 19 random walks",
        },
    )
