"""What the benchmarks share: one thread for both sides, interleaved rounds, and a table at the end."""

import datetime
import importlib.metadata
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROWS = pytest.StashKey[list[tuple[str, str, str, str]]]()
TABLES = pytest.StashKey[dict[tuple[str, ...], list[tuple[str, ...]]]]()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One thread each side; what is compared is the work, not who takes more cores."""
    import torch
    from threadpoolctl import threadpool_limits

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(threads)


class Times(NamedTuple):
    """CPU seconds of each round; round k of both sides ran one after the other."""

    ours: list[float]
    theirs: list[float]

    @property
    def ratio(self) -> float:
        """How many times as fast as theirs ours is, from the medians."""
        return statistics.median(self.theirs) / statistics.median(self.ours)

    @property
    def spread(self) -> str:
        ratios = [theirs / ours for ours, theirs in zip(self.ours, self.theirs, strict=True)]
        return f"{min(ratios):.2g}–{max(ratios):.2g}"


@pytest.fixture
def race(benchmark: Any) -> Callable[..., Times]:
    """Time both sides in turn, each round one after the other.

    In CPU time, for each side has one thread: on an idle machine it is the time a clock shows, and on a busy
    one other work is not counted. (Give the test ``@pytest.mark.benchmark(timer=process_time)``.)
    """

    def run(
        ours: Callable[[], object],
        theirs: Callable[[], object],
        *,
        rounds: int,
        warmup_rounds: int = 1,
        per: tuple[int, int] = (1, 1),
        startup: tuple[Callable[[], object], Callable[[], object]] | None = None,
    ) -> Times:
        """``per`` (ours, theirs): what one call's time is divided by, say its steps × chains. ``startup``
        (ours, theirs): the same calls cut short, whose times are taken off first.
        """
        before: list[tuple[float, float, float]] = []

        def others() -> None:
            ours_startup, theirs_startup = (0.0, 0.0) if startup is None else map(_seconds, startup)
            before.append((ours_startup, theirs_startup, _seconds(theirs)))

        benchmark.pedantic(ours, setup=others, rounds=rounds, warmup_rounds=warmup_rounds)
        rows = zip(benchmark.stats.stats.data, before[warmup_rounds:], strict=True)
        pairs = [((own - a) / per[0], (other - b) / per[1]) for own, (a, b, other) in rows]
        times = Times(*map(list, zip(*pairs, strict=True)))
        benchmark.extra_info |= {"ours": times.ours, "theirs": times.theirs, "startup": before}
        return times

    return run


def _seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[[str, str, str, str], None]:
    """Add a line (what, devexplore, devinterp, ratio) to the table that the session ends with."""
    rows = request.config.stash.setdefault(ROWS, [])

    def add(what: str, ours: str, theirs: str, ratio: str) -> None:
        rows.append((what, ours, theirs, ratio))

    return add


@pytest.fixture
def table(request: pytest.FixtureRequest) -> Callable[[tuple[str, ...], tuple[str, ...]], None]:
    """Add a line to the table with this head that the session ends with."""
    tables = request.config.stash.setdefault(TABLES, {})

    def add(head: tuple[str, ...], row: tuple[str, ...]) -> None:
        tables.setdefault(head, []).append(row)

    return add


def _write_table(terminalreporter: Any, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    for line in [head, ("---",) * len(head), *rows]:
        terminalreporter.write_line("| " + " | ".join(line) + " |")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for head, lines in config.stash.get(TABLES, {}).items():
        terminalreporter.section("devexplore beside others")
        _write_table(terminalreporter, head, lines)
        terminalreporter.write_line(f"\n{_processor()}, wall time, Python {platform.python_version()}")
    rows = config.stash.get(ROWS, [])
    if not rows:
        return
    terminalreporter.section("devexplore beside devinterp")
    _write_table(terminalreporter, ("", "devexplore", "devinterp", "ratio"), rows)
    versions = ", ".join(f"{name} {_version(name)}" for name in ("devexplore", "devinterp", "torch"))
    day = datetime.datetime.now(datetime.UTC).date()
    terminalreporter.write_line(
        f"\n{day}, {_processor()}, CPU time, Python {platform.python_version()}, {versions}"
    )


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    """The processor's name where the system tells it (Linux), else its architecture."""
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} × {names[0]}" if names else platform.machine()
