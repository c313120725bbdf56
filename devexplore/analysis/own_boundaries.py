"""The boundaries of a run: those the user saved, else the candidates of its curve; saving and giving up."""

from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from devexplore.analysis.annotations import Boundaries, saved_boundaries
from devexplore.analysis.stages import find_stages
from devexplore.arguments import require_run
from devexplore.errors import InvalidSpec, NotWritable

if TYPE_CHECKING:
    from devexplore.run import Run


def boundaries(run: "Run") -> Boundaries:
    """The boundaries saved for this run; where none are, the candidates that ``find_stages`` proposes.

    >>> chosen = dx.boundaries(run).drop(388).move(38, to=45).name_stage("S2", "n-grams").accept()
    >>> dx.save_boundaries(run, chosen)

    Raises ``NotMeasured`` for a run with neither LLC nor losses, ``SchemaError`` for a broken file.
    """
    saved = saved_boundaries(run)
    return Boundaries.of_stages(find_stages(run, boundaries="candidates")) if saved is None else saved


def save_boundaries(run: "Run", chosen: Boundaries | Iterable[int]) -> Path:
    """Keep these boundaries (or plain steps) for this run: stages are between them everywhere from now on.
    Gives the file.

    They go to ``annotations.toml`` in the run's folder, to be read, edited and versioned with it; for a run
    that cannot be written, or that comes with the package, to a file in the user's data folder.

    Raises ``InvalidSpec`` for boundaries outside the steps of the run, ``SchemaError`` where the file that is
    there is broken (it may hold the user's work), ``NotWritable``.
    """
    saved_boundaries(run)
    chosen = chosen if isinstance(chosen, Boundaries) else Boundaries(chosen)
    span = find_stages(run, boundaries=[])
    first, last = int(span["start"][0]), int(span["end"][-1])
    outside = [step for step in chosen.steps if not first < step < last]
    if outside:
        raise InvalidSpec(
            f"{run.name}: boundaries lie between the steps {first} and {last} of its curve, not at "
            f"{', '.join(map(str, outside))}; drop or move these"
        )
    return chosen.to_file(run.annotations_file(writing=True))


def reset_boundaries(run: "Run") -> Path | None:
    """Go back to the candidates. The file is kept beside as ``….before.toml`` (``….before-2.toml`` … where
    that is there), and its path given; None where nothing was saved.

    Of a run that cannot be written, or that comes with the package, the file in the user's data folder is put
    aside (for every copy of the run, see ``Run.annotations_file``): boundaries that came inside the run count
    again. These themselves cannot be reset there: raises ``NotWritable``.
    """
    require_run(run)
    file = run.annotations_file()
    if not file.is_file():
        return None
    try:
        return file.replace(next(name for name in _names_beside(file) if not name.exists()))
    except OSError as error:
        raise NotWritable(
            f"{file} came with this run and cannot be moved ({error.strerror}); copy the run to a folder of "
            "your own, or save other boundaries, which then count instead"
        ) from error


def _names_beside(file: Path) -> Iterator[Path]:
    yield file.with_name(f"{file.stem}.before.toml")
    yield from (file.with_name(f"{file.stem}.before-{number}.toml") for number in count(2))
