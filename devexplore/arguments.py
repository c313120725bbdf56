"""What public functions check of a run, of runs and of a Dataset that they are given, in one place."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import xarray as xr

from devexplore.errors import InvalidSpec

if TYPE_CHECKING:
    from devexplore.run import Run


def require_run(source: object, or_what: str = "") -> None:
    """Raise ``InvalidSpec`` unless this is a run, or at least has what is read from one."""
    if not (hasattr(source, "has") and hasattr(source, "dataset")):
        name = repr(source) if isinstance(source, str) and len(source) < 60 else "…"
        raise InvalidSpec(
            f"expected a run{or_what}, got {type(source).__name__}; give a Run: dx.open({name})"
        )


def as_runs(source: "Run | Sequence[Run]") -> "list[Run]":
    """One run, or several, as a list. Raises ``InvalidSpec`` for no run, and for what is none."""
    runs: list[Any] = [source]
    if isinstance(source, Sequence) and not isinstance(source, str):
        runs = list(source)
    if not runs:
        raise InvalidSpec("expected at least one run, got none; give a Run: dx.open(…)")
    for run in runs:
        require_run(run)
    return runs


def require_dataset(given: object, names: Sequence[str], what: str) -> None:
    """Raise ``InvalidSpec`` unless this is a Dataset with variables of these names; ``what`` in words."""
    if not isinstance(given, xr.Dataset):
        raise InvalidSpec(f"expected {what}, got {type(given).__name__}")
    lacking = [name for name in names if name not in given.variables]
    if lacking:
        raise InvalidSpec(f"expected {what}, got a Dataset without {', '.join(lacking)}")
