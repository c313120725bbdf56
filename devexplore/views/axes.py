"""The log-step axis, and the base layout that every figure shares."""

from typing import Any

import numpy as np
from jaxtyping import Float

from devexplore.views.markup import plain
from devexplore.views.style import FONT, SIZES, Theme


def log_step(step: np.ndarray) -> Float[np.ndarray, " step"]:
    """Position of a training step on the time axis: log₁₀(1 + step), so that step 0 has a place."""
    return np.log10(1.0 + np.asarray(step, dtype=float))


def step_label(step: float) -> str:
    """A step as a tick says it: 0, 10, 900, 1k, 2.5k, 10k, 1M."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if step >= size:
            return f"{step / size:.3g}{unit}"
    return f"{step:.0f}"


def step_ticks(last_step: float) -> tuple[list[float], list[str]]:
    """Tick positions on the log-step axis and their words: 0, 1, 10, 100, 1k … up to the last step."""
    powers = [10.0**k for k in range(1, 12) if 10.0**k <= max(last_step, 10.0)]
    steps = [0.0, *powers]
    return [float(x) for x in log_step(np.array(steps))], [step_label(s) for s in steps]


def padded(values: np.ndarray, share: float = 0.06) -> tuple[float, float]:
    """A range that holds all finite values with some air; (0, 1) when there are none."""
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    air = share * (high - low) or 0.5 * abs(high) or 1.0
    return low - air, high + air


def base_layout(theme: Theme, **more: Any) -> dict[str, Any]:
    """What all figures have in common: transparent paper, our font, no legend, a constant ``uirevision``.

    The constant ``uirevision`` keeps zoom and camera when a figure is sent again (another theme).
    """
    return {
        "template": "none",
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": SIZES["small"], "color": theme.muted},
        "hoverlabel": {
            "bgcolor": theme.surface,
            "bordercolor": theme.line,
            "font": {"family": FONT, "size": 12, "color": theme.ink},
            "align": "left",
        },
        "showlegend": False,
        "uirevision": "devexplore",
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": theme.faint, "activecolor": theme.ink},
        **more,
    }


def axis(theme: Theme, **more: Any) -> dict[str, Any]:
    """A quiet axis: hairline grid, no zero line, small tick labels."""
    return {
        "gridcolor": theme.grid,
        "zeroline": False,
        "linecolor": theme.line,
        "tickcolor": theme.line,
        "tickfont": {"size": SIZES["small"], "color": theme.muted},
        **more,
    }


def space_axis(theme: Theme, title: str, **more: Any) -> dict[str, Any]:
    """An axis of a three-dimensional scene: hairlines, no walls."""
    return {
        "title": {"text": title, "font": {"size": SIZES["small"], "color": theme.ink}},
        "gridcolor": theme.line,
        "zeroline": False,
        "showbackground": False,
        "showspikes": False,
        "nticks": 4,
        "tickfont": {"size": 10, "color": theme.faint},
        **more,
    }


def title_line(words: str, theme: Theme) -> dict[str, Any]:
    """One line at the top left of a figure that says what is found or shown."""
    return {
        "text": plain(words),
        "x": 0,
        "xref": "container",
        "xanchor": "left",
        "y": 1,
        "yref": "container",
        "yanchor": "top",
        "pad": {"l": 12, "t": 12},
        "font": {"size": SIZES["body"], "color": theme.ink},
    }


def shorten(text: str, letters: int) -> str:
    """The text in at most so many letters (at least two), with … for what is left out."""
    return text if len(text) <= letters else f"{text[: letters - 1].rstrip()}…"
