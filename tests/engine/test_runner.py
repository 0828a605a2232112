"""The users of a worker along their load curve: when they come, go on, leave, and are made to leave."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import sys
import threading
import time
from collections.abc import Callable
from contextvars import Context
from typing import Any, NoReturn

import msgspec
import pytest

from pytest_metersphere.engine import runner
from pytest_metersphere.engine.failures import ConnectionFailure
from pytest_metersphere.engine.rows import Rows, packed_fields
from pytest_metersphere.engine.runner import LoadRunner
from pytest_metersphere.metrics.frame import Tally
from pytest_metersphere.scenario.fixtures import THE_USER
from tests.engine.loads import (
    FOREVER,
    PATIENCE,
    Kind,
    Steps,
    callee,
    fixture_of,
    pending,
    run,
    scenario,
    until,
)

both_kinds = pytest.mark.parametrize("kind", ["async", "thread"])


def quick(vu: Any) -> Steps:
    """Do nothing, in a millisecond."""
    yield 0.001


class Log(list[Any]):
    """What happened, in order."""

    def steps(self, pause: float = 0.001) -> Callable[..., Steps]:
        """Return steps that log user and iteration, then pause."""

        def logged(vu: Any) -> Steps:
            self.append((vu.id, vu.iteration))
            yield pause

        return logged

    def of(self, user: int) -> list[int]:
        """Return the iterations of a user."""
        return [iteration for each, iteration in self if each == user]


@both_kinds
def test_users_come_one_after_another(kind: Kind) -> None:
    """Along a ramp user 1 comes first and user 3 last; all are counted."""
    log = Log()

    outcome = run(callee(scenario(kind, log.steps(0.01)), users=3, ramp=0.3, hold=0.1))

    assert list(dict.fromkeys(user for user, _ in log)) == [1, 2, 3]
    assert [log.of(user)[0] for user in (1, 2, 3)] == [0, 0, 0]
    assert outcome.tally().users == 3
    assert outcome.tally().iterations == len(log)
    assert outcome.ended.aborted == ""
    assert outcome.ended.at > 0


class HastyLoop(asyncio.SelectorEventLoop):
    """An event loop whose timers ring early; uvloop's do, by up to half a millisecond."""

    def call_later(  # type: ignore[override]  # generic there
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call sooner."""
        return super().call_later(max(0.0, delay - 0.01), callback, *args, context=context)


@both_kinds
def test_nothing_begins_before_go(kind: Kind) -> None:
    """A go that lies ahead is waited for, and what begins then is measured."""
    starts: list[float] = []

    def steps(vu: Any) -> Steps:
        starts.append(time.monotonic())
        yield 0.001

    outcome = run(callee(scenario(kind, steps), users=2, iterations=1), go_in=0.2, new_loop=HastyLoop)

    assert len(starts) == 2
    assert min(starts) >= outcome.go
    assert outcome.tally(phase="measured").iterations == 2


@both_kinds
def test_iterations_end_a_user(kind: Kind) -> None:
    """Each user runs as many as were asked for, numbered from 0, and the load ends with the last."""
    log = Log()

    outcome = run(callee(scenario(kind, log.steps()), users=4, hold=FOREVER, iterations=3))

    assert [log.of(user) for user in (1, 2, 3, 4)] == [[0, 1, 2]] * 4
    assert outcome.tally().iterations == 12


@both_kinds
def test_the_hold_ends_a_user_too(kind: Kind) -> None:
    """Iterations and hold together: whichever ends first; a pause for thought is cut short then."""
    log = Log()

    outcome = run(callee(scenario(kind, log.steps()), users=2, hold=0.1, iterations=5, think=600))

    assert sorted(log) == [(1, 0), (2, 0)]
    assert outcome.tally().iterations == 2


@both_kinds
def test_a_user_has_an_identity(kind: Kind) -> None:
    """Its id, its node and its state are the same in all its iterations, and nobody else's."""
    seen: list[tuple[int, str, list[int]]] = []

    def steps(vu: Any) -> Steps:
        vu.state.history = [*getattr(vu.state, "history", []), vu.iteration]
        seen.append((vu.id, vu.node, vu.state.history))
        yield 0.001

    run(callee(scenario(kind, steps), users=2, hold=FOREVER, iterations=2))

    assert sorted(seen) == [
        (1, "node-1", [0]),
        (1, "node-1", [0, 1]),
        (2, "node-1", [0]),
        (2, "node-1", [0, 1]),
    ]


@both_kinds
def test_users_leave_and_come_back_with_the_curve(kind: Kind) -> None:
    """One who comes back begins a new life with its own fixtures; who stays has one life."""
    log: list[str] = []
    users: list[int] = []

    def own(vu: Any) -> Any:
        log.append(f"{vu.id} up")
        yield
        log.append(f"{vu.id} down")

    def steps(vu: Any, own: object) -> Steps:
        users.append(vu.id)
        yield 0.005

    curve = [(0, 2), (0.2, 2), (0, 1), (0.2, 1), (0, 2), (0.2, 2)]

    outcome = run(callee(scenario(kind, steps), stages=curve, own=pending(own, vu=THE_USER)))

    assert sorted(log) == ["1 down", "1 up", "2 down", "2 down", "2 up", "2 up"]
    assert [entry for entry in log if entry.startswith("2")] == ["2 up", "2 down", "2 up", "2 down"]
    assert set(users) == {1, 2}
    assert outcome.tally().users == 2
    assert outcome.tally().iterations == len(users)


@both_kinds
def test_a_user_that_is_called_back_while_it_tears_down_comes_back(kind: Kind) -> None:
    """The curve wants it although its fixtures still take their time: it begins anew at once."""
    events: list[str] = []

    def own(vu: Any) -> Any:
        events.append(f"{vu.id} up")
        yield
        released.wait(10)
        events.append(f"{vu.id} down")

    async def slow_own(vu: Any) -> Any:
        events.append(f"{vu.id} up")
        yield
        await asyncio.to_thread(released.wait, 10)
        events.append(f"{vu.id} down")

    released = threading.Event()
    fixture = pending(own if kind == "thread" else slow_own, vu=THE_USER)
    curve = [(0, 1), (0.1, 1), (0, 0), (0.1, 0), (0, 1), (600.0, 1)]
    log = Log()

    def steps(vu: Any, own: object) -> Steps:
        log.append((vu.id, vu.iteration))
        yield 0.005

    async def meanwhile(load: LoadRunner) -> None:
        await until(
            lambda: load._lives != {} and next(iter(load._lives.values())).ends > time.monotonic() + 60
        )
        before = len(log)
        released.set()
        await until(lambda: len(log) > before)
        load.stop(0.5)

    run(callee(scenario(kind, steps), stages=curve, own=fixture), meanwhile=meanwhile)

    assert events == ["1 up", "1 down", "1 up", "1 down"]
    assert log.of(1) == list(range(len(log)))


@both_kinds
def test_a_user_that_is_called_back_within_an_iteration_goes_on(kind: Kind) -> None:
    """A running iteration that gracefully outlasts the gap leads into the next span, in the same life."""
    log: list[str] = []
    iterations = Log()

    def steps(vu: Any, own: object) -> Steps:
        iterations.append((vu.id, vu.iteration))
        yield 0.25 if vu.iteration == 0 else 0.005

    curve = [(0, 1), (0.05, 1), (0, 0), (0.05, 0), (0, 1), (0.4, 1)]

    run(callee(scenario(kind, steps), stages=curve, own=pending(fixture_of("yield", log, "own"))))

    assert log == ["own up", "own down"]
    assert len(iterations) > 1
    assert iterations.of(1) == list(range(len(iterations)))


@both_kinds
def test_iterations_are_limited_over_all_lives(kind: Kind) -> None:
    """Who has done all of them before it left does none when it comes back."""
    log = Log()
    curve = [(0, 1), (0.15, 1), (0, 0), (0.05, 0), (0, 1), (0.15, 1)]

    outcome = run(callee(scenario(kind, log.steps()), stages=curve, iterations=3))

    assert log.of(1) == [0, 1, 2]
    assert outcome.tally().iterations == 3


@both_kinds
def test_running_iterations_may_end_within_graceful_stop(kind: Kind) -> None:
    """What ends after the curve but within graceful_stop is counted as any other; nothing begins any more."""
    log = Log()

    outcome = run(callee(scenario(kind, log.steps(0.3)), users=2, hold=0.05))

    assert sorted(log) == [(1, 0), (2, 0)]
    assert (outcome.tally().iterations, outcome.tally().failed_iterations) == (2, 0)


@both_kinds
def test_what_outlasts_graceful_stop_is_interrupted(kind: Kind) -> None:
    """It is neither counted nor failed; its own clean-up and its fixtures' tear-down run."""
    log: list[str] = []

    def steps(vu: Any, own: object) -> Steps:
        with vu.sample("inner"):
            try:
                yield 600
            finally:
                log.append("cleaned up")

    outcome = run(
        callee(
            scenario(kind, steps), hold=0.05, graceful_stop=0.05, own=pending(fixture_of("yield", log, "own"))
        )
    )

    assert log == ["own up", "cleaned up", "own down"]
    assert (outcome.tally().iterations, outcome.tally().requests, outcome.errors()) == (0, 0, [])


@both_kinds
def test_what_an_interruption_causes_is_no_failure(kind: Kind) -> None:
    """A scenario that answers its interruption with an exception has not failed."""

    def steps(vu: Any) -> Steps:
        try:
            yield 600
        except BaseException as error:
            raise RuntimeError("the cart is locked") from error

    outcome = run(callee(scenario(kind, steps), hold=0.05, graceful_stop=0.05))

    assert (outcome.tally().iterations, outcome.errors()) == (0, [])


@both_kinds
def test_stop_ends_the_load(kind: Kind) -> None:
    """Pauses end at once, users that have not come stay away, running iterations get their grace."""
    log = Log()

    async def meanwhile(load: LoadRunner) -> None:
        await until(lambda: len(log) >= 1)
        load.stop(10.0)

    outcome = run(
        callee(scenario(kind, log.steps(0.1)), users=2, ramp=600, hold=FOREVER, think=600),
        callee(scenario(kind, log.steps(0.1)), users=1, hold=FOREVER),
        meanwhile=meanwhile,
    )

    assert {user for user, _ in log} == {1}
    assert outcome.tally(0).iterations + outcome.tally(1).iterations == len(log)


@both_kinds
def test_stop_ends_a_pause_for_thought(kind: Kind) -> None:
    """Users that think are not waited for."""
    log = Log()

    async def meanwhile(load: LoadRunner) -> None:
        await until(lambda: all(life.iterations == 1 for life in load._lives.values()) and len(log) == 2)
        await asyncio.sleep(0)
        load.stop(PATIENCE * 10)

    outcome = run(
        callee(scenario(kind, log.steps()), users=2, hold=FOREVER, think=PATIENCE * 10), meanwhile=meanwhile
    )

    assert sorted(log) == [(1, 0), (2, 0)]
    assert outcome.tally().iterations == 2


@both_kinds
def test_a_second_stop_leaves_a_tear_down_its_time(kind: Kind) -> None:
    """Who had to go already is not interrupted again while its fixtures are torn down."""
    log: list[str] = []

    async def own(vu: Any) -> Any:
        log.append("up")
        yield
        log.append("tearing down")
        await until(lambda: "stopped twice" in log)
        log.append("down")

    async def meanwhile(load: LoadRunner) -> None:
        await until(lambda: "begun" in log)
        load.stop(0.0)
        await until(lambda: "tearing down" in log)
        load.stop(0.0)
        for _ in range(5):
            await asyncio.sleep(0)
        log.append("stopped twice")

    def steps(vu: Any, own: object) -> Steps:
        log.append("begun")
        yield 600

    outcome = run(
        callee(scenario(kind, steps), hold=FOREVER, own=pending(own, vu=THE_USER)), meanwhile=meanwhile
    )

    assert log == ["up", "begun", "tearing down", "stopped twice", "down"]
    assert outcome.errors() == []


@pytest.mark.parametrize("call", ["sleep", "http"])
def test_a_thread_that_must_go_is_stopped_at_its_next_call(call: str) -> None:
    """Blocked elsewhere it cannot be interrupted; whatever it asks of `vu` afterwards ends it."""
    log: list[str] = []
    released = threading.Event()

    def blocked(vu: Any) -> None:
        log.append("begun")
        released.wait(PATIENCE)
        log.append("on it goes")
        if call == "sleep":
            vu.sleep(0)
        else:
            vu.http.get("http://127.0.0.1:9/")
        log.append("never")

    async def meanwhile(load: LoadRunner) -> None:
        await until(lambda: log == ["begun"])
        (life,) = load._lives.values()
        load.stop(0.0)
        await until(lambda: life._meter.leaving)
        released.set()

    outcome = run(callee(blocked, hold=FOREVER), meanwhile=meanwhile)

    assert log == ["begun", "on it goes"]
    tally = outcome.tally()
    assert (tally.iterations, tally.requests, tally.exchanges, tally.interrupted) == (0, 0, 0, 0)
    assert outcome.errors() == []


@both_kinds
def test_stop_interrupts_when_the_grace_is_over(kind: Kind) -> None:
    """With a grace of nothing even an iteration that would last for ever ends the load."""
    log = Log()

    async def meanwhile(load: LoadRunner) -> None:
        await until(lambda: len(log) == 2)
        load.stop(0.0)

    outcome = run(callee(scenario(kind, log.steps(600)), users=2, hold=FOREVER), meanwhile=meanwhile)

    assert outcome.tally().iterations == 0


@both_kinds
def test_stop_gives_its_grace_to_those_that_were_leaving(kind: Kind) -> None:
    """A user within its graceful_stop keeps the time that stop grants, but never more than it had."""
    granted: list[float] = []

    async def meanwhile(load: LoadRunner) -> None:
        await until(lambda: load._lives != {})
        (life,) = load._lives.values()
        await until(lambda: life.ends < time.monotonic() - 0.1)
        had, now = life.latest, time.monotonic()
        load.stop(60.0)
        granted.append(life.latest - had)
        load.stop(0.05)
        granted.append(life.latest - now)

    outcome = run(
        callee(scenario(kind, Log().steps(600)), hold=0.05, graceful_stop=20.0), meanwhile=meanwhile
    )

    assert granted[0] == 0
    assert granted[1] >= 0.05
    assert outcome.tally().iterations == 0


@both_kinds
def test_exit_aborts_the_load(kind: Kind) -> None:
    """pytest.exit ends all users of all scenarios, with its reason; it is no iteration."""
    log = Log()

    def steps(vu: Any) -> Steps:
        yield 0.05
        pytest.exit("the database is empty")

    outcome = run(
        callee(scenario(kind, steps), users=2, hold=FOREVER),
        callee(scenario(kind, log.steps(600)), hold=FOREVER),
    )

    assert outcome.ended.aborted == "the database is empty"
    assert outcome.tally(0).iterations == 0
    assert outcome.tally(1).iterations == 0
    assert log == [(1, 0)]


FAILURES: dict[str, tuple[Callable[[], NoReturn], str, str]] = {}


def _failing(kind: str, message: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    def note(function: Callable[[], Any]) -> Callable[[], Any]:
        FAILURES[function.__name__] = (function, kind, message)
        return function

    return note


@_failing("assert", "assert {} == {}")
def asserts() -> NoReturn:
    """Fail as an assertion does."""
    raise AssertionError("assert 3 == 2")


@_failing("failed", "order {} is lost")
def fails() -> NoReturn:
    """Fail by name."""
    pytest.fail("order 4711 is lost")


@_failing("exception", "ValueError: no")
def raises() -> NoReturn:
    """Raise an ordinary exception."""
    raise ValueError("no")


@_failing("exception", "SystemExit: {}")
def exits() -> NoReturn:
    """Leave as a program does."""
    sys.exit(3)


@_failing("exception", "StopAsyncIteration")
def stops() -> NoReturn:
    """Raise what generators understand."""
    raise StopAsyncIteration


@both_kinds
@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_iteration_is_counted_and_the_user_goes_on(kind: Kind, failure: str) -> None:
    """Whatever ends an iteration: it failed, its kind and message are told, and the next one begins."""
    function, what, message = FAILURES[failure]
    log = Log()

    def steps(vu: Any) -> Steps:
        log.append((vu.id, vu.iteration))
        yield 0.001
        function()

    outcome = run(callee(scenario(kind, steps), hold=FOREVER, iterations=3))

    tally = outcome.tally()
    assert log.of(1) == [0, 1, 2]
    assert (tally.iterations, tally.failed_iterations, tally.failed_by_sample) == (3, 3, 0)
    assert outcome.errors() == [("", what, message, 3)]
    assert tally.errors[0].exemplars[0].startswith("node node-1, user 1, iteration 0\n")


@both_kinds
def test_a_skipped_iteration_is_no_failure(kind: Kind) -> None:
    """It is counted apart, and its reason is shown."""

    def steps(vu: Any) -> Steps:
        yield 0.001
        if vu.iteration % 2:
            pytest.skip("sold out")

    outcome = run(callee(scenario(kind, steps), hold=FOREVER, iterations=4))

    tally = outcome.tally()
    assert (tally.iterations, tally.failed_iterations, tally.skipped_iterations) == (4, 0, 2)
    assert outcome.errors() == [("", "skipped", "sold out", 2)]


@both_kinds
def test_a_failed_sample_is_told_once_under_its_label(kind: Kind) -> None:
    """The iteration that it ends failed by a sample; an assertion inside is not excused that way."""

    def steps(vu: Any) -> Steps:
        yield 0.001
        with vu.transaction("whole"), vu.sample("inner"):
            if vu.iteration == 0:
                raise ValueError("broken pipe")
            raise AssertionError("wrong total")

    outcome = run(callee(scenario(kind, steps), hold=FOREVER, iterations=2))

    tally = outcome.tally()
    assert (tally.failed_iterations, tally.failed_by_sample) == (2, 1)
    assert outcome.errors() == [
        ("inner", "assert", "wrong total", 1),
        ("inner", "exception", "ValueError: broken pipe", 1),
    ]
    assert (tally.labels["inner"].requests, tally.labels["inner"].failures) == (2, 2)
    assert (tally.labels["whole"].kind, tally.labels["whole"].failures) == ("transaction", 2)
    assert tally.requests == 2


@both_kinds
def test_a_skip_inside_a_sample_fails_nothing(kind: Kind) -> None:
    """The sample is counted as one that worked."""

    def steps(vu: Any) -> Steps:
        yield 0.001
        with vu.sample("s"):
            pytest.skip("sold out")

    tally = run(callee(scenario(kind, steps), hold=FOREVER, iterations=1)).tally()

    assert (tally.requests, tally.failures, tally.skipped_iterations) == (1, 0, 1)


def test_samples_may_be_timed_with_async_with() -> None:
    """`async with` does what `with` does."""

    async def times(vu: Any) -> None:
        async with vu.transaction("whole"):
            async with vu.sample("works"):
                await vu.sleep(0.001)
            async with vu.sample("fails"):
                raise ValueError("no")

    outcome = run(callee(times, hold=FOREVER, iterations=1))

    labels = outcome.tally().labels
    assert {name: (label.kind, label.requests, label.failures) for name, label in labels.items()} == {
        "works": ("sample", 1, 0),
        "fails": ("sample", 1, 1),
        "whole": ("transaction", 1, 1),
    }
    assert labels["works"].service.max >= 0.001
    assert outcome.errors() == [("fails", "exception", "ValueError: no", 1)]


@both_kinds
@pytest.mark.parametrize("label", ["", "  ", None, 5], ids=repr)
def test_a_label_is_a_text(kind: Kind, label: Any) -> None:
    """Anything else is a failed iteration that says so."""

    def steps(vu: Any) -> Steps:
        yield 0.001
        with vu.sample(label):
            pass

    outcome = run(callee(scenario(kind, steps), hold=FOREVER, iterations=1))

    assert [error[2] for error in outcome.errors()] == [
        f"TypeError: a label is a text that is not empty, not {label!r}".replace("5", "{}")
    ]
    assert outcome.tally().labels == {}


@both_kinds
def test_a_caught_failure_of_a_sample_fails_no_iteration(kind: Kind) -> None:
    """The sample failed, the scenario coped; a later failure is told as one of its own."""

    def steps(vu: Any) -> Steps:
        yield 0.001
        with contextlib.suppress(ValueError), vu.sample("flaky"):
            raise ValueError("once")
        if vu.iteration == 1:
            raise RuntimeError("later")

    outcome = run(callee(scenario(kind, steps), hold=FOREVER, iterations=2))

    tally = outcome.tally()
    assert (tally.failures, tally.failed_iterations, tally.failed_by_sample) == (2, 1, 0)
    assert outcome.errors() == [
        ("", "exception", "RuntimeError: later", 1),
        ("flaky", "exception", "ValueError: once", 2),
    ]


@pytest.mark.parametrize("grouped", [False, True], ids=["gather", "group"])
def test_samples_that_fail_side_by_side_are_each_told_once(grouped: bool) -> None:  # noqa: FBT001
    """An iteration that parallel samples end failed by them, whichever exception it is that comes out."""

    async def one(vu: Any, name: str) -> None:
        with vu.sample(name):
            await vu.sleep(0.005)
            raise ValueError(name)

    async def gathers(vu: Any) -> None:
        await asyncio.gather(one(vu, "a"), one(vu, "b"))

    async def groups(vu: Any) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(one(vu, "a"))
            group.create_task(one(vu, "b"))

    outcome = run(callee(groups if grouped else gathers, hold=FOREVER, iterations=1))

    tally = outcome.tally()
    assert (tally.failures, tally.failed_iterations, tally.failed_by_sample) == (2, 1, 1)
    assert outcome.errors() == [(name, "exception", f"ValueError: {name}", 1) for name in ("a", "b")]


def test_a_group_with_a_failure_of_its_own_is_not_excused() -> None:
    """When not only samples failed, the iteration's failure is told, and no sample is to blame for it."""

    async def groups(vu: Any) -> None:
        async def sampled() -> None:
            with vu.sample("a"):
                raise ValueError("a")

        async def own() -> None:
            raise KeyError("cart")

        async with asyncio.TaskGroup() as group:
            group.create_task(sampled())
            group.create_task(own())

    outcome = run(callee(groups, hold=FOREVER, iterations=1))

    assert (outcome.tally().failed_iterations, outcome.tally().failed_by_sample) == (1, 0)
    assert [error[:2] for error in outcome.errors()] == [("", "exception"), ("a", "exception")]


@both_kinds
def test_refused_connections_are_never_spun_on(kind: Kind) -> None:
    """With no think time at all, a server that refuses is tried a few times a second."""

    def steps(vu: Any) -> Steps:
        yield 0
        raise ConnectionRefusedError("refused")

    tally = run(callee(scenario(kind, steps), hold=0.6)).tally()

    assert 2 <= tally.iterations <= 4
    assert tally.failed_iterations == tally.iterations


def test_a_user_that_cancels_itself_goes_on() -> None:
    """Cancelled while it waits, or only afterwards: a failed iteration, or none, and then the next one."""
    log = Log()

    async def cancels_itself(vu: Any) -> None:
        log.append((vu.id, vu.iteration))
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        if vu.iteration == 0:
            await asyncio.sleep(60)

    outcome = run(callee(cancels_itself, hold=FOREVER, iterations=4))

    assert log.of(1) == [0, 1, 2, 3]
    assert (outcome.tally().iterations, outcome.tally().failed_iterations) == (4, 1)
    assert outcome.errors() == [("", "exception", "CancelledError", 1)]


def test_a_user_that_times_itself_out_goes_on() -> None:
    """A timeout that the scenario sets is its own failure."""

    async def times_out(vu: Any) -> None:
        async with asyncio.timeout(0.01):
            await vu.sleep(60)

    outcome = run(callee(times_out, hold=FOREVER, iterations=2))

    assert outcome.errors() == [("", "exception", "TimeoutError", 2)]


def test_parallel_tasks_of_a_user_are_interrupted_with_it() -> None:
    """The tasks of a group end with the iteration, and none of them counts as failed."""
    ended: list[int] = []

    async def parallel(vu: Any) -> None:
        async def one(number: int) -> None:
            try:
                with vu.sample("one"):
                    await vu.sleep(600)
            finally:
                ended.append(number)

        async with asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(one(number))

    outcome = run(callee(parallel, hold=0.05, graceful_stop=0.05))

    assert sorted(ended) == [0, 1, 2]
    assert (outcome.tally().iterations, outcome.tally().requests, outcome.errors()) == (0, 0, [])


def test_an_async_user_that_cannot_be_interrupted_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The load ends without one that swallows its cancellation, and tells what the others did."""
    monkeypatch.setattr(runner, "_STUCK_AFTER", 0.1)
    stubborn = True

    async def swallows(vu: Any) -> None:
        while stubborn and vu.id == 1:
            try:
                await vu.sleep(60)
            except asyncio.CancelledError:
                await asyncio.sleep(0.001)

    def release() -> None:
        nonlocal stubborn
        stubborn = False

    outcome = run(callee(swallows, users=2, hold=0.05, graceful_stop=0.0), afterwards=release)

    assert outcome.tally().iterations > 0
    assert outcome.tally().failed_iterations == 0
    assert outcome.tally().users == 2


def test_a_blocked_thread_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that waits for something outside does not hold up the end; later it ends by itself."""
    monkeypatch.setattr(runner, "_STUCK_AFTER", 0.1)
    released = threading.Event()
    threads: list[threading.Thread] = []

    def blocks(vu: Any) -> None:
        if vu.id == 1:
            threads.append(threading.current_thread())
            released.wait(60)

    outcome = run(callee(blocks, users=2, hold=0.05, graceful_stop=0.0))
    released.set()
    threads[0].join(10)

    assert not threads[0].is_alive()
    assert outcome.tally().iterations > 0
    assert outcome.tally().failed_iterations == 0


@both_kinds
def test_the_warm_up_is_a_phase_of_its_own(kind: Kind) -> None:
    """What begins within it is reported apart, and together nothing is missing."""
    log = Log()

    def steps(vu: Any) -> Steps:
        log.append((vu.id, vu.iteration))
        with vu.sample("s"):
            yield 0.005

    outcome = run(callee(scenario(kind, steps), users=2, hold=0.4, warmup=0.2))

    warm, measured = outcome.tally(phase="warmup"), outcome.tally(phase="measured")
    assert warm.iterations > 0
    assert measured.iterations > 0
    assert warm.iterations + measured.iterations == len(log)
    assert warm.requests + measured.requests == len(log)


@both_kinds
def test_every_second_is_reported_once_and_in_order(kind: Kind) -> None:
    """Each second is completed exactly once, from 0 to the last, with the worker's health."""
    log = Log()

    outcome = run(callee(scenario(kind, log.steps(0.02)), users=3, hold=1.3, warmup=0.5))

    complete = [report.second for report in outcome.seconds if report.complete]
    assert complete == list(range(len(complete)))
    assert len(complete) >= 2
    healthy = [report.second for report in outcome.seconds if report.health is not None]
    assert healthy == complete
    assert all(
        report.health.worker == 0 and report.health.cpu >= 0 and report.health.lag_p99 >= 0
        for report in outcome.seconds
        if report.health is not None
    )
    assert outcome.tally().iterations == len(log)
    assert sum(report.tallies[0].users for report in outcome.seconds if report.second == 0) == 3
    assert [report.phase for report in outcome.seconds if report.second == 0] == ["warmup", "measured"]


def test_scenarios_of_a_run_are_counted_apart() -> None:
    """Async and plain scenarios run side by side, each with its own curve and its own tally."""
    outcome = run(
        callee(scenario("async", quick), users=2, hold=FOREVER, iterations=2),
        callee(scenario("thread", quick), users=3, hold=FOREVER, iterations=3),
    )

    assert [outcome.tally(part).iterations for part in (0, 1)] == [4, 9]
    assert [outcome.tally(part).users for part in (0, 1)] == [2, 3]
    assert all(len(report.tallies) == 2 for report in outcome.seconds)


def test_each_scenario_of_a_run_has_an_end_of_its_own() -> None:
    """The worker ends with the last of them."""
    outcome = run(
        callee(scenario("async", quick), users=1, hold=0.1),
        callee(scenario("thread", quick), users=1, hold=0.6),
    )

    first, last = outcome.ended.ends
    assert 0.1 <= first < last == outcome.ended.at
    assert last >= 0.6


@both_kinds
def test_users_of_a_later_scenario_go_on_counting(kind: Kind) -> None:
    """Their ids are unique over the run; their rows go by their number in the scenario."""
    log: list[tuple[int, str]] = []

    def steps(vu: Any) -> Steps:
        log.append((vu.id, vu.data["n"]))
        yield 0.001

    rows = Rows(names=["n"], length=3, rows={n: packed_fields([f"row {n}"]) for n in range(3)}, first=1)
    plain = callee(scenario(kind, steps), users=2, hold=FOREVER, iterations=1)
    part = msgspec.structs.replace(plain.part, before=10, rows=rows)

    run(dataclasses.replace(plain, part=part))

    assert sorted(log) == [(11, "row 1"), (12, "row 2")]


def test_a_worker_without_users_ends_at_once() -> None:
    """A scenario none of whose users lives here reports its emptiness."""
    empty = callee(scenario("async", quick), users=1, hold=60)
    empty.part.users.clear()

    outcome = run(empty)

    assert outcome.tally() == Tally()
    assert outcome.ended.at == 0.0


@both_kinds
def test_shared_iterations_are_those_of_all_users_together(kind: Kind) -> None:
    """Who is faster does more; together they are exactly as many as were asked for."""
    log = Log()

    def steps(vu: Any) -> Steps:
        log.append((vu.id, vu.iteration))
        yield 0.2 if vu.id == 1 else 0.001

    outcome = run(callee(scenario(kind, steps), users=3, hold=FOREVER, shared_iterations=20))

    assert outcome.tally().iterations == len(log) == 20
    assert len(log.of(1)) < len(log.of(2)) + len(log.of(3))


@both_kinds
def test_a_worker_runs_its_share_of_the_shared_iterations(kind: Kind) -> None:
    """Of 20 for five users, user 2's and user 5's four each."""
    log = Log()

    outcome = run(
        callee(scenario(kind, log.steps()), users=5, only=[2, 5], hold=FOREVER, shared_iterations=20)
    )

    assert outcome.tally().iterations == 8


@both_kinds
def test_the_hold_ends_shared_iterations_too(kind: Kind) -> None:
    """Whichever ends first."""
    outcome = run(callee(scenario(kind, Log().steps(0.05)), users=2, hold=0.2, shared_iterations=10**9))

    assert 0 < outcome.tally().iterations < 20


@both_kinds
def test_a_pace_is_kept_whatever_an_iteration_takes(kind: Kind) -> None:
    """Five starts in the time of five intervals, although each iteration takes most of one."""
    starts: list[float] = []

    def steps(vu: Any) -> Steps:
        starts.append(time.monotonic())
        yield 0.07

    run(callee(scenario(kind, steps), hold=600, iterations=5, pacing=0.1))

    assert len(starts) == 5
    assert starts[4] - starts[0] >= 0.39


@both_kinds
def test_who_cannot_keep_the_pace_is_late_and_says_so(kind: Kind) -> None:
    """A long iteration makes those behind it late: their response time counts from when they were due."""

    def steps(vu: Any) -> Steps:
        with vu.sample("slow" if vu.iteration == 0 else "behind"):
            yield 0.5 if vu.iteration == 0 else 0.001

    outcome = run(callee(scenario(kind, steps), hold=600, iterations=4, pacing=0.1))

    behind = outcome.tally().labels["behind"]
    assert behind.response.max > 0.3
    assert behind.response.max > behind.service.max + 0.2


@both_kinds
def test_users_that_pause_do_not_begin_in_a_burst(kind: Kind) -> None:
    """They are there at once, and their first iterations lie apart."""
    starts: list[tuple[int, float]] = []

    def steps(vu: Any) -> Steps:
        starts.append((vu.id, time.monotonic()))
        yield 0

    before = time.monotonic()
    outcome = run(callee(scenario(kind, steps), users=10, hold=2.0, think=0.1, iterations=1))

    assert sorted(user for user, _ in starts) == list(range(1, 11))
    # no user begins before its time; when this machine is busy, some begin behind it
    assert max(begun for _, begun in starts) - before >= 0.08
    assert outcome.seconds[0].tallies[0].users == 10


def test_a_failure_without_waiting_does_not_keep_others_from_running() -> None:
    """A user whose requests fail before anything is awaited still lets the others have their turns."""
    done = collections.Counter[int]()

    async def stubborn(vu: Any) -> None:
        done[vu.id] += 1
        with contextlib.suppress(ConnectionFailure):
            await vu.http.get("nonsense")

    run(callee(stubborn, users=3, hold=0.2))

    assert len(done) == 3
    assert min(done.values()) > max(done.values()) / 2
