"""Curves in score space: osculating circles, evolute, vertices, common cusps, smoothing. numpy only."""

from devexplore.geometry.bandwidth import (
    CrossValidation,
    best_of,
    candidate_bandwidths,
    choose_bandwidth,
    prediction_error,
)
from devexplore.geometry.circles import (
    OsculatingCircles,
    circles_from_derivatives,
    curvature_se,
    curvature_slope,
    evolute,
    osculating_circles,
)
from devexplore.geometry.common_cusps import (
    Agreement,
    CommonCusps,
    Turns,
    common_cusps,
    mean_turning_time,
    plane_pairs,
)
from devexplore.geometry.log_time import nearest_in_log_time
from devexplore.geometry.polyline import arc_length, at_index
from devexplore.geometry.smoothing import Smoothed, Smoother, local_noise, noise_size, smooth, smoother
from devexplore.geometry.turning import Turning, angle_between, extent, turning
from devexplore.geometry.vertices import Vertices, curvature_vertices, vertices

__all__ = [
    "Agreement",
    "CommonCusps",
    "CrossValidation",
    "OsculatingCircles",
    "Smoothed",
    "Smoother",
    "Turning",
    "Turns",
    "Vertices",
    "angle_between",
    "arc_length",
    "at_index",
    "best_of",
    "candidate_bandwidths",
    "choose_bandwidth",
    "circles_from_derivatives",
    "common_cusps",
    "curvature_se",
    "curvature_slope",
    "curvature_vertices",
    "evolute",
    "extent",
    "local_noise",
    "mean_turning_time",
    "nearest_in_log_time",
    "noise_size",
    "osculating_circles",
    "plane_pairs",
    "prediction_error",
    "smooth",
    "smoother",
    "turning",
    "vertices",
]
