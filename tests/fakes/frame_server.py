"""A stand-in for the frames of a node-controller: serves what it is given by long poll, on one port."""

from __future__ import annotations

import contextlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import msgspec

from pytest_metersphere.dist.client import NodeClient
from pytest_metersphere.dist.wire import FrameBatch
from tests.fakes.nodes import PATIENCE, TOKEN


class FrameServer:
    """Serves frames of slices that never end; it can be stopped and started again."""

    def __init__(self) -> None:
        self._frames: dict[str, list[bytes]] = {}
        self._changed = threading.Condition()
        self._port = 0
        self.start()

    def start(self) -> None:
        """Listen, on the same port as before."""
        frames = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                asked = parse_qs(url.query)
                data = frames.batch(url.path.split("/")[3], int(asked["after"][0]), float(asked["wait"][0]))
                with contextlib.suppress(OSError):
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="frame-server"
        )
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._thread.join(PATIENCE)
        self._server.server_close()

    def publish(self, slice_id: str, *frames: bytes) -> None:
        """Serve these frames of a slice behind those that it has."""
        with self._changed:
            self._frames.setdefault(slice_id, []).extend(frames)
            self._changed.notify_all()

    def client(self) -> NodeClient:
        """Return a client of the node that it stands in for."""
        return NodeClient("n1", f"http://127.0.0.1:{self._port}", TOKEN)

    def batch(self, slice_id: str, after: int, wait: float) -> bytes:
        """Return the packed answer to a long poll."""
        deadline = time.monotonic() + wait
        with self._changed:
            while len(self._frames.get(slice_id, ())) <= after:
                if not self._changed.wait(deadline - time.monotonic()):
                    break
            frames = self._frames.get(slice_id, [])[after:]
        answer = FrameBatch(frames=frames, last_sequence=after + len(frames), state="running")
        return msgspec.msgpack.encode(answer)
