"""Calls back when something is due, to a fraction of a millisecond and without spinning.

Event loops round their timers to milliseconds, and uvloop's spin below half of one. On Linux a timerfd (an
absolute CLOCK_MONOTONIC time, timerfd_create(2)) wakes the loop as any descriptor does; elsewhere the loop's
own timer must do.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import os
import sys
from collections.abc import Callable
from typing import Protocol

_CLOCK_MONOTONIC = 1
_NONBLOCK_CLOEXEC = os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)
_ABSTIME = 1
_NANO = 1_000_000_000


class Alarm(Protocol):
    """Rings once at a time."""

    def set(self, at: float) -> None:
        """Ring at a reading of `time.monotonic`, at once when that is over, and no more at an earlier one."""

    def close(self) -> None:
        """Never ring again."""


def new_alarm(loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> Alarm:
    """Return the best alarm that there is here; it calls `ring` on the event loop."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            return TimerAlarm(loop, ring)
    return LoopAlarm(loop, ring)


class LoopAlarm:
    """The event loop's own timer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None

    def set(self, at: float) -> None:
        """Ring at `at`."""
        self.close()
        self._handle = self._loop.call_at(at, self._ring)

    def close(self) -> None:
        """Never ring again."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = None


class TimerAlarm:
    """A timerfd (OSError or AttributeError where there is none)."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._descriptor = _create()
        loop.add_reader(self._descriptor, self._rung)

    def set(self, at: float) -> None:
        """Ring at `at`."""
        if self._descriptor >= 0:
            _set(self._descriptor, max(1, int(at * _NANO)))  # 0 would switch it off

    def _rung(self) -> None:
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:  # set anew since it rang
            return
        self._ring()

    def close(self) -> None:
        """Never ring again."""
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
        self._descriptor = -1


if sys.version_info >= (3, 13):

    def _create() -> int:
        return os.timerfd_create(_CLOCK_MONOTONIC, flags=_NONBLOCK_CLOEXEC)

    def _set(descriptor: int, at: int) -> None:
        os.timerfd_settime_ns(descriptor, flags=_ABSTIME, initial=at)

else:

    class _Spec(ctypes.Structure):
        """A struct itimerspec: interval, then first time, each in seconds and nanoseconds."""

        _fields_ = (
            ("interval_seconds", ctypes.c_long),
            ("interval_nanoseconds", ctypes.c_long),
            ("seconds", ctypes.c_long),
            ("nanoseconds", ctypes.c_long),
        )

    @functools.cache
    def _libc() -> ctypes.CDLL:
        return ctypes.CDLL(None, use_errno=True)

    def _create() -> int:
        descriptor = int(_libc().timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC))
        if descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        return descriptor

    _SPEC = _Spec()
    _THE_SPEC = ctypes.byref(_SPEC)

    def _set(descriptor: int, at: int) -> None:
        _SPEC.seconds, _SPEC.nanoseconds = divmod(at, _NANO)
        if _libc().timerfd_settime(descriptor, _ABSTIME, _THE_SPEC, None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")
