"""A slice in a container of a stock MeterSphere node-controller: what one of ours does, over Kafka.

`python -m pytest_metersphere.dist.node.runner` with a Commission in its environment. It reads its commands
from the control topic, does what they say with a NodeController of its own, reports there, and ends by
itself: when it is told so, or when its controller is silent. What it prints goes to the log of the stock
node-controller, so nothing secret is in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import sys
import threading
import time

import msgspec

import pytest_metersphere
from pytest_metersphere.dist import control
from pytest_metersphere.dist.bundle import MAX_BUNDLE
from pytest_metersphere.dist.kafka.client.consumer import Consumer
from pytest_metersphere.dist.kafka.delivery import KafkaSink
from pytest_metersphere.dist.node.config import NodeConfig, available_cores
from pytest_metersphere.dist.node.controller import NodeController
from pytest_metersphere.dist.node.refusal import Refused
from pytest_metersphere.dist.node.slices import Slice
from pytest_metersphere.dist.wire import PROTOCOL, Spoken, StartRequest, version_skew
from pytest_metersphere.errors import BrokerError, WireError
from pytest_metersphere.units import MAX_USERS

SILENCE = 60.0
"""Seconds without a command after which a container that has no slice gives up."""
REACH = 5.0
"""Seconds without a delivery after which Kafka counts as out of reach; something is said every second."""
PATIENCE = 300.0
"""Seconds beyond the lease that a slice which is over keeps its frames while Kafka is out of reach."""
LOG_TAIL = 256 << 10
"""Bytes of the workers' output that are sent at most."""

_CONNECT = 10.0
_PAUSE = 1.0
_POLL = 0.25
_TICK = 0.2
_FAREWELL = 5.0
MAX_REQUEST = 16 << 20
"""Bytes of a start request, with the values of fixtures in it."""
_MAX_ZIP = MAX_BUNDLE + (4 << 20)


class Parcel:
    """Something larger, put together from its chunks.

    Attributes:
        content: all of it, None before the last chunk.
    """

    def __init__(self, what: str, limit: int) -> None:
        """Expect something of at most `limit` bytes; `what` it is goes into messages."""
        self.content: bytes | None = None
        self._what = what
        self._limit = limit
        self._head: control.ParcelHead | None = None
        self._chunks: list[bytes] = []
        self._size = 0

    def begin(self, head: control.ParcelHead) -> None:
        """Note how large it is to be (Refused when that makes no sense)."""
        if self._head is not None or not 0 <= head.size <= self._limit or not 0 <= head.chunks <= head.size:
            raise self._refused(f"of {head.size} bytes in {head.chunks} chunks makes no sense")
        self._head = head
        self._finish()

    def add(self, chunk: control.ParcelChunk) -> None:
        """Take the next chunk (Refused when it is not the one that comes next, or too large)."""
        head = self._head
        if head is None or self.content is not None or chunk.index != len(self._chunks):
            raise self._refused(f"has a chunk {chunk.index} out of turn")
        self._size += len(chunk.content)
        if self._size > head.size or chunk.index >= head.chunks:
            raise self._refused("is larger than was said")
        self._chunks.append(chunk.content)
        self._finish()

    def _finish(self) -> None:
        head = self._head
        if head is None or len(self._chunks) < head.chunks:
            return
        content = b"".join(self._chunks)
        self._chunks.clear()
        if len(content) != head.size or hashlib.sha256(content).digest() != head.sha256:
            raise self._refused("is not what was sent: its size or its SHA-256 differs")
        self.content = content

    def _refused(self, why: str) -> Refused:
        return Refused(400, "bundle", f"the {self._what} {why}")


class _Ear:
    """Reads the run's commands in a thread and hands each over once, in order.

    Attributes:
        rejected: records with the run's id as their key that are none of its commands.
    """

    def __init__(self, commission: control.Commission) -> None:
        self.rejected = 0
        self._commission = commission
        self._commands: asyncio.Queue[control.Command] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._closing = threading.Event()
        self._last = 0
        self._thread = threading.Thread(target=self._run, name="commands", daemon=True)
        self._thread.start()

    async def next(self, seconds: float) -> control.Command | None:
        """Return the next command, None when none comes within so many seconds."""
        try:
            return await asyncio.wait_for(self._commands.get(), seconds)
        except TimeoutError:
            return None

    def close(self) -> None:
        """Stop reading."""
        self._closing.set()
        self._thread.join(_CONNECT)

    def _run(self) -> None:
        """Read until closed; after a failure again from the beginning, as numbers tell what is known."""
        commission = self._commission
        while not self._closing.is_set():
            try:
                with contextlib.closing(
                    Consumer(commission.kafka, commission.kafka.control_topic, _CONNECT, hasty=True)
                ) as consumer:
                    consumer.start_at({commission.partition: commission.offset})
                    while not self._closing.is_set():
                        for key, value in consumer.poll(_POLL):
                            if key == commission.run.encode():
                                self._take(value)
            except BrokerError as error:
                _say(f"Kafka cannot be reached: {error}")
                self._closing.wait(_PAUSE)

    def _take(self, value: bytes) -> None:
        try:
            command = control.opened_command(self._commission.key, value)
        except WireError:
            self.rejected += not _is_report(self._commission.key, value)
            return
        if command.run != self._commission.run or command.number <= self._last:
            return
        self._last = command.number
        if command.slice in ("", self._commission.slice):
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._commands.put_nowait, command)


class _Reach:
    """Whether what is said arrives on Kafka: as long as it does not, a silent controller may be unheard."""

    def __init__(self) -> None:
        self._delivered = 0
        self._at = self._back_at = time.monotonic()

    def note(self, delivered: int) -> None:
        """Take the number of messages that have arrived so far."""
        now = time.monotonic()
        if delivered > self._delivered:
            self._back_at = now if now - self._at > REACH else self._back_at
            self._delivered, self._at = delivered, now

    def silent_for(self, since: float, lease: float) -> float:
        """Return for how many seconds a controller that could speak has not; below 0 when it has time left.

        Args:
            since: when its lease ended.
            lease: seconds that it has when Kafka is back.
        """
        now = time.monotonic()
        if now - self._at > REACH:
            return now - since - PATIENCE
        return now - max(since, self._back_at + lease)


class Runner:
    """Does what the controller says, until the end."""

    def __init__(self, commission: control.Commission) -> None:
        """Begin to listen; needs a running event loop."""
        self._commission = commission
        config = NodeConfig(
            name=commission.node, token="", capacity=MAX_USERS, workers=available_cores(), max_slices=1
        )
        self._controller = NodeController(config)
        self._ear = _Ear(commission)
        kafka = commission.kafka
        self._mouth = KafkaSink(kafka, topic=kafka.control_topic, partition=commission.partition)
        self._reach = _Reach()
        self._bundle = Parcel("bundle", _MAX_ZIP)
        self._request = Parcel("start request", MAX_REQUEST)
        self._number = 0
        self._heard_at = time.monotonic()
        self._slice: Slice | None = None
        self._ended = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until told to end, or until the controller is silent."""
        try:
            while not self._ended.is_set() and not self._is_forgotten():
                command = await self._ear.next(_TICK)
                if command is not None:
                    self._heard_at = time.monotonic()
                    await self._obey(command)
        finally:
            await self._close()

    def end(self) -> None:
        """End soon, as after a signal."""
        self._ended.set()

    def _is_forgotten(self) -> bool:
        now = time.monotonic()
        if self._slice is None:
            return now - self._heard_at > SILENCE
        self._reach.note(self._mouth.delivered)
        lease = self._slice.request.lease
        return self._slice.over and self._reach.silent_for(self._slice.lease_end, lease) > 0

    async def _obey(self, command: control.Command) -> None:
        """Carry a command out, and answer it."""
        if self._slice is not None:
            self._slice.renew()
        try:
            content = await self._answer(command.order, self._request if command.slice else self._bundle)
        except Refused as refused:
            _say(f"refused: {refused.refusal.message}")
            content = control.RefusedReport(refusal=refused.refusal)
        if content is not None:
            self._report(content, command.number)

    async def _answer(self, order: control.Order, parcel: Parcel) -> control.Content | None:
        match order:
            case control.ParcelHead():
                parcel.begin(order)
            case control.ParcelChunk():
                parcel.add(order)
            case control.EndCommand():
                self._ended.set()
            case control.LeaseCommand():
                pass  # every command renews the lease
            case control.StartCommand():
                await self._start()
                return control.StateReport(info=self._the_slice().info())
            case control.CheckCommand(request=request):
                return control.ChecksReport(checks=await self._controller.check(request))
            case _:
                return await self._answer_of(self._the_slice(), order)
        return None

    async def _answer_of(self, of: Slice, order: control.Order) -> control.Content:
        """Return the answer of the slice that runs here."""
        match order:
            case control.FramesCommand(after=after):
                return control.FramesReport(batch=await of.frames(after, 0.0, control.PIECE))
            case control.LogCommand():
                return control.LogReport(text=of.log_tail(LOG_TAIL).decode(errors="replace"))
            case control.StopCommand(grace=grace):
                of.stop(grace)
            case _:
                of.go()
        return control.StateReport(info=of.info())

    async def _start(self) -> None:
        """Start the slice (Refused when that is not possible)."""
        own = Spoken(protocol=PROTOCOL, version=pytest_metersphere.__version__)
        asked = self._commission
        if (asked.protocol, asked.version) != (own.protocol, own.version):
            raise Refused(409, "version", version_skew(node=own, controller=asked))
        if self._bundle.content is None or self._request.content is None:
            raise Refused(400, "bundle", "the bundle and the request did not come before the start")
        request = msgspec.structs.replace(_unpacked(self._request.content), key=asked.key, kafka=asked.kafka)
        if (request.run, request.slice) != (asked.run, asked.slice):
            raise Refused(400, "request", "this is another slice's container")
        await self._controller.start(request, self._bundle.content)
        self._slice = self._controller.find(request.slice)
        _say(f"slice {request.slice} is starting, with {request.users} users")
        task = asyncio.create_task(self._tell(self._slice))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _the_slice(self) -> Slice:
        if self._slice is None:
            raise Refused(404, "unknown", "no slice has been started here")
        return self._slice

    async def _tell(self, of: Slice) -> None:
        """Report how the slice stands, at every change of its state and every second."""
        while True:
            known = of.state
            self._report(control.StateReport(info=of.info()))
            if known in ("ended", "failed"):
                await asyncio.sleep(control.HEARTBEAT)
            else:
                await of.wait_while(known, control.HEARTBEAT)
            if of.state != known:
                _say(f"slice {of.request.slice} is {of.state}")

    def _report(self, content: control.Content, answers: int = 0) -> None:
        self._number += 1
        report = control.Report(
            protocol=PROTOCOL,
            version=pytest_metersphere.__version__,
            run=self._commission.run,
            slice=self._commission.slice,
            number=self._number,
            answers=answers,
            clock=time.time(),
            rejected=self._ear.rejected,
            content=content,
        )
        self._mouth.put(self._commission.run, control.sealed(self._commission.key, report))

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self._controller.close()
        await asyncio.to_thread(self._mouth.flush, _FAREWELL)
        await asyncio.to_thread(self._mouth.close)
        await asyncio.to_thread(self._ear.close)


def _unpacked(content: bytes) -> StartRequest:
    try:
        return msgspec.msgpack.decode(content, type=StartRequest)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Refused(400, "request", f"the start request cannot be read: {error}") from None


def _is_report(key: bytes, value: bytes) -> bool:
    """Return whether a record is a report of one of the run's slices, which are not for this one."""
    try:
        control.opened_report(key, value)
    except WireError:
        return False
    return True


def _say(text: str) -> None:
    """Print one line; it is seen by everyone who may read the stock node-controller's log."""
    print(text.replace("\n", " ")[:1000], flush=True)


async def _serve(commission: control.Commission) -> None:
    runner = Runner(commission)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        # as process 1 of a container it would not be ended by them
        loop.add_signal_handler(number, runner.end)
    await runner.run()


def main() -> int:
    """Run the slice that the environment asks for, and return the exit code."""
    version = pytest_metersphere.__version__
    text = os.environ.get(control.COMMISSION_VARIABLE, "")
    if not text:
        _say(
            f"pytest-metersphere {version}, the runner: a stock MeterSphere node-controller starts it, when"
            " pytest has such nodes in --ms-pool"
        )
        return 2
    try:
        commission = control.read(text)
    except WireError as error:
        _say(
            f"pytest-metersphere {version} does not understand the controller ({error}): install one version"
        )
        return 2
    _say(f"pytest-metersphere {version} waits for slice {commission.slice} of node {commission.node}")
    asyncio.run(_serve(commission))
    _say(f"slice {commission.slice} is over")
    return 0


if __name__ == "__main__":
    sys.exit(main())
