"""Reading a table of curves (CSV or Parquet), and refusing what cannot be one with the place in the file."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from devexplore.errors import MissingExtra, SchemaError
from devexplore.schema import CHECKPOINTS, CONTENT_HASH, LLC, LOSSES, MEASURED, METRICS, STEP

if TYPE_CHECKING:
    import pandas as pd

CSV: Final = (".csv", ".tsv", ".txt")
PARQUET: Final = (".parquet", ".pq")

_HOMES: Final = {
    "loss": (LOSSES, "test_loss"),
    "test_loss": (LOSSES, "test_loss"),
    "train_loss": (CHECKPOINTS, "train_loss"),
    "learning_rate": (CHECKPOINTS, "learning_rate"),
    "llc": (LLC, "llc"),
    "llc_se": (LLC, "llc_se"),
}


class Table(NamedTuple):
    """Columns of numbers by group and variable, NaN where there is no value, in the order of their steps."""

    step: Int[np.ndarray, " step"]
    columns: dict[tuple[str, str], Float[np.ndarray, " step"]]
    left_out: list[str]
    """Columns that hold no number at all."""


def read_table(source: Path) -> Table:
    """See ``import_table``. Raises ``SchemaError`` and ``MissingExtra``."""
    if source.suffix.lower() in CSV:
        frame, row_name, first = _read_csv(source), "line", 2
    elif source.suffix.lower() in PARQUET:
        frame, row_name, first = _read_parquet(source), "row", 1
    else:
        known = " ".join((*CSV, *PARQUET))
        raise SchemaError(f"{source}: expected a table whose name ends in one of {known}")
    places = np.array([f"{row_name} {number}" for number in range(first, first + len(frame))])
    filled = frame.notna().any(axis=1).to_numpy()  # empty lines at the end are none
    frame, places = frame[filled], places[filled]

    named = _plain_names(source, list(frame.columns))
    if STEP not in named:
        raise SchemaError(
            f"{source}: no column step (training steps); there are {', '.join(named) or 'no columns'}"
        )
    numbers = {name: _numbers(source, frame[column], places) for name, column in named.items()}
    step = _steps(source, numbers.pop(STEP), places)
    held = {name: values for name, values in numbers.items() if np.isfinite(values).any()}
    if len(step) < 2 or not held:
        found = f"{len(step)} and {len(held)}"
        raise SchemaError(f"{source}: a curve takes two steps and one column of numbers or more, got {found}")
    columns = {home_of(name): values for name, values in held.items()}
    _check_errors(source, columns, places)
    order = np.argsort(step)
    return Table(
        step[order],
        {home: values[order] for home, values in columns.items()},
        [named[name] for name in numbers if name not in held],
    )


def home_of(column: str) -> tuple[str, str]:
    """Group and variable of a column: one with a meaning of its own, or else a metric."""
    return _HOMES.get(column, (METRICS, column))


def _read_csv(source: Path) -> "pd.DataFrame":
    import pandas as pd

    try:
        with source.open(encoding="utf-8-sig") as file:
            header = file.readline()
        return pd.read_csv(
            source,
            sep=max(",;\t", key=header.count),
            dtype=str,
            encoding="utf-8-sig",
            skip_blank_lines=False,
            index_col=False,
        )
    except ValueError as error:  # of pandas' parser, which names the line, and of UTF-8
        raise SchemaError(f"{source}: no table in CSV ({' '.join(str(error).split())})") from error


def _read_parquet(source: Path) -> "pd.DataFrame":
    import pandas as pd

    try:
        frame = pd.read_parquet(source)
    except ImportError as error:
        raise MissingExtra(
            f"{source}: reading Parquet takes pyarrow: `pip install 'devexplore[parquet]'`, or save as CSV"
        ) from error
    except (ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise SchemaError(f"{source}: no readable Parquet ({reason}); write it again") from error
    return frame.reset_index(drop=frame.index.name is None)  # a named index is a column: set_index("step")


def _plain_names(source: Path, columns: list[Any]) -> dict[str, str]:
    """Columns by their names in the store; those without one (such as an index) are left out."""
    named: dict[str, str] = {}
    for column in map(str, columns):
        if column.startswith("Unnamed:"):
            continue
        name = re.sub(r"\W+", "_", column.strip().lower()).strip("_")
        if name in (MEASURED, CONTENT_HASH, ""):
            raise SchemaError(f"{source}: a column cannot be called {column!r} here; give it another name")
        for other in named:
            if home_of(other) == home_of(name):
                both = f"{named[other]!r} and {column!r} would both be {home_of(name)[1]}"
                raise SchemaError(f"{source}: {both}; keep one of them")
        named[name] = column
    return named


def _numbers(source: Path, column: Any, places: np.ndarray) -> Float[np.ndarray, " row"]:
    """The values of a column; all NaN if it holds no number. Text between numbers is refused."""
    import pandas as pd  # slow to import, needed only here

    values: Any = pd.to_numeric(column, errors="coerce")
    numbers = np.asarray(values.astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan))
    given = column.notna().to_numpy()
    text = given & np.isnan(numbers)
    if text.any() and not text[given].all():
        at = int(np.flatnonzero(text)[0])
        raise SchemaError(
            f"{source}: {places[at]} holds {column.iloc[at]!r} in {column.name}, a column of numbers; "
            "leave the cell empty where there is no value"
        )
    if np.isinf(numbers).any():
        at = int(np.flatnonzero(np.isinf(numbers))[0])
        raise SchemaError(f"{source}: {places[at]} holds an infinite {column.name}; leave the cell empty")
    return numbers


def _steps(source: Path, step: Float[np.ndarray, " row"], places: np.ndarray) -> Int[np.ndarray, " row"]:
    whole = (step >= 0) & (step == np.floor(step))
    if not whole.all():
        at = int(np.flatnonzero(~whole)[0])
        shown = "none" if np.isnan(step[at]) else f"{step[at]:g}"
        raise SchemaError(f"{source}: steps are whole numbers of at least 0, got {shown} in {places[at]}")
    values, counts = np.unique(step, return_counts=True)
    if (counts > 1).any():
        double = values[counts > 1][0]
        first, second = places[step == double][:2]
        raise SchemaError(f"{source}: step {double:.0f} is in {first} and {second}; keep one row a step")
    return step.astype(np.int64)


def _check_errors(source: Path, columns: dict[tuple[str, str], np.ndarray], places: np.ndarray) -> None:
    errors = columns.get((LLC, "llc_se"))
    if errors is None:
        return
    if (LLC, "llc") not in columns:
        raise SchemaError(f"{source}: there is a column llc_se (standard errors) and no llc")
    if (errors < 0).any():
        at = int(np.flatnonzero(errors < 0)[0])
        raise SchemaError(f"{source}: standard errors are not negative, got {errors[at]:g} in {places[at]}")
