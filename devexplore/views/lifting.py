"""Figures of a lifted form: its weights over checkpoints, the classes it favours, distances from ideals."""

from typing import Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from devexplore.analysis.form_readings import FormReading
from devexplore.views.axes import axis, base_layout, log_step, padded, step_ticks, title_line
from devexplore.views.style import LIGHT, SIZES, Theme

PREDICTOR_WORDS: Final = {
    "lifted": "lifted",
    "path": "path",
    "nearest": "nearest checkpoint",
    "start": "start",
    "end": "end",
}
_WIDEST_BAR: Final = 0.035
_ROW: Final = 27


def weights_figure(form: xr.Dataset, theme: Theme = LIGHT) -> go.Figure:
    """α of a form (or of its lift) over checkpoints: bars on the log-step axis, negative ones in teal.

    The dashed line is the form's step, the band its interval where it has one.
    """
    checkpoint, alpha = form["checkpoint"].values, form["weights"].values.astype(float)
    x = log_step(checkpoint)
    gaps = np.gradient(x) if len(x) > 1 else np.full(1, _WIDEST_BAR)
    figure = go.Figure(
        go.Bar(
            x=x,
            y=alpha,
            width=np.minimum(0.85 * gaps, _WIDEST_BAR),
            marker={"color": np.where(alpha < 0, theme.subtracted, theme.ink).tolist(), "line": {"width": 0}},
            customdata=checkpoint,
            hovertemplate="step %{customdata:,}<br>α %{y:+.4f}<extra></extra>",
        )
    )
    step = float(form["step" if "step" in form else "predictor_step"].values.flat[0])
    if "step_low" in form:
        low, high = (float(log_step(form[name].values)) for name in ("step_low", "step_high"))
        figure.add_vrect(low, high, fillcolor=theme.undecided_band, line_width=0, layer="below")
    figure.add_vline(float(log_step(np.array(step))), line={"color": theme.muted, "width": 1, "dash": "dash"})
    count, size = np.count_nonzero(alpha), np.abs(alpha).sum()
    name = form.attrs.get("name", "Form")
    words = f"{name} at step {step:,.0f}: Σα = 1, Σ|α| = {size:.3g}, over {count} checkpoints"
    ticks, labels = step_ticks(float(checkpoint.max()))
    figure.update_layout(
        **base_layout(theme, margin={"l": 56, "r": 16, "t": 36, "b": 40}, height=240, bargap=0),
        xaxis=axis(theme, tickvals=ticks, ticktext=labels, title={"text": "step"}, range=padded(x, 0.02)),
        yaxis=axis(theme, title={"text": "α"}, range=padded(np.append(alpha, 0.0)))
        | {"zeroline": True, "zerolinecolor": theme.faint},
        title=title_line(words, theme),
    )
    return figure


def class_figure(reading: FormReading, theme: Theme = LIGHT) -> go.Figure:
    """What a form favours over its reference, by class: the probability it gives, and how well it predicts.

    One row a class, ranked by the right panel; bars are means, whiskers one standard error over sequences.
    Red means, as everywhere, that the loss fell; blue that it rose.
    """
    target, predicted = reading.target_classes, reading.predicted_classes
    names = [name for name in target["target_class"].values.tolist() if _finite(target, name)]
    rows = [f"{name} ({int(target['count'].sel(target_class=name)):,})" for name in names]
    figure = make_subplots(1, 2, shared_yaxes=True, horizontal_spacing=0.04)
    known = [i for i, name in enumerate(names) if name in predicted["predicted_class"].values]
    mass = predicted.sel(predicted_class=[names[i] for i in known])
    change = target.sel(target_class=names)
    gain = change["log_prob_change"].values
    figure.add_trace(
        _bars(
            [rows[i] for i in known],
            100 * mass["mass_change"].values,
            100 * mass["mass_change_se"].values,
            [theme.undecided[0]] * len(known),
            "percentage points",
            theme,
        ),
        row=1,
        col=1,
    )
    colours = [theme.fell if value > 0 else theme.rose for value in gain]
    figure.add_trace(
        _bars(rows, gain, change["log_prob_change_se"].values, colours, "nats", theme), row=1, col=2
    )
    reference = PREDICTOR_WORDS[reading.reference]
    step = target.attrs["reference_step"]
    figure.update_layout(
        **base_layout(theme, margin={"l": 8, "r": 16, "t": 92, "b": 12}, bargap=0.35),
        height=104 + _ROW * len(rows),
        title=title_line(f"Lifted, compared with: {reference}, step {step:,.0f}", theme),
    )
    figure.update_yaxes(
        axis(theme, showgrid=False, automargin=True, ticksuffix="  "),
        categoryorder="array",
        categoryarray=rows[::-1],
    )
    for column, title, values in (
        (1, "change of predicted probability<br>(percentage points)", 100 * mass["mass_change"].values),
        (2, "change of log-probability<br>of the true token (nats)", gain),
    ):
        figure.update_xaxes(
            axis(theme, title={"text": title, "standoff": 6}, range=padded(np.append(values, 0.0), 0.15))
            | {"zeroline": True, "zerolinecolor": theme.faint, "side": "top"},
            row=1,
            col=column,
        )
    return figure


def distance_figure(
    distances: xr.Dataset, theme: Theme = LIGHT, position_name: str = "example in context"
) -> go.Figure:
    """Mean squared distance of each predictor to each ideal one, at each position; whiskers: one SE.

    On a logarithmic axis: where a predictor is its ideal, there is no point.
    """
    ideals = distances["ideal"].values.tolist()
    figure = make_subplots(1, len(ideals), shared_yaxes=True, horizontal_spacing=0.03)
    position = np.arange(1, distances.sizes["position"] + 1)
    for column, ideal in enumerate(ideals, start=1):
        for predictor in distances["predictor"].values.tolist():
            here = distances.sel(predictor=predictor, ideal=ideal)
            colour, dash, symbol = _predictor_style(predictor, theme)
            se = here["distance_se"].values
            figure.add_trace(
                go.Scatter(
                    x=position,
                    y=here["distance"].values,
                    error_y={
                        "array": se,
                        "visible": bool(np.isfinite(se).any()),
                        "thickness": 1,
                        "width": 0,
                    },
                    mode="lines+markers",
                    line={"color": colour, "dash": dash, "width": 2.4 if predictor == "lifted" else 1.5},
                    marker={"symbol": symbol, "size": 6, "color": colour},
                    name=PREDICTOR_WORDS[predictor],
                    legendgroup=predictor,
                    showlegend=column == 1,
                    hovertemplate=f"{PREDICTOR_WORDS[predictor]}<br>%{{x}}: %{{y:.4g}}<extra></extra>",
                ),
                row=1,
                col=column,
            )
        few = {"dtick": 1} if len(position) <= 10 else {"nticks": 8}
        figure.update_xaxes(axis(theme, title={"text": position_name}, **few), row=1, col=column)
        figure.add_annotation(
            text=f"<b>distance to {ideal}</b>",
            x=0,
            xref=f"x{column if column > 1 else ''} domain",
            y=1,
            yref="paper",
            yanchor="bottom",
            yshift=4,
            showarrow=False,
            font={"size": SIZES["body"], "color": theme.ink},
        )
    figure.update_yaxes(axis(theme, type="log", tickformat="~g", dtick=1))  # distances span decades
    figure.update_yaxes(title={"text": "mean squared distance"}, row=1, col=1)
    figure.update_layout(
        **base_layout(theme, margin={"l": 56, "r": 16, "t": 60, "b": 44}) | {"showlegend": True},
        height=320,
        legend={"orientation": "h", "x": 0, "y": 1.0, "yref": "container", "yanchor": "top"},
    )
    return figure


def _bars(
    rows: list[str], values: np.ndarray, se: np.ndarray, colours: list[str], unit: str, theme: Theme
) -> go.Bar:
    return go.Bar(
        x=values,
        y=rows,
        orientation="h",
        marker={"color": colours, "line": {"width": 0}},
        error_x={"array": se, "color": theme.ink, "thickness": 1.2, "width": 3},
        text=[f"{name}<br>{v:+.3g} ± {e:.1g} {unit}" for name, v, e in zip(rows, values, se, strict=True)],
        textposition="none",
        hovertemplate="%{text}<extra></extra>",
    )


def _predictor_style(name: str, theme: Theme) -> tuple[str, str, str]:
    """Colour, dash and symbol: the form in ink, checkpoints in the colours of early, middle and late."""
    return {
        "lifted": (theme.ink, "solid", "circle"),
        "path": (theme.ink, "dot", "circle-open"),
        "nearest": (theme.time[2], "dash", "diamond"),
        "start": (theme.time[0], "dashdot", "square"),
        "end": (theme.time[4], "solid", "triangle-up"),
    }[name]


def _finite(target: xr.Dataset, name: str) -> bool:
    return bool(np.isfinite(target["log_prob_change"].sel(target_class=name)))
