"""An HTTP server on loopback that notes what it was asked."""

from __future__ import annotations

import http.server
import threading
import time
from collections import Counter
from typing import Self
from urllib.parse import parse_qs, urlsplit


class Target:
    """A server in this process: `?status=N` asks for a status, `?wait=S` for an answer that takes so long.

    Attributes:
        asked: how often each path with its query was asked for.
    """

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self._lock = threading.Lock()
        target = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 16

            def do_GET(self) -> None:
                target.note(self.path)
                query = parse_qs(urlsplit(self.path).query)
                time.sleep(float(query.get("wait", ["0"])[0]))
                body = b'{"status": "queued"}'
                self.send_response(int(query.get("status", ["200"])[0]))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def port(self) -> int:
        """Return the port that it listens on."""
        return int(self._server.server_address[1])

    @property
    def count(self) -> int:
        """Return how many requests it has seen."""
        with self._lock:
            return self.asked.total()

    def note(self, path: str) -> None:
        """Count a request."""
        with self._lock:
            self.asked[path] += 1

    def __enter__(self) -> Self:
        """Start it; it is gone at the end."""
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        """Stop it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
