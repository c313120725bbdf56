"""The timeline: loss, LLC and any metric over the steps, with the stages."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

import pandas as pd
import xarray as xr

from devexplore.analysis.annotations import Boundaries, saved_boundaries
from devexplore.analysis.own_boundaries import reset_boundaries, save_boundaries
from devexplore.app.components import Timeline
from devexplore.app.derived import DerivedRun
from devexplore.app.pane import Answer, Look, Pane, missing
from devexplore.errors import InvalidSpec
from devexplore.run import Run
from devexplore.views.llc_row import llc_row, settings, trust
from devexplore.views.refined import refined_row
from devexplore.views.rows import Row, loss_row, strip_label, strip_row, strips
from devexplore.views.stage_bands import chosen_by_hand
from devexplore.views.timeline import follow, least_height, timeline

FIRST_STRIPS = 3
"""How many metrics are shown without being asked for where there is neither a loss nor an LLC."""

WORDS = {"losses": "The loss per token", "llc": "The LLC"}


def edit(derived: DerivedRun, values: Mapping[str, Any]) -> dict[str, Any]:
    """Change the boundaries of a run as the page asks, and save them: what was saved before and after, as
    JSON (None: nothing, the candidates count), so that the page can take it back.

    ``left`` is what the change that is taken back had left: where something else is saved by now, it is
    somebody else's, and nothing is changed.
    """
    run = derived.run
    before = saved_boundaries(run)
    if values["do"] == "restore":
        if "left" in values and values["left"] != _as_json(before):
            raise InvalidSpec("the boundaries were changed elsewhere meanwhile: nothing was taken back")
        _restore(run, values["text"])
    elif values["do"] == "reset":
        reset_boundaries(run)
    else:
        candidates = derived.stages.wait()
        held = Boundaries.of_stages(candidates) if before is None else before
        save_boundaries(run, _changed(held, values))
    return {"before": _as_json(before), "after": _as_json(saved_boundaries(run))}


def _as_json(boundaries: Boundaries | None) -> str | None:
    return None if boundaries is None else boundaries.to_json()


def _changed(held: Boundaries, values: Mapping[str, Any]) -> Boundaries:
    match values["do"]:
        case "move":
            return held.move(values["step"], values["to"])
        case "add":
            return held.add(values["step"])
        case "drop":
            return held.drop(values["step"])
        case "accept":
            return held.accept(values["step"])
        case "name":
            return held.name_stage(values["stage"], values["name"].strip())
        case "note":
            return held.annotate(values["note"].strip(), stage=values["stage"])
        case other:
            raise InvalidSpec(f"boundaries cannot be {other!r}")


def _restore(run: Run, text: str | None) -> None:
    """What was saved before a change of this page; where nothing was, nothing is."""
    if text is not None:
        save_boundaries(run, Boundaries.from_json(text))
        return
    file = run.annotations_file()
    if file.is_file():
        file.unlink()


def _editable(look: Look, stages: xr.Dataset) -> dict[str, Any]:
    """Boundaries and stages as the page may change them."""
    steps = stages["end"].values[:-1]
    return {
        "steps": steps.astype(int).tolist(),
        "origins": stages["boundary_origin"].values[:-1].tolist(),
        "names": stages["name"].values.tolist(),
        "notes": stages["note"].values.tolist(),
        "saved": saved_boundaries(look.derived.run) is not None,
    }


class TimelinePane(Pane):
    title = "Timeline"
    viewer = Timeline
    follows = ("strips",)
    acts: ClassVar[Mapping[str, Answer]] = {"edit": edit}

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
            "edit": None if found is None else _editable(look, found),
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
