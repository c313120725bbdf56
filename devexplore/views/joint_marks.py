"""What a joint picture is made of: each run's curve, and predictors that say how much of them is not seen."""

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float

from devexplore.errors import InvalidSpec
from devexplore.views.axes import step_label
from devexplore.views.markup import plain
from devexplore.views.style import Theme, blend, run_style
from devexplore.views.trajectory_layers import xyz


class Curve(NamedTuple):
    """One run: its checkpoints in the components drawn, steps increasing."""

    name: str
    colour: str
    symbol: str
    points: Float[np.ndarray, "step axis"]
    step: Float[np.ndarray, " step"]

    def decades(self) -> tuple[np.ndarray, Float[np.ndarray, "decade axis"]]:
        """Steps 1, 10, 100 … between the ends, and where on the drawn line they are (linear in log step)."""
        powers = 10.0 ** np.arange(0, 12)
        powers = powers[(powers > self.step[0]) & (powers < self.step[-1])]
        at, time = np.log1p(powers), np.log1p(self.step)
        return powers, np.stack([np.interp(at, time, column) for column in self.points.T], axis=1)


def curves(joint: xr.Dataset, components: tuple[int, ...], theme: Theme) -> list[Curve]:
    """The runs, in their order, each with its colour and symbol.

    Raises InvalidSpec for components that the dataset does not hold.
    """
    held = joint["component"].values.tolist()
    if not set(components) <= set(held):
        raise InvalidSpec(
            f"expected components among {', '.join(map(str, held))}, got {components}; more come with "
            "joint_dynamics(…, n_components=…)"
        )
    score = joint["score"].sel(component=list(components)).transpose("point", "component").values
    run, step = joint["run"].values.astype(str), joint["step"].values
    return [
        Curve(name, *run_style(place, theme), score[run == name], step[run == name])
        for place, name in enumerate(dict.fromkeys(run.tolist()))
    ]


def follow_joint(joint: xr.Dataset, components: tuple[int, ...], theme: Theme) -> list[dict[str, Any]]:
    """Where each run is at each of its steps, for marks that follow the current one."""
    return [
        {"colour": curve.colour, "step": curve.step.astype(float), **xyz(curve.points)}
        for curve in curves(joint, components, theme)
    ]


def end_labels(curve: Curve, runs: int) -> tuple[str, str]:
    """Words at the first and the last checkpoint: steps of a single run, else the run's name at its end."""
    if runs > 1:
        return "", curve.name
    return f"step {step_label(curve.step[0])}", f"step {step_label(curve.step[-1])}"


def predictor_points(joint: xr.Dataset, components: tuple[int, ...]) -> Float[np.ndarray, "predictor axis"]:
    chosen = joint["predictor_score"].sel(component=list(components))
    return chosen.transpose("predictor", "component").values


def outside(joint: xr.Dataset, components: tuple[int, ...]) -> list[float]:
    """Share of each predictor's squared distance from the mean that lies outside what is drawn."""
    seen = joint["predictor_share"].sel(component=list(components)).sum("component").values
    return np.clip(1 - seen, 0, 1).tolist()


def predictor_marker(joint: xr.Dataset, components: tuple[int, ...], theme: Theme) -> dict[str, Any]:
    """Outlined in ink; the fuller, the more of the predictor lies in what is drawn."""
    fill = [blend(theme.ink, theme.surface, 1 - share) for share in outside(joint, components)]
    return {"color": fill, "line": {"color": theme.ink, "width": 1.2}, "opacity": 1}


def predictor_words(joint: xr.Dataset, components: tuple[int, ...]) -> list[str]:
    """What hovering over a predictor says."""
    what = "this plane" if len(components) == 2 else "these three components"
    return [
        f"{name}<br>{share:.0%} of its squared distance from the mean lies outside {what}"
        f"<br>nearest checkpoint: {plain(run)}, step {step:,}, {gap:.3g} away in the whole function space"
        for name, share, run, step, gap in zip(
            joint["predictor"].values.astype(str),
            outside(joint, components),
            joint["nearest_run"].values.astype(str),
            joint["nearest_step"].values.tolist(),
            joint["nearest_distance"].values.tolist(),
            strict=True,
        )
    ]


def nearest_points(joint: xr.Dataset, drawn: list[Curve]) -> Float[np.ndarray, "predictor axis"]:
    """Where the checkpoint that is nearest to each predictor in the whole function space is drawn."""
    by_name = {curve.name: curve for curve in drawn}
    found = [
        by_name[run].points[by_name[run].step == step][0]
        for run, step in zip(
            joint["nearest_run"].values.astype(str), joint["nearest_step"].values, strict=True
        )
    ]
    return np.array(found).reshape(len(found), drawn[0].points.shape[1])


def caption(joint: xr.Dataset, components: tuple[int, ...] = (1, 2)) -> str:
    """What a reader must know beside the picture of these two or three components."""
    share = float(joint["explained_variance_ratio"].sel(component=list(components)).sum())
    kind, runs = str(joint.attrs["output_kind"]).replace("_", " "), list(joint.attrs["runs"])
    several = f" of {len(runs)} runs on the probe of {joint.attrs['probe_of']}" if len(runs) > 1 else ""
    flat = len(components) == 2
    words = [
        f"PCA of {kind} over {joint.sizes['point']} checkpoints{several}; what is drawn holds {share:.0%} of "
        "their variance.",
        f"Hollow: first checkpoint; full: last{'; dots: steps 1, 10, 100 and so on' if flat else ''}.",
    ]
    if joint.sizes["predictor"] > 0:
        words.append(
            f"{'Stars' if flat else 'Diamonds'} are idealised predictors, projected: the emptier, the more "
            "of their squared distance from the mean lies outside what is drawn."
        )
        if flat:
            words.append("Dotted lines lead to the checkpoint that is nearest in the whole function space.")
    if "sketched" in joint.attrs:
        kept, features = joint.attrs["sketched"], joint.attrs["n_features"]
        words.append(f"Each checkpoint is known by a random sketch of {kept:,} numbers for {features:,}.")
    missing = str(joint.attrs.get("references", ""))
    return " ".join([*words, f"{missing[0].upper()}{missing[1:]}."] if missing else words)
