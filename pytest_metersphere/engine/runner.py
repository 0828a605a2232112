"""Runs the users of a worker along their load curves and reports every second of it."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence

from pytest_metersphere.engine.life import TEARDOWN_LIMIT, AsyncLife, Life, ThreadLife
from pytest_metersphere.engine.load_fixtures import FixtureValues
from pytest_metersphere.engine.messages import Ended, FromWorker, Second
from pytest_metersphere.engine.part import Callee
from pytest_metersphere.engine.recorder import Recorder
from pytest_metersphere.engine.user import Meter
from pytest_metersphere.metrics.frame import WorkerHealth

_LAG_PERIOD = 0.05
_STUCK_AFTER = TEARDOWN_LIMIT + 1.0


class LoadRunner:
    """The load of one worker.

    Attributes:
        recorder: counts what the users do.
        node: name of the node.
        loop: the event loop, once `run` was called.
    """

    loop: asyncio.AbstractEventLoop

    def __init__(
        self, callees: Sequence[Callee], node: str, worker: int, send: Callable[[FromWorker], None]
    ) -> None:
        """Prepare the load; `send` takes the messages for the supervisor and must not block."""
        self.recorder = Recorder([callee.part.scenario.profile.warmup for callee in callees])
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
        self._lag = _LagWatch()
        self._cpu = time.process_time()

    def shared(self, part: int) -> FixtureValues:
        """Return the worker-scoped fixtures of a scenario."""
        return self._shared[part]

    async def run(self, go: float) -> None:
        """Run everything from the clock reading `go` on; returns when the last user is gone."""
        self.loop = asyncio.get_running_loop()
        self._go = go
        self.recorder.begin(go)
        watch = self.loop.create_task(self._lag.watch())
        ticks = self.loop.create_task(self._tick())
        self._arrivals = self.loop.create_task(self._bring_users())
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
        for life in list(self._lives.values()):
            life.stop(grace)
        self._changed.set()

    def abort(self, reason: str) -> None:
        """End the load because a scenario called pytest.exit; may be called from any thread."""
        self._aborted = self._aborted or reason
        self.loop.call_soon_threadsafe(self.stop, 0.0)

    async def _bring_users(self) -> None:
        arrivals = sorted(
            (start, end, part, user)
            for part, callee in enumerate(self._callees)
            for user in callee.part.users
            for start, end in callee.part.scenario.profile.presence(user)
        )
        for start, end, part, user in arrivals:
            wait = self._go + start - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            self._begin(part, user, self._go + end)

    def _begin(self, part: int, user: int, ends: float) -> None:
        known = self._lives.get((part, user))
        if known is not None:
            known.leave(ends)
            return
        callee = self._callees[part]
        kind = AsyncLife if callee.part.scenario.is_async else ThreadLife
        done = self._done.get((part, user), 0)
        self._lives[part, user] = life = kind(callee, part, user, ends, self, done)
        life.start()

    def left(self, part: int, user: int) -> None:
        """Note that a user is gone; called on the event loop."""
        self.recorder.user_left(part)
        self._ends[part] = time.monotonic()
        life = self._lives.pop((part, user), None)
        if life is not None:
            self._done[part, user] = life.iterations
            if life.over and life.wants_more():  # it was called back while it tore down
                self._begin(part, user, life.ends)
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
        for second in range(self._reported, before):
            health: WorkerHealth | None = self._health()
            cuts = self.recorder.cut(second + 1)
            for index, cut in enumerate(cuts):
                complete = index == len(cuts) - 1
                self._send(Second(cut.second, cut.phase, complete, cut.tallies, health))
                health = None
            self._reported = second + 1

    def _health(self) -> WorkerHealth:
        cpu, self._cpu = time.process_time() - self._cpu, time.process_time()
        return WorkerHealth(self._worker, cpu, self._lag.take())


class _LagWatch:
    """Measures how late the event loop runs what is due."""

    def __init__(self) -> None:
        self._lags: list[float] = []

    async def watch(self) -> None:
        while True:
            due = time.monotonic() + _LAG_PERIOD
            await asyncio.sleep(_LAG_PERIOD)
            self._lags.append(max(0.0, time.monotonic() - due))

    def take(self) -> float:
        """Return the 99th percentile since the last call, seconds; 0 without a measurement."""
        lags, self._lags = sorted(self._lags), []
        return lags[min(len(lags) - 1, math.ceil(0.99 * len(lags)) - 1)] if lags else 0.0
