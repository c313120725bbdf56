"""Work in the background: how far it is, what is worked out once, and what of it is forgotten."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from devexplore.app import job as jobs_module
from devexplore.app.derived import DerivedRun
from devexplore.app.job import Job, Jobs
from devexplore.app.renewal import renewed


@pytest.fixture
def pool():
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def two_answers(monkeypatch):
    """No more than two answers are kept."""
    monkeypatch.setattr(jobs_module, "MOST_ANSWERS", 2)


@pytest.fixture
def jobs(pool, two_answers):
    return Jobs(pool)


def ask(jobs, *names):
    """Ask for these and wait; what was worked out for it, in order."""
    worked = []
    for name in names:
        jobs.asked(name, lambda _, name=name: worked.append(name)).future.result(20)
    return worked


def test_a_job_estimates_the_time_left_from_its_pace(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("devexplore.app.job.time.monotonic", lambda: clock[0])

    def work(progress):
        progress(40, 100, "outputs")  # 40 were there already: they say nothing about the pace
        clock[0] += 2.0
        progress(50, 100, "outputs")

    assert Job(work).seconds_left == pytest.approx(10.0)


def test_jobs_that_wait_for_jobs_end_even_where_every_worker_waits():
    with ThreadPoolExecutor(1) as pool:
        inner = []

        def outer(_):
            inner.append(Job(lambda _: 7, pool))
            return inner[0].wait()

        assert Job(outer, pool).future.result(20) == 7
        assert inner[0].future.result(20) == 7


def test_what_was_not_asked_for_longest_is_forgotten_and_worked_out_again(jobs):
    kept = jobs.once("forms", lambda _: 1)
    kept.future.result(20)
    assert ask(jobs, "a", "b", "a", "c", "a") == ["a", "b", "c"]
    assert list(jobs.by_name()) == ["forms", "a", "c"]
    assert ask(jobs, "b", "b") == ["b"]
    assert jobs.once("forms", lambda _: 2) is kept


def test_what_runs_is_not_forgotten(jobs):
    go_on = threading.Event()
    running = [jobs.asked(name, lambda _: go_on.wait(20)) for name in ("a", "b", "c")]
    assert list(jobs.by_name()) == ["a", "b", "c"]
    go_on.set()
    assert [job.future.result(20) for job in running] == [True] * 3
    ask(jobs, "d")
    assert list(jobs.by_name()) == ["c", "d"]


def test_what_somebody_waits_for_is_not_worked_out_again(jobs):
    awaited = jobs.asked("a", lambda _: 7)
    ask(jobs, "b", "c", "d")
    assert list(jobs.by_name()) == ["c", "d"]
    assert jobs.asked("a", lambda _: 8) is awaited
    assert list(jobs.by_name()) == ["d", "a"]
    del awaited
    assert ask(jobs, "b", "c", "a") == ["b", "c", "a"]


def test_what_failed_is_tried_again_where_that_is_wanted(jobs):
    failed = jobs.asked("a", lambda _: 1 / 0)
    assert isinstance(failed.future.exception(20), ZeroDivisionError)
    assert jobs.asked("a", lambda _: 1) is failed
    assert jobs.asked("a", lambda _: 1, retry=True).future.result(20) == 1


def test_other_smoothings_and_runs_beside_it_are_among_what_is_forgotten(runs, pool, two_answers):
    """Of a run without outputs each of them ends at once."""
    run, other = (DerivedRun(runs[number], pool) for number in (2, 1))
    for bandwidth in (0.1, 0.2, 0.3):
        assert run.dynamics_with(3, bandwidth).future.exception(60) is run.dynamics.future.exception()
    assert list(run.jobs) == ["dynamics", "dynamics False 0.2", "dynamics False 0.3"]
    run.joint(other).future.exception(60)
    assert [name.split()[0] for name in run.jobs] == ["dynamics", "dynamics", "joint"]


def test_what_is_asked_for_is_forgotten_also_where_the_run_went_on(runs, pool, two_answers):
    old = DerivedRun(runs[2], pool)
    kept = [old._jobs.once("dynamics", lambda _: 0), old._jobs.asked("dynamics False 1", lambda _: 1)]
    assert [job.future.result(20) for job in kept] == [0, 1]
    new = renewed(old, runs[2], {**old.fingerprint, "losses": ()})
    assert list(new.jobs.values()) == kept
    del kept
    ask(new._jobs, "a", "b")
    assert list(new.jobs) == ["dynamics", "a", "b"]
    assert list(old.jobs) == ["dynamics", "dynamics False 1"]
