"""How the work is done: by which path, in blocks of how many rows, within how much memory.

None of it changes what is computed, beyond rounding.
"""

import logging
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, get_args

from torch import Tensor

from devexplore.errors import InvalidSpec
from devexplore.sampling.network import FlatNetwork, Path, Placed
from devexplore.sampling.randomness import block_steps
from devexplore.sampling.spec import LLCSpec

_LOG = logging.getLogger("devexplore")
_DEFAULT_MEMORY = "2GB"
_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BUFFERS = 9
"""Copies of a row of weights that one update holds: weights, w*, gradient, noise, drift, change and such."""

_TRIAL_SECONDS = 0.05
_SIZES = (8, 64, 256)
_WORTH_TRYING = 2e-4
"""Seconds of an update of one row. Below, no row by row path can be faster: a call alone takes as long."""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """path: "vectorized" (all rows of a block in one call), "sequential" (row by row), "compiled" (row by row
        through ``torch.compile``, which takes a C++ compiler and half a minute first), or "auto": the faster
        of the first two in a trial of a second or so, which is logged.
    rows_per_block: rows held at once; None lets the trial choose.
    memory: the most that sampling may hold, as "4GB" or a number of bytes; weights, data and a framework's
        own needs of a few hundred MB come on top.

    Raises InvalidSpec.
    """

    path: str = "auto"
    rows_per_block: int | None = None
    memory: str | int = _DEFAULT_MEMORY

    def __post_init__(self) -> None:
        paths = ("auto", *get_args(Path))
        if self.path not in paths:
            raise InvalidSpec(f"path must be one of {', '.join(paths)}, got {self.path!r}.")
        rows = self.rows_per_block
        if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int) or rows < 1):
            raise InvalidSpec(f"rows_per_block must be a whole number of at least 1, got {rows!r}.")
        if self.memory_bytes < 1:
            raise InvalidSpec(f"memory must be above 0, got {self.memory!r}.")

    @property
    def memory_bytes(self) -> int:
        if isinstance(self.memory, int) and not isinstance(self.memory, bool):
            return self.memory
        if not isinstance(self.memory, str):
            raise InvalidSpec(f"memory is given as 500MB or 4GB, or in bytes, got {self.memory!r}.")
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?B)?\s*", self.memory, re.IGNORECASE)
        if found is None:
            raise InvalidSpec(f"memory is given as 500MB or 4GB, got {self.memory!r}.")
        return int(float(found[1]) * _UNITS[(found[2] or "B").upper()])


class Plan(NamedTuple):
    """What was chosen, and what it takes."""

    path: Path
    rows_per_block: int
    seconds: float
    """Of one update of one row; NaN where nothing had to be tried."""


def choose_plan(
    network: FlatNetwork,
    placed: Placed,
    data: tuple[Tensor, ...],
    spec: LLCSpec,
    n_rows: int,
    execution: Execution,
) -> Plan:
    """The fastest path and block size within the memory, found by timing a few updates of each.

    Raises InvalidSpec if a single row does not fit.
    """
    batch = min(spec.batch_size, len(data[0]))
    wanted = execution.path
    candidates: list[tuple[Path, int]] = []
    if wanted in ("auto", "vectorized"):
        try:
            most = _most_rows(
                network, placed, data, batch, "vectorized", min(n_rows, _SIZES[0]), spec, execution
            )
        except RuntimeError:  # some layers and losses know no vectorized form, and only a trial tells
            if wanted == "vectorized":
                raise InvalidSpec("this loss knows no vectorized form: choose path='auto'.") from None
            most = 0
        most = min(n_rows, most, execution.rows_per_block or most)
        sizes = sorted({min(size, most) for size in _SIZES}) if most >= 1 else []
        candidates.extend(("vectorized", size) for size in sizes)
    if wanted in ("auto", "sequential", "compiled"):
        path: Path = "compiled" if wanted == "compiled" else "sequential"
        most = _most_rows(network, placed, data, batch, path, 1, spec, execution)
        if most >= 1:
            candidates.insert(1, (path, min(n_rows, most, execution.rows_per_block or 64)))
    if not candidates:
        need = _row_bytes(network, spec, len(data[0])) + row_pass_bytes(network, placed, data, batch)
        raise InvalidSpec(
            f"one chain of this network at batch size {batch} needs {_words(need)} of memory and "
            f"{_words(execution.memory_bytes)} are allowed: lower batch_size or raise memory."
        )
    plans = list(_tried(network, placed, data, batch, candidates))
    best = min(plans, key=lambda plan: plan.seconds)
    if execution.rows_per_block is not None:
        best = best._replace(rows_per_block=min(execution.rows_per_block, best.rows_per_block))
    _LOG.info(
        "%d rows of %d weights, batch %d: %s, %d at a time, %.3g ms an update and row (tried %s)",
        n_rows,
        network.n_parameters,
        batch,
        best.path,
        best.rows_per_block,
        1e3 * best.seconds,
        "; ".join(f"{p.path} {p.rows_per_block}: {1e3 * p.seconds:.3g} ms" for p in plans),
    )
    return best


def _tried(
    network: FlatNetwork,
    placed: Placed,
    data: tuple[Tensor, ...],
    batch: int,
    candidates: list[tuple[Path, int]],
) -> Iterator[Plan]:
    """Time the candidates in order, the least vectorized block first; where a call costs little more than
    calling, row by row is not tried, and once a block gets slower, larger ones are not.
    """
    last = float("inf")
    for path, rows in candidates:
        if path == "sequential" and last < _WORTH_TRYING:
            continue
        seconds = _seconds(network, placed, data, batch, path, rows)
        yield Plan(path, rows, seconds)
        if seconds < last and path == "sequential" and last < float("inf"):
            return
        if path == "vectorized" and seconds > 1.1 * last:
            return
        last = min(last, seconds)


def _seconds(
    network: FlatNetwork, placed: Placed, data: tuple[Tensor, ...], batch: int, path: Path, rows: int
) -> float:
    """Of one gradient of one row: the fastest of a few, for noise only ever slows down."""
    tried = rows if path == "vectorized" else 1
    gradient = network.gradient(path, placed.fixed)
    weights = placed.anchor.expand(tried, -1).contiguous()
    batches = tuple(tensor[:batch].expand(tried, *[-1] * tensor.ndim) for tensor in data)
    started, fastest = time.perf_counter(), float("inf")
    for attempt in range(50):
        begin = time.perf_counter()
        losses, _ = gradient(weights, batches, False)
        losses.sum().item()  # waits for an accelerator
        end = time.perf_counter()
        if attempt == 0:
            started = end  # the first call records
            continue
        fastest = min(fastest, end - begin)
        if end - started > _TRIAL_SECONDS and attempt >= 2:
            break
    return fastest / tried


def _row_bytes(network: FlatNetwork, spec: LLCSpec, n_samples: int) -> int:
    """Weights and what one update makes of them, traces, and the random numbers of a block of steps: drawn,
    then stacked, while those of the block before are still there.
    """
    size, steps = network.n_parameters, block_steps(network.n_parameters)
    buffers = _BUFFERS + (3 if spec.sampler == "rmsprop_sgld" else 0)
    indices = 8 * spec.batch_size if spec.batch_size < n_samples else 0
    random = 3 * steps * (4 * size + indices)
    return 4 * (size * buffers + 2 * spec.draws) + random


def _most_rows(
    network: FlatNetwork,
    placed: Placed,
    data: tuple[Tensor, ...],
    batch: int,
    path: Path,
    tried: int,
    spec: LLCSpec,
    execution: Execution,
) -> int:
    """Rows whose buffers and forward and backward passes fit into the memory together."""
    own = _row_bytes(network, spec, len(data[0]))
    if path == "vectorized":
        each = -(-network.required_bytes(path, placed, data, batch, tried) // tried)
        return execution.memory_bytes // (own + each)
    return (execution.memory_bytes - row_pass_bytes(network, placed, data, batch)) // own


def row_pass_bytes(network: FlatNetwork, placed: Placed, data: tuple[Tensor, ...], batch: int) -> int:
    """What forward and backward of one row hold at once; 0 where that cannot be told in advance."""
    try:
        return network.required_bytes("sequential", placed, data, batch)
    except RuntimeError:  # a loss that branches on its numbers cannot be recorded
        return 0


def _words(size: int) -> str:
    return f"{size / 1e9:.2g} GB" if size >= 10**9 else f"{size / 1e6:.2g} MB"
