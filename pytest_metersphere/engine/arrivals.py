"""The open model on one worker: iterations begin when they are due, or are dropped for want of a user."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from pytest_metersphere.engine.clock import new_alarm
from pytest_metersphere.engine.recorder import Recorder
from pytest_metersphere.scenario.profile import Profile

_AT_ONCE = 10
"""How many iterations begin before answers are read again, when users are free; a new user is made alone.

When more are due, they are late already. Users that have their answer meanwhile can take them, so that no new
ones need to be made: each takes longer than an iteration, and makes those behind it later still.
"""


class Guest(Protocol):
    """A user that runs an iteration when one is due."""

    def give(self, due: float) -> bool:
        """Run an iteration that was due at this clock reading; return False when it has to go already."""

    def dismiss(self) -> None:
        """Nothing is due any more."""


class UserPool:
    """The users of one open scenario on a worker: those that are free, and those that were never needed.

    The user that was free last goes first: so no more users are made, and connections opened, than run at
    once. Users join again from threads of their own.
    """

    def __init__(self, part: int, users: Sequence[int], recorder: Recorder) -> None:
        """Start without users; `part` is the scenario's number and `users` the ids that it may have."""
        self._part = part
        self._recorder = recorder
        self._unborn = deque(users)
        self._free: list[Guest] = []
        self._closed = False

    def start(self, due: float, make: Callable[[int, float], None]) -> bool:
        """Let a free user begin what is due; `make` a new one with its id when none is free, or drop it.

        Returns whether a new one was made.
        """
        given = self._given(due)
        dropped = not given and not self._unborn
        self._recorder.scheduled(self._part, due, dropped=dropped)
        if given or dropped:
            return False
        make(self._unborn.popleft(), due)
        return True

    def _given(self, due: float) -> bool:
        """Return whether a free user has taken what is due."""
        while (guest := self._next()) is not None:
            if guest.give(due):
                return True
        return False

    def _next(self) -> Guest | None:
        try:
            return self._free.pop()
        except IndexError:
            return None

    def join(self, guest: Guest) -> None:
        """Take a user that is free."""
        self._free.append(guest)
        if self._closed:
            self.close()

    def close(self) -> None:
        """Dismiss all users that are free, and whoever joins from now on."""
        self._closed = True
        while (guest := self._next()) is not None:
            guest.dismiss()


class Schedule:
    """Starts the iterations of all open scenarios of a worker when they are due."""

    def __init__(
        self, go: float, loop: asyncio.AbstractEventLoop, start: Callable[[int, float], bool]
    ) -> None:
        """Start nothing yet.

        Args:
            go: clock reading from which the arrivals count.
            loop: the event loop.
            start: is called with the scenario's number and the clock reading at which an iteration is due;
                returns whether it made a new user.
        """
        self._go = go
        self._loop = loop
        self._start = start
        self._due: Iterator[tuple[float, int]] = iter(())
        self._next: tuple[float, int] | None = None

    async def run(self, parts: Iterable[tuple[int, Profile, Sequence[int]]]) -> None:
        """Start everything in time; returns behind the last one.

        `parts` holds each open scenario's number, its profile, and the ids of its users on this worker.
        """
        self._due = heapq.merge(*(_arrivals(*part) for part in parts))
        self._next = next(self._due, None)
        done = self._loop.create_future()
        alarm = new_alarm(self._loop, lambda: self._ring(alarm.set, done))
        try:
            self._ring(alarm.set, done)
            await done
        finally:
            alarm.close()

    def _ring(self, set_alarm: Callable[[float], None], done: asyncio.Future[None]) -> None:
        """Start what is due by now and have the alarm ring for the next one."""
        try:
            self._start_due(time.monotonic() - self._go)
        except Exception as error:  # noqa: BLE001 - whoever waits for the end is told
            if not done.done():
                done.set_exception(error)
            return
        if self._next is not None:
            set_alarm(self._go + self._next[0])
        elif not done.done():
            done.set_result(None)

    def _start_due(self, elapsed: float) -> None:
        for _ in range(_AT_ONCE):
            if self._next is None or self._next[0] > elapsed:
                return
            due, part = self._next
            made = self._start(part, self._go + due)
            self._next = next(self._due, None)
            if made:
                return


def _arrivals(part: int, profile: Profile, users: Sequence[int]) -> Iterator[tuple[float, int]]:
    arrivals = profile.arrivals
    if arrivals is not None:
        for due in arrivals.due(users, profile.starting or profile.peak):
            yield due, part
