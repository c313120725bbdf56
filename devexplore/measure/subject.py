"""What is measured: one run's network, probe and data on one device."""

from collections.abc import Callable, Hashable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from devexplore import schema, systems
from devexplore.arguments import require_run
from devexplore.checkpoints import load_into
from devexplore.errors import NotMeasured, SchemaError
from devexplore.run import Run
from devexplore.sampling import Engine, Execution, LLCSpec
from devexplore.schema import RUN_FILE, TABLE
from devexplore.systems import Probe, System


class Subject:
    """A run made ready for forward passes. Data are drawn once, from the run's own seed."""

    def __init__(self, run: Run, device: torch.device) -> None:
        require_run(run)
        self.run = run
        if run.system == TABLE:
            raise NotMeasured(
                f"{run.path} was imported from a table: it has no network, so nothing can be measured on it"
            )
        lost = [name for name in ("seed", "spec") if name not in run.recipe]
        if lost:
            raise SchemaError(f"{run.path / RUN_FILE} lacks {', '.join(lost)}; restore it from where it came")
        self.seed = int(run.recipe["seed"])
        self.system: System = systems.from_recipe(run.recipe, run.path)
        self.device = device
        self._engines: dict[Hashable, Engine] = {}
        self.model: nn.Module = self.system.network().to(device).eval()

    @cached_property
    def probe(self) -> Probe:
        return self.system.probe(self.seed)

    @cached_property
    def probe_batch(self) -> tuple[Tensor, ...]:
        """The probe's inputs: those stored with the run, so that its text need not be on this machine."""
        batch = None
        if self.run.has(schema.PROBE):
            stored = self.run.dataset(schema.PROBE)
            batch = self.system.stored_probe({str(name): stored[name].values for name in stored})
        return tuple(tensor.to(self.device) for tensor in (self.probe.batch if batch is None else batch))

    @cached_property
    def held_out(self) -> tuple[Tensor, ...]:
        samples = self.system.pool(self.system.held_out_size, self.seed, held_out=True)
        return tuple(tensor.to(self.device) for tensor in samples)

    @cached_property
    def pool(self) -> tuple[Tensor, ...]:
        return tuple(tensor.to(self.device) for tensor in self.system.pool(self.system.pool_size, self.seed))

    def engine(self, key: Hashable, make: Callable[[], Engine]) -> Engine:
        """A sampler on this network, kept by ``key``, so that what it recorded and timed serves again."""
        if key not in self._engines:
            self._engines[key] = make()
        return self._engines[key]

    def new_engine(self, spec: LLCSpec, execution: Execution, **other: Any) -> Engine:
        """A sampler of this network on its pool, judged against its system's trivial predictor; ``other``
        arguments of ``Engine`` come before these.
        """
        usual: dict[str, Any] = {
            "data": self.pool if "data" not in other else None,
            "trivial_loss": self.system.trivial_loss,
            "trivial_name": self.system.trivial_name,
            "baseline_batch": self.system.eval_batch,
        }
        return Engine(
            self.model, self.system.per_sample_loss, spec=spec, execution=execution, **{**usual, **other}
        )

    def load(self, step: int) -> nn.Module:
        """The network with the weights of one checkpoint.

        Raises the errors of ``LocalCheckpoints.load`` and ``load_into``, each naming the file.
        """
        load_into(self.model, self.run.checkpoints.load(step), str(self.run.checkpoints.path(step)))
        return self.model
