"""A connection that blocks, for the users that have a thread of their own."""

from __future__ import annotations

import contextlib
import math
import select
import socket
import ssl
import struct
import time

from pytest_metersphere.engine.http.body import Body
from pytest_metersphere.engine.http.call import Call
from pytest_metersphere.engine.http.faults import Fault, handshake, lost, out_of_time, unreachable
from pytest_metersphere.engine.http.limits import DEFAULT_LIMITS, Limits
from pytest_metersphere.engine.http.names import Address, resolve_blocking
from pytest_metersphere.engine.http.reader import Reader
from pytest_metersphere.engine.http.target import Origin
from pytest_metersphere.engine.http.tls import Secure
from pytest_metersphere.engine.http.tunnel import Tunnel

_monotonic = time.monotonic
_FIRST_PIECE = 1 << 13
_PIECE = 1 << 16
_SLACK = 0.02
_AT_ONCE = 0.001
_CONSENT_PATIENCE = 1.0
_FIRST_SHARE = 0.5  # of the time that is left, for each address but the last


class Watch:
    """What a user's connections and the part that may interrupt them know of each other."""

    def opened(self, sock: socket.socket) -> None:
        """Take note of a socket, to be shut down when the user must go."""

    def gone(self) -> bool:
        """Return whether the user must go."""
        return False


class BlockingConnection(Reader):
    """One connection; it carries one exchange at a time.

    The kernel keeps the time (SO_RCVTIMEO), so that an ordinary exchange costs one send and one recv.

    Attributes:
        first: clock reading of the first byte of the answer, 0 before it.
        end: clock reading of its last byte, or of the latest so far.
        used_before: the running exchange is not its first.
        home: where it waits between its exchanges.
        sock: its socket.
        unsent: the connection had ended before the running exchange began.
    """

    __slots__ = (
        "_deadline",
        "_limits",
        "_poll",
        "_timer",
        "_tls",
        "end",
        "first",
        "home",
        "sock",
        "unsent",
        "used_before",
    )

    def __init__(self, sock: socket.socket) -> None:
        """Take over a connected socket that blocks."""
        super().__init__()
        self.sock = sock
        self._tls: Secure | None = None
        self._timer = math.inf
        self._limits = DEFAULT_LIMITS
        self._deadline = math.inf
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self.first = 0.0
        self.end = 0.0
        self.used_before = False
        self.unsent = False
        self.home: list[BlockingConnection] = []

    def secure(self, host: str, until: float) -> None:
        """Speak TLS from now on.

        Raises:
            OSError: the handshake failed (ssl.SSLError), or took longer than the clock reading `until`.
        """
        tls = Secure(host)
        while not tls.shake_hands():
            self.sock.sendall(tls.outgoing.read())
            left = until - _monotonic()
            if left <= 0.0:
                raise TimeoutError
            self._set_timer(left)
            data = self.sock.recv(_PIECE)
            if not data:
                raise ConnectionResetError
            tls.incoming.write(data)
        self.sock.sendall(tls.outgoing.read())
        self._tls = tls

    def start(self, data: bytes, limits: Limits, deadline: float, *, head_only: bool = False) -> None:
        """Send a request, or its head; for the arguments see Connection.exchange.

        Raises:
            Fault: there was no time for it.
        """
        self.used_before = self.first > 0.0
        self.begin(head_only=head_only)
        self.first = 0.0
        self._limits = limits
        self._deadline = deadline
        limit = limits.total if limits is DEFAULT_LIMITS else min(limits.total, limits.read)
        if limit != self._timer:
            self._set_timer(limit)
        self.unsent = not self.send(data)

    def hurry(self) -> None:
        """Take into account that a part of the time of the call is gone already."""
        self._check_time(_monotonic())

    def send(self, data: bytes) -> bool:
        """Send bytes; False when the connection takes none: the answer, or its lack, will tell why."""
        if self._tls is not None:
            data = self._tls.encrypted(data)
        try:
            sent = self.sock.send(data)
            while sent < len(data):
                data = data[sent:]
                self._check_time(_monotonic())
                sent = self.sock.send(data)
        except BlockingIOError:
            raise self._out_of_time() from None
        except OSError:
            self.reusable = False
            return False
        return True

    def finish(self) -> None:
        """Read the answer to its end.

        Raises:
            Fault: it does not come, not whole, or not in time.
        """
        size = _FIRST_PIECE
        while not self.complete:
            self._take(size)
            if not self.complete:
                self._check_time(self.end)
                size = _PIECE

    def _take(self, size: int) -> None:
        """Wait for a piece of the answer and read it."""
        try:
            data = self.sock.recv(size)
        except BlockingIOError:
            self._waited()
            return
        except OSError as error:
            self.end = _monotonic()
            raise lost(error) from None
        self.end = now = _monotonic()
        if self._tls is not None:
            try:
                data = self._tls.decrypted(data)
            except ssl.SSLWantReadError:
                return
            except ssl.SSLError as error:
                raise lost(error) from None
        if not data:
            self.end_of_input()
            return
        if not self.first:
            self.first = now
        self.feed(data)

    def _waited(self) -> None:
        """Take note that nothing came for as long as the kernel was to wait."""
        self.end = _monotonic()
        read = self._limits.read
        if read < self._deadline - self.end + _SLACK and self._timer >= read:
            raise out_of_time("read", read)

    def _check_time(self, now: float) -> None:
        """Let the kernel wait no longer than there is time.

        Raises:
            Fault: there is none left.
        """
        left = self._deadline - now
        if left <= 0.0:
            raise self._out_of_time()
        limit = min(left, self._limits.read)
        if not self._timer - _SLACK <= limit <= self._timer:
            self._set_timer(limit)

    def _out_of_time(self) -> Fault:
        return out_of_time("total", self._limits.total)

    def _set_timer(self, seconds: float) -> None:
        self._timer = seconds
        value = struct.pack("ll", int(seconds), max(1, int(seconds % 1 * 1e6)))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)

    def is_stale(self, now: float, *, repeatable: bool) -> bool:
        """Return whether the server has closed the connection, or sent what nobody asked for.

        To ask the kernel means to queue for the GIL once more. So a request that may be sent again and
        follows at once (`now` is a clock reading) goes without.
        """
        if (repeatable and now - self.end < _AT_ONCE) or not self._poll.poll(0):
            return False
        if self._tls is None:
            return True
        try:
            self._tls.decrypted(self.sock.recv(_PIECE))
        except ssl.SSLWantReadError:
            return False
        except OSError:
            pass
        return True

    def send_body(self, body: Body, *, consent: bool) -> int:
        """Send a body piece by piece; return how many bytes of it were sent.

        With `consent` the server is asked first. Ends early when the answer comes before.
        """
        if consent and not self._consent():
            self.reusable = False
            return 0
        if not body.streams:
            self.send(body.content)
            return len(body.content)
        sent = 0
        for piece in body.pieces():
            if self._poll.poll(0):
                self.reusable = False
                break
            self.send(piece)
            sent += len(piece)
        return sent

    def _consent(self) -> bool:
        """Wait for `100 Continue`, or long enough (RFC 9110, 10.1.1); False when the answer came instead."""
        until = min(_monotonic() + _CONSENT_PATIENCE, self._deadline)
        while not self.consent and not self.complete:
            left = until - _monotonic()
            if left <= 0 or not self._poll.poll(left * 1000):
                break
            self._take(_FIRST_PIECE)
            if self.consent and self.head is None:
                self.first = 0.0
        return not self.complete and self.head is None

    def close(self) -> None:
        """Close at once, over TLS with a farewell."""
        self.reusable = False
        if self._tls is not None:
            with contextlib.suppress(OSError):
                self.sock.send(self._tls.farewell(), socket.MSG_DONTWAIT)
        self.sock.close()


def open_blocking(call: Call, watch: Watch) -> BlockingConnection:
    """Return a new connection to the call's origin; the call takes the times.

    Raises:
        Fault: there is no way there, or not in time.
    """
    origin = call.plan.origin
    way = origin.proxy or origin
    start = _monotonic()
    until = min(call.deadline, start + call.limits.connect)
    try:
        addresses = resolve_blocking(way.host, way.port, until - start, watch.gone)
        call.dns += _monotonic() - start
        connected = _monotonic()
        sock = _connect(addresses, way.address, until, watch)
        call.connect += _monotonic() - connected
    except TimeoutError:
        raise _late(call) from None
    connection = BlockingConnection(sock)
    try:
        _complete(connection, sock, call, origin, until)
    except BaseException:
        connection.close()
        raise
    return connection


def _complete(
    connection: BlockingConnection, sock: socket.socket, call: Call, origin: Origin, until: float
) -> None:
    connected = _monotonic()
    try:
        sock.settimeout(max(0.001, until - connected))
        if origin.proxy is not None and origin.tls:
            _tunnel(sock, origin)
            call.connect += _monotonic() - connected
        sock.settimeout(None)
        if origin.tls:
            start = _monotonic()
            try:
                connection.secure(origin.host, until)
            finally:
                call.tls += _monotonic() - start
    except (TimeoutError, BlockingIOError):
        raise _late(call) from None
    except OSError as error:
        raise handshake(origin.address, error) from None


def _late(call: Call) -> Fault:
    if call.deadline <= _monotonic() + _SLACK:
        return out_of_time("total", call.limits.total)
    return out_of_time("connect", call.limits.connect)


def _connect(addresses: list[Address], shown: str, until: float, watch: Watch) -> socket.socket:
    """Try the addresses one after the other."""
    fault = Fault("refused", f"no connection to {shown}: it has no address")
    for place, (family, where) in enumerate(addresses):
        is_last = place == len(addresses) - 1
        left = until - _monotonic()
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            fault = unreachable(shown, error)
            continue
        try:
            watch.opened(sock)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(max(0.001, left if is_last else left * _FIRST_SHARE))
            sock.connect(where)
        except TimeoutError as error:
            sock.close()
            if is_last:
                raise
            fault = unreachable(shown, error)
        except OSError as error:
            sock.close()
            fault = unreachable(shown, error)
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise fault


def _tunnel(sock: socket.socket, origin: Origin) -> None:
    tunnel = Tunnel(origin)
    try:
        sock.sendall(tunnel.request)
        while not tunnel.take(sock.recv(1)):
            pass
    except TimeoutError:
        raise
    except OSError as error:
        raise unreachable(tunnel.proxy, error) from None
