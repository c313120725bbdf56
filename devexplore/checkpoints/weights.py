"""Between tensors and a model: names and shapes must match, and every weight must be a number."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from devexplore.errors import CheckpointMismatch, NonFiniteWeights

if TYPE_CHECKING:
    import torch


def load_into(model: "torch.nn.Module", tensors: "Mapping[str, torch.Tensor]", source: str) -> None:
    """Copy ``tensors`` into the parameters and buffers of ``model``, in place and strictly.

    ``source`` says where they come from and opens every message. Nothing is copied if anything is wrong.

    Raises ``CheckpointMismatch`` naming missing, extra and wrongly shaped tensors, and ``NonFiniteWeights``.
    """
    expected = model.state_dict()
    problems = _listing("missing", [name for name in expected if name not in tensors])
    problems += _listing("unknown to the model", [name for name in tensors if name not in expected])
    problems += _listing(
        "of another shape",
        [
            f"{name} {tuple(tensors[name].shape)}, model {tuple(expected[name].shape)}"
            for name in expected
            if name in tensors and tensors[name].shape != expected[name].shape
        ],
    )
    if problems:
        raise CheckpointMismatch(
            f"{source}: tensors do not fit the model: {'; '.join(problems)}; "
            "build the model with the settings in this run's run.json"
        )
    require_finite(tensors, source)
    model.load_state_dict(dict(tensors))


def require_finite(tensors: "Mapping[str, torch.Tensor]", source: str) -> None:
    """Raise ``NonFiniteWeights`` naming the first tensor that holds NaN or infinity."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            count = int((~tensor.isfinite()).sum())
            raise NonFiniteWeights(
                f"{source}: {count} of {tensor.numel()} weights of tensor {name!r} are NaN or infinite; "
                "training had diverged there: leave this checkpoint out, or train with a lower learning rate"
            )


def stored_tensors(
    tensors: "Mapping[str, torch.Tensor]", dtype: "torch.dtype | None", source: str
) -> "dict[str, torch.Tensor]":
    """Independent contiguous CPU copies with floating-point tensors cast to ``dtype``; checked to be finite.

    Copies, because tied weights share memory, which a safetensors file cannot express.
    """
    require_finite(tensors, source)
    stored = {}
    for name, tensor in tensors.items():
        target = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
        stored[name] = tensor.detach().to(device="cpu", dtype=target, copy=True).contiguous()
        if tensor.is_floating_point() and not bool(stored[name].isfinite().all()):
            raise NonFiniteWeights(
                f"{source}: tensor {name!r} has weights too large for {target}; save it as float32"
            )
    return stored


def _listing(what: str, names: Sequence[str], shown: int = 5) -> list[str]:
    """At most one phrase, such as ``2 missing (a, b)``."""
    if not names:
        return []
    more = f", and {len(names) - shown} more" if len(names) > shown else ""
    return [f"{len(names)} {what} ({', '.join(names[:shown])}{more})"]
