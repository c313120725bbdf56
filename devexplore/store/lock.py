"""One writer at a time: a lock that the operating system releases when its process dies, however it dies."""

import os
import sys
import weakref
from pathlib import Path

from devexplore.errors import NotWritable

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, 1 << 30, os.SEEK_SET)  # far behind the text, which others want to read
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def writer_of(store: Path) -> int | None:
    """The process, other than this one, that writes to the store of this path now; None where none does.

    From the file that a writer leaves beside the store, without touching the lock: so where a writer was
    killed, and another process has got its number since, it is that one. Unknown on Windows, where a process
    cannot be asked whether it lives; None there.
    """
    try:
        words = lock_file(store).read_text().split()
    except (OSError, ValueError):
        return None
    if sys.platform == "win32" or len(words) != 2 or not words[1].isdecimal() or int(words[1]) == os.getpid():
        return None
    try:
        os.kill(int(words[1]), 0)  # asks only
    except PermissionError:
        return int(words[1])  # of another user
    except (ProcessLookupError, OverflowError):
        return None
    return int(words[1])


def lock_file(store: Path) -> Path:
    """Where the lock on a store lies: beside it."""
    return store.with_name(store.name + ".lock")


class WriterLock:
    """Held from construction until ``release`` (or the end of the process). Raises ``NotWritable`` if taken.

    The lock is the operating system's on the open file, not the file's existence: a file left behind by a
    killed process locks nobody out.
    """

    def __init__(self, path: Path):
        self.path = path
        while True:
            self._descriptor = self._open_and_lock()
            # A writer removes the file when it is done. If that happened between our open and our lock, we
            # hold a file that nobody else will ever see, so try again.
            if path.exists() and os.path.samestat(os.fstat(self._descriptor), path.stat()):
                break
            os.close(self._descriptor)
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"process {os.getpid()}".encode())
        self._close = weakref.finalize(self, os.close, self._descriptor)

    def release(self) -> None:
        """Let others write. Twice is once."""
        if not self._close.alive:
            return
        if sys.platform != "win32":  # Windows cannot remove an open file; an unlocked leftover is harmless
            self.path.unlink(missing_ok=True)
        self._close()

    def _open_and_lock(self) -> int:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise NotWritable(
                f"{self.path.parent}: cannot write here ({error.strerror}); choose another folder"
            ) from error
        try:
            _lock(descriptor)
        except OSError as error:
            holder = os.pread(descriptor, 100, 0).decode() if hasattr(os, "pread") else ""
            os.close(descriptor)
            raise NotWritable(
                f"{self.path.with_suffix('')}: {holder or 'another process'} is writing to this store; "
                "wait until it has finished or stop it, then try again"
            ) from error
        return descriptor
