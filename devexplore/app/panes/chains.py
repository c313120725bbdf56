"""Chains: the traces behind each estimate of the LLC, and whether it is to be believed."""

from collections.abc import Mapping
from typing import Any, ClassVar

import pandas as pd
import xarray as xr

from devexplore import figures
from devexplore.app.components import Chains
from devexplore.app.derived import DerivedRun
from devexplore.app.pane import Answer, Look, Pane, missing
from devexplore.paths import as_argument
from devexplore.schema import LLC, TABLE
from devexplore.views.calibration import calibration_figure
from devexplore.views.chains import chains_payload, verdict_words

CHOSEN_STEP = "THE_STEP"
"""In the code: the browser puts the current step there."""

TABLE_COLUMNS = ("llc", "llc_se", "rhat", "ess", "excess_loss", "relative_distance", "forgotten")


def picture(derived: DerivedRun, values: Mapping[str, Any]) -> Any:
    """The figure that is saved: of one step, as ``dx.figures.chains`` draws it."""
    theme = "dark" if values["theme"] == "dark" else "light"
    stages = derived.stages.wait()
    return figures.chains(derived.run, int(values["step"]), stages=stages, theme=theme)


class ChainsPane(Pane):
    title = "Chains"
    viewer = Chains
    answers: ClassVar[Mapping[str, Answer]] = {"picture": picture}

    def payload(self, look: Look) -> dict[str, Any]:
        derived = look.derived
        readings = derived.chain_readings
        if readings is None:
            return missing(look, "llc", "The LLC")
        limits = {} if derived.trust is None else derived.trust.attrs
        return chains_payload(readings, limits) | _without_traces(look, readings) | _calibration(look)

    def code(self, look: Look) -> str:
        return f"dx.figures.chains(run, step={CHOSEN_STEP})"

    def table(self, look: Look) -> pd.DataFrame | None:
        """A row a checkpoint."""
        readings = look.derived.chain_readings
        if readings is None:
            return None
        rows = readings[[name for name in TABLE_COLUMNS if name in readings]].to_dataframe().reset_index()
        if "verdict" in readings:
            words = [*verdict_words(readings), "no LLC"]  # −1 is the last
            rows["verdict"] = [words[level] for level in readings["verdict"].values.astype(int)]
            rows["reason"] = readings["reason"].values
        return rows


def _without_traces(look: Look, readings: xr.Dataset) -> dict[str, Any]:
    """Why there are no traces, where there are none."""
    if "excess" in readings:
        return {}
    run = look.derived.run
    if run.system == TABLE:
        return {"untraced": "A table holds no chains: of these estimates only the values are known."}
    return {"untraced": f"The chains of these estimates were not kept: {run.remedy(LLC)}."}


def _calibration(look: Look) -> dict[str, Any]:
    """The sweep over settings that is stored with the run; else the command that makes one."""
    job = look.derived.calibration
    if job is None:
        run = look.derived.run
        return {"calibrate": "" if run.system == TABLE else f"devexplore calibrate {as_argument(run.path)}"}
    if not look.done(job):
        return {"calibrate": ""}
    if job.future.exception() is not None:
        return {"calibrate": "", "calibration_error": str(job.future.exception())}
    sweep, recommendation = job.future.result()
    return {"calibrate": "", "calibration": calibration_figure(sweep, recommendation, look.theme)}
