"""Runs the users of a worker along their load curves and reports every second of it."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence

from pytest_metersphere.engine.arrivals import Schedule, UserPool
from pytest_metersphere.engine.async_life import AsyncLife
from pytest_metersphere.engine.health import Pulse
from pytest_metersphere.engine.life import TEARDOWN_LIMIT, Life, Turns
from pytest_metersphere.engine.load_fixtures import FixtureValues
from pytest_metersphere.engine.messages import Ended, FromWorker, Second
from pytest_metersphere.engine.pacing import SharedIterations
from pytest_metersphere.engine.part import Callee
from pytest_metersphere.engine.recorder import Cut, Recorder
from pytest_metersphere.engine.thread_life import ThreadLife
from pytest_metersphere.engine.user import Meter
from pytest_metersphere.metrics.frame import WorkerHealth
from pytest_metersphere.scenario.model import Scenario

_PAUSE = 0.001  # timers know no less
_STUCK_AFTER = TEARDOWN_LIMIT + 1.0


class LoadRunner:
    """The load of one worker.

    Attributes:
        recorder: counts what the users do.
        node: name of the node.
        loop: the event loop, once `run` was called.
        starts: how late iterations began that had their time.
    """

    loop: asyncio.AbstractEventLoop

    def __init__(
        self, callees: Sequence[Callee], node: str, worker: int, send: Callable[[FromWorker], None]
    ) -> None:
        """Prepare the load; `send` takes the messages for the supervisor and must not block."""
        threads = not all(callee.part.scenario.is_async for callee in callees)
        self.recorder = Recorder([callee.part.scenario.profile.warmup for callee in callees], threads=threads)
        self.node = node
        self._callees = callees
        self._worker = worker
        self._send = send
        self._shared = [FixtureValues() for _ in callees]
        self._lives: dict[tuple[int, int], Life] = {}
        self._done: dict[tuple[int, int], int] = {}
        self._changed = asyncio.Event()
        self._go = 0.0
        self._ends = [0.0] * len(callees)
        self._reported = 0
        self._aborted = ""
        self._arrivals: asyncio.Task[None] | None = None
        self._pulse = Pulse(worker)
        self.starts = self._pulse.starts
        self._limits = [_shared_iterations(callee) for callee in callees]
        self._pools = {
            part: UserPool(part, callee.part.users, self.recorder)
            for part, callee in enumerate(callees)
            if callee.part.scenario.profile.arrivals is not None
        }
        self._make = {part: self._made_by(part) for part in self._pools}

    def shared(self, part: int) -> FixtureValues:
        """Return the worker-scoped fixtures of a scenario."""
        return self._shared[part]

    async def run(self, go: float) -> None:
        """Run everything from the clock reading `go` on; returns when the last user is gone."""
        self.loop = asyncio.get_running_loop()
        self._go = go
        self.recorder.begin(go)
        watch = self.loop.create_task(self._pulse.watch())
        ticks = self.loop.create_task(self._tick())
        self._arrivals = self.loop.create_task(self._bring_everything())
        await asyncio.wait([self._arrivals])
        if not self._arrivals.cancelled():
            self._arrivals.result()
        await self._all_gone()
        await self._close_shared()
        for task in (ticks, watch):
            task.cancel()
        await asyncio.wait([ticks, watch])
        self._report(math.floor(time.monotonic() - self._go) + 1)
        ends = [max(0.0, end - self._go) for end in self._ends]
        self._send(Ended(at=max(ends), aborted=self._aborted, ends=ends))

    def stop(self, grace: float) -> None:
        """Let no user begin anything more; running iterations get `grace` seconds."""
        if self._arrivals is not None:
            self._arrivals.cancel()
        self._close_pools()
        for life in list(self._lives.values()):
            life.stop(grace)
        self._changed.set()

    def abort(self, reason: str) -> None:
        """End the load because a scenario called pytest.exit; may be called from any thread."""
        self._aborted = self._aborted or reason
        self.loop.call_soon_threadsafe(self.stop, 0.0)

    async def _bring_everything(self) -> None:
        """Bring users along the closed curves and start what is due in the open model."""
        schedule = Schedule(self._go, self.loop, self._start_one)
        open_parts = [
            (part, self._callees[part].part.scenario.profile, self._callees[part].part.users)
            for part in self._pools
        ]
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._bring_users())
                both.create_task(schedule.run(open_parts))
        finally:
            self._close_pools()

    def _close_pools(self) -> None:
        for pool in self._pools.values():
            pool.close()

    def _start_one(self, part: int, due: float) -> bool:
        """Start an iteration of the open model that was due at a clock reading; return if by a new user."""
        return self._pools[part].start(due, self._make[part])

    def _made_by(self, part: int) -> Callable[[int, float], None]:
        """Return what makes a user of an open scenario, with its id, for what is due at a clock reading."""
        pool = self._pools[part]
        duration = self._callees[part].part.scenario.profile.duration
        return lambda user, due: self._live(part, user, self._go + duration, Turns(due, pool=pool))

    async def _bring_users(self) -> None:
        arrivals = sorted(
            (start, end, part, user)
            for part, callee in enumerate(self._callees)
            if part not in self._pools
            for user in callee.part.users
            for start, end in callee.part.scenario.profile.presence(user)
        )
        for start, end, part, user in arrivals:
            await self._until(self._go + start)
            self._begin(part, user, self._go + end, self._go + start)

    async def _until(self, at: float) -> None:
        """Sleep until a clock reading, not less: an event loop's timer may ring early."""
        while (wait := at - time.monotonic()) > 0:  # noqa: ASYNC110 - it is a time that is waited for
            await asyncio.sleep(max(_PAUSE, wait))

    def _begin(self, part: int, user: int, ends: float, since: float) -> None:
        """Bring a user whom the curve wants since a clock reading."""
        known = self._lives.get((part, user))
        if known is not None:
            known.leave(ends)
            return
        scenario = self._callees[part].part.scenario
        due = since + scenario.profile.stagger(user, _period(scenario))
        self._live(part, user, ends, Turns(due, self._done.get((part, user), 0), shared=self._limits[part]))

    def _live(self, part: int, user: int, ends: float, turns: Turns) -> None:
        callee = self._callees[part]
        kind = AsyncLife if callee.part.scenario.is_async else ThreadLife
        self._lives[part, user] = life = kind(callee, part, user, ends, self, turns)
        life.start()

    def left(self, part: int, user: int) -> None:
        """Note that a user is gone; called on the event loop."""
        self._ends[part] = time.monotonic()
        life = self._lives.pop((part, user), None)
        if life is not None:
            self._done[part, user] = life.iterations
            if life.over and life.wants_more():  # it was called back while it tore down
                self._begin(part, user, life.ends, time.monotonic())
        if not self._lives:
            self._changed.set()

    async def _all_gone(self) -> None:
        """Wait for all users; one that neither ends nor can be interrupted is left behind."""
        while self._lives:
            self._changed.clear()
            latest = max(life.latest for life in self._lives.values()) + _STUCK_AFTER
            wait = None if latest == math.inf else max(0.0, latest - time.monotonic())
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                for part, _ in self._lives:
                    self._ends[part] = time.monotonic()
                return

    async def _close_shared(self) -> None:
        for part, values in enumerate(self._shared):
            start = time.monotonic()
            try:
                async with asyncio.timeout(TEARDOWN_LIMIT):
                    await values.close()
            except (KeyboardInterrupt, GeneratorExit):
                raise
            except BaseException as error:  # noqa: BLE001 - whatever a fixture raises is reported, not lost
                Meter(0, self.node, part, self.recorder).iteration_ended(start, time.monotonic(), error)

    async def _tick(self) -> None:
        while True:
            due = self._go + self._reported + 1
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self._report(math.floor(time.monotonic() - self._go))

    def _report(self, before: int) -> None:
        """Send every second up to `before` (exclusive) that was not sent yet."""
        seconds = range(self._reported, before)
        if not seconds:
            return
        cuts = [self.recorder.cut(second + 1) for second in seconds]
        healths = self._pulse.take(list(map(_counts, cuts)), self.recorder.exhausted())
        for of_second, health in zip(cuts, healths, strict=True):
            told: WorkerHealth | None = health
            for index, cut in enumerate(of_second):
                complete = index == len(of_second) - 1
                self._send(Second(cut.second, cut.phase, complete, cut.tallies, told))
                told = None
        self._reported = before


def _counts(cuts: Sequence[Cut]) -> bool:
    """Return whether a second belongs to the measured phase of a scenario that had users in it."""
    measured = (tally for cut in cuts if cut.phase == "measured" for tally in cut.tallies)
    # of seconds that are reported together only the first knows of users that are gone meanwhile
    return any(tally.users or tally.iterations for tally in measured)


def _shared_iterations(callee: Callee) -> SharedIterations | None:
    profile = callee.part.scenario.profile
    if profile.shared_iterations is None:
        return None
    return SharedIterations(profile.shared_among(callee.part.users))


def _period(scenario: Scenario) -> float:
    """Return the shortest time between two iterations of a user that is known beforehand."""
    return scenario.think[0] if scenario.pacing is None else scenario.pacing
