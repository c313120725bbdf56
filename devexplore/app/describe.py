"""A run in one line, for the page's header."""

from devexplore.errors import CheckpointNotFound
from devexplore.run import Run
from devexplore.schema import TABLE

SYSTEM_WORDS = {
    "language": "language transformer",
    "regression": "in-context linear regression transformer",
    "superposition": "toy model of superposition",
    "deep_linear": "deep linear network",
    TABLE: "imported table",
}


def describe(run: Run) -> str:
    """System, size, steps and checkpoints, as far as the run records them."""
    parts = [SYSTEM_WORDS.get(run.system, run.system)]
    try:
        steps = run.checkpoints.steps
        count = parameter_count(run)
    except CheckpointNotFound:
        return f"{parts[0]} · measurements only, no checkpoints"
    if count:
        parts.append(f"{count:,} parameters")
    return " · ".join([*parts, f"{int(steps[-1]):,} steps", f"{len(steps)} checkpoints"])


def parameter_count(run: Run) -> int:
    """How many numbers the network learns: as recorded, else counted in the first checkpoint."""
    if isinstance(run.recipe.get("parameters"), int):
        return run.recipe["parameters"]
    first = run.checkpoints.load(int(run.checkpoints.steps[0]))
    return sum(tensor.numel() for tensor in first.values())
