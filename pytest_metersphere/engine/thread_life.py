"""The life of a user of a plain `def` scenario: a thread."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

from pytest_metersphere.engine.failures import Interrupted
from pytest_metersphere.engine.life import CUT_OFF, TEARDOWN_LIMIT, Life, Surroundings, Turns
from pytest_metersphere.engine.load_fixtures import ThreadFixtureValues
from pytest_metersphere.engine.part import Callee
from pytest_metersphere.engine.user import ThreadUser
from pytest_metersphere.engine.user_loop import UserLoop


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
            self._start = self._started()
            error: BaseException | None = None
            try:
                call = call or self._set_up()
                if self._repeats():
                    self._repeat(call)
                else:
                    call()
            except Interrupted:
                raise
            except BaseException as caught:  # noqa: BLE001 - pytest.fail and sys.exit must not end the worker
                error = caught
            if self._meter.leaving:
                return
            self._note(self._start, error, set_up=call is not None)
            self._wait()

    def _repeat(self, call: Callable[[], Any]) -> None:
        """Iterate as long as nothing but the end is to be looked at; count all iterations but the last."""
        meter = self._meter
        call()
        while not meter.leaving:
            now = time.monotonic()
            if now >= self.ends:
                return
            meter.iteration_worked(self._start, now)
            self._start = now
            call()

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
        for fixture in self._callee.used:
            self._values.value_of(fixture, instance)
        values = {
            name: self._values.value_of(asked, instance) for name, asked in self._callee.arguments.items()
        }
        return self._callee.call(instance, values)

    def _tear_down(self) -> None:
        start = time.monotonic()
        if self._meter.leaving:
            self._loop.reopen(TEARDOWN_LIMIT)
        try:
            self._values.close()
        except Interrupted:
            self._teardown_failed(start, TimeoutError(CUT_OFF))
        except BaseException as error:  # noqa: BLE001 - whatever a fixture raises is reported, not lost
            self._teardown_failed(start, error)
        finally:
            self._loop.finish(self._vu.virtual.close())
