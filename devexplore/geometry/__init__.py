"""Curves in score space: osculating circles, evolute, vertices, smoothing. numpy only."""

from devexplore.geometry.circles import (
    OsculatingCircles,
    circles_from_derivatives,
    curvature_se,
    curvature_slope,
    evolute,
    osculating_circles,
)
from devexplore.geometry.polyline import arc_length, at_index
from devexplore.geometry.smoothing import Smoothed, noise_size, smooth
from devexplore.geometry.vertices import Vertices, curvature_vertices, vertices

__all__ = [
    "OsculatingCircles",
    "Smoothed",
    "Vertices",
    "arc_length",
    "at_index",
    "circles_from_derivatives",
    "curvature_se",
    "curvature_slope",
    "curvature_vertices",
    "evolute",
    "noise_size",
    "osculating_circles",
    "smooth",
    "vertices",
]
