"""The life of one virtual user: set up, iterate, pause, leave in time, tear down."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import time
from typing import Protocol

import pytest

from pytest_metersphere.engine.arrivals import UserPool
from pytest_metersphere.engine.health import Lateness
from pytest_metersphere.engine.load_fixtures import FixtureValues
from pytest_metersphere.engine.pacing import Pacer, SharedIterations
from pytest_metersphere.engine.part import Callee
from pytest_metersphere.engine.recorder import Recorder
from pytest_metersphere.engine.user import Meter

TEARDOWN_LIMIT = 5.0
"""Seconds that a user's fixtures get to tear down once the user had to go."""
CUT_OFF = "the tear-down of the user's fixtures was cut off, because the user had to go"
"""What a tear-down that took longer is reported as."""


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
        self._start = 0.0
        self._free_running = (
            turns.pool is None and turns.shared is None and scenario.profile.iterations is None
        )
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

    def _repeats(self) -> bool:
        """Return whether the next iteration begins when this one has ended, whatever else there is."""
        return self._free_running and self._pacer.steady

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
