"""When a deep linear network learned its teacher's modes, beside when theory expects it."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from devexplore.arguments import require_run
from devexplore.errors import InvalidSpec, NotMeasured
from devexplore.schema import METRICS, STEP
from devexplore.stats.saddle_to_saddle import growth_time

if TYPE_CHECKING:
    from devexplore.run import Run


def saddle_times(run: "Run") -> xr.Dataset:
    """Steps at which each mode of the teacher is half learned (u_iᵀWv_i = s_i/2), measured and predicted.

    Returns, over ``teacher_mode``, in steps (NaN: never, or not predictable):
        half_lower, half_upper: the checkpoints between which the strength first rises above half.
        predicted: closed form (``stats.growth_time``) from the start, each layer carrying every mode with the
            strength a = ``init_scale``: as long as W_l makes an average unit vector.
        predicted_from_checkpoint: the same from the measured strength at ``half_lower``, where the mode is on
            its way already; NaN where that strength is not yet positive.
        teacher_value: s_i.

    Random weights are not aligned with the teacher, as the closed form has it: a mode may even start with the
    wrong sign, and waits the longer for that. So ``predicted`` tells order and scale of the plateaus, and is
    too early for late modes (on the bundled run 820 for the first, half learned between 710 and 794, but
    4,052 for the fourth, between 13,667 and 14,000); ``predicted_from_checkpoint`` is a test of the rise.

    Raises InvalidSpec for runs of other systems, NotMeasured without the strengths.
    """
    require_run(run)
    if run.system != "deep_linear":
        raise InvalidSpec(
            f"{run.name} is a run of {run.system}: only deep_linear learns mode by mode of a teacher"
        )
    metrics = run.dataset(METRICS)
    if "mode_strength" not in metrics:
        raise NotMeasured(
            f"the metrics of {run.name} are of an older version and lack mode_strength; "
            f"{run.remedy('metrics')}"
        )
    spec = run.recipe["spec"]
    rate, layers = float(spec["peak_learning_rate"]), len(spec["widths"]) - 1
    value = np.asarray(spec["singular_values"], dtype=float)
    strength = metrics["mode_strength"].transpose(STEP, "teacher_mode").values.astype(float)
    steps = metrics[STEP].values.astype(float)
    rows = [_half_way(steps, strength[:, mode], value[mode]) for mode in range(len(value))]
    lower, upper, before = np.array(rows, dtype=float).reshape(len(value), 3).T
    late = lower + growth_time(before, value / 2, value, layers) / rate
    early = growth_time(np.full(len(value), float(spec["init_scale"]) ** layers), value / 2, value, layers)
    columns = {
        "half_lower": (lower, "last checkpoint before the mode is half learned"),
        "half_upper": (upper, "first checkpoint at which the mode is half learned"),
        "predicted": (early / rate, "half learned, in closed form from the start"),
        "predicted_from_checkpoint": (late, "half learned, in closed form from half_lower on"),
    }
    found = xr.Dataset(
        {
            name: ("teacher_mode", values, {"units": "steps", "long_name": words})
            for name, (values, words) in columns.items()
        },
        attrs={"layers": layers, "learning_rate": rate, "init_scale": float(spec["init_scale"])},
    )
    found["teacher_value"] = ("teacher_mode", value, {"long_name": "singular value of the teacher"})
    return found


def _half_way(steps: np.ndarray, strength: np.ndarray, value: float) -> tuple[float, float, float]:
    """The checkpoints around the first rise above half, and the strength at the former."""
    above = np.flatnonzero(strength > value / 2)
    if len(above) == 0 or above[0] == 0:
        return np.nan, np.nan, np.nan
    first = int(above[0])
    return steps[first - 1], steps[first], strength[first - 1]
