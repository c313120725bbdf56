"""The ground of a landscape: where its wells stand, how high each is, and the line between them."""

from itertools import pairwise
from typing import Final

import numpy as np
from jaxtyping import Float

from devexplore.views.labels import spread_apart

RIDGE: Final = 1.35
"""Height between wells: somewhat above the highest one, which is at 1."""

_POINTS: Final = 60
"""Of the ground, on each side of a well."""

_NARROWEST: Final = 0.14
"""Least distance of two wells, as a share of the range of λ̂."""


def same_wells(free_energy: Float[np.ndarray, "stage n"]) -> list[list[int]]:
    """Stages that share a well, in order: their free energies lie less than 1 apart at every n, which is less
    than the expansion tells (it leaves out terms of order ln ln n)."""
    wells: list[list[int]] = []
    for i, own in enumerate(free_energy):
        same = (well for well in wells if (np.abs(own - free_energy[well]) < 1).all())
        next(same, new := []).append(i)
        wells += [new] if new else []
    return wells


def well_places(llc: Float[np.ndarray, " stage"]) -> Float[np.ndarray, " stage"]:
    """Where wells are drawn: at λ̂, moved aside where neighbours would be nearer than a share of the range."""
    span = float(np.ptp(llc)) or max(abs(float(llc[0])), 1.0)
    return spread_apart(llc, _NARROWEST * span)


def heights(free_energy: Float[np.ndarray, " stage"]) -> Float[np.ndarray, " stage"]:
    """0 for the lowest, 1 for the highest, linear between; all 0 where they are equal."""
    above = free_energy - free_energy.min()
    return above / (above.max() or 1.0)


def ground(
    places: Float[np.ndarray, " stage"], height: Float[np.ndarray, " stage"]
) -> tuple[Float[np.ndarray, " point"], Float[np.ndarray, " point"]]:
    """A line that has its minima at these places, at these heights, and the same ridge between any two:
    h + (ridge − h)·sin²(πd/2w) at a distance d, with w half the way to the neighbour."""
    order = np.argsort(places)
    sorted_places, sorted_heights = places[order], height[order]
    gaps = np.diff(sorted_places)
    outer = float(gaps.mean()) if len(gaps) else max(abs(float(places[0])), 1.0)
    ends = np.concatenate([[outer], gaps, [outer]]) / 2
    share = np.linspace(0.0, 1.0, _POINTS)
    x, y = [], []
    for at, low, (left, right) in zip(sorted_places, sorted_heights, pairwise(ends), strict=True):
        wall = low + (RIDGE - low) * np.sin(np.pi / 2 * share) ** 2
        x += [at - left * share[::-1], at + right * share[1:]]
        y += [wall[::-1], wall[1:]]
    return np.concatenate(x), np.concatenate(y)
