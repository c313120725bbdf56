"""Forms and turns as words and numbers, and the two small figures that stand beside them."""

from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from devexplore.analysis.form_readings import FormReading
from devexplore.analysis.forms import FEWEST_COMPONENTS
from devexplore.views.form_marks import is_form, reason
from devexplore.views.forms import agreement_figure, null_figure
from devexplore.views.lifting import class_figure, weights_figure
from devexplore.views.style import Theme

MOST_TURNS: Final = 8
"""Turns listed beside the forms, the rarest among random walks."""


def form_facts(forms: xr.Dataset, form: int) -> dict[str, Any]:
    """One form: when, and each fact with its value and what the value means."""
    one = {
        name: float(forms[name].values[form])
        for name in ("step", "step_low", "step_high", "residual", "angle", "strength", "p_value")
    }
    alpha = forms["weights"].values[form]
    planes, allowed = forms.sizes["plane"], f"{forms.attrs['tolerance']:.0%}"
    count, walks = beaten_by(one["p_value"], forms.sizes["surrogate"]), forms.sizes["surrogate"]
    return {
        "number": form + 1,
        "allowed": allowed,
        **{name: round(one[name]) for name in ("step", "step_low", "step_high")},
        "facts": [
            (
                f"p = {one['p_value']:.2g}",
                f"{count} of {walks} random walks match it",
                f"{count or 'none'} of {walks} random walks with the steps and the noise of this run "
                f"{'have' if count > 1 else 'has'} a form as strong",
            ),
            (
                f"{one['residual']:.1%} apart",
                f"rms of {planes} planes; {allowed} allowed",
                f"the cusps of {planes} planes from the agreed place: root mean square, of the trajectory's "
                f"extent; {allowed} is allowed",
            ),
            (
                f"turns by {one['angle']:.0f}°",
                f"{one['strength']:.0%} of all the turning",
                f"{one['strength']:.0%} of the trajectory's whole turning happens there: the form's strength",
            ),
            (
                f"Σ|α| = {np.abs(alpha).sum():.2g}",
                "1: a mean of checkpoints",
                "a mean of checkpoints would have 1; a form of more reaches beyond what they span",
            ),
        ],
        "components": f"PC1–PC{forms.sizes['component']}",
        "coordinates": [_signed(place) for place in forms["coordinates"].values[form].tolist()],
    }


def _signed(value: float) -> str:
    words = f"{value:+,.0f}" if abs(value) >= 100 else f"{value:+.2g}"
    return words.replace("-", "−")


def beaten_by(p_value: float, walks: int) -> int:
    """How many of so many random walks a p-value (1 + k) / (1 + n) stands for."""
    return max(0, round(p_value * (1 + walks)) - 1)


def turn_rows(forms: xr.Dataset) -> list[dict[str, Any]]:
    """The turns that are no forms and fewest random walks make, rarest first, with the reason why not."""
    p, strength = forms["turn_p_value"].values, forms["turn_strength"].values
    order = [i for i in np.lexsort((-strength, p)) if strength[i] > 0 and not is_form(forms)[i]]
    return [
        {
            "step": round(float(forms["turn_step"].values[i])),
            "angle": round(float(forms["turn_angle"].values[i])),
            "p": f"{p[i]:.2g}",
            "rare": bool(p[i] <= forms.attrs["max_p"]),
            "reason": "beaten by too many random walks"
            if p[i] > forms.attrs["max_p"]
            else reason(forms, int(i)).replace("<br>", " "),
        }
        for i in order[:MOST_TURNS]
    ]


def sought(forms: xr.Dataset) -> str:
    """What find_forms looked for, in words; nothing where its conclusion is that it could not look."""
    components, planes = forms.sizes["component"], forms.sizes["plane"]
    if components < FEWEST_COMPONENTS:
        return ""
    said = forms.attrs
    return (
        f"A form is a turn of at least {said['min_turn']:.0f}° whose cusps agree in all {planes} planes of "
        f"PC1–PC{components} within {said['tolerance']:.0%} of the trajectory's extent, and that at most "
        f"{said['max_p']:.0%} of random walks like this run make as strongly."
    )


def weights_chart(forms: xr.Dataset, form: int, theme: Theme) -> go.Figure:
    """α over checkpoints, small."""
    figure = weights_figure(forms.isel(form=form), theme)
    figure.update_layout(title=None, height=None, margin={"l": 40, "r": 12, "t": 8, "b": 24}, dragmode=False)
    figure.update_xaxes(title=None)
    figure.update_yaxes(nticks=4, title=None)  # the page has a heading
    return figure


def planes_chart(forms: xr.Dataset, form: int, theme: Theme) -> dict[str, Any]:
    """The form plane by plane."""
    return tall("planes", agreement_figure(forms, form, theme), 12)


def walks_chart(forms: xr.Dataset, theme: Theme) -> dict[str, Any]:
    """The turns beside those of random walks, where there are any."""
    if forms.sizes["surrogate"] == 0:
        return {}
    figure = null_figure(forms, theme)
    figure.update_layout(legend={"y": 1, "x": 0, "xref": "container"})  # in a narrow place it has four lines
    title = f"share of the whole turning (dashed: p = {forms.attrs['max_p']:g})"
    figure.update_xaxes(title={"text": title}, row=2, col=1)
    return tall("walks", figure, 84)


def classes_chart(reading: FormReading, theme: Theme) -> dict[str, Any]:
    """What the form favours, by class."""
    figure = class_figure(reading, theme)
    titles = ("change of probability<br>(points)", "of log p of the true<br>token (nats)")
    for column, title in enumerate(titles):
        figure.update_xaxes(title={"text": title}, nticks=4, tickangle=0, row=1, col=column + 1)
    return tall("figure", figure, 64)


def tall(name: str, figure: go.Figure, top: int | None = None) -> dict[str, Any]:
    """A figure as wide as its place and without a title (the page has a heading), and its height."""
    layout: Any = figure.layout
    height = layout.height
    if top is not None:
        height += top - layout.margin.t
        layout.margin.t = top
    figure.update_layout(title=None, width=None, height=None)
    return {name: figure, f"{name}_height": height}
