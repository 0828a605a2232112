"""Requests of users that were woken together are written one behind the other; none is lost or made up."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket
import sys
import termios
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from pytest_metersphere.engine.http.connection import Connection
from pytest_metersphere.engine.http.faults import Fault
from pytest_metersphere.engine.http.limits import DEFAULT_LIMITS
from pytest_metersphere.engine.recorder import Recorder
from pytest_metersphere.engine.user import Meter, VirtualUser
from pytest_metersphere.engine.worker import new_event_loop
from tests.engine.loads import callee, run
from tests.engine.server import PATIENCE, SocketServer, read_head, wait_until

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ASKED = b"GET /asked HTTP/1.1\r\nHost: here\r\n\r\n"
FIRST = b"GET /first HTTP/1.1\r\nHost: here\r\n\r\n"


class Wire(asyncio.Transport):
    """Takes what is written, with the connection that wrote it."""

    def __init__(self, log: list[tuple[Connection, bytes]], connection: Connection) -> None:
        super().__init__()
        self._log = log
        self._connection = connection
        self.aborted = False
        self.closed = False

    def write(self, data: Any) -> None:
        """Note it; what is closed takes nothing, as with uvloop."""
        if self.closed:
            raise RuntimeError("the handler is closed")
        self._log.append((self._connection, data))

    def abort(self) -> None:
        """Note it."""
        self.aborted = True


class Line:
    """Connections on one event loop that have had their first answers all at once.

    Attributes:
        written: what they have written since, in order.
        wires: their transports.
    """

    def __init__(self, count: int) -> None:
        loop = asyncio.get_running_loop()
        self.written: list[tuple[Connection, bytes]] = []
        self.connections = [Connection(loop, []) for _ in range(count)]
        self.wires = [Wire(self.written, connection) for connection in self.connections]
        for connection, wire in zip(self.connections, self.wires, strict=True):
            connection.connection_made(wire)
            connection.exchange(FIRST, DEFAULT_LIMITS, time.monotonic() + 30)
        self.answer()
        self.written.clear()

    def answer(self) -> None:
        """Answer all of them."""
        for connection in self.connections:
            connection.data_received(ANSWER)

    def ask(self, number: int, start: float | None = None) -> asyncio.Future[bytes | None]:
        """Let one of them ask."""
        return self.connections[number].ask(ASKED, time.monotonic() if start is None else start, None)

    async def answered_alone(self, number: int, waiter: asyncio.Future[bytes | None]) -> None:
        """Check that one of them writes what it has asked, and no other, and that it takes the answer."""
        await asyncio.sleep(0)
        assert self.written == [(self.connections[number], ASKED)]
        self.connections[number].data_received(ANSWER)
        await waiter

    def end(self) -> None:
        """Let all connections end."""
        for connection in self.connections:
            connection.connection_lost(None)


@contextlib.asynccontextmanager
async def line(count: int) -> AsyncIterator[Line]:
    """Yield connections; they have ended afterwards."""
    made = Line(count)
    yield made
    made.end()


def on_a_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Return a test that runs on an event loop."""

    def running() -> None:
        async def main() -> None:
            await test()

        asyncio.run(main())

    running.__doc__ = test.__doc__
    running.__name__ = test.__name__
    return running


@on_a_loop
async def test_whoever_is_alone_writes_at_once() -> None:
    """One answer, one user: its request waits for nobody."""
    async with line(1) as alone:
        for _ in range(3):
            waiter = alone.ask(0)
            assert alone.written.pop() == (alone.connections[0], ASKED)
            assert not alone.connections[0].unsent
            alone.answer()
            await waiter


@on_a_loop
async def test_those_woken_together_write_together() -> None:
    """Requests wait until the last of them has run; each is written once, in the order of asking."""
    async with line(3) as three:
        waiters = [three.ask(number) for number in (1, 2, 0)]
        assert three.written == []
        assert all(connection.unsent for connection in three.connections)
        asked = time.monotonic()
        await asyncio.sleep(0)

        first, second, third = three.connections
        assert three.written == [(second, ASKED), (third, ASKED), (first, ASKED)]
        assert not any(connection.unsent for connection in three.connections)
        assert all(connection.written >= asked for connection in three.connections)
        three.answer()
        assert await asyncio.gather(*waiters) == [None, None, None]
        assert {connection.body for connection in three.connections} == {b"ok"}


@on_a_loop
async def test_one_that_cannot_be_written_stops_no_other() -> None:
    """Its user is told that the connection has ended; what is behind it is written."""
    async with line(3) as three:
        waiters = [three.ask(number) for number in range(3)]
        three.wires[1].closed = True
        await asyncio.sleep(0)

        first, second, third = three.connections
        assert three.written == [(first, ASKED), (third, ASKED)]
        assert three.wires[1].aborted
        with pytest.raises(Fault, match="closed the connection"):
            await waiters[1]
        assert not second.unsent
        for connection in (first, third):
            connection.data_received(ANSWER)
        assert [await waiters[0], await waiters[2]] == [None, None]


@on_a_loop
async def test_nobody_waits_for_long_scenarios() -> None:
    """When those before have taken their time, all that waits is written."""
    async with line(3) as three:
        now = time.monotonic()
        waiters = [three.ask(0, now), three.ask(1, now + 0.001)]
        assert three.written == []
        waiters.append(three.ask(2, now + 0.01))
        assert [connection for connection, _ in three.written] == three.connections
        three.answer()
        await asyncio.gather(*waiters)


@on_a_loop
async def test_a_user_that_goes_before_its_request_is_written() -> None:
    """Nothing of it reaches the server, and it is known that nothing did."""
    async with line(2) as two:
        gone, stays = two.ask(0), two.ask(1)
        gone.cancel()
        await two.answered_alone(1, stays)
        assert [connection.unsent for connection in two.connections] == [True, False]
        two.connections[0].abort()


@on_a_loop
async def test_an_answer_before_its_request_is_written() -> None:
    """It belongs to no request: the connection is given up."""
    async with line(2) as two:
        waiter, other = two.ask(0), two.ask(1)
        two.connections[0].data_received(ANSWER)
        with pytest.raises(Fault, match="before the request was sent"):
            await waiter
        assert two.wires[0].aborted
        await two.answered_alone(1, other)


@on_a_loop
async def test_a_connection_that_ends_before_its_request_is_written() -> None:
    """The request has failed without an answer, so that it may be sent on another one."""
    async with line(2) as two:
        waiter, other = two.ask(0), two.ask(1)
        two.connections[0].connection_lost(None)
        with pytest.raises(Fault):
            await waiter
        assert two.connections[0].received == 0
        await two.answered_alone(1, other)


class Counting:
    """Answers requests, and counts them.

    Attributes:
        read: how many have come.
        answered: how many answers were sent; those that were held back have arrived.
        free: answers are given while this is set.
    """

    def __init__(self) -> None:
        self.read = self.answered = 0
        self.free = threading.Event()
        self.free.set()
        self._lock = threading.Lock()

    def serve(self, connection: socket.socket) -> None:
        """Serve one connection."""
        with contextlib.suppress(ConnectionError):
            while read_head(connection):
                held = not self.free.is_set()
                with self._lock:
                    self.read += 1
                self.free.wait(PATIENCE)
                connection.sendall(ANSWER)
                if held:
                    wait_until(lambda: _unacknowledged(connection) == 0, "its arrival")
                with self._lock:
                    self.answered += 1


def _unacknowledged(connection: socket.socket) -> int:
    """Return how many bytes the other end has not taken note of (tcp(7), SIOCOUTQ)."""
    return int.from_bytes(fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


LOOPS = pytest.mark.parametrize(
    "new_loop", [asyncio.new_event_loop, new_event_loop], ids=["asyncio", "worker"]
)


@LOOPS
def test_a_request_that_is_cancelled_unwritten_is_no_exchange(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """A user asks, and one that was woken with it cancels it before anything is written."""
    counting, recorder = Counting(), Recorder([0.0], threads=False)

    async def main(url: str) -> None:
        recorder.begin(time.monotonic())
        users = [VirtualUser(Meter(number, "here", 0, recorder)) for number in (1, 2)]
        for user in users:
            await user.http.get(url)
        counting.free.clear()
        asked = False

        async def asking() -> None:
            nonlocal asked
            await users[0].http.get(url)
            asked = True
            await users[0].http.get(url)

        async def cancelling() -> None:
            await users[1].http.get(url)
            while not asked:  # noqa: ASYNC110 - the other one was woken, too, and is about to
                await asyncio.sleep(0)
            first.cancel()

        first, second = asyncio.create_task(asking()), asyncio.create_task(cancelling())
        while counting.read < 4:  # noqa: ASYNC110 - the server has a thread
            await asyncio.sleep(0)
        counting.free.set()
        wait_until(lambda: counting.answered == 4, "both answers")  # for a loop that stands still
        await asyncio.wait([first, second])
        assert first.cancelled()
        for user in users:
            await user.close()

    with SocketServer(counting.serve) as server, asyncio.Runner(loop_factory=new_loop) as here:
        here.run(main(f"{server.url}/"))
    (tally,) = (tally for cut in recorder.cut(1) for tally in cut.tallies)
    assert (tally.exchanges, tally.interrupted, counting.read) == (4, 0, 4)
    assert [(error.kind, error.count) for error in tally.errors] == [("exception", 1)]


@LOOPS
def test_users_that_are_stopped_in_the_middle(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """What is counted, or counted as interrupted, has reached the server, and nothing else has."""
    counting = Counting()
    with SocketServer(counting.serve) as server:

        async def scenario(vu: Any) -> None:
            await vu.http.get(f"{server.url}/")

        load = callee(scenario, users=40, hold=0.3, graceful_stop=0.0)
        found = run(load, new_loop=new_loop).tally()
        sent = found.exchanges + found.interrupted
        wait_until(lambda: counting.read >= sent, "the last requests")
    assert found.requests > 0
    assert sent == counting.read
