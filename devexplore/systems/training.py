"""Training that can be stopped at any moment and gives the same weights as if it had not been.

One file, ``resume.safetensors``, holds weights, optimizer state and step, and is replaced atomically;
checkpoints are written before it. Batches depend on (seed, step) alone. So after Ctrl-C, a crash or ``kill
-9``, training goes on from the last saved step and walks the same path again, bit for bit on the same CPU
with the same number of threads.
"""

import csv
import json
import math
import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from tqdm.auto import tqdm

from devexplore import schema
from devexplore.checkpoints.local import save_checkpoint
from devexplore.errors import NotWritable, SchemaError, StoreConflict, TrainingDiverged
from devexplore.paths import is_there
from devexplore.systems.base import System, is_whole, require

SAVE_EVERY_SECONDS = 30.0
RESUME_FILE = "resume.safetensors"
CSV_FIELDS = ("step", "loss", "learning_rate", "samples_seen", "seconds")


def checkpoint_schedule(steps: int, linear: int, logarithmic: int) -> list[int]:
    """Steps at which checkpoints are kept: integer-linear ∪ integer-log spacing, with 0 and ``steps``."""
    even = np.linspace(0, steps, linear + 1).round().astype(int)
    log = np.geomspace(1, steps, logarithmic).round().astype(int)
    return sorted({0, steps, *even.tolist(), *log.tolist()})


def choose_device(name: str) -> torch.device:
    """``auto`` takes CUDA, then MPS, then the CPU; a device that is not there is an InvalidSpec."""
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if available[kind]))
    kind, _, number = name.partition(":")
    require(
        kind in available and (name == kind or number.isdecimal()),
        f"unknown device {name!r}; use auto, cpu, cuda or mps",
    )
    there = available[kind] and (kind != "cuda" or int(number or 0) < torch.cuda.device_count())
    require(there, f"device {name!r} is not available on this machine; use --device cpu")
    return torch.device(name)


@dataclass
class _State:
    """What changes while training: the network, its optimizer, and how far they are."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    step: int
    seconds: float


def train(
    system: System,
    out: Path,
    *,
    preset: str = "custom",
    seed: int = 0,
    device: str = "auto",
    weights: str = "float32",
    progress: bool = True,
    stop_after: int | None = None,
    log: Callable[[str], None] = tqdm.write,
) -> Path:
    """Train a system into the run folder ``out``, or go on with the training found there.

    ``weights`` is the dtype in which checkpoints are kept (float32 or float16); training itself is float32
    and resumes from a float32 state. ``stop_after`` ends the session early at that step, as Ctrl-C would;
    the run can be resumed.

    Raises
    ------
    StoreConflict
        ``out`` holds another run (another spec or seed), or a folder of something else. Nothing is changed.
    TrainingDiverged
        The loss became NaN or infinite; checkpoints up to then are kept.
    """
    dtypes = {"float32": torch.float32, "float16": torch.float16}
    require(weights in dtypes, f"weights must be float32 or float16, got {weights!r}")
    require(is_whole(seed, 0), f"seed must be a whole number of at least 0, got {seed!r}")
    where = choose_device(device)
    spec = system.spec
    schedule = checkpoint_schedule(spec.steps, spec.linear_checkpoints, spec.log_checkpoints)
    recipe = _claim_folder(system, out, preset, seed, weights, schedule, where)
    if recipe.get("finished"):
        log(f"{out} is already trained to step {spec.steps:,}.")
        return out

    model = system.network()
    system.initialise(model, seed)
    model.to(where)
    state = _State(model, system.optimizer(model), 0, 0.0)
    if (out / RESUME_FILE).exists():
        _load_state(state, out / RESUME_FILE)
        log(f"going on with {out} from step {state.step:,}")
    rows = _LogFile(out / schema.TRAINING_LOG, keep_up_to=state.step)

    keep, last = set(schedule), min(spec.steps, stop_after if stop_after is not None else spec.steps)
    log_every = max(1, spec.steps // 1000)
    started, saved = time.monotonic() - state.seconds, time.monotonic()
    bar = tqdm(total=spec.steps, initial=state.step, unit="step", disable=not progress, dynamic_ncols=True)
    try:
        while True:
            batch = tuple(tensor.to(where) for tensor in system.batch(seed, state.step))
            loss = system.per_sample_loss(model, batch).mean()
            due = time.monotonic() - saved > SAVE_EVERY_SECONDS or state.step >= last
            logged = state.step in keep or state.step % log_every == 0
            if logged or due:  # looked at before anything is saved: what diverged leaves no file
                value = loss.item()
                if not math.isfinite(value):
                    raise TrainingDiverged(
                        f"{out}: the training loss became {value} at step {state.step:,}; "
                        "train again into another folder with a lower learning rate"
                    )
            if logged:
                rate, seen = system.learning_rate(state.step), state.step * system.batch_size
                rows.add(state.step, loss.item(), rate, seen, time.monotonic() - started)
                bar.set_postfix_str(f"loss {loss.item():.4f}", refresh=False)
            if state.step in keep:
                file = out / schema.CHECKPOINTS_FOLDER / f"step_{state.step:08d}.safetensors"
                save_checkpoint(file, model.state_dict(), dtypes[weights])
            if due:
                state.seconds = time.monotonic() - started
                rows.flush()
                _save_state(state, out / RESUME_FILE)
                saved = time.monotonic()
            if state.step >= last:
                break
            for group in state.optimizer.param_groups:
                group["lr"] = system.learning_rate(state.step)
            state.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            clip = getattr(spec, "gradient_clip", None)
            if clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            with _interrupts_wait():
                state.optimizer.step()
                state.step += 1
            bar.update()
    except KeyboardInterrupt:
        state.seconds = time.monotonic() - started
        rows.flush()
        _save_state(state, out / RESUME_FILE)
        log(f"stopped at step {state.step:,}; the same command goes on from there")
        raise
    finally:
        bar.close()
        rows.flush()
    if state.step >= spec.steps:
        recipe |= {"finished": True, "seconds": round(state.seconds, 1)}
        _write_json(out / schema.RUN_FILE, recipe)
        (out / RESUME_FILE).unlink()
    return out


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Ctrl-C inside the block takes effect when it ends, so that no half-made update is ever saved."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield  # here no signal can arrive, or it would not interrupt Python
        return
    received: list[tuple[Any, Any]] = []
    signal.signal(signal.SIGINT, lambda number, frame: received.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if received:
        before(*received[0])


def _claim_folder(
    system: System, out: Path, preset: str, seed: int, weights: str, schedule: list[int], device: torch.device
) -> dict[str, Any]:
    """Read or write ``run.json``; refuse a folder that holds anything but this very training."""
    wanted = {
        "system": system.name,
        "seed": seed,
        "weights": weights,
        "schedule": schedule,
        **system.recipe(),
    }
    path = out / schema.RUN_FILE
    if is_there(path):
        try:
            recipe = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise SchemaError(
                f"{path} is not valid JSON ({error}); restore it or train into another folder"
            ) from None
        if not isinstance(recipe, dict):
            raise SchemaError(f"{path} is no run's recipe; train into another folder")
        wanted = json.loads(json.dumps(wanted))
        differ = [key for key, value in wanted.items() if recipe.get(key) != value]
        if differ:
            raise StoreConflict(
                f"{out} holds another run (different {', '.join(differ)}); choose another folder with --out"
            )
        return recipe
    if is_there(out) and not out.is_dir():
        raise StoreConflict(f"{out} is a file; choose a folder with --out")
    if is_there(out):
        # Only the files of a training killed as it began may lie here: they are those we are about to write.
        files = system.files()
        ours = {name for name, text in files.items() if _holds(out / name, text)}
        ours |= {Path(name).with_suffix(".tmp").name for name in (*files, schema.RUN_FILE)}
        if {found.name for found in out.iterdir()} - ours:
            raise StoreConflict(
                f"{out} exists and is no run (no {schema.RUN_FILE}); choose an empty folder with --out"
            )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotWritable(
            f"{out}: cannot make this folder ({error.strerror}); choose another with --out"
        ) from None
    recipe = {
        "format": schema.FORMAT,
        "version": schema.FORMAT_VERSION,
        "name": out.resolve().name,
        "preset": preset,
        **wanted,
        "parameters": sum(parameter.numel() for parameter in system.network().parameters()),
        "versions": {name: version(name) for name in ("devexplore", "torch", "numpy", "safetensors")},
        "python": platform.python_version(),
        "hardware": f"{device.type}, {platform.machine()}, {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} torch threads",
        "finished": False,
    }
    for name, text in system.files().items():
        _write(out / name, text)
    _write_json(path, recipe)  # last: from here on this is a run
    return recipe


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode()


def _write_json(path: Path, content: dict[str, Any]) -> None:
    _write(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _write(path: Path, text: str) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(text.encode())
    temporary.replace(path)


def _save_state(state: _State, path: Path) -> None:
    """Weights and optimizer moments in one safetensors file; the step travels in the same file, so they
    cannot disagree.
    """
    tensors = {f"model.{name}": tensor for name, tensor in state.model.state_dict().items()}
    for index, slots in state.optimizer.state_dict()["state"].items():
        tensors |= {
            f"optimizer.{index}.{slot}": torch.as_tensor(value)
            for slot, value in slots.items()
            if value is not None
        }
    tensors["step"], tensors["seconds"] = (
        torch.tensor(state.step),
        torch.tensor(state.seconds, dtype=torch.float64),
    )
    save_checkpoint(path, tensors, None)


def _load_state(state: _State, path: Path) -> None:
    try:
        with safe_open(path, framework="pt") as file:
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise SchemaError(f"{path} cannot be read ({error}); delete it to train again from step 0") from None
    weights = {name[6:]: tensor for name, tensor in tensors.items() if name.startswith("model.")}
    if set(weights) != set(state.model.state_dict()) or not {"step", "seconds"} <= set(tensors):
        raise SchemaError(f"{path} is of another network; delete it to train again from step 0")
    state.model.load_state_dict(weights)
    slots: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, slot = name.split(".")
            slots.setdefault(int(index), {})[slot] = tensor
    state.optimizer.load_state_dict(
        {"state": slots, "param_groups": state.optimizer.state_dict()["param_groups"]}
    )
    state.step, state.seconds = int(tensors["step"]), float(tensors["seconds"])


class _LogFile:
    """``training.csv``: rows beyond the resumed step are dropped, so that no step stands in it twice."""

    def __init__(self, path: Path, keep_up_to: int) -> None:
        self.path = path
        kept: dict[int, dict[Any, Any]] = {}
        if path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                # A row without its last field was cut off by a kill.
                whole = (row for row in csv.DictReader(file) if row["seconds"])
                kept = {int(row["step"]): row for row in whole if int(row["step"]) < keep_up_to}
        temporary = path.with_suffix(".tmp")
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, CSV_FIELDS, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(kept.values())
        temporary.replace(path)
        self.pending: list[tuple[float, ...]] = []

    def add(self, *row: float) -> None:
        self.pending.append(row)

    def flush(self) -> None:
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(
                (step, f"{loss:.6g}", f"{rate:.6g}", seen, f"{s:.1f}")
                for step, loss, rate, seen, s in self.pending
            )
        self.pending.clear()
