"""A stand-in for MeterSphere's own node-controller, as far as its contract says how it answers strangers.

Every result is an envelope with status 200, errors too; an unknown path is Spring's own 404; nothing asks
for a token.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

_TEXT = "text/plain;charset=utf-8"
_JSON = "application/json"


class StockController:
    """Serves on a free port of loopback.

    Attributes:
        url: where.
        asked: method and path of every request, in order.
    """

    def __init__(self, *, status: bool = True) -> None:
        """Listen; without `status` it is some other Spring application."""
        self.asked: list[str] = []
        asked = self.asked
        known = {"GET /status": "OK"} if status else {}

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self._answer()

            def _answer(self) -> None:
                asked.append(f"{self.command} {self.path}")
                if self.path == "/jmeter/container/start":
                    self._send(200, _JSON, _envelope(None, "Image List is empty"))
                elif (data := known.get(asked[-1])) is not None:
                    self._send(200, _TEXT, _envelope(data))
                elif f"GET {self.path}" in known:
                    self._send(200, _JSON, _envelope(None, f"Request method '{self.command}' not supported"))
                else:
                    self._send(404, _JSON, _unknown(self.path))

            def _send(self, status: int, kind: str, body: object) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_args: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.address}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _envelope(data: object, message: str | None = None) -> dict[str, object]:
    return {"success": message is None, "message": message, "data": data}


def _unknown(path: str) -> dict[str, object]:
    return {"timestamp": "2026-11-23T20:15:00.000+00:00", "status": 404, "error": "Not Found", "path": path}
