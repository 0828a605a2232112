"""Starts the server with the clock, and asks it for the truth."""

from __future__ import annotations

import dataclasses
import http.client
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import Self

from benchmarks.compare import clock_server

_PROBES = 400


@dataclasses.dataclass(frozen=True)
class Truth:
    """What the server measured: number of answers, how many came a second, and their times in seconds."""

    count: int
    rate: float
    p50: float
    p99: float


class Clock:
    """The server with the clock on one core, as long as the block lasts."""

    def __init__(self, core: int) -> None:
        """Take the core; nothing runs yet."""
        self._core = core

    def __enter__(self) -> Self:
        """Start it."""
        command = [sys.executable, str(Path(clock_server.__file__)), str(self._core)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())
        self.url = f"http://127.0.0.1:{self._port}/"
        return self

    def __exit__(self, *_exc: object) -> None:
        """Stop it."""
        self._process.communicate()

    def truth(self) -> Truth | None:
        """Return what it has measured since it was last asked; None without any answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10.0)
        try:
            connection.request("GET", "/truth")
            found = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return Truth(**found) if found["count"] else None

    def network(self, cores: Collection[int]) -> float:
        """Return the seconds that the way there and back adds to what the server measures.

        The median of single requests from a blocking socket on the generator's cores: no client can add
        much less.
        """
        mine = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cores)
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=10.0) as sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return statistics.median(_probe(sock) for _ in range(_PROBES))
        finally:
            os.sched_setaffinity(0, mine)


def _probe(sock: socket.socket) -> float:
    begin = time.perf_counter_ns()
    sock.sendall(b"GET /now HTTP/1.1\r\nHost: clock\r\n\r\n")
    answer = sock.recv(4096)
    taken = time.perf_counter_ns() - begin
    found = re.search(rb"X-Took-Ns: (\d+)", answer)
    if found is None:
        raise OSError("the server with the clock gave no clock")
    return max(taken - int(found[1]), 0) / 1e9
