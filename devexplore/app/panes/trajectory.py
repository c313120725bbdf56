"""The trajectory in function space, in space and in its three planes."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import pandas as pd

from devexplore.analysis.null_walks import null_walks
from devexplore.app.components import Trajectory
from devexplore.app.derived import DerivedRun
from devexplore.app.pane import Answer, Look, Pane, message
from devexplore.app.selection import MOST_COMPONENTS
from devexplore.views import trajectory as trajectory_view
from devexplore.views.form_marks import any_form, form_spans
from devexplore.views.style import THEMES
from devexplore.views.trajectory_space import space
from devexplore.views.walk_layer import WALKS, walk_layers

LAYERS = ("circles", "evolute", "vertices", "forms", "raw")


def walks(derived: DerivedRun, values: Mapping[str, Any]) -> dict[str, Any]:
    """Random walks like the run, as traces of its planes and of space, once its trajectory is there."""
    components = values["components"]
    job = derived.dynamics_with(max(components), values["bandwidth"])
    dynamics = job.wait()
    drawn = null_walks(dynamics, WALKS)
    return walk_layers(dynamics, drawn, THEMES[values["theme"]], components, job is derived.dynamics)


class TrajectoryPane(Pane):
    title = "Trajectory"
    viewer = Trajectory
    begins_with = (*LAYERS, "colour")
    follows = ("components", "bandwidth")
    answers: ClassVar[Mapping[str, Answer]] = {"walks": walks}

    def payload(self, look: Look) -> dict[str, Any]:
        job = look.derived.dynamics
        if look.done(job) and job.future.exception() is not None:
            return message("The trajectory cannot be computed", str(job.future.exception()))
        usual = look.result(job, "Computing the trajectory")
        if usual.sizes["component"] < 3:
            return message("Too few checkpoints for a trajectory", "Three components need at least four.")
        wanted = sorted(set(look.selection.components))
        again = look.derived.dynamics_with(max(wanted, default=3), look.selection.bandwidth)
        dynamics = look.result(again, "Smoothing the trajectory")
        components = (
            tuple(wanted) if len(wanted) == 3 and max(wanted) <= dynamics.sizes["component"] else (1, 2, 3)
        )
        stages, theme = look.stages(), look.theme
        forms, conclusion = look.found_forms()
        if forms is not None and not set(components) <= set(forms["component"].values.tolist()):
            forms, conclusion = None, "of other components"
        show = [layer for layer in LAYERS if getattr(look.selection, layer)]
        show.append(look.selection.colour if stages else "step")
        names = trajectory_view.plane_names(dynamics, components)
        return {
            "space": space(dynamics, stages, theme, show, forms, components),
            "planes": [trajectory_view.plane(dynamics, name, stages, theme, show, forms) for name in names],
            "follow": trajectory_view.follow(dynamics, components),
            "cusps": trajectory_view.cusp_steps(dynamics, forms, components),
            "forms": form_spans(look.found_forms()[0]),
            "caption": trajectory_view.caption(dynamics, conclusion, components),
            "brief": trajectory_view.brief(dynamics, components),
            "conclusion": f"Forms: {conclusion}." if conclusion else "",
            "keys": trajectory_view.layer_keys(dynamics, forms, components),
            "components": list(components),
            "most": min(MOST_COMPONENTS, len(dynamics["step"]) - 1),
            "bandwidth": float(dynamics.attrs["bandwidth"]),
            "has_stages": bool(stages),
            "has_forms": forms is not None and any_form(forms),
            "time": list(theme.time),
        }

    def code(self, look: Look) -> str:
        return "dx.figures.trajectory(run)"

    def kept_answers(self, look: Look) -> Iterable[tuple[str, dict[str, Any]]]:
        yield from super().kept_answers(look)
        chosen = {"components": sorted(look.selection.components), "bandwidth": look.selection.bandwidth}
        for theme in THEMES:
            yield "walks", chosen | {"theme": theme}

    def table(self, look: Look) -> pd.DataFrame | None:
        job = look.derived.dynamics
        if not job.future.done() or job.future.exception() is not None:
            return None
        scores = job.future.result()["smooth_score"].transpose("step", "component")
        names = [f"PC{number}" for number in range(1, scores.sizes["component"] + 1)]
        return pd.DataFrame(scores.values, columns=names, index=scores["step"].to_index()).reset_index()
