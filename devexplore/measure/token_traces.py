"""Every token's loss along SGLD chains, thinned: what covariances of losses are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from devexplore import schema
from devexplore.errors import InvalidSpec
from devexplore.measure.base import Arrays, Layout, Measurement, Report
from devexplore.measure.llc import LLC, sampler_attributes, weights
from devexplore.measure.subject import Subject
from devexplore.sampling import Engine, Execution
from devexplore.store import Variable


@dataclass(frozen=True)
class TokenTraces(Measurement):
    """Loss of every position of the first ``sequences`` of the probe at each ``every``-th draw of the chains.

    The chains are those of ``LLC`` with the same settings (same seed, same walks), run again, so that traces
    can be kept for a few checkpoints of a run whose LLC is there already. Written to ``token_traces``.
    """

    sequences: int = 8
    every: int = 4
    settings: Mapping[str, Any] = field(default_factory=dict)
    calibrated: bool = False
    execution: Execution = field(default_factory=Execution)
    title: ClassVar[str] = "token traces"

    def __post_init__(self) -> None:
        for name in ("sequences", "every"):
            if getattr(self, name) < 1:
                raise InvalidSpec(f"{name} must be at least 1, got {getattr(self, name)}")

    @property
    def _llc(self) -> LLC:
        return LLC(self.settings, self.calibrated, self.execution)

    def spec(self, subject: Subject) -> Mapping[str, Any]:
        return {**self._llc.spec(subject), "sequences": self.sequences, "every": self.every}

    def seed(self, subject: Subject) -> int:
        return self._llc.seed(subject)

    def _draws(self, subject: Subject) -> np.ndarray:
        return np.arange(self.every - 1, self._llc.sampler(subject).draws, self.every)

    def groups(self, subject: Subject) -> Mapping[str, Layout]:
        sampler, draws = self._llc.sampler(subject), self._draws(subject)
        if len(draws) == 0:
            raise InvalidSpec(f"every {self.every}-th of {sampler.draws} draws is none: lower `every`")
        n_sequences, n_positions = self._position_losses(subject, subject.model).shape
        shape = (sampler.chains, len(draws), n_sequences, n_positions)
        units = subject.system.loss_units
        loss = Variable(
            ("chain", "draw", "sequence", "position"),
            shape,
            np.dtype(np.float32),
            {"units": units, "long_name": "loss of each position along the chains"},
        )
        baseline = Variable(
            ("sequence", "position"),
            shape[2:],
            np.dtype(np.float32),
            {"units": units, "long_name": "loss of each position at w*"},
        )
        status = Variable(
            ("chain",), shape[:1], np.dtype(np.int8), {"long_name": "0 healthy, 1 diverged and retired"}
        )
        at = sampler.burn_in + sampler.thinning * (draws + 1) - 1
        attrs = sampler_attributes(subject, sampler, len(subject.pool[0]))
        return {
            schema.TOKEN_TRACES: Layout(
                {"loss": loss, "baseline": baseline, "status": status}, {"draw": at}, attrs
            )
        }

    def measure(
        self, subject: Subject, steps: Sequence[int], stored: Sequence[Mapping[str, Arrays]], report: Report
    ) -> list[Mapping[str, Arrays]]:
        return [self._measure_one(subject, step, report) for step in steps]

    def _measure_one(self, subject: Subject, step: int, report: Report) -> Mapping[str, Arrays]:
        engine = self._llc.engine(subject)
        position = {int(draw): i for i, draw in enumerate(self._draws(subject))}
        w_star = weights(subject, step)
        layout = self.groups(subject)[schema.TOKEN_TRACES].variables
        loss = np.full(layout["loss"].shape, np.nan, dtype=np.float32)
        if w_star is None:
            baseline = np.full(layout["baseline"].shape, np.nan, dtype=np.float32)
            diverged = np.full(len(loss), schema.CHAIN_DIVERGED, dtype=np.int8)
            return {schema.TOKEN_TRACES: {"loss": loss, "baseline": baseline, "status": diverged}}

        def observe(draw: int, rows: Tensor, walkers: Tensor) -> None:
            if draw in position:
                for row, walker in zip(rows.tolist(), walkers, strict=True):
                    loss[row, position[draw]] = self._at(subject, engine, walker)

        (result,) = engine.run([w_star], progress=lambda done, all: report(done / all), observe=observe)
        baseline = self._position_losses(subject, subject.load(step))
        return {schema.TOKEN_TRACES: {"loss": loss, "baseline": baseline, "status": result.traces.status}}

    def _at(self, subject: Subject, engine: Engine, walker: Tensor) -> np.ndarray:
        named = engine.named(walker)

        def model(*inputs: Tensor) -> Tensor:
            return functional_call(subject.model, named, inputs)

        return self._position_losses(subject, model)

    def _position_losses(self, subject: Subject, model: Any) -> np.ndarray:
        batch = tuple(tensor[: self.sequences] for tensor in subject.probe_batch)
        with torch.no_grad():
            return subject.system.position_loss(model, batch).float().cpu().numpy()
