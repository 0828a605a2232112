"""How long a local session takes to begin and to end, and how much memory its processes hold.

    python benchmarks/local_session.py [--repetitions 5] [--users 10 1000]

No other pytest plugin is loaded: some of them add a second of their own at the end. Each repetition
starts `pytest --ms-pool=local` on a scenario of a few seconds against a server in this process.
Printed are medians (and ranges) of: seconds from the start of pytest to the first request, seconds
from the last request to the end of pytest, and the peak resident memory of controller,
node-controller and one worker. Linux only: memory comes from /proc.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_MARK = "MS_BENCHMARK"
_ONLY_OURS = ("--disable-plugin-autoload", "-p", "pytest_metersphere.plugin")
_SCENARIO = """
import pytest

@pytest.mark.load_scenario(users={users}, hold="4s", think="{think}")
async def test_ping(vu):
    await vu.http.get("{url}/")
"""


class _Server(ThreadingHTTPServer):
    """Answers everything at once, and notes when the first and the last request came."""

    daemon_threads = True
    request_queue_size = 4096
    first = 0.0
    last = 0.0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        assert isinstance(self.server, _Server)
        self.server.last = time.monotonic()
        self.server.first = self.server.first or self.server.last
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_arguments: object) -> None:
        """Keep quiet."""


@dataclasses.dataclass
class Observation:
    """One session: seconds, and peak resident memory in MiB."""

    to_first_request: float
    from_last_request: float
    controller: float = 0.0
    node: float = 0.0
    worker: float = 0.0


def observe(users: int) -> Observation:
    """Run one session and return what was seen of it."""
    server = _Server(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    mark = secrets.token_hex(8)
    peaks: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        Path(folder, "test_ping.py").write_text(
            _SCENARIO.format(users=users, url=url, think="50ms" if users <= 100 else "1s")
        )
        Path(folder, "pytest.ini").write_text("[pytest]\n")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        begin = time.monotonic()
        with subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", *_ONLY_OURS, f"--ms-pool=local={users}"],
            cwd=folder,
            env=kept | {_MARK: mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as session:
            while session.poll() is None:
                _note_memory(mark, peaks)
                time.sleep(0.1)
            end = time.monotonic()
            assert session.stdout is not None
            output = session.stdout.read().decode()
    server.shutdown()
    server.server_close()
    if session.returncode != 0:
        raise SystemExit(f"the session failed:\n{output}")
    return Observation(server.first - begin, end - server.last, **peaks)


def _note_memory(mark: str, peaks: dict[str, float]) -> None:
    """Raise the peak of each kind of process of the session."""
    for entry in Path("/proc").iterdir():
        try:
            if not entry.name.isdigit() or f"{_MARK}={mark}".encode() not in (entry / "environ").read_bytes():
                continue
            kind = _kind((entry / "cmdline").read_bytes())
            status = (entry / "status").read_text()
        except OSError:
            continue
        peak = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")), "0")
        peaks[kind] = max(peaks.get(kind, 0.0), int(peak) / 1024)


def _kind(command: bytes) -> str:
    if b"engine.worker" in command:
        return "worker"
    return "node" if b"pytest_metersphere\0node" in command else "controller"


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--users", type=int, nargs="+", default=[10, 1000])
    arguments = parser.parse_args()
    seen: dict[int, list[Observation]] = {users: [] for users in arguments.users}
    for _ in range(arguments.repetitions):
        for users, observations in seen.items():
            observations.append(observe(users))
    print(f"{arguments.repetitions} interleaved repetitions, median (lowest to highest)\n")
    print("| users | s to first request | s from last request | controller MiB | node MiB | worker MiB |")
    print("| --- | --- | --- | --- | --- | --- |")
    for users, observations in seen.items():
        cells = [
            _cell(getattr(one, field.name) for one in observations)
            for field in dataclasses.fields(Observation)
        ]
        print(f"| {users} | {' | '.join(cells)} |")


def _cell(values: Iterable[float]) -> str:
    ordered = sorted(values)
    return f"{statistics.median(ordered):.2f} ({ordered[0]:.2f} to {ordered[-1]:.2f})"


if __name__ == "__main__":
    main()
