"""Where a store's files lie: a folder, a packed zip or a URL; and how a lost file is noticed."""

import os
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from zarr.core.sync import sync
from zarr.storage import FsspecStore, LocalStore, WrapperStore, ZipStore

from devexplore.errors import DamagedStore, MissingExtra, RunNotFound
from devexplore.paths import as_argument
from devexplore.schema import MEASURED, RUN_FILE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from zarr.abc.store import ByteRequest
    from zarr.abc.store import Store as ZarrStore
    from zarr.core.buffer import Buffer, BufferPrototype

CHUNK: Final = re.compile(r"(^|/)c(/\d+)*$")
PARTIAL: Final = ".partial"
"""How the names of Zarr's temporary files end; each becomes a file of the store by one rename."""

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


def is_url(path: str | os.PathLike[str]) -> bool:
    """Whether this is a URL such as ``s3://bucket/run`` and no local path."""
    return re.match(r"[a-z][a-z0-9+.-]+://", os.fspath(path)) is not None


def open_files(path: str | os.PathLike[str], read_only: bool) -> "ZarrStore":
    """The files of a store. Raises ``RunNotFound``, ``DamagedStore`` (broken zip) or ``MissingExtra``."""
    if is_url(path):
        return _open_url(os.fspath(path))
    path = Path(path)
    if path.is_file():
        try:
            # Opened at once, so that a broken archive is found here and not at the first number read.
            zipfile.ZipFile(path).close()
        except zipfile.BadZipFile as error:
            raise DamagedStore(f"{path}: truncated or no zip archive ({error}); copy it again") from error
        return sync(ZipStore.open(path, mode="r"))
    if read_only and not path.is_dir():
        raise RunNotFound(f"{path}: no store here; `devexplore measure` makes one")
    return LocalStore(path, read_only=read_only)


def damaged(path: str | os.PathLike[str], file: str, reason: str) -> DamagedStore:
    """The error for one unreadable file of the store at ``path``, with the remedy that fits its place."""
    if is_url(path) or Path(path).is_file():
        remedy = "copy the run again"
    elif (Path(path).parent / RUN_FILE).exists():
        run = as_argument(Path(path).parent)
        remedy = f"run `devexplore check {run} --repair`, then `devexplore measure {run}`"
    else:
        remedy = f"call devexplore.store.Store({os.fspath(path)!r}, mode='a').repair() and measure again"
    return DamagedStore(f"{os.fspath(path)}/{file}: {reason}; {remedy}")


class StrictFiles(WrapperStore[Any]):
    """Files of a store in which every chunk asked for must exist.

    Zarr takes a missing chunk for one full of its fill value. We write every chunk, so a missing one was
    lost; except of ``measured``, where it means what it says: not measured.
    """

    def __init__(self, store: "ZarrStore", path: str | os.PathLike[str]):
        super().__init__(store)
        self.path = path

    @property
    def folder(self) -> Path | None:
        """The folder in which the files lie; None in a zip or behind a URL."""
        return self._store.root if isinstance(self._store, LocalStore) else None

    def _with_store(self, store: "ZarrStore") -> "StrictFiles":
        return StrictFiles(store, self.path)

    async def get(
        self, key: str, prototype: "BufferPrototype", byte_range: "ByteRequest | None" = None
    ) -> "Buffer | None":
        content = await super().get(key, prototype, byte_range)
        if content is None and CHUNK.search(key) and f"{MEASURED}/c/" not in key:
            raise damaged(self.path, key, "this file is missing")
        return content

    async def list_dir(self, prefix: str) -> "AsyncIterator[str]":
        async for name in super().list_dir(prefix):
            # Temporary files of a writer at work, and what file managers leave, are no members.
            if "." not in name or name == "zarr.json":
                yield name


def pack(folder: str | os.PathLike[str], archive: str | os.PathLike[str]) -> None:
    """Pack a finished folder store into one zip file, read-only from then on.

    Deterministic: equal stores give equal bytes (sorted names, one fixed date, no second compression). The
    archive appears under its name only when complete.
    """
    folder, archive = Path(folder), Path(archive)
    names = sorted(
        file.relative_to(folder).as_posix()
        for file in folder.rglob("*")
        if file.is_file() and (file.name == "zarr.json" or CHUNK.search(file.relative_to(folder).as_posix()))
    )
    if "zarr.json" not in names:
        raise RunNotFound(f"{folder}: no store here to pack; give the folder measurements.zarr of a run")
    temporary = archive.with_name(f".{archive.name}.{os.getpid()}.partial")
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as target:
            for name in names:
                entry = zipfile.ZipInfo(name, _EPOCH)
                entry.create_system = 3  # Unix, on every system, for equal bytes
                entry.external_attr = 0o644 << 16
                target.writestr(entry, (folder / name).read_bytes())
        temporary.replace(archive)
    finally:
        temporary.unlink(missing_ok=True)


def _open_url(url: str) -> "ZarrStore":
    try:
        return FsspecStore.from_url(url, read_only=True)
    except ImportError as error:
        raise MissingExtra(
            f"{url}: {error}; `pip install fsspec` and the package for this kind of URL"
        ) from error
    except ValueError as error:
        raise RunNotFound(f"{url}: {error}") from error
