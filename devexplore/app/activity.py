"""Whether a run is being trained or measured right now, from what that leaves on disk."""

import time
from collections.abc import Mapping
from typing import Final

from devexplore.app.fingerprint import ANNOTATIONS, LOG, RECIPE, WEIGHTS, Fingerprint, last_written
from devexplore.checkpoints import LocalCheckpoints
from devexplore.errors import DevexploreError
from devexplore.run import Run
from devexplore.schema import CHECKPOINTS_FOLDER, TRAINING_LOG
from devexplore.store import writer_of

QUIET_SECONDS: Final = 120.0
"""A training that has written nothing for so long has been stopped: it writes every 30 seconds."""

_NO_GROUP: Final = {RECIPE, WEIGHTS, ANNOTATIONS, LOG}


def activity(run: Run, parts: Fingerprint) -> str:
    """What happens to this run, in words: "training: step 3,400 of 14,000"; "" where nothing does."""
    return _training(run, parts) or _measuring(run, parts)


def _training(run: Run, parts: Fingerprint) -> str:
    spec = run.recipe.get("spec")
    steps = spec.get("steps") if isinstance(spec, Mapping) else None
    if run.recipe.get("finished") is not False or not isinstance(steps, int):
        return ""
    step = max(_newest_checkpoint(run), _last_logged(run))
    if step < 0:
        return "training begins"
    newest = max(last_written(parts, WEIGHTS), _log_written(run))
    doing = "training" if time.time() - newest < QUIET_SECONDS else "training stopped"
    return f"{doing}: step {step:,} of {steps:,}"


def _newest_checkpoint(run: Run) -> int:
    try:
        return int(LocalCheckpoints(run.path / CHECKPOINTS_FOLDER).steps[-1])
    except DevexploreError:
        return -1


def _log_written(run: Run) -> float:
    try:
        return (run.path / TRAINING_LOG).stat().st_mtime
    except OSError:
        return 0.0


def _last_logged(run: Run) -> int:
    """The step of the last whole line of the training log."""
    try:
        whole = (run.path / TRAINING_LOG).read_text(encoding="utf-8").rpartition("\n")[0]
    except (OSError, ValueError):
        return -1
    step = whole.rpartition("\n")[2].split(",")[0]
    return int(step) if step.isdecimal() else -1


def _measuring(run: Run, parts: Fingerprint) -> str:
    """By another process: what this one measures is told where it is shown."""
    if writer_of(run.store_path) is None:
        return ""
    groups = [name for name, stamp in parts.items() if name not in _NO_GROUP and stamp]
    return f"measuring {max(groups, key=lambda name: last_written(parts, name))}" if groups else "measuring"
