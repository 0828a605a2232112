"""The small HTTP server that stock JMeter containers call: download, ready, and the gate.

It hands out test data, so it answers only where it is asked by an address that was given to one container:
`/<secret>/jmeter/…`, with the report id and the index of that container. Whatever else is asked gets an
empty 404, and the same one whether it was close or not.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import hmac
import itertools
import os
import secrets
import socket
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qs

from pytest_metersphere.errors import PreflightError

MAX_HEAD = 8 << 10
"""Bytes of a request at most; it has no body."""
HEAD_LIMIT = 10.0
"""Seconds within which a request must be there."""
SEND_LIMIT = 120.0
"""Seconds within which an answer must be taken."""
MAX_CONNECTIONS = 2000
"""Connections at the same time; each container has one at a time."""

T = TypeVar("T")

_ANY_4, _ANY_6 = "0.0.0.0", "::"  # noqa: S104 - containers call from anywhere, with a secret
_PORTS = 20
_BACKLOG = 512
_CLOSE_LIMIT = 5.0
_SECRET_BYTES = 24
_TEXT = "text/plain;charset=UTF-8"
_JSON = "application/json"
_PONG = b'{"success":true,"message":null,"data":"PONG"}'


class Guest(Protocol):
    """One container, as the server knows it. Its methods are called by the server's thread."""

    @property
    def report_id(self) -> str:
        """Return the report id that it sends."""

    @property
    def index(self) -> int:
        """Return the resource index that it sends."""

    def package(self) -> bytes | None:
        """Return what it downloads, None when it must not any more."""

    def missing(self) -> int:
        """Note that it is ready, and return how many others are not yet."""

    async def pass_gate(self) -> bytes:
        """Return what the gate is answered, at go."""

    def passed(self) -> None:
        """Note that the gate's answer is on its way."""


class Callbacks:
    """Serves guests, on each address by which one may call. Safe to be used by several threads."""

    def __init__(self) -> None:
        """Serve nobody yet."""
        self._loop = asyncio.new_event_loop()
        self._guests: dict[str, Guest] = {}
        self._servers: dict[tuple[str, int], list[asyncio.Server]] = {}
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._closed = False
        self._listening = threading.Lock()
        self._thread = threading.Thread(target=self._loop.run_forever, name="jmeter-callbacks", daemon=True)
        self._thread.start()

    def listen(self, host: str, port: int = 0) -> int:
        """Listen on an address of this machine, unless that is done already, and return the port.

        Args:
            host: an IP address, or nothing for all, of IPv6 too where there is that: on the same port.
            port: 0 for any that is free.

        Raises:
            PreflightError: that is not possible.
        """
        with self._listening:
            return self._wait(self._listen(host, port))

    def admit(self, guest: Guest) -> str:
        """Serve a guest; return the secret that its paths begin with."""
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        self._loop.call_soon_threadsafe(self._guests.__setitem__, secret, guest)
        return secret

    def dismiss(self, secret: str) -> None:
        """Serve a guest no longer."""
        self._loop.call_soon_threadsafe(self._guests.pop, secret, None)

    def call(self, work: Callable[[], object]) -> None:
        """Let the server's thread do something, where all guests are spoken to."""
        self._loop.call_soon_threadsafe(work)

    def close(self) -> None:
        """Close everything; whoever waits at a gate finds its connection closed."""
        self._wait(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_LIMIT)
        if not self._thread.is_alive():
            self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self, host: str, port: int) -> int:
        servers = self._servers.get((host, port))
        if servers is None:
            try:
                servers = [await self._on(host, port)] if host else await self._everywhere(port)
            except OSError as error:
                raise PreflightError(
                    f"{host or 'this machine'} port {port or 'of its choice'} cannot be listened on:"
                    f" {error.strerror or error}; choose another with --ms-callback=HOST:PORT"
                ) from None
            self._servers[host, port] = servers
        return _port(servers[0])

    async def _everywhere(self, port: int) -> list[asyncio.Server]:
        """Listen on all addresses, on one port: there is only one that can be told."""
        for _ in range(_PORTS):
            first = await self._on(_ANY_4, port)
            try:
                return [first, await self._on(_ANY_6, _port(first))]
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    # there is no IPv6
                    return [first]
                first.close()
                if port:
                    raise
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))

    async def _on(self, host: str, port: int) -> asyncio.Server:
        server = await asyncio.start_server(self._connected, host, port, limit=MAX_HEAD, backlog=_BACKLOG)
        if not server.sockets:
            raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
        return server

    async def _shut(self) -> None:
        self._closed = True
        servers = list(itertools.chain(*self._servers.values()))
        self._servers.clear()
        for sock in itertools.chain.from_iterable(server.sockets for server in servers):
            # no server is closed before what it has taken is handed over: asyncio would drop it, open
            self._loop.remove_reader(sock.fileno())
        for task, writer in self._connections.items():
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)
        for server in servers:
            server.close()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection. No coroutine: one that is cancelled before it begins would close nothing."""
        if self._closed or len(self._connections) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        task = self._loop.create_task(self._serve(reader, writer))
        self._connections[task] = writer
        task.add_done_callback(self._connections.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, TimeoutError, EOFError, asyncio.LimitOverrunError):
            await self._exchange(reader, writer)
        writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(HEAD_LIMIT):
            head = await reader.readuntil(b"\r\n\r\n")
        request = _understood(head)
        answer = await self._answered(request, reader) if request is not None else _answer(400)
        writer.write(answer.content)
        async with asyncio.timeout(SEND_LIMIT):
            await writer.drain()
            if answer.done is not None:
                answer.done()
            writer.write_eof()
            # what is still unread would turn the end into a reset
            with contextlib.suppress(ValueError):
                await reader.read(1)

    async def _answered(self, request: _Request, reader: asyncio.StreamReader) -> _Answer:
        guest = self._guest(request)
        if guest is None:
            return _answer(404)
        match request.path:
            case "/jmeter/ping":
                return _answer(200, _PONG, _JSON)
            case "/jmeter/download":
                content = guest.package()
                return _answer(404) if content is None else _answer(200, content, "application/octet-stream")
            case "/jmeter/ready":
                return _answer(200, str(guest.missing()).encode(), _TEXT)
            case "/jmeter/gate":
                return await _at_gate(guest, reader)
            case _:
                return _answer(404)

    def _guest(self, request: _Request) -> Guest | None:
        """Return whose request it is, None when it is nobody's."""
        guest = next(
            (each for secret, each in self._guests.items() if hmac.compare_digest(secret, request.secret)),
            None,
        )
        if guest is None or request.query.get("reportId", guest.report_id) != guest.report_id:
            return None
        return guest if request.query.get("resourceIndex", str(guest.index)) == str(guest.index) else None


def _port(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


@dataclasses.dataclass(frozen=True, slots=True)
class _Request:
    secret: str
    path: str
    query: dict[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class _Answer:
    """An answer.

    Attributes:
        content: all of it.
        done: to be called when it is on its way.
    """

    content: bytes
    done: Callable[[], None] | None = None


def _understood(head: bytes) -> _Request | None:
    """Return what a request's head asks for, None when it is none of ours."""
    if not head.isascii():
        return None
    line = head.split(b"\r\n", 1)[0].decode("ascii")
    method, _, rest = line.partition(" ")
    target, _, version = rest.rpartition(" ")
    if method != "GET" or version not in ("HTTP/1.0", "HTTP/1.1") or not target.startswith("/"):
        return None
    path, _, query = target.partition("?")
    secret, _, below = path[1:].partition("/")
    try:
        pairs = parse_qs(query, keep_blank_values=True, max_num_fields=50)
    except ValueError:
        return None
    # the last of a name: what somebody's HTTP Request Defaults add comes first
    return _Request(secret, f"/{below}", {name: values[-1] for name, values in pairs.items()})


async def _at_gate(guest: Guest, reader: asyncio.StreamReader) -> _Answer:
    """Return what the gate is answered, unless whoever asked goes away first."""
    opened = asyncio.ensure_future(guest.pass_gate())
    left = asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait((opened, left), return_when=asyncio.FIRST_COMPLETED)
        if not opened.done():
            raise EOFError
        return dataclasses.replace(_answer(200, opened.result(), _TEXT), done=guest.passed)
    finally:
        await _ended(opened)
        await _ended(left)


async def _ended(task: Awaitable[object]) -> None:
    assert isinstance(task, asyncio.Future)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _answer(status: int, content: bytes = b"", kind: str = _TEXT) -> _Answer:
    reason = {200: "OK", 400: "Bad Request", 404: "Not Found"}[status]
    head = (
        f"HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return _Answer(head.encode() + content)


def address_towards(host: str, port: int) -> str:
    """Return the address of this machine from which a node is reached (OSError when it is not)."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as sock:
        # sends nothing: the system only chooses a way
        sock.connect(address)
        return str(sock.getsockname()[0])
