"""The open model on a worker: iterations begin when they are due, or are dropped and counted."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from pytest_metersphere.engine.runner import LoadRunner
from pytest_metersphere.scenario.fixtures import THE_USER
from tests.engine.loads import Kind, Steps, callee, fixture_of, level, pending, run, scenario, until

both_kinds = pytest.mark.parametrize("kind", ["async", "thread"])


def quick(vu: Any) -> Steps:
    """Do nothing, in a millisecond."""
    yield 0.001


@both_kinds
@pytest.mark.parametrize("process", ["even", "poisson"])
def test_everything_that_is_due_begins(kind: Kind, process: Any) -> None:
    """With users to spare all is started, nothing dropped, and every iteration ends."""
    arrivals = level(200, 0.5, process)

    outcome = run(callee(scenario(kind, quick), users=200, arrivals=arrivals))

    count = arrivals.count()
    assert outcome.starts() == (count, count, 0)
    assert outcome.tally().iterations == count
    assert process == "poisson" or count == 100


@both_kinds
def test_what_finds_no_user_is_dropped_and_counted(kind: Kind) -> None:
    """Two users that take longer than the load begin two iterations; the other 18 are never made up for."""
    began: list[int] = []

    def steps(vu: Any) -> Steps:
        began.append(vu.id)
        yield 0.6

    outcome = run(callee(scenario(kind, steps), users=2, arrivals=level(40, 0.5)))

    assert outcome.starts() == (20, 2, 18)
    assert sorted(began) == [1, 2]
    assert outcome.tally().iterations == 2
    assert outcome.tally().users == 2


@both_kinds
def test_no_more_users_are_made_than_run_at_once(kind: Kind) -> None:
    """A user that is free again goes before a new one; it keeps its fixtures and counts its iterations."""
    log: list[str] = []
    seen: list[tuple[int, int]] = []

    def steps(vu: Any, own: object) -> Steps:
        seen.append((vu.id, vu.iteration))
        yield 0

    fixture = pending(fixture_of("yield", log, "own"))
    outcome = run(callee(scenario(kind, steps), users=50, arrivals=level(10, 0.5), own=fixture))

    assert outcome.starts() == (5, 5, 0)
    made = {user for user, _ in seen}
    assert sorted(log) == ["own down"] * len(made) + ["own up"] * len(made)
    assert made == set(range(1, len(made) + 1))
    assert sum(iteration == 0 for _, iteration in seen) == len(made)


@both_kinds
def test_a_slow_user_delays_nobody(kind: Kind) -> None:
    """What is due goes to another one meanwhile."""
    began: list[int] = []

    def steps(vu: Any) -> Steps:
        began.append(vu.id)
        while vu.id == 1 and len(began) < 10:
            yield 0.005

    outcome = run(callee(scenario(kind, steps), users=10, arrivals=level(50, 0.2)))

    assert outcome.starts() == (10, 10, 0)
    assert began.count(1) == 1
    assert outcome.tally().iterations == 10


@both_kinds
def test_a_worker_starts_its_own_share(kind: Kind) -> None:
    """It has users 2 and 5 of 5: of 20 arrivals the 2nd and 5th of each round."""
    outcome = run(callee(scenario(kind, quick), users=5, only=[2, 5], arrivals=level(100, 0.2)))

    scheduled, started, dropped = outcome.starts()
    assert (scheduled, started + dropped) == (8, 8)


@both_kinds
def test_what_begins_late_counts_from_when_it_was_due(kind: Kind) -> None:
    """The loop is held up: the first sample, and the transaction around it, have waited all the while."""

    def steps(vu: Any) -> Steps:
        with vu.transaction("whole"):
            with vu.sample("first"):
                yield 0
            with vu.sample("second"):
                yield 0

    async def meanwhile(load: LoadRunner) -> None:
        await until(lambda: bool(load._lives))
        time.sleep(0.4)  # noqa: ASYNC251 - that is what holds the loop up

    outcome = run(callee(scenario(kind, steps), users=99, arrivals=level(20, 0.3)), meanwhile=meanwhile)

    labels = outcome.tally().labels
    assert outcome.starts() == (6, 6, 0)
    assert labels["first"].response.max > 0.1
    assert labels["whole"].response.max >= labels["first"].response.max
    assert labels["first"].service.max < labels["first"].response.max
    assert labels["second"].response.max < labels["first"].response.max


@both_kinds
def test_a_pause_of_the_scenario_is_not_waiting(kind: Kind) -> None:
    """What the iteration does before its first sample is its own affair."""

    def steps(vu: Any) -> Steps:
        yield 0.3
        with vu.sample("late by itself"):
            yield 0

    outcome = run(callee(scenario(kind, steps), users=9, arrivals=level(5, 0.4)))

    assert outcome.starts() == (2, 2, 0)
    assert outcome.tally().labels["late by itself"].response.min < 0.3


@both_kinds
def test_the_phase_of_a_start_is_that_in_which_it_was_due(kind: Kind) -> None:
    """So that what was scheduled in the warm-up, and what was not, adds up for each."""
    outcome = run(callee(scenario(kind, quick), users=20, arrivals=level(40, 0.5), warmup=0.25))

    assert outcome.starts(phase="warmup") == (10, 10, 0)
    assert outcome.starts(phase="measured") == (10, 10, 0)


@both_kinds
def test_running_iterations_may_end_within_graceful_stop(kind: Kind) -> None:
    """Those that outlast it are interrupted, with their tear-down, and stay started."""
    log: list[str] = []

    def steps(vu: Any, own: object) -> Steps:
        yield 600 if vu.id == 1 else 0.2

    fixture = pending(fixture_of("yield", log, "own"))
    outcome = run(
        callee(scenario(kind, steps), users=3, arrivals=level(20, 0.1), graceful_stop=1.5, own=fixture)
    )

    assert outcome.starts() == (2, 2, 0)
    assert outcome.tally().iterations == 1
    assert log.count("own down") == 2


@both_kinds
def test_stop_starts_nothing_any_more(kind: Kind) -> None:
    """What was due until then adds up; users that wait for their turn go."""
    began: list[int] = []

    def steps(vu: Any) -> Steps:
        began.append(vu.id)
        yield 0.001

    async def meanwhile(load: LoadRunner) -> None:
        await until(lambda: len(began) > 5)
        load.stop(5.0)

    outcome = run(callee(scenario(kind, steps), users=9, arrivals=level(50, 600)), meanwhile=meanwhile)

    scheduled, started, dropped = outcome.starts()
    assert scheduled == started + dropped
    assert started == len(began)
    assert started < 1000


@both_kinds
def test_a_late_arrival_finds_users_that_have_to_go(kind: Kind) -> None:
    """The loop is held up over the end of the load: what was due before is started or dropped, not lost."""

    async def meanwhile(load: LoadRunner) -> None:
        await until(lambda: bool(load._lives))
        time.sleep(0.7)  # noqa: ASYNC251 - that is what holds the loop up

    outcome = run(
        callee(scenario(kind, quick), users=5, arrivals=level(50, 0.4), graceful_stop=0.0),
        meanwhile=meanwhile,
    )

    scheduled, started, dropped = outcome.starts()
    assert scheduled == 20
    assert started + dropped == 20


@both_kinds
def test_a_failed_iteration_delays_nothing(kind: Kind) -> None:
    """Failures of the connection make closed users wait; here the clock says when the next one begins."""

    def steps(vu: Any) -> Steps:
        yield 0
        raise ConnectionRefusedError

    outcome = run(callee(scenario(kind, steps), users=1, arrivals=level(20, 1.5)))

    assert outcome.tally().failed_iterations == outcome.starts()[1]
    assert outcome.starts()[1] > 6


def test_a_scenario_that_cancels_itself_goes_on() -> None:
    """Also when the cancellation only comes as its user waits to be called."""

    async def cancels(vu: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    outcome = run(callee(cancels, users=10, arrivals=level(20, 0.5), vu=THE_USER))

    assert outcome.starts() == (10, 10, 0)
    assert outcome.tally().iterations == 10


def test_open_and_closed_scenarios_run_side_by_side() -> None:
    """Each has its own users and its own count."""
    outcome = run(
        callee(scenario("async", quick), users=10, arrivals=level(50, 0.2)),
        callee(scenario("async", quick), users=2, hold=float("inf"), iterations=3),
    )

    assert outcome.starts(0) == (10, 10, 0)
    assert outcome.starts(1) == (0, 0, 0)
    assert (outcome.tally(0).iterations, outcome.tally(1).iterations) == (10, 6)
