"""The life of a user of an `async def` scenario: a task."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from pytest_metersphere.engine.arrivals import UserPool
from pytest_metersphere.engine.life import CUT_OFF, TEARDOWN_LIMIT, Life, Surroundings, Turns
from pytest_metersphere.engine.load_fixtures import FixtureValues
from pytest_metersphere.engine.part import Callee
from pytest_metersphere.engine.user import VirtualUser


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
            self._start = self._started()
            error: BaseException | None = None
            try:
                call = call or await self._set_up()
                await (self._repeat(call) if self._repeats() else call())
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
            if self._note(self._start, error, set_up=call is not None):
                await self._wait()
            self._meter.waited = False

    async def _repeat(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Iterate as long as nothing but the end is to be looked at; count all iterations but the last."""
        meter = self._meter
        await call()
        while meter.waited and not meter.leaving:
            now = time.monotonic()
            if now >= self.ends:
                return
            meter.iteration_worked(self._start, now)
            self._start = now
            meter.waited = False
            await call()

    def _forget_cancelling(self) -> None:
        """Go on after the scenario has cancelled itself."""
        if self._task is not None:
            self._task.uncancel()

    async def _set_up(self) -> Callable[[], Coroutine[Any, Any, Any]]:
        instance = self._callee.new_instance()
        for fixture in self._callee.used:
            await self._values.value_of(fixture, instance)
        values = {
            name: await self._values.value_of(asked, instance)
            for name, asked in self._callee.arguments.items()
        }
        return self._callee.call(instance, values)

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
            self._teardown_failed(start, TimeoutError(CUT_OFF) if cut_off else error)
        finally:
            await self._vu.close()
