"""Which metrics stand in which panel of a stage analysis, and how their parts are told apart."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
import xarray as xr

from devexplore.schema import METRICS, STEP, TABLE
from devexplore.views.panels import Curve, Panel, curve_panel
from devexplore.views.parts import by_part, part_names, ramp
from devexplore.views.rows import strip_label, strips
from devexplore.views.style import Theme

Parts = Literal["each", "ordered", "strongest"]
"""How parts of a metric are drawn: each in a colour of its own; from early to late as a ramp; or the two
that change most, the others grey."""

_PAIR: Final = re.compile(r"(\d+\.\d+)→(\d+\.\d+)")

_STRONGEST: Final = 2
_LABELLED: Final = 6


class MetricPanel(NamedTuple):
    """One panel: these metrics (with their words, where there are several), and how parts are drawn."""

    title: str
    names: Mapping[str, str] | str
    parts: Parts = "each"
    over: str = ""
    """A metric that the values are divided by, such as the loss of ridge."""
    zero: bool = False


_LANGUAGE: Final = (
    MetricPanel("Bigram score (KL)", "bigram_kl"),
    MetricPanel("n-gram score", "ngram_score", "ordered"),
    MetricPanel("Positional dependence", "positional_dependence"),
    MetricPanel("Previous-token score", "previous_token_score", "strongest"),
    MetricPanel("Prefix-matching score", "prefix_matching_score", "strongest"),
    MetricPanel("K-composition", "k_composition", "strongest"),
    MetricPanel("ICL score", "icl_score", zero=True),
    MetricPanel("Loss on repeated random tokens", "induction_loss"),
    MetricPanel("Gain from the repetition", "repetition_gain", zero=True),
    MetricPanel("Attention entropy", "attention_entropy", "strongest"),
    MetricPanel("Current-token score", "current_token_score", "strongest"),
    MetricPanel("Norm of each part’s weights", "component_norm", "strongest"),
)
_REGRESSION: Final = (
    MetricPanel("Task prior: squared prediction", "squared_prediction", "ordered", zero=True),
    MetricPanel(
        "ICL score", {"icl_score": "8 − 1", "icl_score_early": "4 − 1", "icl_score_late": "8 − 4"}, zero=True
    ),
    MetricPanel(
        "Distance to ideal predictors",
        {"distance_to_zero": "zero", "distance_to_ridge": "ridge", "distance_to_dmmse": "dMMSE"},
        zero=True,
    ),
    MetricPanel("Loss by position", "position_loss", "ordered"),
    MetricPanel("Loss ÷ ridge, inputs × g", "ood_input_loss", "ordered", over="ood_input_ridge_loss"),
    MetricPanel("Loss ÷ ridge, tasks × g", "ood_task_loss", "ordered", over="ood_task_ridge_loss"),
    MetricPanel("Unembedding, share of each σ", "unembedding_share", "ordered"),
    MetricPanel("Embedding, share of each σ", "embedding_share", "ordered"),
    MetricPanel("Positions, share of each σ", "position_share", "ordered"),
    MetricPanel("LayerNorm weights below 0.1", "norm_collapse", "each", zero=True),
    MetricPanel("Attention entropy", "attention_entropy", "strongest"),
    MetricPanel("Attention variability", "attention_variability", "strongest"),
)
_SUPERPOSITION: Final = (
    MetricPanel("Corners of the k-gon", "represented_features"),
    MetricPanel("Exact loss", {"population_loss": "here", "kgon_loss": "of its k-gon"}, zero=True),
    MetricPanel("Distance from the k-gon", "irregularity", zero=True),
    MetricPanel("Length of each feature", "feature_norm", "each", zero=True),
    MetricPanel("Direction of each feature", "feature_angle", "each"),
    MetricPanel("Norm of all weights", "weight_norm"),
)
_DEEP_LINEAR: Final = (
    MetricPanel("Strength of the teacher’s modes", "mode_strength", "ordered", zero=True),
    MetricPanel("Singular values of the product", "singular_value", "ordered", zero=True),
    MetricPanel("Norm of all weights", "weight_norm"),
)
_OF_SYSTEM: Final[Mapping[str, Sequence[MetricPanel]]] = {
    "language": _LANGUAGE,
    "regression": _REGRESSION,
    "superposition": _SUPERPOSITION,
    "deep_linear": _DEEP_LINEAR,
}


def panels_of(system: str, metrics: xr.Dataset) -> list[MetricPanel]:
    """The panels of a system; of an imported table, one for every metric that can be drawn as lines."""
    if system == TABLE:
        return [MetricPanel(strip_label(name), name) for name in strips(metrics)]
    return list(_OF_SYSTEM[system])


def quotients(system: str) -> dict[str, str]:
    """The metrics of a system that are drawn as a multiple of another, and which other."""
    return {str(one.names): one.over for one in _OF_SYSTEM.get(system, ()) if one.over}


def is_there(wanted: MetricPanel, metrics: xr.Dataset) -> bool:
    """Whether the metrics hold what the panel draws, or at least one of its curves."""
    names = [wanted.names] if isinstance(wanted.names, str) else list(wanted.names)
    return any(name in metrics for name in names) and (not wanted.over or wanted.over in metrics)


def owners(curve: str) -> list[str]:
    """The parts that a curve belongs to: itself, and of a pair of heads (``1.3→2.2``) both."""
    pair = _PAIR.fullmatch(curve)
    return [curve] if pair is None else [curve, *("L{} H{}".format(*end.split(".")) for end in pair.groups())]


def metric_titles(system: str) -> dict[str, str]:
    """What the metrics of a system are called over their panels."""
    titles: dict[str, str] = {}
    for panel in _OF_SYSTEM.get(system, ()):
        if isinstance(panel.names, str):
            titles[panel.names] = panel.title
        else:
            titles |= {name: f"{panel.title}: {words}" for name, words in panel.names.items()}
    return titles


def drawn(
    wanted: MetricPanel,
    metrics: xr.Dataset,
    intervals: Mapping[str, xr.Dataset],
    remedy: str,
    theme: Theme,
) -> Panel:
    """The panel with its curves and their intervals (``analysis.metric_intervals``), where there are any;
    where the run has none of the curves, a panel that says so."""
    named = {wanted.names: ""} if isinstance(wanted.names, str) else wanted.names
    held = {name: words for name, words in named.items() if name in metrics}
    if not is_there(wanted, metrics):
        missing = ", ".join(named)
        return Panel(wanted.title, "", message=f"no {missing} in the group {METRICS}; {remedy}")
    curves: list[Curve] = []
    for place, (name, words) in enumerate(held.items()):
        values = metrics[name] / metrics[wanted.over] if wanted.over else metrics[name]
        interval = intervals.get(name)
        if values.ndim == 1:
            curves.append(_curve(values, interval, words, _distinct(place, len(held), theme)))
        else:
            curves += _parts(values, interval, wanted.parts, theme)
    unit = "" if wanted.over else metrics[next(iter(held))].attrs.get("units", "")
    return curve_panel(wanted.title, unit, curves, theme, zero=wanted.zero)


def _parts(values: xr.DataArray, interval: xr.Dataset | None, how: Parts, theme: Theme) -> list[Curve]:
    """A curve for each part that has values."""
    flat = by_part(values)
    there = np.flatnonzero(np.isfinite(flat.values).any(axis=0))
    flat = flat.isel(part=there)
    ends = None if interval is None else by_part(interval).isel(part=there)
    words = [name.replace("layer ", "L").replace(" head ", " H") for name in part_names(flat)]
    count = len(words)
    if how == "strongest":
        change = np.nanmax(np.abs(flat.values - flat.values[0]), axis=0)
        order = np.argsort(-change, kind="stable")
        loud = {int(part): theme.runs[rank] for rank, part in enumerate(order[:_STRONGEST])}
        quiet = [
            _curve(flat.isel(part=i), None, "", theme.circle_in_space)._replace(width=1.0, hover=words[i])
            for i in range(count)
            if i not in loud
        ]
        return quiet + [
            _curve(flat.isel(part=i), None if ends is None else ends.isel(part=i), words[i], colour)
            for i, colour in loud.items()
        ]
    labelled = set(np.unique(np.linspace(0, count - 1, min(count, _LABELLED)).round().astype(int)).tolist())
    colours = [
        ramp(i, count, theme) if how == "ordered" else _distinct(i, count, theme) for i in range(count)
    ]
    return [
        _curve(
            flat.isel(part=i),
            None if ends is None else ends.isel(part=i),
            words[i] if how == "each" or i in labelled else "",
            colours[i],
        )._replace(hover=words[i], width=1.5)
        for i in range(count)
    ]


def _curve(values: xr.DataArray, interval: xr.Dataset | None, words: str, colour: str) -> Curve:
    lower, upper = (None if interval is None else interval[end].values for end in ("lower", "upper"))
    return Curve(values[STEP].values, values.values.astype(float), words, colour, lower, upper)


def _distinct(place: int, count: int, theme: Theme) -> str:
    return theme.ink if count == 1 else theme.runs[place % len(theme.runs)]
