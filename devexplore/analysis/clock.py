"""The time coordinate in which a trajectory is smoothed, and training steps at any of its values."""

from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Float

from devexplore.errors import InvalidSpec
from devexplore.geometry import arc_length

Time = Literal["log_step", "step", "index", "arc_length"]

NAMES = {
    "log_step": "ln(1 + step)",
    "step": "steps",
    "index": "checkpoint index",
    "arc_length": "arc length of the scores",
}


class Clock(NamedTuple):
    """``time`` at each checkpoint, increasing."""

    time: Float[np.ndarray, " step"]
    step: Float[np.ndarray, " step"]
    kind: Time

    def step_at(self, time: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """Training steps at times; between checkpoints, by the formula or linearly."""
        if self.kind == "log_step":
            return np.clip(np.expm1(time), self.step[0], self.step[-1])
        return np.interp(time, self.time, self.step)


def clock(step: Float[np.ndarray, " step"], scores: Float[np.ndarray, "step component"], kind: Time) -> Clock:
    """Raises ``InvalidSpec`` for an unknown kind of time, or negative steps in log time."""
    if kind not in get_args(Time):
        raise InvalidSpec(f"time must be one of {', '.join(get_args(Time))}, got {kind!r}")
    if kind == "log_step":
        if step.min() < 0:
            raise InvalidSpec(f"log_step needs steps of at least 0, got {step.min():g}; take time='step'")
        return Clock(np.log1p(step), step, kind)
    if kind == "step":
        return Clock(step, step, kind)
    if kind == "index":
        return Clock(np.arange(len(step), dtype=np.float64), step, kind)
    return Clock(arc_length(scores), step, kind)
