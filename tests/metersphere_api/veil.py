"""Makes a node of ours look like a stock one: nothing but MeterSphere's API comes through.

A session takes a node that answers under `/v1/` for one of ours; behind the veil it finds Spring's 404 there.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_SHOWN = ("/status", "/jmeter/")
_LIMIT = 60.0


@contextlib.contextmanager
def veiled(address: str) -> Iterator[str]:
    """Put it before a node, and give the address to ask."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(address))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(address: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if not self.path.startswith(_SHOWN):
                error = {"timestamp": "2026-11-23T20:15:00.000+00:00", "status": 404, "error": "Not Found"}
                self._send(404, json.dumps(error | {"path": self.path}).encode())
                return
            with contextlib.closing(http.client.HTTPConnection(address, timeout=_LIMIT)) as behind:
                headers = {"Content-Type": self.headers.get("Content-Type", "")}
                behind.request(self.command, self.path, body or None, headers)
                answer = behind.getresponse()
                self._send(answer.status, answer.read())

        def _send(self, status: int, data: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_args: object) -> None:
            """Keep quiet."""

    return Handler
