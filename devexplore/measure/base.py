"""What a measurement is: a frozen spec with a function from one checkpoint's weights to arrays."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np

from devexplore.measure.subject import Subject
from devexplore.store import Store, Variable

Arrays = Mapping[str, np.ndarray]

Report = Callable[[float], None]
"""Told the share of the work, from 0 to 1, that is done."""


@dataclass(frozen=True)
class Layout:
    """One group of the store: its variables without their step dimension, coordinates and attributes."""

    variables: Mapping[str, Variable]
    coords: Mapping[str, Any] = field(default_factory=dict)
    attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Measurement(ABC):
    """Specs compare and are stored by value: the same spec on the same weights is never measured twice."""

    title: ClassVar[str]
    """What the progress bar says."""

    def spec(self, subject: Subject) -> Mapping[str, Any]:
        """Everything that decides the numbers, as stored with them."""
        return asdict(self)

    def seed(self, subject: Subject) -> int | None:
        """The seed of the randomness in it (data included)."""
        return subject.seed

    @abstractmethod
    def groups(self, subject: Subject) -> Mapping[str, Layout]:
        """The groups this writes, in the order in which they are written."""

    def together(self, subject: Subject) -> int:
        """How many checkpoints are best measured in one call; what a kill loses is at most that many."""
        return 1

    @abstractmethod
    def measure(
        self, subject: Subject, steps: Sequence[int], stored: Sequence[Mapping[str, Arrays]], report: Report
    ) -> list[Mapping[str, Arrays]]:
        """Blocks of each of these checkpoints, by group. ``stored`` holds, for each, those of its groups that
        are on disk already. ``report`` is told the share of the work that is done, where it takes long.
        """

    def finish(self, subject: Subject, store: Store) -> None:
        """What can be said only when every checkpoint is measured; called at the end of each sweep."""
        return


class OneByOne(Measurement):
    """A measurement of single checkpoints."""

    @abstractmethod
    def measure_one(self, subject: Subject, step: int) -> Mapping[str, Arrays]:
        """Blocks of one checkpoint, by group."""

    def measure(
        self, subject: Subject, steps: Sequence[int], stored: Sequence[Mapping[str, Arrays]], report: Report
    ) -> list[Mapping[str, Arrays]]:
        return [self.measure_one(subject, step) for step in steps]
