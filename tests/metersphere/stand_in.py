"""A stand-in for MeterSphere's node-controller, written from its contract: with every fault that it has.

Errors are HTTP 200 with `success` false; texts are JSON that calls itself text/plain; names are found by
parts of them, and an empty TEST_ID is found in all; images are not fetched; a stop kills; the log keeps its
beginning; what ended while the node-controller was not there stays; nobody is asked who they are.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote

from tests.metersphere.engines import Engine, EngineError

_TEXT = "text/plain;charset=utf-8"
_JSON = "application/json"
_LIVE = ("created", "restarting", "running", "paused", "exited")
_LOG_LINES = 7247  # where the log of the real one was cut at its worst


class _FailedError(Exception):
    """Ends as HTTP 200 with this message."""


class StandIn:
    """Serves on a free port of loopback.

    Attributes:
        address: `host:port`.
        asked: method and path of every request, in order.
        authorizations: what each of them said of who asks.
        started: the environments of all starts that came so far as to be tried.
        end_lines: what it sent to the log topic of each container that ended by itself.
        refuse_all: a message for every request that needs Docker, as when that is down.
        repeats: how often it sends the line of a container's end; 0 for the versions that send none.
    """

    def __init__(self, engine: Engine, log: Callable[[str, str], None] | None = None) -> None:
        """Prepare one whose containers run in an engine; `log` takes topic and text for Kafka."""
        self.engine = engine
        self.repeats = 1
        self._log_line = log or (lambda _topic, _text: None)
        self.asked: list[str] = []
        self.authorizations: list[str] = []
        self.started: list[dict[str, str]] = []
        self.end_lines: list[str] = []
        self.refuse_all = ""
        self._generation = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def restart(self) -> None:
        """Forget which containers it waits for: those that end from now on stay."""
        self._generation += 1

    def names(self, *states: str) -> list[str]:
        """Return the names of the containers that there are."""
        return [one["Names"][0][1:] for one in self.engine.containers("", states or _LIVE)]

    def kill(self, part: str) -> None:
        """Kill what has this in its name, as somebody would on that machine."""
        for one in self.engine.containers(part, ("running",)):
            self.engine.kill(one["Id"])

    def answer(self, method: str, path: str, body: bytes) -> object:
        """Return the data of an answer; LookupError for an unknown path, _FailedError for what it refuses."""
        if path == "/status":
            return "OK"
        if self.refuse_all and path.startswith("/jmeter/"):
            raise _FailedError(self.refuse_all)
        if path == "/jmeter/container/start":
            if method != "POST":
                raise _FailedError(f"Request method '{method}' not supported")
            return self._start(body)
        for prefix, work in self._by_id().items():
            if path.startswith(prefix):
                return work(unquote(path.removeprefix(prefix)))
        raise LookupError(path)

    def _by_id(self) -> dict[str, Callable[[str], object]]:
        return {
            "/jmeter/container/stop/": self._stop,
            "/jmeter/container/log/": self._log,
            "/jmeter/task/status/": lambda pattern: self.engine.containers(pattern, _LIVE),
        }

    def _start(self, body: bytes) -> str:
        if not body:
            raise _FailedError("Required request body is missing: public java.lang.Object …")
        try:
            request = json.loads(body)
        except ValueError as error:
            raise _FailedError(f"JSON parse error: {error}") from None
        env = request.get("env")
        if env is None:
            raise _FailedError("")
        self.started.append(env)
        _connect_to_kafka(env.get("BOOTSTRAP_SERVERS"))
        images = self.engine.images()
        if not images:
            raise _FailedError("Image List is empty")
        if request["image"] not in images:
            raise _FailedError(f"Image Not Found: {request['image']}")
        name = env.get("TEST_ID") or ""
        for one in self.engine.containers(name, _LIVE):
            self.engine.remove(one["Id"])
        identity = self.engine.create(name, request["image"], env)
        self.engine.start(identity)
        threading.Thread(target=self._await_end, args=(identity, env, self._generation), daemon=True).start()
        return "OK"

    def _await_end(self, identity: str, env: dict[str, str], generation: int) -> None:
        with contextlib.suppress(EngineError):
            self.engine.wait(identity)
            if generation == self._generation:
                self.engine.remove(identity)
                line = f"{env.get('REPORT_ID', '')} none 0 Remove container completed"
                self.end_lines.append(line)
                for _ in range(self.repeats):
                    self._log_line(env.get("LOG_TOPIC") or "JMETER_LOGS", line)

    def _stop(self, pattern: str) -> str:
        for one in self.engine.containers(pattern, ("running",)):
            self.engine.remove(one["Id"])
        return "OK"

    def _log(self, pattern: str) -> str:
        found = self.engine.containers(pattern, ("running",))
        if not found:
            return ""
        return "".join(self.engine.printed(found[0]["Id"]).splitlines(keepends=True)[:_LOG_LINES])


def _connect_to_kafka(servers: Any) -> None:
    """Connect to each server, as far as that is what the text makes of them."""
    try:
        for server in servers.rstrip(",").split(",") if servers.strip(",") else []:
            host, port = server.split(":")
            socket.create_connection((host, int(port)), timeout=1.0).close()
    except (OSError, ValueError, AttributeError):
        raise _FailedError("Failed to connect to Kafka") from None


def _handler(stand_in: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            stand_in.asked.append(f"{self.command} {self.path}")
            stand_in.authorizations.append(self.headers.get("Authorization", ""))
            listed = self.path.startswith("/jmeter/task/status/")
            if listed and "json" not in self.headers.get("Accept", "*/*").replace("*/*", "json"):
                self._send(406, _JSON, b"")
                return
            try:
                data = stand_in.answer(self.command, self.path, body)
                kind = _JSON if listed else _TEXT
                self._send(200, kind, _dumped({"success": True, "message": None, "data": data}))
            except LookupError:
                error = {"timestamp": "2026-11-23T20:15:00.000+00:00", "status": 404, "error": "Not Found"}
                self._send(404, _JSON, _dumped(error | {"path": self.path}))
            except (_FailedError, EngineError) as error:
                envelope = {"success": False, "message": str(error) or None, "data": None}
                self._send(200, _JSON, _dumped(envelope))

        def _send(self, status: int, kind: str, data: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_args: object) -> None:
            """Keep quiet."""

    return Handler


def _dumped(body: object) -> bytes:
    return json.dumps(body).encode()
