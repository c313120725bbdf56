"""A calibration sweep as heat maps: λ̂ over step size and γ, one panel for each nβ and checkpoint."""

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from devexplore.analysis.plateau import gives_llc
from devexplore.sampling.trust import DOUBTFUL, NOT_AN_LLC, VERDICT_WORDS
from devexplore.views.axes import axis, base_layout
from devexplore.views.style import LIGHT, SIZES, Theme

if TYPE_CHECKING:
    from devexplore.analysis.calibration import Recommendation

_CELL = (58, 38)
"""Pixels of a cell, width and height."""
_MARGIN = {"l": 118, "r": 24, "t": 92, "b": 104}
_GAP = (34, 46)
"""Pixels between panels."""


def calibration_figure(
    sweep: xr.Dataset, recommendation: "Recommendation | None" = None, theme: Theme = LIGHT
) -> go.Figure:
    """λ̂ ± its standard error at every point of a sweep; rows of panels are checkpoints, columns nβ.

    The shade is λ̂ over the largest in its row of panels, so that a plateau is an even shade. What is not an
    LLC has a cross, doubtful values are ringed, and what does not count (``analysis.plateau``) has no shade.
    With a recommendation the plateau's cells are framed, and the chosen one heavily (dotted if there is no
    plateau and it is only the least bad).
    """
    valid = gives_llc(sweep)
    if recommendation is not None:
        valid &= recommendation.map["settled"]
    ordered = sweep.assign(valid=valid).transpose("step", "n_beta", "rung", "localization")
    sizes = ordered.sizes
    panel = (_CELL[0] * sizes["localization"], _CELL[1] * sizes["rung"])
    width = sizes["n_beta"] * panel[0] + (sizes["n_beta"] - 1) * _GAP[0]
    height = sizes["step"] * panel[1] + (sizes["step"] - 1) * _GAP[1]
    figure = go.Figure(
        layout=base_layout(
            theme,
            width=max(width, 420) + _MARGIN["l"] + _MARGIN["r"],
            height=height + _MARGIN["t"] + _MARGIN["b"],
            margin=_MARGIN,
        )
    )
    figure.update_layout(paper_bgcolor=theme.surface, dragmode=False)
    for row in range(sizes["step"]):
        largest = _largest(ordered.isel(step=row))
        for column in range(sizes["n_beta"]):
            number = row * sizes["n_beta"] + column + 1
            left, top = column * (panel[0] + _GAP[0]) / width, 1 - row * (panel[1] + _GAP[1]) / height
            domain = ([left, left + panel[0] / width], [max(top - panel[1] / height, 0.0), top])
            at = ordered.isel(step=row, n_beta=column)
            edge = (column == 0, row == sizes["step"] - 1, row == 0)
            _panel(figure, at, largest, recommendation, column, number, domain, edge, theme)
    _heading(figure, ordered, recommendation, max(width, 420) + _MARGIN["l"] + _MARGIN["r"] - 24, theme)
    return figure


def _panel(
    figure: go.Figure,
    at: xr.Dataset,
    largest: float,
    recommendation: "Recommendation | None",
    column: int,
    number: int,
    domain: tuple[list[float], list[float]],
    edge: tuple[bool, bool, bool],
    theme: Theme,
) -> None:
    """One heat map over (rung, γ) with its marks and axes."""
    name = "" if number == 1 else str(number)
    axes = {"xaxis": f"x{name}", "yaxis": f"y{name}"}
    verdict, llc = at["verdict"].values, at["llc"].values.astype(float)
    shade = np.where(at["valid"].values, np.clip(llc / largest, 0, 1), np.nan)
    figure.add_trace(
        go.Heatmap(
            z=shade,
            zmin=0,
            zmax=1,
            colorscale=[[0, theme.sunken], [1, theme.cool[1]]],
            showscale=False,
            xgap=1,
            ygap=1,
            hoverinfo="skip",
            **axes,
        )
    )
    figure.add_trace(_words(at, shade, theme, axes))
    figure.add_traces([_crosses(verdict, llc, theme, axes), _rings(verdict, theme, axes)])
    if recommendation is not None:
        _frames(figure, recommendation, column, axes, theme)
    first_column, last_row, first_row = edge
    labels = [_brief(value, 3) for value in at["localization"].values]
    quiet = {"showgrid": False, "fixedrange": True, "ticks": "", "showline": False}
    figure.update_layout(
        {
            f"xaxis{name}": axis(
                theme,
                domain=domain[0],
                anchor=f"y{name}",
                range=[-0.5, len(labels) - 0.5],
                tickvals=list(range(len(labels))),
                ticktext=labels,
                title={"text": "γ", "standoff": 4} if last_row else None,
                **quiet,
            ),
            f"yaxis{name}": axis(
                theme,
                domain=domain[1],
                anchor=f"x{name}",
                range=[-0.5, at.sizes["rung"] - 0.5],
                tickvals=list(range(at.sizes["rung"])),
                ticktext=_rung_words(at) if first_column else [""] * at.sizes["rung"],
                title={"text": "" if _same_step_sizes(at) else "ε(nβh + γ)", "standoff": 6}
                if first_column
                else None,
                **quiet,
            ),
        }
    )
    if first_row:
        text, middle = f"<b>nβ {float(at['n_beta']):.4g}</b>", float(np.mean(domain[0]))
        _note(figure, text, middle, domain[1][1], theme, xanchor="center", xshift=0, yshift=4)
    if first_column:
        text = f"<b>step {int(at['step']):,}</b>"
        _note(figure, text, 0, domain[1][1], theme, xanchor="right", xshift=-6, yshift=-2)


def _words(at: xr.Dataset, shade: np.ndarray, theme: Theme, axes: dict[str, str]) -> go.Scatter:
    """λ̂ and its error in every cell without a cross, and what is known of the cell on hovering."""
    y, x = np.indices(shade.shape)
    known = (np.isfinite(at["llc"].values) & (at["verdict"].values != NOT_AN_LLC)).ravel()
    texts = [
        f"{_brief(value, 3)}<br><span style='font-size:9px'>±{_brief(error, 2)}</span>" if shown else ""
        for value, error, shown in zip(at["llc"].values.flat, at["llc_se"].values.flat, known, strict=True)
    ]
    colours = [_readable(one, theme) if np.isfinite(one) else theme.faint for one in shade.flat]
    return go.Scatter(
        x=x.ravel(),
        y=y.ravel(),
        mode="text",
        name="values",
        text=texts,
        textfont={"size": SIZES["small"], "color": colours},
        customdata=[_hover(at.isel(rung=j, localization=i)) for j, i in np.ndindex(shade.shape)],
        hovertemplate="%{customdata}<extra></extra>",
        **axes,
    )


def _hover(at: xr.Dataset) -> str:
    verdict = VERDICT_WORDS[int(at["verdict"])]
    lines = [
        f"ε {float(at['step_size']):.3g} · nβ {float(at['n_beta']):.4g} · γ {float(at['localization']):.4g}",
        f"λ̂ = {float(at['llc']):.4g} ± {float(at['llc_se']):.2g}",
        f"<b>{verdict}</b>",
    ]
    reason = str(at["reason"].item()) if "reason" in at else ""
    lines += [f"– {part}" for part in reason.split("; ") if part]
    return "<br>".join(lines)


def _crosses(verdict: np.ndarray, llc: np.ndarray, theme: Theme, axes: dict[str, str]) -> go.Scatter:
    y, x = np.nonzero((verdict == NOT_AN_LLC) | ~np.isfinite(llc))
    mark = {"symbol": "x-thin", "size": 9, "line": {"color": theme.faint, "width": 1.6}}
    return go.Scatter(x=x, y=y, mode="markers", marker=mark, hoverinfo="skip", name="not an LLC", **axes)


def _rings(verdict: np.ndarray, theme: Theme, axes: dict[str, str]) -> go.Scatter:
    y, x = np.nonzero(verdict == DOUBTFUL)
    mark = {"symbol": "circle-open", "size": 7, "color": theme.doubtful, "line": {"width": 1.8}}
    return go.Scatter(
        x=x + 0.38, y=y + 0.3, mode="markers", marker=mark, hoverinfo="skip", name="doubtful", **axes
    )


def _frames(
    figure: go.Figure, recommendation: "Recommendation", column: int, axes: dict[str, str], theme: Theme
) -> None:
    """Frames around the cells of the plateau, and a heavy one around the chosen cell."""
    plateau = recommendation.map["plateau"].isel(n_beta=column).transpose("rung", "localization").values
    for y, x in np.argwhere(plateau):
        figure.add_shape(_frame(x, y, axes, color=theme.ink, width=1, inset=0.05))
    point = recommendation.point
    if point["n_beta"] == column:
        dash = "solid" if recommendation.found else "dot"
        figure.add_shape(
            _frame(
                point["localization"],
                point["rung"],
                axes,
                color=theme.warm[0],
                width=3,
                inset=0.01,
                dash=dash,
            )
        )


def _frame(
    x: int, y: int, axes: dict[str, str], *, color: str, width: float, inset: float, dash: str = "solid"
) -> dict[str, Any]:
    reach = 0.5 - inset
    return {
        "type": "rect",
        "xref": axes["xaxis"],
        "yref": axes["yaxis"],
        "x0": x - reach,
        "x1": x + reach,
        "y0": y - reach,
        "y1": y + reach,
        "line": {"color": color, "width": width, "dash": dash},
    }


def _largest(at: xr.Dataset) -> float:
    """The largest λ̂ of one checkpoint that is an LLC; 1 without any."""
    good = at["llc"].where(at["valid"]).values
    top = float(np.max(good, initial=0.0, where=np.isfinite(good)))
    return top if top > 0 else 1.0


def _rung_words(at: xr.Dataset) -> list[str]:
    """Step sizes where they are the same at every (nβ, γ), else their share of the stability limit."""
    step_size = at["step_size"].transpose("rung", ...).values
    if _same_step_sizes(at):
        return [f"ε {value:.3g}" for value in step_size[:, 0]]
    n_beta, localization = float(at["n_beta"]), at["localization"].values
    share = (step_size * (n_beta * at.attrs["h_max"] + localization)).mean(axis=1)
    return [_brief(value, 3) for value in share]


def _heading(
    figure: go.Figure, sweep: xr.Dataset, recommendation: "Recommendation | None", pixels: float, theme: Theme
) -> None:
    """What was found, in words, above the panels; how to read the marks, below them."""
    bold, plain = int(pixels / 7.8), int(pixels / 6.2)
    found = "λ̂ over step size, nβ and γ" if recommendation is None else recommendation.reasons[0]
    chains, draws, batch = (sweep.attrs[name] for name in ("chains", "draws", "batch_size"))
    marks = [
        "Each cell: λ̂ ± standard error, shaded by how near it is to the largest λ̂ of that checkpoint.",
        "○ doubtful, × not an LLC (hover for the reasons); unshaded: chains have not settled, or leave w* at "
        "a larger ε.",
    ]
    if recommendation is not None:
        choice = "chosen" if recommendation.found else "least bad, no plateau"
        marks.append(f"Thin frames: plateau. Heavy orange frame: {choice}.")
    if not _same_step_sizes(sweep):
        marks.append("Rows: ε(nβ·h_max + γ); SGLD is unstable from 4 on.")
    marks.append(f"Each point: {chains} chains × {draws} draws, batch {batch}.")
    top = "<br>".join(textwrap.wrap(found, bold, break_long_words=False))
    below = "<br>".join(textwrap.wrap(" ".join(marks), plain, break_long_words=False))
    text = {"xref": "paper", "yref": "paper", "x": 0, "xshift": 12 - _MARGIN["l"], "showarrow": False}
    text |= {"xanchor": "left", "align": "left"}
    figure.add_annotation(
        text=f"<b>{top}</b>",
        y=1,
        yanchor="top",
        yshift=_MARGIN["t"] - 12,
        font={"size": SIZES["body"], "color": theme.ink},
        **text,
    )
    figure.add_annotation(
        text=below,
        y=0,
        yanchor="bottom",
        yshift=8 - _MARGIN["b"],
        font={"size": SIZES["small"], "color": theme.muted},
        **text,
    )


def _note(
    figure: go.Figure,
    text: str,
    x: float,
    y: float,
    theme: Theme,
    *,
    xanchor: str,
    xshift: float,
    yshift: float,
) -> None:
    figure.add_annotation(
        text=text,
        x=x,
        y=y,
        xref="paper",
        yref="paper",
        xanchor=xanchor,
        yanchor="bottom",
        xshift=xshift,
        yshift=yshift,
        showarrow=False,
        font={"size": SIZES["small"], "color": theme.ink},
    )


def _readable(shade: float, theme: Theme) -> str:
    """The colour of text on a cell of this shade: ink or paper, whichever contrasts more (as WCAG has it)."""
    ends = np.array([_channels(theme.sunken), _channels(theme.cool[1])])
    ground = _luminance(ends[0] + shade * (ends[1] - ends[0]))

    def contrast(colour: str) -> float:
        text = _luminance(_channels(colour))
        return (max(ground, text) + 0.05) / (min(ground, text) + 0.05)

    return max((theme.ink, theme.surface, theme.page), key=contrast)


def _channels(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def _luminance(rgb: np.ndarray) -> float:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def _brief(value: float, digits: int) -> str:
    """To so many significant digits; without an exponent where numbers are of readable size."""
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:.0f}" if digits <= len(f"{abs(rounded):.0f}") <= 5 else f"{rounded:.{digits}g}"


def _same_step_sizes(sweep: xr.Dataset) -> bool:
    step_size = sweep["step_size"].transpose("rung", ...).values.reshape(sweep.sizes["rung"], -1)
    return bool(np.allclose(step_size, step_size[:, :1], atol=0))
