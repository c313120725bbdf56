"""Random walks like a run, behind its trajectory: would a random walk draw this too?"""

from collections.abc import Sequence
from typing import Any, Final

import plotly.graph_objects as go
import xarray as xr

from devexplore.views.style import Theme
from devexplore.views.trajectory import COMPONENTS, plane_names
from devexplore.views.trajectory_layers import apart, columns, deep, flat

WALKS: Final = 5
"""How many are drawn: more would be a thicket."""

_WORDS: Final = (
    "Grey lines: {count} {which}. They have the run's step lengths, directions and noise and nothing else of "
    "it, in components of their own, scaled to its extent."
)
_COMPARED: Final = "of the random walks that forms are compared with"
_OTHERS: Final = (
    "random walks, not those that forms are compared with: components or smoothing are chosen by hand"
)


def walk_layers(
    dynamics: xr.Dataset,
    walks: xr.Dataset,
    theme: Theme,
    components: Sequence[int] = COMPONENTS,
    compared: bool = True,
) -> dict[str, Any]:
    """Curves of ``null_walks`` as one trace for each plane of ``dynamics`` and one in space, layer ``null``.

    Every walk is drawn in its own principal components, whose signs are chosen as the run's (the last score
    is ≥ 0), so that what is alike is the shape, not the place. ``compared``: whether forms were sought in
    these ``dynamics``, so that they are compared with these walks.
    """
    planes = []
    for name in plane_names(dynamics, components):
        pair = [int(c) for c in dynamics["plane_component"].sel(plane=name).values]
        planes.append(flat(_lines(walks, pair), "null", mode="lines", line={"color": theme.raw, "width": 1}))
    line = {"color": theme.circle_in_space, "width": 2}
    space = deep(_lines(walks, components), "null", mode="lines", line=line)
    return {
        "planes": _plain(planes),
        "space": _plain([space])[0],
        "words": _WORDS.format(count=walks.sizes["walk"], which=_COMPARED if compared else _OTHERS),
    }


def _lines(walks: xr.Dataset, components: Sequence[int]) -> Any:
    curves = [columns(walks["curve_score"].isel(walk=k), components) for k in range(walks.sizes["walk"])]
    return apart(curves, len(components))


def _plain(traces: Sequence[Any]) -> list[dict[str, Any]]:
    return list(go.Figure(traces).to_plotly_json()["data"])
