"""Work in the background: one computation with its progress, and those of a run, each done once."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from weakref import WeakValueDictionary

MOST_ANSWERS = 64
"""Answers that are kept of each run."""

Progress = Callable[[int, int, str], None]
"""Called with done, total and what is being done; total 0 while it is not known."""


class Job:
    """One computation in the background, with progress: done of total, and the seconds left."""

    def __init__(self, work: Callable[[Progress], Any], pool: ThreadPoolExecutor | None = None) -> None:
        """Without a pool it is done at once."""
        self.done, self.total, self.text = 0, 0, "reading the run"
        self._started = time.monotonic()
        self._ahead = 0
        self._work = work
        self._claim = threading.Lock()
        self.future: Future[Any] = Future()
        if pool is None:
            self._begin()
        else:
            pool.submit(self._begin)

    def wait(self) -> Any:
        """Its result, for another job that needs it: done here where nobody has begun it, for all workers
        may be busy with what waits for it."""
        self._begin()
        return self.future.result()

    def _begin(self) -> None:
        if not self._claim.acquire(blocking=False):
            return
        try:
            self.future.set_result(self._work(self._progress))
        except BaseException as error:  # noqa: BLE001 - whatever it was: those who wait are told
            self.future.set_exception(error)

    def _progress(self, done: int, total: int, text: str) -> None:
        if self.total != total:  # a new phase: what was cached already must not flatter the estimate
            self._started, self._ahead = time.monotonic(), done
        self.done, self.total, self.text = done, total, text

    @property
    def has_failed(self) -> bool:
        return self.future.done() and self.future.exception() is not None

    @property
    def seconds_left(self) -> float | None:
        """Estimated from the pace so far; None before there is one."""
        made = self.done - self._ahead
        if made <= 0:
            return None
        return (time.monotonic() - self._started) / made * (self.total - self.done)


class Jobs:
    """Those of one run, by name: what has a name is worked out once. Safe to share between threads.

    What was ``asked`` is forgotten when much else was asked since, but neither while it runs nor while
    anybody holds its Job, as a session does that waits for it.
    """

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self._kept: dict[str, Job] = {}
        self._asked: OrderedDict[str, None] = OrderedDict()
        self._held: WeakValueDictionary[str, Job] = WeakValueDictionary()
        """Those that are kept, and those that were forgotten here but not by everybody."""

    def once(self, name: str, work: Callable[[Progress], Any]) -> Job:
        """One that is kept as long as the run stays as it is."""
        with self._lock:
            return self._get(name, work)

    def asked(self, name: str, work: Callable[[Progress], Any], *, retry: bool = False) -> Job:
        """One of many that may be asked for. With ``retry``, what failed before is tried again."""
        with self._lock:
            before = self._held.get(name)
            if retry and before is not None and before.has_failed:
                del self._held[name]
            job = self._get(name, work)
            self._asked[name] = None
            self._asked.move_to_end(name)
            self._forget(len(self._asked) - MOST_ANSWERS)
            return job

    def by_name(self) -> dict[str, Job]:
        """All that are kept."""
        with self._lock:
            return dict(self._kept)

    def keeping(self, jobs: Mapping[str, Job]) -> "Jobs":
        """Others, which begin with these of them."""
        others = Jobs(self._pool)
        others._kept.update(jobs)
        others._held.update(jobs)
        with self._lock:
            others._asked.update((name, None) for name in self._asked if name in jobs)
        return others

    def _get(self, name: str, work: Callable[[Progress], Any]) -> Job:
        job = self._held.get(name)
        if job is None:
            self._held[name] = job = Job(work, self._pool)
        self._kept[name] = job
        return job

    def _forget(self, surplus: int) -> None:
        """As many of those that are done, the longest unasked first."""
        done = [name for name in self._asked if self._kept[name].future.done()]
        for name in done[: max(surplus, 0)]:
            del self._asked[name], self._kept[name]
