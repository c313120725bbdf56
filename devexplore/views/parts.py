"""Parts of a metric (heads, modes, features): what each is called, how its line is drawn, and their key."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Final, NamedTuple, TypeVar

import numpy as np
import xarray as xr

from devexplore.schema import STEP
from devexplore.views.style import Theme

_WORDS: Final[Mapping[str, tuple[str, int]]] = {
    "n": ("n = {}", 0),
    "scale": ("g = {:g}", 0),
    "position": ("k = {}", 1),
    "feature": ("feature {}", 1),
    "singular": ("σ{}", 1),
    "position_singular": ("σ{}", 1),
    "mode": ("σ{}", 1),
    "teacher_mode": ("mode {}", 1),
}
"""How a part is called, and what is added to its number: people count from 1."""

_DASHES: Final = {"solid": "", "dash": "╌", "dot": "┈", "dashdot": "┄"}
"""How lines of one colour differ, and the sign for it in the key."""

_KEY_LETTERS: Final = 19
_KEY_SIZE: Final = 10

Held = TypeVar("Held", xr.DataArray, xr.Dataset)


class LineStyle(NamedTuple):
    colour: str
    dash: str = "solid"


def by_part(values: Held) -> Held:
    """All dimensions but ``step`` as one, ``part``, in order; parts without a label are numbered from 0."""
    dims = [str(dim) for dim in values.dims if dim != STEP]
    numbered = {dim: np.arange(values.sizes[dim]) for dim in dims if dim not in values.coords}
    return values.assign_coords(numbered).stack(part=dims).transpose(STEP, "part")


def part_names(values: xr.DataArray) -> list[str]:
    """Names of the parts of ``by_part``: ``layer 2 head 5``; for a pair of heads ``1.2→2.5``; otherwise the
    part's label, or its number from 1."""
    index = values["part"].to_index()
    return [_name(dict(zip(index.names, labels, strict=True))) for labels in index]


def _name(at: Mapping[str, object]) -> str:
    if {"earlier_layer", "earlier_head"} <= set(at):
        return f"{at['earlier_layer']}.{at['earlier_head']}→{at['layer']}.{at['head']}"
    if set(at) == {"layer", "head"}:
        return f"layer {at['layer']} head {at['head']}"
    ((dim, label),) = at.items()
    form, first = _WORDS.get(dim, ("{}", 0))
    return form.format(label + first if first else label)  # type: ignore[operator]


def ramp(place: int, count: int, theme: Theme) -> str:
    """Early to late, as steps are coloured elsewhere; the nearest of the theme's colours."""
    return theme.time[round(place / max(count - 1, 1) * (len(theme.time) - 1))]


def part_styles(names: Sequence[str], theme: Theme) -> list[LineStyle]:
    """A line for each part. Where parts belong to layers: warm for those of the first, cool for the second's,
    grey for others, by shade and dash within; otherwise from early to late, a colour that returns dashed."""
    layers, dashes = [_layer(name) for name in names], list(_DASHES)
    if not any(layers):
        colours = [ramp(i, len(names), theme) for i in range(len(names))]
        returns = [colours[:i].count(colour) for i, colour in enumerate(colours)]
        return [LineStyle(c, dashes[n % len(dashes)]) for c, n in zip(colours, returns, strict=True)]
    apart = {"1": theme.warm[::2], "2": theme.cool[::2]}  # thin lines need shades that differ much
    shades = [apart.get(layer, theme.undecided[::2]) for layer in layers]
    styles = []
    for i, options in enumerate(shades):
        place = shades[:i].count(options)
        dash = dashes[place // len(options) % len(dashes)]
        styles.append(LineStyle(options[place % len(options)], dash))
    return styles


def part_key(names: Sequence[str], styles: Sequence[LineStyle]) -> list[str]:
    """Short names of the parts, each in its colour, dashed ones with a dash: a few lines of markup. A word
    that all have in common is said once; each layer starts a line."""
    shorts = [name.removeprefix("layer ").replace(" head ", ".") for name in names]
    common = shorts[0][: shorts[0].rfind(" ") + 1]
    common = common if all(short.startswith(common) for short in shorts) else ""
    lines: list[str] = []
    for _, group in groupby(range(len(names)), key=lambda i: _layer(names[i])):
        room = 0
        for i in group:
            text = _DASHES[styles[i].dash] + (shorts[i].removeprefix(common) if i else shorts[i])
            marked = f"<span style='color:{styles[i].colour}'>{text}</span>"
            if len(text) < room:
                lines[-1] += f" {marked}"
                room -= len(text) + 1
            else:
                lines.append(marked)
                room = _KEY_LETTERS - len(text)
    return [f"<span style='font-size:{_KEY_SIZE}px'>{line}</span>" for line in lines]


def _layer(name: str) -> str:
    """The number of the layer that a part belongs to, "" where to none."""
    return name.split()[1] if name.startswith("layer ") else ""
