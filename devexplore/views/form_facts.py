"""Forms and turns as words and numbers, and the two small figures that stand beside them."""

from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from devexplore.views.form_marks import is_form, reason
from devexplore.views.forms import agreement_figure, null_figure
from devexplore.views.lifting import weights_figure
from devexplore.views.style import Theme

MOST_TURNS: Final = 8
"""Turns listed beside the forms, the rarest among random walks."""


def form_facts(forms: xr.Dataset, form: int) -> dict[str, Any]:
    """One form: when, and each fact with its value and what the value means."""
    one = {
        name: float(forms[name].values[form])
        for name in ("step", "step_low", "step_high", "residual", "angle", "strength", "p_value")
    }
    weights = forms["weights"].values[form]
    places = forms["coordinates"].values[form]
    planes, walks = forms.sizes["plane"], forms.sizes["surrogate"]
    return {
        "number": form + 1,
        **{name: round(one[name]) for name in ("step", "step_low", "step_high")},
        "facts": [
            (f"p = {one['p_value']:.2g}", p_words(one["p_value"], walks, "form")),
            (
                f"{one['residual']:.1%} apart",
                f"the cusps of {planes} planes, of the trajectory's extent; {forms.attrs['tolerance']:.0%} "
                "is allowed",
            ),
            (
                f"turns by {one['angle']:.0f}°",
                f"{one['strength']:.0%} of the trajectory's whole turning",
            ),
            (
                f"Σ|α| = {np.abs(weights).sum():.2g}",
                "1: between checkpoints; more: beyond what any of them says",
            ),
        ],
        "coordinates": ", ".join(f"PC{k} {place:+.3g}" for k, place in enumerate(places, start=1)),
    }


def p_words(p_value: float, walks: int, what: str) -> str:
    """What a p-value (1 + k) / (1 + n) says: of n random walks, k have something as strong."""
    count = round(p_value * (1 + walks)) - 1
    if walks == 0:
        return "not compared with random walks"
    some = "none" if count == 0 else f"{count}"
    has = "has" if count < 2 else "have"
    return f"{some} of {walks} random walks like this run {has} a {what} as strong"


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
    """What find_forms looked for, in words."""
    components, planes = forms.sizes["component"], forms.sizes["plane"]
    said = forms.attrs
    return (
        f"A form is a turn of at least {said['min_turn']:.0f}° whose cusps agree in all {planes} planes of "
        f"PC1–PC{components} within {said['tolerance']:.0%} of the trajectory's extent, and that at most "
        f"{said['max_p']:.0%} of random walks like this run make as strongly."
    )


def weights_chart(forms: xr.Dataset, form: int, theme: Theme) -> go.Figure:
    """α over checkpoints, small."""
    figure = weights_figure(forms.isel(form=form), theme)
    figure.update_layout(title=None, height=None, margin={"l": 44, "r": 12, "t": 10, "b": 24})
    figure.update_xaxes(title=None)
    figure.update_yaxes(nticks=4, title={"standoff": 4})
    return figure


def planes_chart(forms: xr.Dataset, form: int, theme: Theme) -> dict[str, Any]:
    """The form plane by plane."""
    return tall("planes", agreement_figure(forms, form, theme), 12)


def walks_chart(forms: xr.Dataset, theme: Theme) -> dict[str, Any]:
    """The turns beside those of random walks, where there are any."""
    return tall("walks", null_figure(forms, theme), 40) if forms.sizes["surrogate"] else {}


def tall(name: str, figure: go.Figure, top: int | None = None) -> dict[str, Any]:
    """A figure as wide as its place, without a title (the page has a heading), and how high it wants to be."""
    height = figure.layout.height
    figure.update_layout(title=None, width=None, height=None)
    if top is not None:
        height -= figure.layout.margin.t - top
        figure.layout.margin.t = top
    return {name: figure, f"{name}_height": height}
