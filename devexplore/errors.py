"""Errors named after the concern. Each message is one line: what was expected, what came, what to do.

The command line prints the message after ``error:`` and exits with code 2; anything that is not a
``DevexploreError`` is a defect of ours and keeps its traceback.
"""


class DevexploreError(Exception):
    """Base of every error that a user's input or files can cause."""


class InvalidSpec(DevexploreError, ValueError):
    """A hyper-parameter or option is outside what it may be."""


class RunNotFound(DevexploreError, FileNotFoundError):
    """No file or folder lies where a run was expected."""


class SchemaError(DevexploreError, ValueError):
    """A folder is no run, or a group of a store does not have the expected layout."""


class NotMeasured(DevexploreError, LookupError):
    """A measurement that this run does not hold; the message names the command that makes it."""


class StoreConflict(DevexploreError):
    """New results do not belong beside the stored ones (another spec, other weights). Nothing was written."""


class DamagedStore(DevexploreError):
    """A stored block cannot be read (truncated or corrupted file). The message names the file."""


class NotWritable(DevexploreError, OSError):
    """A result could not be written: read-only folder, full disk, packed store, or another writer."""


class CheckpointMismatch(DevexploreError):
    """A checkpoint's tensors are not those of the model (missing, extra, or of another shape)."""


class CheckpointNotFound(DevexploreError, FileNotFoundError):
    """A folder holds no checkpoints, or none at the step asked for."""


class DamagedCheckpoint(DevexploreError):
    """A checkpoint file is truncated or corrupted. The message names the file."""


class UntrustedCheckpoint(DevexploreError):
    """A checkpoint file could run code when loaded (a pickle), or is no checkpoint at all."""


class NonFiniteWeights(DevexploreError):
    """A checkpoint holds NaN or infinite weights."""


class TrainingDiverged(DevexploreError):
    """The training loss became NaN or infinite."""


class MissingText(DevexploreError, FileNotFoundError):
    """The text a language run was trained on is not on this machine, or is not the same text."""


class MissingExtra(DevexploreError, ImportError):
    """An optional package is needed; the message gives the pip command."""
