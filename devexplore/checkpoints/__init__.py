"""Step → parameters, lazily. Importing this package needs no torch."""

from devexplore.checkpoints.local import LocalCheckpoints, save_checkpoint
from devexplore.checkpoints.weights import load_into, require_finite

__all__ = ["LocalCheckpoints", "load_into", "require_finite", "save_checkpoint"]
