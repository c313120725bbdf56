"""Refined local learning coefficients: of one component's weights, or on another distribution of data.

Weight-restricted, the chains move one component (a head, a layer, the embedding) and leave the others at w*;
data-restricted, the loss is that of other data. Both tell *where* and *on what* a network changes when its
LLC does (Wang et al. 2024, arXiv 2410.02984).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from devexplore import schema
from devexplore.errors import InvalidSpec
from devexplore.measure.base import Arrays, Layout, Measurement, Report
from devexplore.measure.llc import SUMMARY, sampler, sampler_attributes, summary, summary_variables, weights
from devexplore.measure.subject import Subject
from devexplore.sampling import Engine, Execution, LLCSpec
from devexplore.sampling.weights import Free
from devexplore.store import Variable

WHOLE = "all"
"""The component that is the whole network."""

_UNKNOWN = ("h_max", "h_min", "stability", "slope_shift", "unheld", "descent")
"""Checks that take a Lanczos run for each component, which would cost more than its chains."""


@dataclass(frozen=True)
class RefinedLLC(Measurement):
    """λ̂ of each component at every checkpoint, on the run's own data or on others.

    components: patterns over the names of the system's components (``*head*``) and ``all``; None: the
        components for the run's own data, ``all`` for other data.
    data: None: the run's own. Else what the system's ``restricted_pool`` knows: for language ``repeated``
        (random tokens, then the same again: what induction is for) and ``folder:PATH``; for regression
        ``tasks:SCALE`` and ``inputs:SCALE``.
    settings, calibrated, execution: as in ``LLC``.

    Written to ``refined/own`` or ``refined/<data>``.
    """

    components: tuple[str, ...] | None = None
    data: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    calibrated: bool = False
    execution: Execution = field(default_factory=Execution)
    title: ClassVar[str] = "refined LLC"

    @property
    def group(self) -> str:
        if self.data is None:
            return f"{schema.REFINED}/own"
        words = "".join(c if c.isalnum() else "_" for c in self.data)
        plain = words == self.data and words != "own"
        tag = "" if plain else "_" + hashlib.sha256(self.data.encode()).hexdigest()[:6]
        return f"{schema.REFINED}/{words}{tag}"

    def chosen(self, subject: Subject) -> dict[str, Free | None]:
        """The components by name. Raises InvalidSpec if a pattern fits none."""
        known: dict[str, Free | None] = {WHOLE: None, **subject.system.components(subject.model)}
        patterns = self.components
        if patterns is None:
            return {n: f for n, f in known.items() if (n == WHOLE) == (self.data is not None)} or {
                WHOLE: None
            }
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in known):
                raise InvalidSpec(f"no component matches {pattern!r}; there are {', '.join(known)}")
        return {n: f for n, f in known.items() if any(fnmatchcase(n, pattern) for pattern in patterns)}

    def sampler(self, subject: Subject) -> LLCSpec:
        return sampler(subject, self.settings, self.calibrated)

    def spec(self, subject: Subject) -> Mapping[str, Any]:
        names = list(self.chosen(subject))
        n = self._engine(subject).n_samples
        return asdict(self.sampler(subject)) | {"n": n, "data": self.data, "components": names}

    def seed(self, subject: Subject) -> int:
        return self.sampler(subject).seed

    def groups(self, subject: Subject) -> Mapping[str, Layout]:
        names = list(self.chosen(subject))
        variables = {
            name: Variable(("component",), (len(names),), variable.dtype, variable.attrs)
            for name, variable in summary_variables(subject.system.loss_units).items()
            if name not in _UNKNOWN
        }
        attrs = {
            **sampler_attributes(subject, self.sampler(subject), self._engine(subject).n_samples),
            "data": "the run's own" if self.data is None else self.data,
        }
        if self.data is not None:  # what a trivial predictor costs there is not known
            attrs = {name: value for name, value in attrs.items() if not name.startswith("trivial")}
        coords = {
            "component": np.array(names, dtype=object),
            "n_parameters": (("component",), np.array(self._engine(subject).n_parameters, dtype=np.int64)),
        }
        return {self.group: Layout(variables, coords, attrs)}

    def measure(
        self, subject: Subject, steps: Sequence[int], stored: Sequence[Mapping[str, Arrays]], report: Report
    ) -> list[Mapping[str, Arrays]]:
        engine, names = self._engine(subject), list(self.chosen(subject))
        blocks: list[Mapping[str, Arrays]] = []
        for step in steps:
            w_star = weights(subject, step)
            if w_star is None:
                nothing = np.full(len(names), np.nan, dtype=np.float32)
                blocks.append({self.group: dict.fromkeys(set(SUMMARY) - set(_UNKNOWN), nothing)})
                continue
            results = engine.run([w_star], progress=lambda done, all: report(done / all))
            each = [summary(result) for result in results]
            kept = [name for name in SUMMARY if name not in _UNKNOWN]
            blocks.append({self.group: {name: np.stack([one[name] for one in each]) for name in kept}})
        return blocks

    def _engine(self, subject: Subject) -> Engine:
        def make() -> Engine:
            more: dict[str, Any] = (
                {} if self.data is None else {"data": self._pool(subject), "trivial_loss": None}
            )
            return subject.new_engine(
                spec, self.execution, components=self.chosen(subject), look_at_curvature=False, **more
            )

        spec = self.sampler(subject)
        return subject.engine(("refined", self.data, spec, self.execution, self.components), make)

    def _pool(self, subject: Subject) -> tuple[Tensor, ...]:
        if self.data is None:
            return subject.pool
        samples = subject.system.restricted_pool(self.data, subject.system.pool_size, subject.seed)
        return tuple(tensor.to(subject.device) for tensor in samples)
