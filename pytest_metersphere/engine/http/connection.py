"""A connection on the event loop, and the time limits of all of them."""

from __future__ import annotations

import asyncio
import math
import ssl
import time
import weakref
from collections.abc import Callable
from typing import Any, cast

from pytest_metersphere.engine.http.body import Body
from pytest_metersphere.engine.http.faults import Fault, lost, out_of_time
from pytest_metersphere.engine.http.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUT, Limits
from pytest_metersphere.engine.http.outbox import outbox_of
from pytest_metersphere.engine.http.reader import Familiar, Reader
from pytest_metersphere.engine.http.tls import Secure

_monotonic = time.monotonic
_NEVER = math.inf
_CONSENT_PATIENCE = 1.0
_FAREWELL = 0.5


class Clock:
    """Ends what takes too long: one timer for all connections of an event loop.

    A timer for each request would cost a tenth of it. This one is set to the earliest deadline that it
    knows of, and looks at all connections when it is due; most requests have ended long before.

    Attributes:
        due: clock reading at which it looks next.
    """

    def __init__(self) -> None:
        self.due = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._connections: set[Connection] = set()

    def add(self, connection: Connection) -> None:
        """Watch a connection."""
        self._connections.add(connection)

    def remove(self, connection: Connection) -> None:
        """Watch a connection no longer."""
        self._connections.discard(connection)
        if not self._connections and self._timer is not None:
            self._timer.cancel()
            self._timer, self.due = None, math.inf

    def set(self, deadline: float) -> None:
        """Look at `deadline`, which is before `due`."""
        if self._timer is not None:
            self._timer.cancel()
        self.due = deadline
        # asked for here: a reference to the loop would keep it alive
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(0.0, deadline - _monotonic()), self._look)

    def _look(self) -> None:
        self._timer, self.due = None, math.inf
        now = _monotonic()
        for connection in list(self._connections):
            if connection.deadline <= now:
                connection.expire()
        earliest = min((connection.deadline for connection in self._connections), default=math.inf)
        if earliest < math.inf:
            self.set(max(earliest, now + 0.001))


_clocks: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Clock] = weakref.WeakKeyDictionary()


def clock_of(loop: asyncio.AbstractEventLoop) -> Clock:
    """Return the one clock of an event loop."""
    clock = _clocks.get(loop)
    if clock is None:
        clock = _clocks[loop] = Clock()
    return clock


class Connection(Reader, asyncio.Protocol):
    """One connection; it carries one exchange at a time.

    Attributes:
        deadline: clock reading at which the running exchange is out of time.
        first: clock reading of the first byte of the answer, 0 before it.
        end: clock reading of its last byte, or of the latest so far.
        written: clock reading at which a request that was asked had been written.
        used_before: the running exchange is not its first.
        open: it has not ended, nor been closed.
    """

    __slots__ = (
        "_clock",
        "_consenting",
        "_familiar",
        "_fault",
        "_flowing",
        "_gone",
        "_home",
        "_later",
        "_limits",
        "_loop",
        "_lost",
        "_outbox",
        "_tls",
        "_total_deadline",
        "_transport",
        "_waiter",
        "_write",
        "deadline",
        "end",
        "first",
        "open",
        "used_before",
        "written",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, home: list[Connection], tls: Secure | None = None
    ) -> None:
        """Prepare a connection that waits in `home` between its exchanges; `tls` has shaken hands."""
        super().__init__()
        self._tls = tls
        self._loop = loop
        self._clock = clock_of(loop)
        self._outbox = outbox_of(loop)
        self._home = home
        self._transport: asyncio.Transport | None = None
        self._write: Callable[[bytes], None]
        self._waiter: asyncio.Future[bytes | None] | None = None
        self._familiar: Familiar | None = None
        self._later: tuple[bytes, Familiar | None] | None = None
        self._flowing: asyncio.Future[None] | None = None
        self._gone: asyncio.Future[None] = loop.create_future()
        self._fault: Fault | None = None
        self._consenting: asyncio.Future[None] | None = None
        self._limits = DEFAULT_LIMITS
        self._total_deadline = self.deadline = math.inf
        self.first = 0.0
        self.end = 0.0
        self.written = 0.0
        self._lost: Callable[[Connection], object] | None = None
        self.used_before = False
        self.open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport: the event loop's call."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are of another class
        self._write = self._transport.write
        self._clock.add(self)

    def ask(self, data: bytes, start: float, familiar: Familiar | None) -> asyncio.Future[bytes | None]:
        """Send a whole request on a connection that was kept; the default time limits count from `start`.

        When other answers came with the last one it waits until their users have run; `unsent` says so. The
        future is done when its answer is complete, and raises Fault. Its result is the answer when that is
        `familiar`; otherwise None, and it has been read as after `exchange`.
        """
        self.used_before = True
        self.first = 0.0
        if familiar is None:
            self.begin()
        self._limits = DEFAULT_LIMITS
        self.deadline = self._total_deadline = deadline = start + DEFAULT_TIMEOUT
        if deadline < self._clock.due:
            self._clock.set(deadline)
        self._waiter = waiter = self._loop.create_future()
        outbox = self._outbox
        if outbox.awake > 1:
            self._familiar = None  # nothing that comes before the request is written is its answer
            self._later = data, familiar
            outbox.put(self, start, self._loop)
        else:
            outbox.awake = 0
            self._familiar = familiar
            self._write(data if self._tls is None else self._tls.encrypted(data))
            self.written = _monotonic()
        return waiter

    def send(self) -> None:
        """Send what was asked before, unless its user has gone or the connection has ended.

        Whoever asked is told when that fails; those behind are to be sent all the same.
        """
        if self._later is None or self._waiter is None or self._waiter.done():
            return
        data, self._familiar = self._later
        self._later = None
        try:
            self._write(data if self._tls is None else self._tls.encrypted(data))
        except (OSError, RuntimeError) as error:  # what uvloop says of a handle that is closed
            self._fail(lost(error))
            return
        self.written = _monotonic()

    @property
    def unsent(self) -> bool:
        """Return whether nothing was written of what was asked."""
        return self._later is not None

    def exchange(
        self, data: bytes, limits: Limits, deadline: float, *, head_only: bool = False
    ) -> asyncio.Future[bytes | None]:
        """Send a request; the future is done when its answer is complete, and raises Fault.

        Args:
            data: the request, or its head.
            limits: the time limits of the call.
            deadline: clock reading at which its time is over.
            head_only: the answer has no body, as that to HEAD.
        """
        self.used_before = self.first > 0.0
        self.first = 0.0
        self._familiar = None
        self.begin(head_only=head_only)
        self._limits = limits
        self.deadline = self._total_deadline = deadline
        if limits is not DEFAULT_LIMITS and limits.read < limits.total:
            self.deadline = deadline = min(deadline, _monotonic() + limits.read)
        if deadline < self._clock.due:
            self._clock.set(deadline)
        self._waiter = waiter = self._loop.create_future()
        if self._fault is None:
            self._write(data if self._tls is None else self._tls.encrypted(data))
        else:
            waiter.set_exception(self._fault)
        return waiter

    async def send_body(self, body: Body, *, consent: bool) -> int:
        """Send a body piece by piece, as the server takes them; return how many bytes of it were sent.

        With `consent` the server is asked first. Ends early when the answer comes before.
        """
        if consent and not await self._consent():
            self.reusable = False
            return 0
        if not body.streams:
            self._send(body.content)
            return len(body.content)
        sent = 0
        async for piece in body.pieces_async():
            if self._is_over():
                self.reusable = False
                break
            self._send(piece)
            sent += len(piece)
            if self._flowing is None:
                await asyncio.sleep(0)  # an answer may come in between
            else:
                await asyncio.shield(self._flowing)
        return sent

    async def _consent(self) -> bool:
        """Wait for `100 Continue`, or long enough (RFC 9110, 10.1.1); False when the answer came instead."""
        if not self.consent and self._waiter is not None:
            self._consenting = self._loop.create_future()
            either: list[asyncio.Future[Any]] = [self._consenting, self._waiter]
            await asyncio.wait(
                either,
                timeout=_CONSENT_PATIENCE,
                return_when=asyncio.FIRST_COMPLETED,
            )
            self._consenting = None
        return not self._is_over()

    def _is_over(self) -> bool:
        return self._waiter is None or self._waiter.done()

    def _send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data if self._tls is None else self._tls.encrypted(data))

    def data_received(self, data: bytes) -> None:
        """Read on: the event loop's call."""
        now = _monotonic()
        if self._tls is not None:
            data = self._text_of(self._tls, data)
            if not data:
                return
        waiter, familiar = self._waiter, self._familiar
        if (
            familiar is not None
            and waiter is not None
            and len(data) == familiar.size
            and data.startswith(familiar.prefix)
        ):
            self.first = self.end = now
            self._waiter = None
            self.deadline = _NEVER
            self._outbox.awake += 1
            if not waiter.done():
                waiter.set_result(data)
            return
        self._take(data, now)

    def _take(self, data: bytes, now: float) -> None:
        """Read a piece of an answer that came at a clock reading."""
        waiter = self._waiter
        if waiter is None or self._later is not None:
            self._unasked()
            return
        self._read()
        self.end = now
        if not self.first:
            self.first = now
        try:
            self.feed(data)
        except Fault as fault:
            self._fail(fault)
            return
        if self.complete:
            self._waiter = None
            self.deadline = _NEVER
            self._outbox.awake += 1
            if not waiter.done():
                waiter.set_result(None)
            return
        if self._limits is not DEFAULT_LIMITS:
            self.deadline = min(self._total_deadline, now + self._limits.read)
        if self.consent and self._consenting is not None and not self._consenting.done():
            self._consenting.set_result(None)

    def _read(self) -> None:
        """Let the answer be read: it is not, or may not be, the familiar one."""
        if self._familiar is not None or self._later is not None:
            self._familiar = self._later = None
            self.begin()

    def _text_of(self, tls: Secure, data: bytes) -> bytes:
        """Return the text of what came, empty when there is none, or none any more."""
        try:
            text = tls.decrypted(data)
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLError as error:
            self._fail(lost(error))
            return b""
        if not text:  # the server's farewell
            self._ended(None)
            self.abort()
        return text

    def expire(self) -> None:
        """End the exchange, which is out of time."""
        limits = self._limits
        in_all = self.deadline == self._total_deadline
        self._fail(out_of_time("total", limits.total) if in_all else out_of_time("read", limits.read))

    def _unasked(self) -> None:
        """Take data that belongs to no request: nothing on this connection can be trusted any more."""
        fault = Fault("protocol", "the server answered before the request was sent")
        if self._later is not None:
            self._fail(fault)
            return
        self._fault = fault
        self.abort()

    def eof_received(self) -> None:
        """Take note that the server sends no more: the event loop's call; the connection is closed then."""

    def connection_lost(self, error: BaseException | None) -> None:
        """Take note of the end: the event loop's call."""
        self.open = False
        self._clock.remove(self)
        self._ended(error)
        self._let_flow()
        self._leave_home()
        if not self._gone.done():
            self._gone.set_result(None)
        if self._lost is not None:
            self._lost(self)

    def _ended(self, error: BaseException | None) -> None:
        if self._waiter is not None:
            self.end = _monotonic()
            self._read()
            try:
                if error is not None:
                    raise lost(error)
                self.end_of_data()
            except Fault as fault:
                self._fail(fault)

    def end_of_data(self) -> None:
        """Complete an answer that lasts until the connection ends."""
        super().end_of_input()
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _fail(self, fault: Fault) -> None:
        waiter, self._waiter = self._waiter, None
        self.deadline = math.inf
        self.end = _monotonic()
        self._read()
        self._fault = fault
        if waiter is not None and not waiter.done():
            waiter.set_exception(fault)
        self.abort()

    def pause_writing(self) -> None:
        """Let `send_body` wait: the event loop's call."""
        self._flowing = self._loop.create_future()

    def resume_writing(self) -> None:
        """Let `send_body` go on: the event loop's call."""
        self._let_flow()

    def _let_flow(self) -> None:
        if self._flowing is not None and not self._flowing.done():
            self._flowing.set_result(None)
        self._flowing = None

    def release(self) -> None:
        """Keep the connection for the next request, or close it when there can be none."""
        if self.reusable and self.open:
            self._home.append(self)
        else:
            self.close()

    def close(self) -> None:
        """Close, over TLS with a farewell."""
        self._detach()
        if self._transport is not None:
            if self._tls is not None:
                self._transport.write(self._tls.farewell())
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._detach()
        if self._transport is not None:
            self._transport.abort()

    def _detach(self) -> None:
        self.open = False
        self.deadline = math.inf
        self._leave_home()
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.cancel()

    def when_lost(self, callback: Callable[[Connection], object]) -> None:
        """Call back when the connection has ended."""
        self._lost = callback
        if self._gone.done():
            callback(self)

    async def closed(self) -> None:
        """Wait until the socket is closed; a server that does not answer the farewell is left."""
        if self._transport is None:
            return
        await asyncio.wait([self._gone], timeout=_FAREWELL)
        if not self._gone.done():
            self._transport.abort()
            await asyncio.wait([self._gone])

    def _leave_home(self) -> None:
        if self in self._home:
            self._home.remove(self)
