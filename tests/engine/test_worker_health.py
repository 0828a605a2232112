"""What a worker measures of itself, and what it reports of every second."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_metersphere.engine.health import (
    Pulse,
    descriptor_limit,
    open_descriptors,
    raise_descriptor_limit,
)
from pytest_metersphere.engine.runner import LoadRunner
from pytest_metersphere.metrics.frame import WorkerHealth
from pytest_metersphere.metrics.health import LAG_LIMIT
from pytest_metersphere.metrics.histogram import Histogram
from tests.engine.loads import Outcome, Steps, callee, level, run, scenario, until

NONE_EXHAUSTED = {"descriptors": 0, "ports": 0}


@pytest.fixture
def own_limits() -> Iterator[None]:
    """Give the limits of this process back."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def healths(outcome: Outcome) -> list[WorkerHealth]:
    """Return what a load has reported of its worker, second by second."""
    return [report.health for report in outcome.seconds if report.health is not None]


def test_a_blocked_loop_is_late_at_every_moment_that_it_missed() -> None:
    """A stall of 200 ms in a second is a fifth of its moments, so its 99th percentile is near 200 ms."""

    async def main() -> WorkerHealth:
        pulse = Pulse(0)
        watch = asyncio.create_task(pulse.watch())
        await asyncio.sleep(0.02)
        time.sleep(0.2)  # noqa: ASYNC251 - that is the stall
        await asyncio.sleep(0.05)
        watch.cancel()
        return pulse.take([True], NONE_EXHAUSTED)[0]

    assert asyncio.run(main()).lag_p99 > 0.1


def test_seconds_that_are_reported_together_were_all_as_bad() -> None:
    """The loop was blocked all the while: one after another they are held, and the CPU is their mean."""
    pulse = Pulse(7)
    pulse.starts.note(0.3)

    found = pulse.take([True, True, True, True], NONE_EXHAUSTED)

    assert [round(health.start_lag_p99, 1) for health in found] == [0.3] * 4
    assert [round(health.start_lag_held, 1) for health in found] == [0.0, 0.0, 0.3, 0.3]
    assert {health.worker for health in found} == {7}


def test_seconds_that_do_not_count_hold_nothing() -> None:
    """Those of the warm-up, or without users, are shown and not judged."""
    pulse = Pulse(0)
    held = []
    for counts in (False, True, True, False, True, True, True):
        pulse.starts.note(0.3)
        held.append(round(pulse.take([counts], NONE_EXHAUSTED)[0].start_lag_held, 1))

    assert held == [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.3]


def test_a_second_without_starts_was_as_late_as_the_loop() -> None:
    """A loop that is blocked for so long that nothing begins in a second does not look better for it."""

    async def main() -> list[float]:
        pulse = Pulse(0)
        watch = asyncio.create_task(pulse.watch())
        held = []
        for starts in (True, False, True):
            await asyncio.sleep(0.02)
            time.sleep(0.2)  # noqa: ASYNC251 - that is what blocks it
            if starts:
                pulse.starts.note(0.3)
            await asyncio.sleep(0.02)
            held.append(pulse.take([True], NONE_EXHAUSTED)[0].start_lag_held)
        watch.cancel()
        return held

    assert asyncio.run(main())[2] > LAG_LIMIT


def test_what_is_exhausted_is_told_once() -> None:
    """With the last of the seconds that are reported together, as are the descriptors."""
    first, last = Pulse(0).take([True, True], {"descriptors": 3, "ports": 4})

    assert (first.no_descriptor, first.no_port, first.descriptors) == (0, 0, 0)
    assert (last.no_descriptor, last.no_port) == (3, 4)
    assert last.descriptors > 0
    assert last.descriptor_limit == descriptor_limit()


def test_lateness_is_told_since_the_last_time() -> None:
    """What came early was not late, and without anything there is nothing."""
    pulse = Pulse(0)
    nothing = pulse.take([True], NONE_EXHAUSTED)[0]
    assert (nothing.start_lag_p99, nothing.starts) == (0.0, Histogram())
    for hundredths in range(100, 0, -1):
        pulse.starts.note(hundredths / 100)
    pulse.starts.note(-1.0)

    found = pulse.take([True], NONE_EXHAUSTED)[0]

    assert found.start_lag_p99 == pytest.approx(0.99, rel=0.01)
    assert (found.starts.count, found.starts.min, found.starts.max) == (101, 0.0, 1.0)
    assert pulse.take([True], NONE_EXHAUSTED)[0].starts == Histogram()


def test_of_seconds_that_are_reported_together_the_starts_are_told_once() -> None:
    """Their histogram is that of all of them, so it stands with the last one."""
    pulse = Pulse(0)
    pulse.starts.note(0.25)

    first, last = pulse.take([True, True], NONE_EXHAUSTED)

    assert (first.starts.count, last.starts.count) == (0, 1)


def test_open_descriptors_are_counted() -> None:
    """Ten more are ten more."""
    before = open_descriptors()
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(10)]
    try:
        assert open_descriptors() == before + 10
    finally:
        for descriptor in opened:
            os.close(descriptor)


def test_the_limit_of_descriptors_is_raised_to_what_is_allowed(own_limits: None) -> None:
    """From the soft to the hard one."""
    hard = 4096
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < hard:
        pytest.skip("the hard limit is lower than this test needs")

    raise_descriptor_limit()

    assert descriptor_limit() >= hard
    raise_descriptor_limit()
    assert descriptor_limit() >= hard


def burn(seconds: float) -> None:
    """Use the CPU, and so the event loop, for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def test_a_saturated_loop_is_held_late() -> None:
    """Users that compute where they should wait hold the loop up, for three seconds running."""

    async def computes() -> None:
        await asyncio.sleep(0.001)
        burn(0.15)

    outcome = run(callee(computes, users=4, hold=4.5))

    assert max(health.lag_held for health in healths(outcome)) > LAG_LIMIT


def test_a_saturated_loop_begins_late_what_is_due() -> None:
    """In the open model that is told by the starts, too; it counts from the measured phase on only."""

    async def computes() -> None:
        burn(0.1)

    outcome = run(callee(computes, users=200, arrivals=level(20, 4.5), warmup=0.5))

    assert max(health.start_lag_held for health in healths(outcome)) > LAG_LIMIT


def test_late_wake_ups_from_pauses_are_starts_that_were_late() -> None:
    """The loop is held up while a user thinks."""

    def steps(vu: Any) -> Steps:
        yield 0

    async def meanwhile(load: LoadRunner) -> None:
        await until(lambda: any(life.iterations for life in load._lives.values()))
        time.sleep(0.5)  # noqa: ASYNC251 - that is what holds the loop up

    outcome = run(callee(scenario("async", steps), hold=1.0, think=0.1), meanwhile=meanwhile)

    assert max(health.start_lag_p99 for health in healths(outcome)) > 0.2


def test_pauses_that_are_cut_short_are_not_late() -> None:
    """A user whose time is over goes in the middle of its pause."""

    def steps(vu: Any) -> Steps:
        yield 0

    outcome = run(callee(scenario("async", steps), hold=0.2, think=600))

    assert [health.start_lag_p99 for health in healths(outcome)] == [0.0] * len(healths(outcome))


def test_want_of_descriptors_is_counted_with_the_worker() -> None:
    """Whatever library stumbles over it; the failure has a kind of its own."""

    async def opens() -> None:
        raise RuntimeError("cannot connect") from OSError(errno.EMFILE, "Too many open files")

    outcome = run(callee(opens, hold=600, iterations=1))

    assert sum(health.no_descriptor for health in healths(outcome)) == 1
    assert outcome.errors() == [("", "descriptors", "RuntimeError: cannot connect", 1)]
