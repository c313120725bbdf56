"""What stands around the panes: the runs to choose from, and of the chosen one its steps, stages and loss."""

from typing import Any

import numpy as np

from devexplore.app.derived import READ_ERRORS
from devexplore.app.describe import describe
from devexplore.app.pane import Look
from devexplore.views.stages import chips


def frame(look: Look) -> dict[str, Any]:
    """The payload of the frame. It stands whatever breaks in a run, so that another can be chosen."""
    derived = look.derived
    read = {"title": "", "unit": "", "step": np.zeros(0), "value": np.zeros(0)}
    description, steps = "", [0]
    try:
        steps, loss = derived.steps.tolist(), derived.loss
        if loss is not None:
            read |= {"title": "loss", "unit": loss.attrs.get("units", "")}
            read |= {"step": loss["step"].values.astype(float), "value": loss.values.astype(float)}
        description = describe(derived.run)
    except READ_ERRORS as error:
        description = str(error)
    return {
        "runs": [
            {"name": name, "label": name, "system": held.run.system} for name, held in look.runs.items()
        ],
        "run": look.selection.run,
        "description": description,
        "steps": steps,
        "stages": chips(look.stages()),
        "note": look.found_stages()[1],
        "loss": read,
    }
