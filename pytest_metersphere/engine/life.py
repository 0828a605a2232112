"""The life of one virtual user: set up, iterate, pause, leave in time, tear down."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import functools
import math
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import pytest

from pytest_metersphere.engine.arrivals import UserPool
from pytest_metersphere.engine.failures import Interrupted
from pytest_metersphere.engine.health import Lateness
from pytest_metersphere.engine.load_fixtures import FixtureValues, ThreadFixtureValues
from pytest_metersphere.engine.pacing import Pacer, SharedIterations
from pytest_metersphere.engine.part import Callee
from pytest_metersphere.engine.recorder import Recorder
from pytest_metersphere.engine.user import Meter, ThreadUser, VirtualUser

TEARDOWN_LIMIT = 5.0
"""Seconds that a user's fixtures get to tear down once the user had to go."""
_CUT_OFF = "the tear-down of the user's fixtures was cut off, because the user had to go"


class Surroundings(Protocol):
    """What the lives of a worker share."""

    recorder: Recorder
    node: str
    loop: asyncio.AbstractEventLoop
    starts: Lateness

    def shared(self, part: int) -> FixtureValues:
        """Return the worker-scoped fixtures of a scenario."""

    def left(self, part: int, user: int) -> None:
        """Note that a user is gone."""

    def abort(self, reason: str) -> None:
        """End the whole load: the scenario called pytest.exit."""


@dataclasses.dataclass(frozen=True, slots=True)
class Turns:
    """What decides when a user iterates, and how often.

    Attributes:
        due: clock reading at which its first iteration is due.
        done: iterations that it has done in earlier lives.
        shared: the iterations that all users of the worker have together, None when each has its own.
        pool: in the open model, where it waits for iterations that are due.
    """

    due: float
    done: int = 0
    shared: SharedIterations | None = None
    pool: UserPool | None = None


class Life:
    """What both kinds of users have: when they must go, and their counters.

    Attributes:
        ends: clock reading at which no further iteration begins; in the open model the pool says it.
        latest: clock reading at which it is interrupted, should it still run then.
        over: it ended by itself, and what remains is the tear-down.
    """

    def __init__(
        self, callee: Callee, part: int, user: int, ends: float, around: Surroundings, turns: Turns
    ) -> None:
        """Prepare a user."""
        scenario = callee.part.scenario
        self._callee = callee
        self._profile = scenario.profile
        self._part = part
        self._around = around
        self._user = user
        self._turns = turns
        self._due = turns.due
        self._given = turns.pool is not None
        self._dismissed = False
        self._present = False
        self._keeps_time = turns.pool is not None or scenario.pacing is not None
        self._meter = Meter(callee.part.before + user, around.node, part, around.recorder)
        self._meter.iteration = turns.done
        self._meter.lease(callee.part.rows, user)
        self._pacer = Pacer(scenario.think, seed=self._meter.user, pacing=scenario.pacing)
        self._deadline: asyncio.TimerHandle | None = None
        self.ends = ends
        self.latest = ends
        self.over = False

    def leave(self, ends: float) -> None:
        """Begin no iteration after `ends`; interrupt a running one when its `graceful_stop` is over."""
        self._depart(ends, ends + self._profile.graceful_stop)

    def stop(self, grace: float) -> None:
        """Begin no iteration any more; interrupt a running one in `grace` seconds, or when it is due."""
        now = time.monotonic()
        self._depart(min(now, self.ends), min(now + grace, self.latest))

    def _depart(self, ends: float, latest: float) -> None:
        self.ends = ends
        self.latest = latest
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None
        if self.latest != math.inf:
            self._deadline = self._around.loop.call_at(self.latest, self.interrupt)

    def interrupt(self) -> None:
        """Make the user go now."""
        self._meter.leaving = True

    @property
    def iterations(self) -> int:
        """Return how many iterations the user has done, in earlier lives too."""
        return self._meter.iteration

    def wants_more(self) -> bool:
        """Return whether it is time for another iteration that nobody has to call for."""
        limit, shared = self._profile.iterations, self._turns.shared
        return (
            self._turns.pool is None
            and time.monotonic() < self.ends
            and (limit is None or self._meter.iteration < limit)
            and (shared is None or shared.left > 0)
        )

    def _begins(self) -> bool:
        """Return whether another iteration begins now, and take it."""
        if self._turns.pool is not None:
            return self._given and not self._meter.leaving
        return self.wants_more() and (self._turns.shared is None or self._turns.shared.take())

    def _take(self, due: float) -> bool:
        """Note what is due, unless the user has to go."""
        if self._meter.leaving:
            return False
        self._due, self._given = due, True
        return True

    def _started(self) -> float:
        """Note that an iteration begins; return the clock reading."""
        now = time.monotonic()
        if self._keeps_time:
            self._meter.begin_late(max(0.0, now - self._due))
        if self._given:
            self._given = False
            self._around.starts.note(now - self._due)
            self._present = True
            self._around.recorder.begun(self._part, self._due, now)
        return now

    def _note(self, start: float, error: BaseException | None, *, set_up: bool) -> bool:
        """Count an iteration, know when the next is due, and return whether there is anything to wait for.

        A user that has waited for an answer has let others have their turn.
        """
        if isinstance(error, pytest.exit.Exception):
            self.ends = min(self.ends, time.monotonic())
            self._around.abort(str(error) or "pytest.exit was called")
            return False
        now = time.monotonic()
        # it belongs to the phase in which it was due, as its samples do
        self._meter.iteration_ended(min(start, self._due) if self._keeps_time else start, now, error)
        if self._turns.pool is not None:
            self._absent()
            return True
        self._due = self._pacer.due_after(self._due, now, error, set_up=set_up)
        return self._due > now or not self._meter.waited

    def _came_due(self) -> None:
        """Note how late a pause has ended, unless it was cut short."""
        if self._due <= self.ends:
            self._around.starts.note(time.monotonic() - self._due)

    def _come(self) -> None:
        """Count among the users; in the open model each iteration does that."""
        if self._turns.pool is None:
            self._present = True
            self._around.recorder.user_came(self._part)

    def _absent(self) -> None:
        """Count among the users no more."""
        if self._present:
            self._present = False
            self._around.recorder.user_left(self._part)

    def _teardown_failed(self, start: float, error: BaseException) -> None:
        self._meter.iteration_ended(start, time.monotonic(), error)

    def _gone(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._absent()
        if self._given:
            self._around.recorder.dropped(self._part, self._due)
        self._around.left(self._part, self._user)


class AsyncLife(Life):
    """A user of an `async def` scenario: a task."""

    def __init__(
        self, callee: Callee, part: int, user: int, ends: float, around: Surroundings, turns: Turns
    ) -> None:
        """Prepare a user."""
        super().__init__(callee, part, user, ends, around, turns)
        self._vu = VirtualUser(self._meter)
        self._values = FixtureValues(self._vu, around.shared(part))
        self._waker: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to live."""
        self._come()
        self._task = self._around.loop.create_task(self._live())
        self.leave(self.ends)

    def _depart(self, ends: float, latest: float) -> None:
        super()._depart(ends, latest)
        if ends <= time.monotonic():
            self._wake()

    def interrupt(self) -> None:
        """Make the user go now, whatever it waits for."""
        if self._meter.leaving:
            return
        super().interrupt()
        if self._task is not None:
            self._task.cancel()

    async def _live(self) -> None:
        try:
            await self._iterate()
            self.over = True
        except asyncio.CancelledError:
            if not self._meter.leaving:
                raise
        finally:
            try:
                await self._tear_down()
            finally:
                self._gone()

    async def _iterate(self) -> None:
        call: Callable[[], Coroutine[Any, Any, Any]] | None = None
        await self._wait()
        while self._begins():
            start = self._started()
            error: BaseException | None = None
            try:
                call = call or await self._set_up()
                await call()
            except asyncio.CancelledError as cancelled:
                if self._meter.leaving:
                    raise
                error = cancelled
                self._forget_cancelling()
            except (KeyboardInterrupt, GeneratorExit):
                raise
            except BaseException as caught:  # noqa: BLE001 - pytest.fail and sys.exit must not end the worker
                error = caught
            if self._meter.leaving:
                return
            if self._note(start, error, set_up=call is not None):
                await self._wait()
            self._meter.waited = False

    def _forget_cancelling(self) -> None:
        """Go on after the scenario has cancelled itself."""
        if self._task is not None:
            self._task.uncancel()

    async def _set_up(self) -> Callable[[], Coroutine[Any, Any, Any]]:
        instance = self._callee.new_instance()
        function = self._callee.bound(instance)
        for fixture in self._callee.used:
            await self._values.value_of(fixture, instance)
        values = {
            name: await self._values.value_of(asked, instance)
            for name, asked in self._callee.arguments.items()
        }
        return functools.partial(function, **values)

    async def _wait(self) -> None:
        """Wait until the next iteration is due, or none will be."""
        try:
            if self._turns.pool is None:
                await self._wait_until_due()
            else:
                await self._wait_to_be_called(self._turns.pool)
        except asyncio.CancelledError:
            if self._meter.leaving:
                raise
            self._forget_cancelling()

    async def _wait_until_due(self) -> None:
        seconds = min(self._due, self.ends) - time.monotonic()
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        timer = self._around.loop.call_later(seconds, self._wake)
        try:
            await self._woken()
        finally:
            timer.cancel()
        self._came_due()

    async def _wait_to_be_called(self, pool: UserPool) -> None:
        if not self._given:
            pool.join(self)
        while not self._given and not self._dismissed:
            try:
                await self._woken()
            except asyncio.CancelledError:
                if self._meter.leaving:
                    raise
                self._forget_cancelling()

    async def _woken(self) -> None:
        self._waker = waker = self._around.loop.create_future()
        try:
            await waker
        finally:
            self._waker = None

    def _wake(self) -> None:
        if self._waker is not None and not self._waker.done():
            self._waker.set_result(None)

    def give(self, due: float) -> bool:
        """Run an iteration that was due at this clock reading; return False when the user has to go."""
        if not self._take(due):
            return False
        self._wake()
        return True

    def dismiss(self) -> None:
        """Go: nothing is due any more."""
        self._dismissed = True
        self._wake()

    async def _tear_down(self) -> None:
        start = time.monotonic()
        limit = asyncio.timeout(TEARDOWN_LIMIT if self._meter.leaving else None)
        try:
            async with limit:
                await self._values.close()
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a fixture raises is reported, not lost
            cut_off = limit.expired() or isinstance(error, asyncio.CancelledError)
            self._teardown_failed(start, TimeoutError(_CUT_OFF) if cut_off else error)
        finally:
            await self._vu.close()


class ThreadLife(Life):
    """A user of a plain `def` scenario: a thread."""

    def __init__(
        self, callee: Callee, part: int, user: int, ends: float, around: Surroundings, turns: Turns
    ) -> None:
        """Prepare a user."""
        super().__init__(callee, part, user, ends, around, turns)
        self._loop = UserLoop(around.loop)
        self._vu = ThreadUser(self._meter, self._loop, self._loop.sleep)
        self._values = ThreadFixtureValues(self._vu, self._loop, around.shared(part))
        self._wake = threading.Event()
        self._called = threading.Event()
        self._thread = threading.Thread(target=self._live, name=f"user-{user}", daemon=True)

    def start(self) -> None:
        """Begin to live."""
        self._come()
        self.leave(self.ends)
        self._thread.start()

    def _depart(self, ends: float, latest: float) -> None:
        super()._depart(ends, latest)
        if ends <= time.monotonic():
            self._wake.set()

    def interrupt(self) -> None:
        """Make the user go now, whatever it waits for."""
        if self._meter.leaving:
            return
        super().interrupt()
        self._wake.set()
        self._called.set()
        self._loop.close()

    def give(self, due: float) -> bool:
        """Run an iteration that was due at this clock reading; return False when the user has to go."""
        if not self._take(due):
            return False
        self._called.set()
        return True

    def dismiss(self) -> None:
        """Go: nothing is due any more."""
        self._called.set()

    def _live(self) -> None:
        try:
            self._iterate()
            self.over = True
        except Interrupted:
            pass
        finally:
            # a thread that outlived the load finds the loop closed
            with contextlib.suppress(RuntimeError):
                self._tear_down()
            with contextlib.suppress(RuntimeError):
                self._around.loop.call_soon_threadsafe(self._gone)

    def _iterate(self) -> None:
        call: Callable[[], Any] | None = None
        self._wait()
        while self._begins():
            start = self._started()
            error: BaseException | None = None
            try:
                call = call or self._set_up()
                call()
            except Interrupted:
                raise
            except BaseException as caught:  # noqa: BLE001 - pytest.fail and sys.exit must not end the worker
                error = caught
            if self._meter.leaving:
                return
            self._note(start, error, set_up=call is not None)
            self._wait()

    def _wait(self) -> None:
        """Wait until the next iteration is due, or none will be."""
        pool = self._turns.pool
        if pool is None:
            seconds = min(self._due, self.ends) - time.monotonic()
            if seconds > 0:
                self._wake.wait(seconds)
                self._came_due()
        elif not self._given:
            self._called.clear()
            pool.join(self)
            self._called.wait()

    def _set_up(self) -> Callable[[], Any]:
        instance = self._callee.new_instance()
        function = self._callee.bound(instance)
        for fixture in self._callee.used:
            self._values.value_of(fixture, instance)
        values = {
            name: self._values.value_of(asked, instance) for name, asked in self._callee.arguments.items()
        }
        return functools.partial(function, **values)

    def _tear_down(self) -> None:
        start = time.monotonic()
        if self._meter.leaving:
            self._loop.reopen(TEARDOWN_LIMIT)
        try:
            self._values.close()
        except Interrupted:
            self._teardown_failed(start, TimeoutError(_CUT_OFF))
        except BaseException as error:  # noqa: BLE001 - whatever a fixture raises is reported, not lost
            self._teardown_failed(start, error)
        finally:
            self._loop.finish(self._vu.virtual.close())


class UserLoop:
    """The worker's event loop as a user's thread sees it: calls block, until the user must go."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run coroutines on `loop`, which runs in another thread."""
        self._loop = loop
        self._closed = threading.Event()
        self._pending: concurrent.futures.Future[Any] | None = None
        self._callbacks: list[Callable[[], None]] = []

    @property
    def closed(self) -> bool:
        """Return whether the user must go."""
        return self._closed.is_set()

    def when_closed(self, callback: Callable[[], None]) -> None:
        """Call back when the user must go; from another thread than the user's."""
        self._callbacks.append(callback)

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the loop and block for its result.

        Raises:
            Interrupted: the user must go.
        """
        if self._closed.is_set():
            work.close()
            raise Interrupted
        self._pending = future = self._begin(work)
        if self._closed.is_set():
            future.cancel()
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            if self._closed.is_set():
                raise Interrupted from None
            raise

    def sleep(self, seconds: float) -> None:
        """Pause; raises Interrupted when the user must go."""
        if self._closed.wait(max(0.0, seconds)):
            raise Interrupted

    def close(self) -> None:
        """Interrupt what waits here, and refuse what comes."""
        self._closed.set()
        for callback in self._callbacks:
            callback()
        if self._pending is not None:
            self._pending.cancel()

    def reopen(self, seconds: float) -> None:
        """Serve again, so many seconds, for the tear-down."""
        self._closed.clear()
        self._loop.call_soon_threadsafe(self._loop.call_later, seconds, self.close)

    def finish(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run a coroutine that nothing must interrupt."""
        self._begin(work).result()

    def _begin(self, work: Coroutine[Any, Any, Any]) -> concurrent.futures.Future[Any]:
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:
            work.close()
            raise
