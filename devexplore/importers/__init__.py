"""Other people's files as runs."""

from devexplore.importers.table import import_table

__all__ = ["import_table"]
