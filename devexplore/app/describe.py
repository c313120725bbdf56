"""A run in one line, for the page's header."""

from collections.abc import Mapping
from typing import Any

from devexplore.run import Run

SYSTEM_WORDS = {
    "language": "language transformer",
    "regression": "in-context linear regression transformer",
    "superposition": "toy model of superposition",
    "deep_linear": "deep linear network",
}


def describe(run: Run) -> str:
    """System, size, steps and checkpoints, as far as the run records them."""
    parts = [SYSTEM_WORDS.get(run.system, run.system)]
    count = parameter_count(run)
    if count:
        parts.append(f"{count:,} parameters")
    steps = run.checkpoints.steps
    if len(steps):
        parts.append(f"{int(steps[-1]):,} steps")
        parts.append(f"{len(steps)} checkpoints")
    return " · ".join(parts)


def parameter_count(run: Run) -> int:
    """How many numbers the network learns: as recorded, else counted in a checkpoint; 0 if neither."""
    recorded: Mapping[str, Any] = run.recipe
    if "parameters" in recorded:
        return int(recorded["parameters"])
    steps = run.checkpoints.steps
    if not len(steps):
        return 0
    return sum(tensor.numel() for tensor in run.checkpoints.load(int(steps[0])).values())
