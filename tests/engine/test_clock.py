"""What rings when something is due: a timerfd where there is one, else the event loop's own timer."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable

import pytest

from pytest_metersphere.engine.clock import Alarm, LoopAlarm, TimerAlarm, new_alarm

Kind = Callable[[asyncio.AbstractEventLoop, Callable[[], None]], Alarm]
NO_TIMERFD = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux, which has timerfd")
every_alarm = pytest.mark.parametrize("kind", [LoopAlarm, pytest.param(TimerAlarm, marks=NO_TIMERFD)])


class Bell:
    """Notes when it rang, and lets one wait for it."""

    def __init__(self, kind: Kind) -> None:
        self.rung: list[float] = []
        self._event = asyncio.Event()
        self.alarm = kind(asyncio.get_running_loop(), self._ring)

    def _ring(self) -> None:
        self.rung.append(time.monotonic())
        self._event.set()

    async def wait(self) -> None:
        async with asyncio.timeout(20):
            await self._event.wait()
        self._event.clear()


@every_alarm
def test_it_rings_once_and_not_too_early(kind: Kind) -> None:
    """At the reading of the clock that was asked for, or after it."""

    async def main() -> None:
        bell = Bell(kind)
        for _ in range(3):
            due = time.monotonic() + 0.02
            bell.alarm.set(due)
            await bell.wait()
            assert bell.rung[-1] >= due - 0.001
        await asyncio.sleep(0.05)
        assert len(bell.rung) == 3
        bell.alarm.close()

    asyncio.run(main())


@every_alarm
def test_what_is_over_rings_at_once(kind: Kind) -> None:
    """A time that has passed, and even the begin of the clock."""

    async def main() -> None:
        bell = Bell(kind)
        for due in (time.monotonic() - 5, 0.0):
            bell.alarm.set(due)
            await bell.wait()
        bell.alarm.close()

    asyncio.run(main())


@every_alarm
def test_a_new_time_takes_the_place_of_the_old(kind: Kind) -> None:
    """The old one rings no more."""

    async def main() -> None:
        bell = Bell(kind)
        bell.alarm.set(time.monotonic() + 0.01)
        bell.alarm.set(time.monotonic() + 600)
        await asyncio.sleep(0.05)
        assert bell.rung == []
        bell.alarm.set(time.monotonic() + 0.01)
        await bell.wait()
        bell.alarm.close()

    asyncio.run(main())


@every_alarm
def test_a_closed_alarm_is_silent(kind: Kind) -> None:
    """Closing twice is harmless."""

    async def main() -> None:
        bell = Bell(kind)
        bell.alarm.set(time.monotonic() + 0.01)
        bell.alarm.close()
        bell.alarm.close()
        await asyncio.sleep(0.05)
        assert bell.rung == []

    asyncio.run(main())


@NO_TIMERFD
def test_linux_gets_a_timerfd() -> None:
    """Here the event loop's timers are too coarse."""

    async def main() -> None:
        alarm = new_alarm(asyncio.get_running_loop(), lambda: None)
        alarm.close()
        assert isinstance(alarm, TimerAlarm)

    asyncio.run(main())


def test_elsewhere_the_loop_must_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """A platform without timerfd has arrivals, too."""
    monkeypatch.setattr(sys, "platform", "darwin")

    async def main() -> None:
        assert isinstance(new_alarm(asyncio.get_running_loop(), lambda: None), LoopAlarm)

    asyncio.run(main())
