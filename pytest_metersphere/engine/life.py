"""The life of one virtual user: set up, iterate, pause, leave in time, tear down."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import math
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import pytest

from pytest_metersphere.engine.failures import Interrupted
from pytest_metersphere.engine.load_fixtures import FixtureValues, ThreadFixtureValues
from pytest_metersphere.engine.pacing import Pacer
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

    def shared(self, part: int) -> FixtureValues:
        """Return the worker-scoped fixtures of a scenario."""

    def left(self, part: int, user: int) -> None:
        """Note that a user is gone."""

    def abort(self, reason: str) -> None:
        """End the whole load: the scenario called pytest.exit."""


class Life:
    """What both kinds of users have: when they must go, and their counters.

    Attributes:
        ends: clock reading at which no further iteration begins.
        latest: clock reading at which it is interrupted, should it still run then.
        over: it ended by itself, and what remains is the tear-down.
    """

    def __init__(
        self, callee: Callee, part: int, user: int, ends: float, around: Surroundings, done: int = 0
    ) -> None:
        """Prepare a user that has done so many iterations before."""
        self._callee = callee
        self._profile = callee.part.scenario.profile
        self._part = part
        self._around = around
        self._user = user
        self._meter = Meter(callee.part.before + user, around.node, part, around.recorder)
        self._meter.iteration = done
        self._meter.lease(callee.part.rows, user)
        self._pacer = Pacer(callee.part.scenario.think, seed=self._meter.user)
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
        """Return whether it is time for another iteration."""
        limit = self._profile.iterations
        return time.monotonic() < self.ends and (limit is None or self._meter.iteration < limit)

    def _note(self, start: float, error: BaseException | None, *, set_up: bool) -> float:
        """Count an iteration and return the pause behind it."""
        if isinstance(error, pytest.exit.Exception):
            self.ends = min(self.ends, time.monotonic())
            self._around.abort(str(error) or "pytest.exit was called")
            return 0.0
        self._meter.iteration_ended(start, time.monotonic(), error)
        pause = self._pacer.pause(error, set_up=set_up)
        return max(0.0, min(pause, self.ends - time.monotonic()))

    def _teardown_failed(self, start: float, error: BaseException) -> None:
        self._meter.iteration_ended(start, time.monotonic(), error)

    def _gone(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._around.left(self._part, self._user)


class AsyncLife(Life):
    """A user of an `async def` scenario: a task."""

    def __init__(
        self, callee: Callee, part: int, user: int, ends: float, around: Surroundings, done: int = 0
    ) -> None:
        """Prepare a user that has done so many iterations before."""
        super().__init__(callee, part, user, ends, around, done)
        self._vu = VirtualUser(self._meter)
        self._values = FixtureValues(self._vu, around.shared(part))
        self._waker: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to live."""
        self._around.recorder.user_came(self._part)
        self._task = self._around.loop.create_task(self._live())
        self.leave(self.ends)

    def _depart(self, ends: float, latest: float) -> None:
        super()._depart(ends, latest)
        if self._waker is not None and ends <= time.monotonic():
            _wake(self._waker)

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
        while self.wants_more():
            start = time.monotonic()
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
            await self._pause(self._note(start, error, set_up=call is not None))

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
        return lambda: function(**values)

    async def _pause(self, seconds: float) -> None:
        try:
            await self._sleep(seconds)
        except asyncio.CancelledError:
            if self._meter.leaving:
                raise
            self._forget_cancelling()

    async def _sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        loop = self._around.loop
        self._waker = waker = loop.create_future()
        timer = loop.call_later(seconds, _wake, waker)
        try:
            await waker
        finally:
            timer.cancel()
            self._waker = None

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
        self, callee: Callee, part: int, user: int, ends: float, around: Surroundings, done: int = 0
    ) -> None:
        """Prepare a user that has done so many iterations before."""
        super().__init__(callee, part, user, ends, around, done)
        self._loop = UserLoop(around.loop)
        self._vu = ThreadUser(self._meter, self._loop, self._loop.sleep)
        self._values = ThreadFixtureValues(self._vu, self._loop, around.shared(part))
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._live, name=f"user-{user}", daemon=True)

    def start(self) -> None:
        """Begin to live."""
        self._around.recorder.user_came(self._part)
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
        self._loop.close()

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
        while self.wants_more():
            start = time.monotonic()
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
            self._wake.wait(self._note(start, error, set_up=call is not None))

    def _set_up(self) -> Callable[[], Any]:
        instance = self._callee.new_instance()
        function = self._callee.bound(instance)
        for fixture in self._callee.used:
            self._values.value_of(fixture, instance)
        values = {
            name: self._values.value_of(asked, instance) for name, asked in self._callee.arguments.items()
        }
        return lambda: function(**values)

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


def _wake(waker: asyncio.Future[None]) -> None:
    if not waker.done():
        waker.set_result(None)
