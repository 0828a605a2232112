"""One slice: its workers started, let go, watched and stopped.

A slice is `starting` until every worker is ready, `ready` until go, `running` until all workers are
gone, `stopping` from when an end is asked for. It ends as `ended`, with a manifest, or as `failed`
when a worker died or gave up before go. Whatever happens, a slice is only over, and its capacity
free, when none of its processes is left.

All methods belong to the event loop's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pytest_metersphere.dist.bundle import BundleError, unpack
from pytest_metersphere.dist.node.config import NodeConfig
from pytest_metersphere.dist.node.crew import Crew
from pytest_metersphere.dist.node.harvest import Harvest, Sink
from pytest_metersphere.dist.node.launcher import Launcher
from pytest_metersphere.dist.node.log import SliceLog
from pytest_metersphere.dist.node.refusal import Refused
from pytest_metersphere.dist.node.workers import WorkerProcess, deal, workers_for
from pytest_metersphere.dist.wire import (
    FrameBatch,
    KafkaAccess,
    Manifest,
    SliceInfo,
    SliceState,
    StartRequest,
    WorkerLoss,
)
from pytest_metersphere.engine.messages import Broken, Ended, FromWorker, Go, Job, Ready, Second, Stop
from pytest_metersphere.errors import WireError
from pytest_metersphere.units import format_duration

FORCE_AFTER = 3.0
"""Seconds beyond the grace of a stop after which the process groups get SIGTERM."""
KILL_AFTER = 1.0
"""Seconds after SIGTERM until SIGKILL."""
BATCH = 4 << 20
"""Bytes of frames in one answer."""
LEAD = 0.1
"""Seconds from go to second 0: until then all workers know of it, and each begins by its own clock."""

_TICK = 0.1
_LAST_LINES = 4096


class Bell:
    """Wakes whoever waits for something to change."""

    def __init__(self) -> None:
        """Start without anybody waiting."""
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake all that wait now."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Wait for the next ring, at most so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()


class Slice:
    """A node's share of a run.

    Attributes:
        request: what was asked for.
        state: where it stands.
        lease_end: when it is cut off unless its controller calls, on the monotonic clock.
    """

    def __init__(
        self, request: StartRequest, config: NodeConfig, launcher: Launcher, folder: Path, incarnation: int
    ) -> None:
        """Prepare in a folder of its own, which must exist and be empty; nothing is started yet."""
        self.request = request
        self.state: SliceState = "starting"
        self.lease_end = time.monotonic() + request.lease
        self._folder = folder
        self._incarnation = incarnation
        self._log = SliceLog(folder / "workers.log", config.log_limit)
        self._sandbox = launcher.sandbox(request, folder, self._log.note)
        self._crew = Crew(self._sandbox, self._log, self._receive, self._part_with)
        self._size = workers_for(request.parts, config.workers)
        self._harvest = Harvest(request, self._size, incarnation, folder / "frames", config.spool_limit)
        self._bell = Bell()
        self._opening = True
        self._over = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._go_at: float | None = None
        self._force_at = math.inf
        self._ends = [0.0] * len(request.parts)
        self._stopped = False
        self._reason = self._detail = self._aborted = ""
        self._losses: list[WorkerLoss] = []
        self._manifest: Manifest | None = None

    async def open(self, bundle: bytes) -> None:
        """Unpack the bundle and start the workers; returns before they are ready.

        Raises:
            Refused: the bundle is unsafe or broken.
        """
        self._watching = asyncio.create_task(self._watch())
        try:
            await asyncio.to_thread(self._unpack, bundle)
            await self._crew.launch(self._jobs(), self._root, lambda: self.state == "starting")
            if self.request.kafka is not None:
                self._harvest.sink = await asyncio.to_thread(_kafka_sink, self.request.kafka)
        except BundleError as error:
            raise Refused(400, "bundle", str(error)) from error
        except OSError as error:
            self._fail(f"the workers cannot be started: {error}")
        finally:
            self._opening = False
            self.renew()
            self._end_when_empty()

    def go(self) -> None:
        """Start the load LEAD seconds from now; a repeated go changes nothing.

        Raises:
            Refused: the slice is not ready.
        """
        if self._go_at is not None:
            return
        if self.state != "ready":
            raise Refused(409, "state", f"slice {self.request.slice} is {self.state}, not ready")
        self._go_at = time.monotonic() + LEAD
        self._crew.tell(Go(self._go_at))
        self._enter("running")

    def stop(self, grace: float | None) -> None:
        """End the load; running iterations get `grace` seconds, None means the scenarios' own.

        Workers that are still there FORCE_AFTER seconds later are ended by force. A slice that has
        no load yet is ended at once. A repeated stop may only shorten the time.
        """
        if self.state in ("ended", "failed"):
            return
        if self._go_at is None:
            self.cut_off("it was stopped before go")
            return
        if grace is None:
            grace = max(part.scenario.profile.graceful_stop for part in self.request.parts)
        now = time.monotonic()
        self._stopped = True
        self._force_at = min(self._force_at, now + grace + FORCE_AFTER)
        self._crew.tell(Stop(max(0.0, self._force_at - FORCE_AFTER - now)))
        self._enter("stopping")

    def cut_off(self, reason: str) -> None:
        """Kill all workers now."""
        if self.state in ("ended", "failed"):
            return
        self._stopped = True
        self._reason = self._reason or reason
        self._enter("stopping")
        self._crew.put_down_by(signal.SIGKILL)
        self._end_when_empty()

    def renew(self) -> None:
        """Note that the controller is there."""
        self.lease_end = time.monotonic() + self.request.lease

    async def close(self) -> None:
        """Kill what still runs, wait until nothing is left, and remove the folder."""
        self.cut_off("it was deleted")
        await self._over.wait()
        if self._harvest.sink is not None:
            await asyncio.to_thread(self._harvest.sink.close)
        self._harvest.spool.close()
        self._log.close()
        self._bell.ring()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    @property
    def over(self) -> bool:
        """Return whether none of its processes is left."""
        return self._over.is_set()

    @property
    def closed(self) -> bool:
        """Return whether everything that it kept is gone."""
        return self._harvest.spool.closed

    def info(self) -> SliceInfo:
        """Return how it stands."""
        return SliceInfo(
            slice=self.request.slice,
            run=self.request.run,
            incarnation=self._incarnation,
            state=self.state,
            users=self.request.users,
            workers=[worker.pid for worker in self._crew.workers],
            last_sequence=self._harvest.last_sequence,
            losses=list(self._losses),
            reason=self._reason,
            detail=self._detail,
            manifest=self._manifest,
        )

    async def wait_while(self, state: str, seconds: float) -> None:
        """Wait until the state is no longer this one, at most so many seconds."""
        await self._wait(lambda: self.state != state, seconds)

    async def frames(self, after: int, seconds: float, limit: int | None = None) -> FrameBatch:
        """Return the frames above a sequence; wait for one, or for other news, if there is none.

        They are `limit` bytes at most, BATCH without a limit, unless one alone is larger.
        """
        spool = self._harvest.spool
        known = (self.state, len(self._losses))
        await self._wait(lambda: spool.holds_more_than(after) or self._has_news(known), seconds)
        batch = spool.read(after, BATCH if limit is None else limit)
        last = batch[-1][0] if batch else after
        return FrameBatch(
            frames=[frame for _, frame in batch],
            last_sequence=last,
            state=self.state,
            losses=list(self._losses),
            manifest=None if spool.holds_more_than(last) else self._manifest,
        )

    def log_tail(self, size: int) -> bytes:
        """Return the last bytes that the workers printed."""
        return self._log.tail(size)

    def _has_news(self, known: tuple[SliceState, int]) -> bool:
        return self.state in ("ended", "failed") or known != (self.state, len(self._losses))

    async def _wait(self, met: Callable[[], bool], seconds: float) -> None:
        """Wait until something is met; a waiting controller must not lose its lease over it."""
        deadline = time.monotonic() + min(seconds, self.request.lease / 2)
        while not met() and not self.closed and (left := deadline - time.monotonic()) > 0:
            await self._bell.wait(left)

    @property
    def _root(self) -> Path:
        return self._folder / "tree" / self.request.collection.root

    def _unpack(self, bundle: bytes) -> None:
        self._root.mkdir(parents=True)
        unpack(bundle, self._root)

    def _jobs(self) -> list[Job]:
        return [
            Job(
                root=self._sandbox.path(self._root),
                node=self.request.node,
                worker=number,
                collection=self.request.collection,
                parts=parts,
            )
            for number, parts in enumerate(deal(self.request.parts, self._size))
        ]

    def _receive(self, worker: WorkerProcess, message: FromWorker) -> None:
        """Take a message of a worker (WireError when it is out of turn)."""
        match message:
            case Ready():
                self._on_ready(worker)
            case Broken():
                worker.accuse(message.reason)
                self._fail(f"worker {worker.number}: {message.reason}", message.detail)
            case _ if self._go_at is None or worker.finished.done():
                raise WireError(f"{type(message).__name__} came out of turn")
            case Second():
                self._harvest.add(worker.number, message, self._elapsed)
                self._gather()
            case Ended():
                self._on_ended(worker, message)

    def _on_ready(self, worker: WorkerProcess) -> None:
        if worker.ready:
            raise WireError("Ready came twice")
        worker.ready = True
        if self.state == "starting" and sum(each.ready for each in self._crew.workers) == self._size:
            self._enter("ready")

    def _on_ended(self, worker: WorkerProcess, message: Ended) -> None:
        ends = message.ends or [message.at] * len(self._ends)
        if len(ends) != len(self._ends):
            raise WireError(f"{len(ends)} ends are reported for {len(self._ends)} scenarios")
        for end in (message.at, *ends):
            if not 0 <= end <= self._elapsed:
                raise WireError(f"an end {end} s after go is reported {self._elapsed:.1f} s after go")
        worker.finished.set_result(None)
        self._note_ends(ends)
        self._harvest.leave(worker.number)
        self._gather()
        if message.aborted and not self._aborted:
            self._aborted = message.aborted
            self.stop(0.0)

    def _note_ends(self, ends: Sequence[float]) -> None:
        self._ends = [max(pair) for pair in zip(self._ends, ends, strict=True)]

    def _part_with(self, worker: WorkerProcess, how: str) -> None:
        """Go on without a worker of which nothing is left."""
        if self._go_at is None:
            self._fail(f"worker {worker.number} ended before go: {how}")
        elif not worker.finished.done():
            self._note_ends([self._elapsed] * len(self._ends))
            if worker.fault or not worker.put_down:
                self._losses.append(
                    WorkerLoss(worker=worker.number, pid=worker.pid, second=int(self._elapsed), reason=how)
                )
        self._harvest.leave(worker.number)
        self._gather()
        self._bell.ring()
        self._end_when_empty()

    def _fail(self, reason: str, detail: str = "") -> None:
        """Give up a slice that has not begun."""
        if self.state not in ("starting", "ready"):
            return
        self._crew.flush()
        lines = self._log.tail(_LAST_LINES).decode(errors="replace")
        self._reason = reason
        self._detail = "\n".join(text.rstrip() for text in (detail, lines) if text.strip())
        self._enter("failed")
        self._crew.put_down_by(signal.SIGKILL)

    def _end_when_empty(self) -> None:
        """Close the slice once no process is left and none will be started."""
        if self._crew.live or self._opening or self.over:
            return
        self._crew.close()
        if self.state != "failed":
            self._finish()
        self._over.set()
        self._bell.ring()

    def _finish(self) -> None:
        if self._go_at is not None:
            self._harvest.finish(max(self._ends))
        self._manifest = Manifest(
            slice=self.request.slice,
            incarnation=self._incarnation,
            last_sequence=self._harvest.last_sequence,
            ended_at=max(self._ends),
            ends=list(self._ends) if self._go_at is not None else [],
            stopped=self._stopped,
            reason=self._reason,
            aborted=self._aborted,
            kafka=self._harvest.sink.trouble if self._harvest.sink is not None else "",
            losses=list(self._losses),
            totals=self._harvest.totals,
        )
        self._enter("ended")

    @property
    def _elapsed(self) -> float:
        """Return the seconds from second 0, 0 before it."""
        return 0.0 if self._go_at is None else max(0.0, time.monotonic() - self._go_at)

    def _gather(self) -> None:
        if self._go_at is not None and self._harvest.gather(self._elapsed):
            self._bell.ring()

    async def _watch(self) -> None:
        """Do what is due as time passes: lease, force after a stop, seconds without late workers."""
        while not self.over:
            now = time.monotonic()
            # as long as it opens, its controller waits for the answer
            if now >= self.lease_end and not self._opening:
                self.cut_off(f"its controller was silent for {format_duration(self.request.lease)}")
            if now >= self._force_at:
                self._force(now)
            self._gather()
            await asyncio.sleep(_TICK)

    def _force(self, now: float) -> None:
        late = sorted(worker.number for worker in self._crew.live if not worker.finished.done())
        if late and not self._reason:
            names = ", ".join(f"worker {number}" for number in late)
            self._reason = f"{names} did not stop in time and was ended by force"
        if now >= self._force_at + KILL_AFTER:
            self._crew.put_down_by(signal.SIGKILL)
        elif not any(worker.put_down for worker in self._crew.live):
            self._crew.put_down_by(signal.SIGTERM)

    def _enter(self, state: SliceState) -> None:
        self.state = state
        self._bell.ring()


def _kafka_sink(access: KafkaAccess) -> Sink:
    # kafka-python is imported only where Kafka is used, and not by the event loop
    from pytest_metersphere.dist.kafka.delivery import KafkaSink

    return KafkaSink(access)
