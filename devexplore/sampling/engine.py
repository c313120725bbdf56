"""Many local learning coefficients at once: checkpoints × grid points × components × chains as rows."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from devexplore.errors import InvalidSpec
from devexplore.sampling.chains import ChainTraces, baseline_losses, mean_gradient
from devexplore.sampling.curvature import Curvature, curvature, joined
from devexplore.sampling.execution import Execution, Plan, choose_plan, row_pass_bytes
from devexplore.sampling.network import FlatNetwork, PerSampleLoss, Placed, evaluating
from devexplore.sampling.points import Point, blocks, even
from devexplore.sampling.result import LLCResult, result_of
from devexplore.sampling.rows import Observe, Progress, Rows, RowTraces, run_rows
from devexplore.sampling.spec import LLCSpec
from devexplore.sampling.weights import Free
from devexplore.schema import CHAIN_DIVERGED, CHAIN_OK

_PASS_ELEMENTS, _LEAST_PASS_BATCH = 2**16, 64
_CURVATURE_ELEMENTS = 4096
_LEAST_CURVATURE_SAMPLES, _MOST_CURVATURE_SAMPLES = 32, 1024
_CHEAP_PASS = 2**26
"""Elements of data times weights up to which curvature is taken over all data."""

_LANCZOS_ITERATIONS = 8
_GRID_AXES = ("step_size", "n_beta", "localization")


class Engine:
    """A network, its loss, its data and a spec, ready for any number of checkpoints.

    components: {name: the weights that move}; None: one component, all weights. See ``weights.Free``.
    trivial_loss: loss of a predictor that ignores its input, for the verdict; ``trivial_name`` says which.
    baseline_batch: most samples at a time in passes over all data (memory and time only); None: many of small
        samples, few of large ones.
    look_at_curvature: whether to run Lanczos and take the slope at each w*, for the verdict.

    Raises InvalidSpec (data or loss of the wrong shape, components that fit nothing).
    """

    def __init__(
        self,
        model: nn.Module,
        per_sample_loss: PerSampleLoss,
        data: tuple[Tensor, ...],
        spec: LLCSpec,
        *,
        components: Mapping[str, Free | None] | None = None,
        trivial_loss: float | None = None,
        trivial_name: str = "trivial predictor",
        baseline_batch: int | None = None,
        look_at_curvature: bool = True,
        execution: Execution | None = None,
    ) -> None:
        sizes = {len(tensor) for tensor in data}
        if not isinstance(data, tuple) or len(sizes) != 1 or 0 in sizes:
            raise InvalidSpec(
                f"data must be a tuple of tensors with the same number of samples, got {sorted(sizes)}."
            )
        if baseline_batch is not None and baseline_batch < 1:
            raise InvalidSpec(f"baseline_batch must be at least 1, got {baseline_batch}.")
        if components is not None and len(components) == 0:
            raise InvalidSpec("components must name at least one component, or be None for all weights.")
        self._execution = execution if execution is not None else Execution()
        kept = 16 * spec.chains * spec.draws
        if kept > self._execution.memory_bytes:
            raise InvalidSpec(
                f"{spec.chains:,} chains of {spec.draws:,} draws are {kept / 1e9:.3g} GB of losses and "
                f"{self._execution.memory_bytes / 1e9:.3g} GB are allowed: lower them, or raise memory."
            )
        self.spec = spec
        self._model, self._baseline_batch, self._look = model, baseline_batch, look_at_curvature
        self._network = FlatNetwork(model, per_sample_loss, spec.precision)
        # differences of gradients need all the digits there are
        self._exact = self._network if spec.precision == "float32" else FlatNetwork(model, per_sample_loss)
        self._data = tuple(_on_device(tensor, self._network.device) for tensor in data)
        self._trivial = (trivial_loss, trivial_name)
        self.components = tuple(components) if components is not None else ("all",)
        masks = (
            [self._network.mask(free) for free in components.values()] if components is not None else [None]
        )
        everything = torch.ones(self._network.n_parameters, dtype=torch.bool, device=self._network.device)
        filled = [everything if mask is None else mask for mask in masks]
        self._free = None if all(mask is None for mask in masks) else torch.stack(filled)
        self._plan: Plan | None = None
        self._fitting: int | None = None
        self._checked = False

    @property
    def n_parameters(self) -> list[int]:
        """Weights that move, of each component."""
        if self._free is None:
            return [self._network.n_parameters] * len(self.components)
        return self._free.sum(dim=1).tolist()

    @property
    def n_samples(self) -> int:
        return len(self._data[0])

    def anchor(self, w_star: Mapping[str, Tensor] | None) -> Float[Tensor, " parameter"]:
        """w* as one vector: the weights that ``observe`` sees are laid out like it."""
        return self._network.place(w_star).anchor

    def named(self, weights: Float[Tensor, " parameter"]) -> dict[str, Tensor]:
        """A vector of weights, such as ``observe`` sees, by the model's parameter names."""
        return self._network.unflatten(weights)

    def plan(self, w_star: Mapping[str, Tensor] | None, n_rows: int) -> Plan:
        """How rows will be run; timed once, at the first call, on this checkpoint."""
        if self._plan is None:
            with evaluating(self._model):
                placed = self._network.place(w_star)
                self._check(placed)
                self._plan = choose_plan(
                    self._network, placed, self._data, self.spec, n_rows, self._execution
                )
        return self._plan

    def baseline(self, w_star: Mapping[str, Tensor] | None) -> Float[np.ndarray, " sample"]:
        """The loss of every sample at w*."""
        with evaluating(self._model):
            placed = self._network.place(w_star)
            return self._losses(placed).cpu().numpy()

    def run(
        self,
        w_stars: Sequence[Mapping[str, Tensor] | None],
        *,
        grid: Sequence[LLCSpec] | None = None,
        baselines: Sequence[Float[np.ndarray, " sample"]] | None = None,
        progress: Progress | None = None,
        observe: Observe | None = None,
    ) -> list[LLCResult]:
        """Estimates in order (checkpoint, grid point, component).

        grid: specs that differ from the engine's in step_size, n_beta and localization only; None: its own.
        baselines: per-sample losses at each w* from an earlier ``baseline``; None computes them.
        progress: called with (updates done, updates in all) every few dozen updates.
        observe: called with (draw, rows, weights) at every draw; rows count chains within the results' order.

        Chains that diverge are marked and left out of their estimate; they raise nothing.

        Raises InvalidSpec, NonFiniteWeights, CheckpointMismatch.
        """
        grid = [self.spec] if grid is None else list(grid)
        for spec in grid:
            _check_grid_point(spec, self.spec)
        with evaluating(self._model):
            placed = [self._network.place(w_star) for w_star in w_stars]
            if placed:
                self._check(placed[0])
            if baselines is None:
                losses = [self._losses(p) for p in placed]
            else:
                losses = [torch.as_tensor(b, device=self._network.device) for b in baselines]
            bends = [self._curvature(p) if self._look else None for p in placed]
            points = [
                Point(checkpoint, spec, component)
                for checkpoint in range(len(placed))
                for spec in grid
                for component in range(len(self.components))
            ]
            plan = self.plan(w_stars[0], len(points) * self.spec.chains) if points else None
            results: list[LLCResult] = []
            total = len(points) * self.spec.chains * self.spec.updates
            for block in blocks(points, placed, plan.rows_per_block if plan else 1, self.spec.chains):
                done = len(results) * self.spec.chains * self.spec.updates
                report = None if progress is None else _offset(progress, done, total)
                walked = self._walk(
                    block, placed, losses, report, _later(observe, len(results) * self.spec.chains)
                )
                for point, traces in zip(block, walked, strict=True):
                    results.append(self._result(point, traces, bends[point.checkpoint]))
        return results

    def summarise(self, w_star: Mapping[str, Tensor] | None, traces: ChainTraces) -> LLCResult:
        """The result of chains run earlier from this w* at the engine's own settings (first component)."""
        with evaluating(self._model):
            bends = self._curvature(self._network.place(w_star)) if self._look else None
        return self._result(Point(0, self.spec, 0), traces, bends)

    def _walk(
        self,
        points: Sequence[Point],
        placed: Sequence[Placed],
        losses: Sequence[Float[Tensor, " sample"]],
        progress: Progress | None,
        observe: Observe | None,
    ) -> Iterator[ChainTraces]:
        """The chains of these points, in blocks of rows."""
        assert self._plan is not None
        device, chains = self._network.device, self.spec.chains
        used = sorted({point.checkpoint for point in points})
        anchors = torch.stack([placed[c].anchor for c in used])
        baselines = torch.stack([losses[c] for c in used])
        keys = [
            (
                self.spec.seed,
                chain,
                *(() if self.spec.shared_noise else (_digest(placed[p.checkpoint].anchor),)),
            )
            for p in points
            for chain in range(chains)
        ]

        def column(values: Sequence[float]) -> Tensor:
            return torch.tensor(values, dtype=torch.float32, device=device).repeat_interleave(chains)

        rows = Rows(
            column([used.index(p.checkpoint) for p in points]).long(),
            column([p.component for p in points]).long(),
            column([p.spec.step_size for p in points]),
            column([p.spec.n_beta_for(self.n_samples) for p in points]),
            column([p.spec.localization for p in points]),
            keys,
        )
        gradient = self._network.gradient(self._plan.path, placed[used[0]].fixed)
        size = even(len(keys), self._plan.rows_per_block)
        parts: list[RowTraces] = []
        for first in range(0, len(keys), size):
            some = rows.take(torch.arange(first, min(first + size, len(keys)), device=device))
            report = None
            if progress is not None:
                report = _offset(progress, first * self.spec.updates, len(keys) * self.spec.updates)
            parts.append(
                run_rows(
                    gradient,
                    self._data,
                    anchors,
                    baselines,
                    some,
                    self.spec,
                    free=self._free,
                    progress=report,
                    observe=_later(observe, first),
                )
            )
        loss, baseline, diverged, distance = (
            torch.cat(field).cpu().numpy() for field in zip(*parts, strict=True)
        )
        for i, point in enumerate(points):
            own = slice(i * chains, (i + 1) * chains)
            anchor = placed[point.checkpoint].anchor
            moving = anchor if self._free is None else anchor[self._free[point.component]]
            yield ChainTraces(
                loss=loss[own],
                baseline=baseline[own],
                status=np.where(diverged[own], CHAIN_DIVERGED, CHAIN_OK).astype(np.int8),
                distance=distance[own],
                init_loss=float(losses[point.checkpoint].cpu().double().mean()),
                anchor_norm=float(moving.norm()),
            )

    def _check(self, placed: Placed) -> None:
        if not self._checked:
            self._network.check(placed, self._data)
            self._checked = True

    def _losses(self, placed: Placed) -> Float[Tensor, " sample"]:
        return baseline_losses(self._network, placed, self._data, self._pass_batch(placed))

    def _pass_batch(self, placed: Placed) -> int:
        """Samples that a pass over all data takes at once: ``baseline_batch``, or fewer within the memory."""
        if self._fitting is None:
            usual = max(_PASS_ELEMENTS // max(1, self._data[0][0].numel()), _LEAST_PASS_BATCH)
            batch = min(self._baseline_batch or usual, self.n_samples)
            needed = row_pass_bytes(self._exact, placed, self._data, batch)
            share = self._execution.memory_bytes / max(needed, 1)
            self._fitting = max(1, min(batch, int(batch * share)))
        return self._fitting

    def _curvature(self, placed: Placed) -> Curvature:
        """Curvature and slope at one w*, one row for each component."""
        each = max(1, self._data[0][0].numel())
        count = min(max(_CURVATURE_ELEMENTS // each, _LEAST_CURVATURE_SAMPLES), _MOST_CURVATURE_SAMPLES)
        whole = self.n_samples * each * self._network.n_parameters <= _CHEAP_PASS
        count = self.n_samples if whole else min(count, self.n_samples)
        some, batch = tuple(tensor[:count] for tensor in self._data), self._pass_batch(placed)
        gradient = self._exact.gradient("sequential", placed.fixed)
        weights = placed.anchor[None]
        slope = mean_gradient(gradient, weights, self._data, batch)
        found = [
            curvature(
                lambda at: mean_gradient(gradient, at, some, batch),
                weights,
                slope=slope,
                free=None if self._free is None else self._free[component, None],
                iterations=_LANCZOS_ITERATIONS,
            )
            for component in range(
                len(self.components)
            )  # one by one: Lanczos keeps many copies of the weights
        ]
        bends = joined(found)
        if count < self.n_samples:  # a subsample's Hessian has downhill directions of its own noise
            bends = bends._replace(descent=np.full_like(bends.descent, np.nan))
        return bends

    def _result(self, point: Point, traces: ChainTraces, bends: Curvature | None) -> LLCResult:
        return result_of(
            traces,
            point.spec,
            n_samples=self.n_samples,
            n_parameters=self.n_parameters[point.component],
            bends=bends,
            component=point.component,
            trivial=self._trivial,
        )


def _check_grid_point(spec: LLCSpec, own: LLCSpec) -> None:
    same = replace(spec, **{axis: getattr(own, axis) for axis in _GRID_AXES})
    if same != own:
        raise InvalidSpec(
            f"points of a grid may differ in {', '.join(_GRID_AXES)} only, not in other settings"
        )


def _digest(weights: Float[Tensor, " parameter"]) -> int:
    return int.from_bytes(hashlib.sha256(weights.cpu().numpy().tobytes()).digest()[:8], "big")


def _offset(progress: Progress, before: int, total: int) -> Progress:
    return lambda done, _: progress(before + done, total)


def _later(observe: Observe | None, before: int) -> Observe | None:
    if observe is None:
        return None
    return lambda draw, rows, weights: observe(draw, rows + before, weights)


def _on_device(tensor: Tensor, device: torch.device) -> Tensor:
    return tensor.to(device, torch.float32 if tensor.is_floating_point() else tensor.dtype)
