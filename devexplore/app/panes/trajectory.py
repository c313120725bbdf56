"""The trajectory in function space, in space and in its three planes."""

from typing import Any

import pandas as pd

from devexplore.app.components import Trajectory
from devexplore.app.pane import Look, Pane, message
from devexplore.views import trajectory as trajectory_view
from devexplore.views.form_marks import any_form
from devexplore.views.trajectory_space import space

LAYERS = ("circles", "evolute", "vertices", "forms", "raw")


class TrajectoryPane(Pane):
    title = "Trajectory"
    viewer = Trajectory

    def payload(self, look: Look) -> dict[str, Any]:
        job = look.derived.dynamics
        if look.done(job) and job.future.exception() is not None:
            return message("The trajectory cannot be computed", str(job.future.exception()))
        dynamics = look.result(job, "Computing the trajectory")
        if dynamics.sizes["component"] < 3:
            return message("Too few checkpoints for a trajectory", "Three components need at least four.")
        stages, theme = look.stages(), look.theme
        forms, conclusion = look.found_forms()
        show = [layer for layer in LAYERS if getattr(look.selection, layer)]
        show.append(look.selection.colour if stages else "step")
        names = trajectory_view.plane_names(dynamics)
        return {
            "space": space(dynamics, stages, theme, show, forms),
            "planes": [trajectory_view.plane(dynamics, name, stages, theme, show, forms) for name in names],
            "follow": trajectory_view.follow(dynamics),
            "cusps": trajectory_view.cusp_steps(dynamics, forms),
            "caption": trajectory_view.caption(dynamics, conclusion),
            "has_stages": bool(stages),
            "has_forms": forms is not None and any_form(forms),
            "time": list(theme.time),
        }

    def code(self, look: Look) -> str:
        return "dx.figures.trajectory(run)"

    def table(self, look: Look) -> pd.DataFrame | None:
        job = look.derived.dynamics
        if not job.future.done() or job.future.exception() is not None:
            return None
        scores = job.future.result()["smooth_score"].transpose("step", "component")
        names = [f"PC{number}" for number in range(1, scores.sizes["component"] + 1)]
        return pd.DataFrame(scores.values, columns=names, index=scores["step"].to_index()).reset_index()
