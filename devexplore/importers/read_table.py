"""Reading a table of curves (CSV or Parquet), and refusing what cannot be one with the place in the file."""

import csv
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from devexplore.errors import MissingExtra, SchemaError
from devexplore.schema import CHECKPOINTS, CONTENT_HASH, LAST_STEP, LLC, LOSSES, MEASURED, METRICS, STEP

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

_NO_VALUE: Final = frozenset(
    ("", "na", "NA", "n/a", "N/A", "#N/A", "nan", "NaN", "NAN", "-nan", "null", "NULL", "None", "<NA>")
)
_LONGEST_NAME: Final = 200
_WITH_COMMAS: Final = r"[-+]?[\d.]*\d,\d[\d.,]*([eE][-+]?\d+)?"
"""2,5 or 1,000 or 1.000,5: which of them is meant, nobody can tell."""


class Table(NamedTuple):
    """Columns of numbers by group and variable, NaN where there is no value, in the order of their steps."""

    step: Int[np.ndarray, " step"]
    columns: dict[tuple[str, str], Float[np.ndarray, " step"]]
    left_out: list[str]
    """Columns that hold no number at all."""


def read_table(source: Path) -> Table:
    """See ``import_table``. Raises ``SchemaError`` and ``MissingExtra``."""
    if source.suffix.lower() in CSV:
        frame, rows = _read_csv(source)
    elif source.suffix.lower() in PARQUET:
        frame = _read_parquet(source)
        rows = [f"row {number}" for number in range(1, len(frame) + 1)]
    else:
        known = " ".join((*CSV, *PARQUET))
        raise SchemaError(f"{source}: expected a table whose name ends in one of {known}")
    filled = frame.notna().any(axis=1).to_numpy()  # empty lines at the end are none
    frame, places = frame[filled], np.array(rows)[filled]

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


def _read_csv(source: Path) -> "tuple[pd.DataFrame, list[str]]":
    """Cells as text, None where they say that there is no value, and the place of each row."""
    import pandas as pd  # slow to import, needed only here

    try:
        text = source.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SchemaError(f"{source}: no table in CSV ({error}); save it as CSV in UTF-8") from error
    separator = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text), delimiter=separator, strict=True)
    try:
        header = list(map(str.strip, next(reader, [])))
        rows = [(f"line {reader.line_num}", list(map(str.strip, row))) for row in reader]
    except csv.Error as error:
        raise SchemaError(f"{source}: no table in CSV (line {reader.line_num}: {error})") from error
    rows = [(place, cells) for place, cells in rows if any(cells)]
    while header and not header[-1]:  # a separator at the end of a line is common, and no cell
        header.pop()
    for place, cells in rows:
        if len(cells) < len(header) or any(cells[len(header) :]):
            raise SchemaError(
                f"{source}: {place} has {len(cells)} cells and the first line {len(header)}; the first line "
                "names the columns (step, loss …), and every other has one cell for each"
            )
    values = [[None if cell in _NO_VALUE else cell for cell in cells[: len(header)]] for _, cells in rows]
    return pd.DataFrame(values, columns=header, dtype=object), [place for place, _ in rows]


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
        if not column or column.startswith("Unnamed:"):
            continue
        name = re.sub(r"\W+", "_", column.strip().lower()).strip("_")
        if name in (MEASURED, CONTENT_HASH, "") or len(name.encode()) > _LONGEST_NAME:
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
    commas = text & column.astype(str).str.fullmatch(_WITH_COMMAS).to_numpy(dtype=bool)
    if commas.any():
        at = int(np.flatnonzero(commas)[0])
        raise SchemaError(
            f"{source}: {places[at]} holds {column.iloc[at]!r} in {column.name}; write decimals with a point "
            "(2.5) and thousands without anything (1000), as `to_csv(decimal='.')` does"
        )
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
    whole = (step >= 0) & (step < LAST_STEP) & (step == np.floor(step))
    if not whole.all():
        at = int(np.flatnonzero(~whole)[0])
        shown = "none" if np.isnan(step[at]) else f"{step[at]:g}"
        limit = " below 2^53" if step[at] >= LAST_STEP else " of at least 0"
        raise SchemaError(f"{source}: steps are whole numbers{limit}, got {shown} in {places[at]}")
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
