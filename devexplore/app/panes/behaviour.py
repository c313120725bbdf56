"""Behaviour and structure: the metrics of the run's system over training."""

from functools import partial
from typing import Any

import pandas as pd

from devexplore.app.components import Behaviour
from devexplore.app.pane import Look, Pane, message, missing
from devexplore.views.behaviour import CELL, curves, metric_grid, shared_parts
from devexplore.views.metric_panels import drawn, is_there, panels_of


class BehaviourPane(Pane):
    title = "Metrics"
    viewer = Behaviour

    def payload(self, look: Look) -> dict[str, Any]:
        derived = look.derived
        metrics = derived.metrics
        if metrics is None:
            return missing(look, "metrics", "Behaviour and structure")
        wanted = panels_of(derived.run.system, metrics)
        held = [one for one in wanted if is_there(one, metrics)]
        remedy = derived.run.remedy("metrics")
        if not held:
            return message("None of this system's metrics is among those measured", remedy.capitalize() + ".")
        intervals = look.result(derived.metric_intervals, "Intervals of the metrics")
        panels = [drawn(one, metrics, intervals, remedy, look.theme) for one in held]
        stages, theme = look.stages(), look.theme
        draw = partial(metric_grid, panels, stages, float(derived.steps[-1]), theme)
        drawing = derived.drawing(["metrics", look.selection.theme or "light", len(stages)], draw)
        figure = look.result(drawing, "Drawing the metrics")
        found = curves(figure)
        absent = ", ".join(one.title for one in wanted if one not in held)
        return {
            "figure": figure,
            "cell": CELL,
            "count": len(panels),
            "curves": found,
            "parts": shared_parts(found),
            "intervals": bool(intervals),
            "absent": f"Not among the metrics: {absent}." if absent else "",
        }

    def code(self, look: Look) -> str:
        return "dx.figures.stage_analysis(run)"

    def table(self, look: Look) -> pd.DataFrame | None:
        metrics = look.derived.metrics
        if metrics is None:
            return None
        single = [name for name, values in metrics.data_vars.items() if values.dims == ("step",)]
        return metrics[single].reset_coords(drop=True).to_dataframe().reset_index()
