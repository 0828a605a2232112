"""HTTP servers on loopback that count what they see: one that behaves, and one that says what it is told."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import gzip
import socket
import ssl
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Literal, Self

from aiohttp import web

PATIENCE = 20.0
"""Seconds after which a test gives up waiting."""


def wait_until(met: Callable[[], bool], what: str) -> None:
    """Wait until something is so; fail when it takes longer than PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while not met():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.005)


@dataclasses.dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    peer: tuple[str, int]


class WebServer:
    """An aiohttp server in a thread of its own.

    `/echo` tells what was asked, `/status/N` answers so, `/redirect/N` redirects N times, `/loop`
    for ever, `/cookie` sets one, `/gzip` is compressed, `/slow` answers only when the server ends.

    Attributes:
        seen: the requests so far, in the order of their arrival.
        url: where it listens, without a slash at the end.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.seen: list[Seen] = []
        self.url = ""
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(PATIENCE)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(PATIENCE)
        self._loop.close()

    @property
    def connections(self) -> int:
        """Return how many connections have brought requests."""
        return len({seen.peer for seen in self.seen})

    async def _serve(self) -> None:
        app = web.Application(middlewares=[self._note])
        app.router.add_route("*", "/echo", _echo)
        app.router.add_route("*", "/status/{code}", _status)
        app.router.add_route("*", "/redirect/{left}", _redirect)
        app.router.add_get("/loop", _loop)
        app.router.add_get("/cookie", _cookie)
        app.router.add_get("/gzip", _gzip)
        app.router.add_route("*", "/slow", self._slow)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        port = runner.addresses[0][1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{port}"
        self._listening.set()
        await self._end.wait()
        await _see_off(runner)

    @web.middleware
    async def _note(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        assert request.transport is not None
        peer = request.transport.get_extra_info("peername")
        self.seen.append(Seen(request.method, request.path_qs, dict(request.headers), peer))
        return await handler(request)

    async def _slow(self, _request: web.Request) -> web.Response:
        await self._end.wait()
        return web.Response()


async def _see_off(runner: web.AppRunner) -> None:
    """Wait for the clients to close their connections, for loops that are closed leave sockets open."""
    assert runner.server is not None
    for _ in range(400):
        if not runner.server.connections:
            break
        await asyncio.sleep(0.005)
    await runner.cleanup()
    for _ in range(20):
        await asyncio.sleep(0)


async def _echo(request: web.Request) -> web.Response:
    body = await request.read()
    return web.json_response(
        {
            "method": request.method,
            "query": [list(pair) for pair in request.query.items()],
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "cookies": dict(request.cookies),
            "body": base64.b64encode(body).decode(),
        }
    )


async def _status(request: web.Request) -> web.Response:
    return web.Response(status=int(request.match_info["code"]), text="because " + "x" * 500)


async def _redirect(request: web.Request) -> web.Response:
    left = int(request.match_info["left"])
    if left == 0:
        return web.Response(text="arrived")
    return web.Response(status=302, headers={"Location": f"/redirect/{left - 1}"}, text="elsewhere")


async def _loop(_request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": "/loop"})


async def _cookie(_request: web.Request) -> web.Response:
    answer = web.Response(text="set")
    answer.set_cookie("session", "abc")
    return answer


async def _gzip(_request: web.Request) -> web.Response:
    return web.Response(body=gzip.compress(b"x" * 10_000), headers={"Content-Encoding": "gzip"})


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a RawServer sends after it has read a request, and what it does with the connection then."""

    data: bytes
    then: Literal["keep", "close", "reset"] = "close"


class RawServer:
    """A server that gives prepared bytes as answers, the last of them again and again.

    Attributes:
        requests: the requests as they came, byte for byte.
        connections: how many connections it has taken.
        closed: how many of them it has closed.
        url: where it listens, without a slash at the end.
    """

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.closed = 0
        self._answers = list(answers)
        self._sock = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._sock.getsockname()[1]}"
        self._open: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._answers = []
        for sock in (self._sock, self._open):
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        self._sock.close()

    def has_closed(self, connections: int) -> bool:
        """Return whether it has closed so many connections."""
        return self.closed >= connections

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._sock.accept()
            except OSError:
                return
            self._open = connection
            self.connections += 1
            with connection:
                self._converse(connection)
            self._open = None
            self.closed += 1

    def _converse(self, connection: socket.socket) -> None:
        while request := _read_request(connection):
            self.requests.append(request)
            if not self._answers:
                return
            answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
            connection.sendall(answer.data)
            if answer.then == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if answer.then != "keep":
                return


def _read_request(connection: socket.socket) -> bytes:
    data = b""
    while not _is_whole(data):
        try:
            chunk = connection.recv(65536)
        except OSError:
            return b""
        if not chunk:
            return b""
        data += chunk
    return data


def _is_whole(request: bytes) -> bool:
    head, separator, body = request.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    return bool(separator) and len(body) >= int(fields.get(b"content-length", b"0"))


class SocketServer:
    """A server that does with each connection what a function says, in a thread for each.

    Attributes:
        connections: how many connections it has taken.
        url: where it listens, without a slash at the end.
        failed: what the function has raised, errors of the socket excepted.
    """

    def __init__(
        self,
        serve: Callable[[socket.socket], None],
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.connections = 0
        self.failed: list[Exception] = []
        self._serve_one = serve
        self._tls = tls
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._sock = socket.create_server((host, 0), family=family)
        self.port: int = self._sock.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if tls else 'http'}://{shown}:{self.port}"
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for sock in (self._sock, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in (self._accepting, *self._threads):
            thread.join(PATIENCE)
        self._sock.close()
        assert self.failed == []

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._sock.accept()
            except OSError:
                return
            self.connections += 1
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.append(connection)
            thread = threading.Thread(target=self._converse, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _converse(self, connection: socket.socket) -> None:
        with connection:
            try:
                self._serve_one(connection)
            except OSError:
                pass
            except Exception as error:  # noqa: BLE001 - shown at the end of the test
                self.failed.append(error)


def read_head(connection: socket.socket) -> bytes:
    """Return a request up to its empty line, byte by byte so that nothing behind it is taken."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            raise ConnectionResetError
        head += byte
    return head


def answering(*answers: bytes) -> Callable[[socket.socket], None]:
    """Return what answers the requests of a connection in turn, and then waits for its end."""

    def serve(connection: socket.socket) -> None:
        for answer in answers:
            if not _read_request(connection):
                return
            connection.sendall(answer)
        while connection.recv(65536):
            pass

    return serve
