"""The timeline: loss, LLC and any metric over the steps, with the stages."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd

from devexplore.app.components import Timeline
from devexplore.app.pane import Look, Pane, missing
from devexplore.views.llc_row import llc_row, settings, trust
from devexplore.views.refined import refined_row
from devexplore.views.rows import Row, loss_row, strip_label, strip_row, strips
from devexplore.views.stage_bands import chosen_by_hand
from devexplore.views.timeline import follow, least_height, timeline

FIRST_STRIPS = 3
"""How many metrics are shown without being asked for where there is neither a loss nor an LLC."""

WORDS = {"losses": "The loss per token", "llc": "The LLC"}


class TimelinePane(Pane):
    title = "Timeline"
    viewer = Timeline
    follows = ("strips",)

    def payload(self, look: Look) -> dict[str, Any]:
        derived, theme = look.derived, look.theme
        rows = []
        loss = loss_row(derived.losses, derived.checkpoints, theme)
        if loss is not None:
            rows.append(loss)
        if derived.llc is not None and derived.trust is not None:
            rows.append(llc_row(derived.llc, derived.trust, theme))
        offered = _strips(look)
        rows += [offered[name]() for name in look.selection.strips if name in offered]
        lacking = [
            missing(look, only, WORDS[only])
            for only, held in (("losses", loss), ("llc", derived.llc))
            if held is None
        ]
        if not rows:  # a table of metrics alone
            rows = [strip() for strip in list(offered.values())[:FIRST_STRIPS]]
        if not rows:
            return lacking[0]
        stages, found = look.stages(), look.found_stages()[0]
        return {
            "figure": timeline(rows, stages, float(derived.steps[-1]), theme, found),
            "rows": follow(rows),
            "height": least_height(rows),
            "boundaries": sorted(set([] if found is None else chosen_by_hand(found))),
            "strips": {name: strip_label(name) for name in offered},
            "trust": trust(derived.trust),
            "settings": settings(derived.llc),
            "train": derived.checkpoints is not None and derived.losses is not None,
            "missing": lacking,
            "types": sorted({mark.type for mark in stages}),
        }

    def code(self, look: Look) -> str:
        return "dx.figures.stages(run)"

    def table(self, look: Look) -> pd.DataFrame | None:
        stages = look.found_stages()[0]
        return None if stages is None else stages.to_dataframe().reset_index()


def _strips(look: Look) -> dict[str, Callable[[], Row]]:
    """Every strip that can be added, by name."""
    metrics, theme = look.derived.metrics, look.theme
    refined = {
        name: partial(refined_row, *held, strip_label(name), theme)
        for name, held in look.derived.refined.items()
    }
    if metrics is None:
        return refined
    return refined | {name: partial(strip_row, metrics[name], theme) for name in strips(metrics)}
