"""Stages that theory knows: saddles of a deep linear network, k-gons of superposition (figure 6)."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import xarray as xr
from plotly.graph_objects import Figure

from devexplore.analysis.saddle_times import saddle_times
from devexplore.errors import InvalidSpec
from devexplore.figures.gather import loss_panel, loss_words, metrics_of, staged
from devexplore.tree_run import Source, run_of
from devexplore.views.k_gons import k_gon_sheet
from devexplore.views.panels import panel_stack
from devexplore.views.staircase import mode_panel
from devexplore.views.style import ThemeName
from devexplore.views.visuals import How, Visuals, layered

_NEAREST: Final = ("represented_features", "silent_corners", "positive_biases", "kgon_loss")
_OFTEN: Final = 3
_MARKS: Final = {
    "measured": "bar, half learned between these steps",
    "predicted": "diamond, closed form from the start",
    "predicted_from_checkpoint": "ring, closed form from the checkpoint before the bar",
}


def staircase(
    source: Source,
    *,
    stages: xr.Dataset | None = None,
    theme: ThemeName = "light",
    visuals: Mapping[str, How] | None = None,
) -> Figure:
    """The staircase of a deep linear network: its loss falls a step whenever it learns a mode of its teacher.

    The paper's figure 6 (c), computed. Marks on half of each mode: when it is half learned, measured and by
    the closed form (``dx.saddle_times``, which says where the closed form must be wrong). ``source``: a run,
    or the DataTree of its store. ``visuals``: layers and how they are drawn
    (``dx.figures.LAYERS["staircase"]``).

    Raises ``InvalidSpec`` for runs of other systems, ``NotMeasured`` without the modes.
    """
    look = Visuals("staircase", visuals)
    run = run_of(source)
    times = saddle_times(run)
    found = staged(run, stages, theme)
    modes = mode_panel(metrics_of(run, "mode_strength")["mode_strength"], times, found.theme)
    marks = "; ".join(words for layer, words in _MARKS.items() if look.draws(layer))
    foot = look.said(
        ("goal", "Dotted: the teacher’s singular values."),
        f"On half of each: {marks}." if marks else "",
        loss_words(run, look),
    )
    figure = panel_stack(
        [loss_panel(run, found.theme), layered(modes, "modes")],
        found.marks,
        found.last_step,
        found.theme,
        title=f"From saddle to saddle: {run.name}",
        said=found.said_of_lines(look),
        foot=foot,
    )
    return look.applied(figure)


def k_gons(
    source: Source,
    *,
    stages: xr.Dataset | None = None,
    theme: ThemeName = "light",
    visuals: Mapping[str, How] | None = None,
) -> Figure:
    """The features of a toy model of superposition as k-gons along training, over its exact loss.

    The paper's figure 6 (d), computed. Dashed levels: the closed-form losses of the k-gons that were the
    nearest at three checkpoints or more. Superscripts as in ``dx.Metrics``: σ+ features without a corner that
    have a positive bias, φ− corners that never answer. ``source``: a run, or a DataTree of one.
    ``visuals``: layers and how they are drawn (``dx.figures.LAYERS["k_gons"]``).

    Raises ``InvalidSpec`` for runs of other systems, ``NotMeasured`` without the features.
    """
    look = Visuals("k_gons", visuals)
    run = run_of(source)
    if run.system != "superposition":
        raise InvalidSpec(f"{run.name} is a run of {run.system}: only superposition makes k-gons")
    metrics = metrics_of(run, "feature_norm", "feature_angle", "population_loss", *_NEAREST)
    found = staged(run, stages, theme)
    title, said = f"k-gons of {run.name}", found.said_of_lines(look)
    return look.applied(k_gon_sheet(metrics, _levels(metrics), found.marks, found.theme, title, said, look))


def _levels(metrics: xr.Dataset) -> dict[str, float]:
    """The closed-form losses of the k-gons that were the nearest at three checkpoints or more."""
    columns = np.stack([metrics[name].values.astype(float) for name in _NEAREST], axis=1)
    kinds, counts = np.unique(columns, axis=0, return_counts=True)
    return {
        _k_gon_name(int(k), int(silent), int(positive)): level
        for (k, silent, positive, level), count in zip(kinds.tolist(), counts, strict=True)
        if count >= _OFTEN and np.isfinite(level)
    }


def _k_gon_name(corners: int, silent: int, positive: int) -> str:
    """k-gon with σ+ and φ− as superscripts, where they are not 0."""
    marks = (f"{positive}+" if positive else "") + (f"{silent}−" if silent else "")
    return f"{corners}<sup>{marks}</sup>-gon" if marks else f"{corners}-gon"
