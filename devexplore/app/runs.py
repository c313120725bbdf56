"""The runs that one server shows: more can be opened, and those that go on are renewed."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from devexplore.app.activity import activity
from devexplore.app.derived import READ_ERRORS, DerivedRun
from devexplore.app.fingerprint import (
    ANNOTATIONS,
    Fingerprint,
    annotations_stamp,
    changed_parts,
    fingerprint,
)
from devexplore.app.recent import remember
from devexplore.app.renewal import busy, caught_up, renewed
from devexplore.errors import RunNotFound
from devexplore.run import Run, open_run

LOOK_EVERY: Final = 3.0
"""Seconds between two looks at the files of all runs, once for all sessions, while there are any."""


class News(NamedTuple):
    """What there is to say of a run beside what it holds."""

    trouble: str = ""
    """Why it cannot be read any more."""
    activity: str = ""
    """Who works at it, in words."""
    updated: str = ""
    """When what is shown was last renewed; "" when it is as it was opened."""


@dataclass
class _Watched:
    """One run: what is shown of it, and what was last seen of its files."""

    derived: DerivedRun
    seen: Fingerprint
    coming: DerivedRun | None = None
    begun: float = 0.0
    rest_until: float = 0.0
    broken: bool = False
    """Some part of it could not be read: every file is watched, as any may mend it."""
    news: News = field(default_factory=News)


class ServedRuns(Mapping[str, DerivedRun]):
    """The runs by name (numbered where two share one), sharing the background workers.

    Safe to share between threads. A session ``listen``s; while one does, the files of all runs are looked at
    every ``LOOK_EVERY`` seconds. When a run has changed, its new state is prepared as far as the old one was
    known, and then takes its place: the page never goes back to progress bars. A run that cannot be read any
    more stays as it was, and its news say why.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        if not runs:
            raise RunNotFound("no run to explore: name a run folder, or install the bundled runs")
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="devexplore")
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="devexplore-open")
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="devexplore-save")
        self._lock = threading.RLock()
        self._looking = threading.Lock()
        self._runs: dict[str, _Watched] = {}
        self._listeners: list[Callable[[str], None]] = []
        self._watcher: threading.Thread | None = None
        for run in runs:
            self._add(run)

    def __getitem__(self, name: str) -> DerivedRun:
        return self._runs[name].derived

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._runs))

    def __len__(self) -> int:
        return len(self._runs)

    def news(self, name: str) -> News:
        return self._runs[name].news

    def open(self, path: str | Path) -> str:
        """Serve one more run, and say under which name; a run that is served already stays as it is.

        Raises what ``open_run`` does.
        """
        run = open_run(path)
        here = run.path.resolve()
        remember(run)
        with self._lock:
            for name, watched in self._runs.items():
                if watched.derived.run.path.resolve() == here:
                    return name
            name = self._add(run)
        self.tell(name)
        return name

    def ask(
        self, question: "Callable[[ServedRuns, Mapping[str, Any]], Any]", values: Mapping[str, Any]
    ) -> Future[Any]:
        """The answer of what reads files, which may be slow, beside what is being computed."""
        return self._reader.submit(question, self, values)

    def act(
        self, name: str, work: "Callable[[DerivedRun, Mapping[str, Any]], Any]", values: Mapping[str, Any]
    ) -> Future[Any]:
        """Change what is saved of a run (``work``), one change after the other. The run with it takes the
        place of the one before, its stages found, so that nothing of the old is drawn or kept any more."""

        def change() -> Any:
            with self._looking:
                watched = self._runs[name]
                old = watched.derived
                done = work(old, values)
                seen = {**old.fingerprint, ANNOTATIONS: annotations_stamp(old.run)}
                new = renewed(old, old.run, seen)
                new.stages.wait()
                watched.derived = new
            self.tell(name)
            return done

        return self._writer.submit(change)

    def listen(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call it with the name of each run that there is something new of, in any thread, until the function
        that is given back is called."""
        with self._lock:
            self._listeners.append(listener)
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch, name="devexplore-watch", daemon=True)
                self._watcher.start()

        def stop() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return stop

    def tell(self, name: str) -> None:
        """There is something new of this run."""
        for listener in tuple(self._listeners):
            listener(name)

    def unreadable(self, name: str) -> None:
        """A session met an error in this run: it is looked at closely until it is whole again."""
        watched = self._runs[name]
        if not watched.broken:
            watched.broken, watched.seen = True, fingerprint(watched.derived.run, thorough=True)

    def look_again(self) -> None:
        """Look at the files of every run once, and take what follows a step further."""
        with self._looking:
            for name, watched in tuple(self._runs.items()):
                before = watched.derived, watched.news
                self._look(watched)
                if (watched.derived, watched.news) != before:
                    self.tell(name)

    def _watch(self) -> None:
        while True:
            with self._lock:
                if not self._listeners:
                    self._watcher = None
                    return
            self.look_again()
            time.sleep(LOOK_EVERY)

    def _add(self, run: Run) -> str:
        with self._lock:
            name, number = run.name, 2
            while name in self._runs:
                name, number = f"{run.name} {number}", number + 1
            derived = DerivedRun(open_run(run.path), self._pool)  # of which nothing was read yet
            self._runs = {**self._runs, name: _Watched(derived, derived.fingerprint)}
        return name

    def _look(self, watched: _Watched) -> None:
        if watched.coming is not None:
            self._take_over(watched)
            return
        if time.monotonic() < watched.rest_until:
            return
        old = watched.derived
        now = fingerprint(old.run, thorough=watched.broken)
        changed = changed_parts(old.fingerprint, now)
        if now != watched.seen and changed and not busy(old, changed):
            watched.seen, watched.begun = now, time.monotonic()
            try:
                run = open_run(old.run.path)
                run.groups  # noqa: B018  reads what there is: a run that is half there is not shown
                watched.coming = renewed(old, run, now)
            except READ_ERRORS as error:
                self._keep(watched, str(error))
                return
            self._take_over(watched)
        said = activity(watched.derived.run, now) if not watched.news.trouble else ""
        watched.news = watched.news._replace(activity=said)

    def _keep(self, watched: _Watched, trouble: str) -> None:
        """What was shown before; until some file changes, it is not tried again."""
        watched.news = News(trouble=trouble, updated=watched.news.updated)
        watched.broken = True
        watched.seen = fingerprint(watched.derived.run, thorough=True)

    def _take_over(self, watched: _Watched) -> None:
        """The new state takes the place of the old one when it is as far, unless the user has changed the
        boundaries meanwhile: then it is prepared once more."""
        old, new = watched.derived, watched.coming
        if new is None or not caught_up(new, old):
            return
        watched.coming = None
        took = time.monotonic() - watched.begun
        watched.rest_until = time.monotonic() + took  # leave half of the machine to whoever works at the run
        if new.fingerprint[ANNOTATIONS] != annotations_stamp(old.run):
            watched.seen = {}
            return
        watched.derived, watched.broken, watched.seen = new, False, new.fingerprint
        watched.news = News(activity=watched.news.activity, updated=f"{datetime.now():%H:%M}")
