"""A Docker Engine as far as `status` asks one: its version, its containers, and what these printed."""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

ENDLESS = "redis"
"""Name of the container about which its answer comes byte by byte, and never to an end."""


class FakeEngine(socketserver.ThreadingUnixStreamServer):
    """Answers on a socket for containers that run; `logs` is what each has printed, by name."""

    daemon_threads = True

    def __init__(self, path: Path, logs: Mapping[str, str]) -> None:
        """Listen; serve with `serve_forever`."""
        super().__init__(str(path), _Handler)
        self.logs = logs
        self.over = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    server: FakeEngine

    def log_message(self, *_arguments: object) -> None:
        pass

    def address_string(self) -> str:
        return "socket"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        name = path.split("/")[-2]
        if path.endswith("/version"):
            self._answer({"Version": "28.0", "ApiVersion": "1.44", "MinAPIVersion": "1.24"})
        elif path.endswith("/containers/json"):
            self._answer([{"Id": each, "Names": [f"/{each}"]} for each in self.server.logs])
        elif path.endswith("/logs"):
            self._send(self.server.logs[name].encode())
        elif name == ENDLESS:
            self._never_end()
        else:
            # of one with a terminal the words come as they are
            self._answer({"State": {"Status": "running"}, "Config": {"Image": "an-image", "Tty": True}})

    def _answer(self, value: Any) -> None:
        self._send(json.dumps(value).encode())

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _never_end(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        with contextlib.suppress(OSError):
            while not self.server.over.wait(0.05):
                self.wfile.write(b" ")


@contextlib.contextmanager
def fake_engine(folder: Path, logs: Mapping[str, str]) -> Iterator[str]:
    """Run one with these containers, and return its DOCKER_HOST."""
    path = folder / "docker.sock"
    with FakeEngine(path, logs) as engine:
        thread = threading.Thread(target=engine.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"unix://{path}"
        finally:
            engine.over.set()
            engine.shutdown()
            thread.join()
