"""Checkpoints in a local folder: one file a checkpoint, the training step in its name.

Importing this module, listing steps and hashing files need no torch; loading does.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int64

from devexplore.checkpoints.formats import PICKLE_SUFFIXES, SAFETENSORS_SUFFIX, read_pickle, read_safetensors
from devexplore.checkpoints.weights import require_finite, stored_tensors
from devexplore.errors import CheckpointNotFound, NotWritable, SchemaError

if TYPE_CHECKING:
    import torch


class LocalCheckpoints:
    """The checkpoints of one run in one folder, loaded one at a time.

    A checkpoint is a file such as ``step_00000100.safetensors``: the last whole number in its name is the
    training step. ``.safetensors`` is preferred; plain dictionaries of tensors in ``.pt .pth .bin .pkl
    .ckpt`` are read too, without ever running what a pickle asks to run.

    Raises ``CheckpointNotFound`` if the folder is missing or holds no checkpoint, ``SchemaError`` if two
    files claim the same step.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise CheckpointNotFound(
                f"{self.folder}: no such folder; give the one that holds files like step_100.safetensors"
            )
        self._paths = _paths_by_step(self.folder)
        if len(self._paths) == 0:
            raise CheckpointNotFound(
                f"{self.folder}: no checkpoints in this folder; expected files like step_100.safetensors "
                "(the last number in the name is the training step)"
            )

    @cached_property
    def steps(self) -> Int64[np.ndarray, " step"]:
        """Training steps of the checkpoints, increasing."""
        return np.array(sorted(self._paths), dtype=np.int64)

    def path(self, step: int) -> Path:
        """The file of one step. Raises ``CheckpointNotFound``, naming the nearest step there is."""
        try:
            return self._paths[int(step)]
        except KeyError:
            nearest = self.steps[np.argmin(np.abs(self.steps - int(step)))]
            raise CheckpointNotFound(
                f"{self.folder}: no checkpoint at step {step}; the nearest is step {nearest}"
            ) from None

    def content_hash(self, step: int) -> str:
        """First 16 hex digits of the SHA-256 of the file: the identity of these weights in every store."""
        return hashlib.sha256(self.path(step).read_bytes()).hexdigest()[:16]

    def load(self, step: int) -> "dict[str, torch.Tensor]":
        """Tensors by name, on the CPU; floating-point ones as float32 whatever the file holds.

        Raises ``DamagedCheckpoint``, ``UntrustedCheckpoint`` or ``NonFiniteWeights``, each naming the file.
        """
        path = self.path(step)
        read = read_safetensors if path.suffix == SAFETENSORS_SUFFIX else read_pickle
        tensors = {name: t.float() if t.is_floating_point() else t for name, t in read(path).items()}
        require_finite(tensors, f"{path} (step {step})")
        return tensors

    def __len__(self) -> int:
        return len(self._paths)

    def __repr__(self) -> str:
        return f"LocalCheckpoints({str(self.folder)!r}: {len(self)} steps {self.steps[0]} … {self.steps[-1]})"


def save_checkpoint(
    path: str | os.PathLike[str], tensors: "Mapping[str, torch.Tensor]", dtype: "torch.dtype | None" = None
) -> None:
    """Write tensors as one safetensors file that is either wholly there or not there at all.

    Floating-point tensors are stored as ``dtype`` (None: as they are), others as they are. The bytes depend
    on the tensors alone, so equal weights have equal ``content_hash``. The file appears under its name only
    when it is on the disk (temporary file, fsync, rename).

    Raises ``NonFiniteWeights`` (also when a finite weight overflows ``dtype``) and ``NotWritable``; an
    existing file is left as it was.
    """
    from safetensors.torch import save

    path = Path(path)
    payload = save(stored_tensors(tensors, dtype, str(path)))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(payload)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise NotWritable(
            f"{path}: checkpoint not written ({error.strerror}); free some space or choose another folder"
        ) from error


def _paths_by_step(folder: Path) -> dict[int, Path]:
    paths: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        numbers = re.findall(r"\d+", path.stem)
        known = path.suffix == SAFETENSORS_SUFFIX or path.suffix in PICKLE_SUFFIXES
        if not known or not numbers or path.name.startswith(".") or not path.is_file():
            continue
        step = int(numbers[-1])
        if step in paths:
            raise SchemaError(
                f"{folder}: {paths[step].name} and {path.name} both claim step {step}; keep one file a step"
            )
        paths[step] = path
    return paths
