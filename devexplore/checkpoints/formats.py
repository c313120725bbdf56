"""Reading one checkpoint file, and nothing but reading: no format may run code."""

import struct
import warnings
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Final

from devexplore.errors import DamagedCheckpoint, UntrustedCheckpoint

if TYPE_CHECKING:
    import torch

SAFETENSORS_SUFFIX: Final = ".safetensors"
PICKLE_SUFFIXES: Final = (".pt", ".pth", ".bin", ".pkl", ".ckpt")
STATE_KEYS: Final = ("state_dict", "model_state_dict", "model")
"""Where training scripts keep the weights when they save more than the weights."""

_WHAT_BROKEN_PICKLES_RAISE = (  # found by cutting and corrupting files at random
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    struct.error,
)
_HOW_TO_CONVERT = (
    "where it was made, save safetensors.torch.save_file(model.state_dict(), 'step_100.safetensors')"
)


def read_safetensors(path: Path) -> "dict[str, torch.Tensor]":
    """Tensors by name. Raises ``DamagedCheckpoint`` (truncated) or ``UntrustedCheckpoint`` (a pickle)."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    payload = path.read_bytes()
    try:
        return load(payload)
    except SafetensorError as error:
        # How pickles and torch's zipped pickles begin. Asked only of what safetensors refuses: the length
        # of a good file's header may begin with the same byte.
        if payload[:1] == b"\x80" or payload[:2] == b"PK":
            raise UntrustedCheckpoint(
                f"{path}: a pickle under the name of a safetensors file; {_HOW_TO_CONVERT}"
            ) from error
        raise DamagedCheckpoint(
            f"{path}: truncated or corrupted ({len(payload)} bytes; {error}); copy or train it again"
        ) from error


def read_pickle(path: Path) -> "dict[str, torch.Tensor]":
    """Tensors by name out of a torch pickle, by the loader that builds tensors and refuses everything else.

    Raises ``UntrustedCheckpoint`` if the file asks for anything but tensors in plain containers (nothing is
    executed then), ``DamagedCheckpoint`` if it is truncated.
    """
    import torch

    try:
        with warnings.catch_warnings():
            # A pickle of another protocol is read or refused like any other.
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise UntrustedCheckpoint(
            f"{path}: this pickle wants more than tensors and was not executed; {_HOW_TO_CONVERT}"
        ) from error
    except _WHAT_BROKEN_PICKLES_RAISE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DamagedCheckpoint(
            f"{path}: not a readable torch checkpoint ({reason}); copy it again"
        ) from error
    for key in STATE_KEYS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(t, torch.Tensor) for t in content.values()):
        raise UntrustedCheckpoint(f"{path}: holds no dictionary of tensors; {_HOW_TO_CONVERT}")
    return {str(name): tensor.detach() for name, tensor in content.items()}
