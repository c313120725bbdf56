"""The user's own boundaries, names and notes: a small value that changes by copies, and its file."""

import json
import os
import re
import tomllib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from devexplore.analysis.small_files import (
    check_format,
    check_keys,
    check_texts,
    filled,
    read_tables,
    reading,
    toml_text,
)
from devexplore.arguments import require_run
from devexplore.errors import InvalidSpec, SchemaError
from devexplore.paths import as_path, write_whole
from devexplore.schema import BOUNDARIES_FORMAT, BOUNDARIES_VERSION, LAST_STEP

if TYPE_CHECKING:
    import xarray as xr

    from devexplore.run import Run

ORIGINS: Final = ("candidate", "accepted", "moved", "added")
"""Proposed by the curve and not yet judged; proposed and agreed to; proposed and moved; the user's own."""

_DEFAULT_NAME: Final = re.compile(r"S\d+")


@dataclass(frozen=True)
class Boundary:
    """One boundary between two stages. ``stage`` names the stage that starts here ("" : by its number)."""

    step: int
    origin: str = "added"
    note: str = ""
    stage: str = ""
    stage_note: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "step", _step(self.step))
        if self.origin not in ORIGINS:
            raise InvalidSpec(
                f"boundary at {self.step}: origin is one of {', '.join(ORIGINS)}, got {self.origin!r}"
            )
        _check_texts(f"boundary at {self.step}", self.stage, self.note, self.stage_note)


@dataclass(frozen=True)
class Boundaries:
    """Boundaries in order, with the names and notes of the stages between them. Methods give a changed copy.

    A name belongs to the stage that starts at a boundary: it stays with a boundary that is moved, and goes
    with one that is dropped (the stage before takes the place). Stages are counted from 1, as in the
    coordinate ``stage`` of ``find_stages``; those without a name are called S1, S2 …

    ``Boundaries([350, 8200])``: plain steps are boundaries of the user's own, ``Boundary(350)``.

    Raises ``InvalidSpec`` for steps that are no positive whole numbers, not increasing or double, and for
    names that are double, longer than 60 characters, on several lines, or S and a number.
    """

    boundaries: tuple[Boundary, ...] = ()
    first_stage: str = ""
    first_stage_note: str = ""

    if TYPE_CHECKING:  # what it takes is wider than what it holds

        def __init__(
            self,
            boundaries: Iterable[Boundary | int] = (),
            first_stage: str = "",
            first_stage_note: str = "",
        ) -> None: ...

    def __post_init__(self) -> None:
        if isinstance(self.boundaries, str) or not isinstance(self.boundaries, Iterable):
            raise InvalidSpec(f"expected boundaries as steps, such as [350, 8200], got {self.boundaries!r}")
        each = (one if isinstance(one, Boundary) else Boundary(one) for one in self.boundaries)
        object.__setattr__(self, "boundaries", tuple(each))
        _check_texts("first stage", self.first_stage, self.first_stage_note)
        for left, right in zip(self.boundaries, self.boundaries[1:], strict=False):
            if right.step == left.step:
                raise InvalidSpec(f"two boundaries at step {left.step}; keep one of them")
            if right.step < left.step:
                raise InvalidSpec(
                    f"boundaries must be in the order of training, got {left.step} before {right.step}"
                )
        given = [name for name in (self.first_stage, *(b.stage for b in self.boundaries)) if name]
        double = sorted({name for name in given if given.count(name) > 1})
        if double:
            raise InvalidSpec(f"two stages are called {double[0]!r}; stages are told apart by their names")

    @property
    def steps(self) -> tuple[int, ...]:
        """Steps of the boundaries, increasing."""
        return tuple(boundary.step for boundary in self.boundaries)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the stages, one more than boundaries."""
        given = (self.first_stage, *(boundary.stage for boundary in self.boundaries))
        return tuple(name or f"S{number}" for number, name in enumerate(given, 1))

    @property
    def stage_notes(self) -> tuple[str, ...]:
        """Notes on the stages, one more than boundaries; empty where there is none."""
        return (self.first_stage_note, *(boundary.stage_note for boundary in self.boundaries))

    def accept(self, *steps: int) -> Self:
        """Agree to the candidates at these steps (none given: to all)."""
        places = [self._place(step) for step in steps] if steps else range(len(self.boundaries))
        accepted = self
        for place in places:
            if self.boundaries[place].origin == "candidate":
                accepted = accepted._with(place, origin="accepted")
        return accepted

    def drop(self, step: int) -> Self:
        """Without the boundary at this step; the stage before it goes on to the next boundary."""
        place = self._place(step)
        return replace(self, boundaries=self.boundaries[:place] + self.boundaries[place + 1 :])

    def move(self, step: int, to: int) -> Self:
        """With the boundary at ``step`` put at ``to`` instead, between its neighbours."""
        place = self._place(step)
        origin = "added" if self.boundaries[place].origin == "added" else "moved"
        return self._with(place, step=_step(to), origin=origin)

    def add(self, step: int, note: str = "") -> Self:
        """With a boundary of the user's own; the stage that it cuts keeps its name before it."""
        added = (*self.boundaries, Boundary(_step(step), "added", note))
        return replace(self, boundaries=tuple(sorted(added, key=lambda boundary: boundary.step)))

    def name_stage(self, stage: int | str, name: str) -> Self:
        """With the stage of this number (from 1) or name called ``name``; "" takes its name away."""
        place = self._stage_place(stage)
        return replace(self, first_stage=name) if place < 0 else self._with(place, stage=name)

    def annotate(self, note: str, *, step: int | None = None, stage: int | str | None = None) -> Self:
        """With a note on the boundary at ``step``, or on the stage of this number or name; "" removes it."""
        if step is not None and stage is None:
            return self._with(self._place(step), note=note)
        if stage is None or step is not None:
            raise InvalidSpec("a note is on one boundary or one stage: give step=… or stage=…")
        place = self._stage_place(stage)
        return replace(self, first_stage_note=note) if place < 0 else self._with(place, stage_note=note)

    @classmethod
    def of_stages(cls, stages: "xr.Dataset") -> Self:
        """The ends of the stages that ``find_stages`` found, as candidates."""
        return cls(tuple(Boundary(int(step), "candidate") for step in stages["end"].values[:-1]))

    def to_toml(self) -> str:
        """As TOML text; empty names and notes are left out."""
        content = self._content()
        boundaries = content.pop("boundary")
        return toml_text(content, "boundary", boundaries)

    def to_json(self) -> str:
        """As JSON text, with the same names as in TOML."""
        return json.dumps(self._content(), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what ``to_json`` wrote. Raises ``SchemaError`` for anything else."""
        try:
            return cls._of_content(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise SchemaError(f"no boundaries can be read from this JSON: {error}") from error

    def to_file(self, path: str | os.PathLike[str]) -> Path:
        """Write ``.toml`` or ``.json``; the file is either wholly there or as it was before."""
        path = as_path(path, "a file for boundaries")
        text = self.to_json() if boundaries_kind(path) == ".json" else self.to_toml()
        return write_whole(path, text, "boundaries")

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Self:
        """Read what ``to_file`` wrote, or somebody by hand.

        Raises ``SchemaError`` that names the line or the boundary that is wrong; the file stays as it is.
        """
        path = as_path(path, "a file of boundaries")
        read = json.loads if boundaries_kind(path) == ".json" else tomllib.loads
        with reading(path, "boundaries"):
            return cls._of_content(read(path.read_text(encoding="utf-8-sig")))  # as Windows' editors write it

    def _content(self) -> dict[str, Any]:
        content: dict[str, Any] = {"format": BOUNDARIES_FORMAT, "version": BOUNDARIES_VERSION}
        content |= filled({"first_stage": self.first_stage, "first_stage_note": self.first_stage_note})
        return content | {"boundary": [filled(asdict(boundary)) for boundary in self.boundaries]}

    @classmethod
    def _of_content(cls, content: Any) -> Self:
        check_format(content, BOUNDARIES_FORMAT, BOUNDARIES_VERSION)
        check_keys("the file", content, ("format", "version", "first_stage", "first_stage_note", "boundary"))
        boundaries = read_tables(content, "boundary", Boundary)
        return cls(tuple(boundaries), content.get("first_stage", ""), content.get("first_stage_note", ""))

    def _with(self, place: int, **changes: Any) -> Self:
        changed = list(self.boundaries)
        changed[place] = replace(changed[place], **changes)
        return replace(self, boundaries=tuple(changed))

    def _place(self, step: int) -> int:
        if step not in self.steps:
            raise InvalidSpec(
                f"no boundary at step {step}; there are {', '.join(map(str, self.steps)) or 'none'}"
            )
        return self.steps.index(step)

    def _stage_place(self, stage: int | str) -> int:
        """The place of the boundary that this stage starts at; −1 for the first."""
        if isinstance(stage, str):
            if stage not in self.names:
                raise InvalidSpec(f"the stages are {', '.join(self.names)}, got {stage!r}")
            return self.names.index(stage) - 1
        if isinstance(stage, bool) or stage not in range(1, len(self.boundaries) + 2):
            raise InvalidSpec(f"there are stages 1 to {len(self.boundaries) + 1}, got {stage!r}")
        return int(stage) - 2


def saved_boundaries(run: "Run") -> Boundaries | None:
    """The boundaries that were saved for this run; None where none were.

    Raises ``SchemaError``, naming the file and the line, if that file is broken: it is never overwritten.
    """
    require_run(run)
    file = run.annotations_file()
    return Boundaries.from_file(file) if file.is_file() else None


def _step(step: Any) -> int:
    if getattr(step, "ndim", None) == 0:  # one number of an array
        step = step.item()
    number = isinstance(step, int | float) and not isinstance(step, bool)
    if not number or not 0 < step < LAST_STEP or step != int(step):
        beyond = isinstance(step, int) and abs(step) > 10**18  # too long to be read, or even written
        shown = "a number beyond 10^18" if beyond else repr(step)
        raise InvalidSpec(f"a boundary lies at a positive whole number of training steps, got {shown}")
    return int(step)


def _check_texts(where: str, name: Any, *notes: Any) -> None:
    check_texts(where, name, *notes)
    if _DEFAULT_NAME.fullmatch(name):
        raise InvalidSpec(f"{where}: {name!r} is what unnamed stages are called; choose another name")


def boundaries_kind(path: Path) -> str:
    """How boundaries are written to this file. Raises ``InvalidSpec`` for other ends of names."""
    if path.suffix not in (".toml", ".json"):
        raise InvalidSpec(f"{path}: boundaries are kept as .toml or .json; give the file one of these ends")
    return path.suffix
