"""The measurements of a run on disk: written block by block, opened lazily, packed when finished."""

from devexplore.store.damage import Repair
from devexplore.store.files import pack
from devexplore.store.group import GroupWriter, Variable
from devexplore.store.lock import writer_of
from devexplore.store.provenance import as_json, library_versions, provenance
from devexplore.store.store import Store

__all__ = [
    "GroupWriter",
    "Repair",
    "Store",
    "Variable",
    "as_json",
    "library_versions",
    "pack",
    "provenance",
    "writer_of",
]
