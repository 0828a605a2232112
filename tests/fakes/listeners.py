"""Listeners on loopback that are no Kafka: each does what one sees behind a wrong address."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Handler = Callable[[socket.socket], None]
_PATIENCE = 15.0


@contextlib.contextmanager
def listener(handle: Handler) -> Iterator[int]:
    """Serve each connection with a function, and hang up after it; the port is returned."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_serve, args=(server, handle))
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(_PATIENCE)


def _serve(server: socket.socket, handle: Handler) -> None:
    while True:
        try:
            sock, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_attend, args=(sock, handle), daemon=True).start()


def _attend(sock: socket.socket, handle: Handler) -> None:
    with sock, contextlib.suppress(OSError):
        handle(sock)


def keeps_silent(sock: socket.socket) -> None:
    """Read what comes and say nothing."""
    while sock.recv(1024):
        pass


def hangs_up(_sock: socket.socket) -> None:
    """Take the connection, that is all."""


def greets_as_ssh(sock: socket.socket) -> None:
    """Say what an ssh server says first, and wait."""
    sock.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
    keeps_silent(sock)


def says(data: bytes) -> Handler:
    """Answer the first words with these bytes, whatever they were."""

    def handle(sock: socket.socket) -> None:
        sock.recv(1024)
        sock.sendall(data)
        keeps_silent(sock)

    return handle


@contextlib.contextmanager
def http_server(context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Run a web server, with TLS if there is a context; the port is returned."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Quiet) as server:
        server.daemon_threads = True
        if context is not None:
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(_PATIENCE)


class _Quiet(BaseHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            super().handle()

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()


@contextlib.contextmanager
def dropping_port() -> Iterator[int]:
    """Return a port that answers no further connection: its queue is full, so they are dropped."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(server.getsockname())
        yield server.getsockname()[1]
