"""A node-controller that says of itself what a test wants: another clock, another version, nonsense."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import msgspec

import pytest_metersphere
from pytest_metersphere.dist.wire import PROTOCOL, NodeInfo

STATUS = b'{"success":true,"message":null,"data":"OK"}'
STEP = 0.05


class AnsweringNode(ThreadingHTTPServer):
    """Answers /status and /v1/node.

    Attributes:
        changes: what it says otherwise than a node that is well.
        status: its answer to /status.
        clock: seconds that its clock is ahead.
        trickles: it sends its answers byte by byte, and never ends them.
        echoes: it puts the request's head into every answer.
        closing: set when the test is over.
    """

    daemon_threads = True

    def __init__(self, **changes: Any) -> None:
        self.changes = changes
        self.status = STATUS
        self.clock = 0.0
        self.trickles = False
        self.echoes = False
        self.closing = Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def address(self) -> str:
        """Return `host:port`."""
        return f"127.0.0.1:{self.server_address[1]}"

    @property
    def port(self) -> int:
        """Return the port."""
        return int(self.server_address[1])

    def info(self) -> bytes:
        """Return its answer to /v1/node."""
        info = NodeInfo(
            protocol=PROTOCOL,
            version=pytest_metersphere.__version__,
            name="fake",
            python="3.11.7",
            capacity=100,
            free=60,
            workers=1,
            clock=time.time() + self.clock,
            pid=1,
            slices=["a-1", "b-1"],
        )
        return msgspec.json.encode(msgspec.structs.replace(info, **self.changes))


class _Handler(BaseHTTPRequestHandler):
    server: AnsweringNode

    def do_GET(self) -> None:
        body = self.server.status if self.path == "/status" else self.server.info()
        if self.server.echoes:
            body = self.headers.as_bytes()[-60:]
        self.send_response(200)
        self.send_header("Content-Length", str(1 << 20 if self.server.trickles else len(body)))
        self.end_headers()
        if not self.server.trickles:
            self.wfile.write(body)
            return
        while not self.server.closing.wait(STEP):
            self.wfile.write(b" ")

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def finish(self) -> None:
        try:
            super().finish()
        except OSError:
            self.close_connection = True

    def log_message(self, *_args: object) -> None:
        pass


@contextmanager
def answering(node: AnsweringNode) -> Iterator[AnsweringNode]:
    """Serve until the block ends."""
    with node:
        thread = Thread(target=node.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield node
        finally:
            node.closing.set()
            node.shutdown()
            thread.join()
