"""How late the open model begins what is due, and whether each start is accounted for.

    python benchmarks/open_starts.py [--rate 5000] [--turns 5]

In each turn 5,000 iterations a second are due for 8 s, each a GET, against nginx, which has a worker on the
same cores; then for 12 s against a server that answers after 10 s, with at most 1,000 users. Printed are the
verdict, the 99th percentile of start lag over the whole load and in its worst second, that of response times,
the equation of the ledger, what nginx has counted, and how much CPU time the host kept from this machine
meanwhile, where it is a virtual one (steal, proc(5)). Linux only; needs nginx.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.compare import parts
from benchmarks.compare.server import Server, Watch

_WAIT = 10.0
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_ONLY_OURS = ("--disable-plugin-autoload", "-p", "pytest_metersphere.plugin", "-p", "no:cacheprovider")
_SCENARIO = """
import pytest

@pytest.mark.load_scenario(rate="{rate}/s", {keywords})
async def test_start(vu):
    await vu.http.get("{url}")
"""


class _Slow(asyncio.Protocol):
    """Answers each request after _WAIT seconds."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        del data
        asyncio.get_running_loop().call_later(_WAIT, self._answer)

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(_ANSWER)


def _serve(listener: socket.socket) -> None:
    async def forever() -> None:
        server = await asyncio.get_running_loop().create_server(_Slow, sock=listener, backlog=4096)
        await server.serve_forever()

    asyncio.run(forever())


@contextlib.contextmanager
def slow_server() -> Iterator[str]:
    """Yield the URL of a server, in a process of its own, that takes 10 s for an answer."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    process = multiprocessing.get_context("fork").Process(target=_serve, args=(listener,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        process.terminate()
        process.join()
        listener.close()


def observe(url: str, rate: int, keywords: str) -> Any:
    """Run a session; return its only scenario, as it stands in results.json."""
    with tempfile.TemporaryDirectory() as folder:
        text = _SCENARIO.format(url=url, rate=rate, keywords=keywords)
        Path(folder, "test_start.py").write_text(text)
        Path(folder, "pytest.ini").write_text("[pytest]\n")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *_ONLY_OURS, f"--ms-pool=local={max(rate, 1000)}"],
            cwd=folder,
            env=kept,
            capture_output=True,
            text=True,
            check=False,
        )
        results = Path(folder, "ms-report", "results.json")
        if not results.exists():
            sys.exit(f"no result:\n{done.stdout}{done.stderr}")
        return json.loads(results.read_text())["scenarios"][0]


def stolen() -> float:
    """Return the CPU seconds that the host has kept from this machine since it was started."""
    jiffies = Path("/proc/stat").read_text().split("\n", 1)[0].split()[8]
    return int(jiffies) / os.sysconf("SC_CLK_TCK")


def line(name: str, found: Any, served: str, steal: float) -> str:
    """Return a row of the table."""
    (node,), ledger = found["nodes"], found["ledger"]
    equation = f"{ledger['scheduled']:,} = {ledger['started']:,} + {ledger['dropped']:,}"
    overall, worst, response = milliseconds(found)
    return (
        f"| {name} | {found['verdict']} | {overall:.2f} ms | {worst:.2f} ms |"
        f" {response:,.2f} ms | {equation} | {served} | {node['users']:,} | {steal:.2f} s |"
    )


def milliseconds(found: Any) -> tuple[float, float, float]:
    """Return the 99th percentiles of start lag, overall and in the worst second, and of response times."""
    (node,) = found["nodes"]
    return node["start_lag_p99_overall"] * 1e3, node["start_lag_p99"] * 1e3, found["response"]["p99"] * 1e3


def main() -> None:
    """Measure and print a Markdown table, and the medians below it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=int, default=5000, help="arrivals per second (default 5000)")
    parser.add_argument("--turns", type=int, default=5, help="default 5")
    arguments = parser.parse_args()
    measured: list[tuple[float, float, float]] = []
    nginx = parts.debian("nginx", "nginx-light")
    print(
        "| server | verdict | start lag p99 | in the worst second | response p99 | scheduled | served |"
        " users | steal |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    with contextlib.ExitStack() as stack:
        slow = stack.enter_context(slow_server())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-nginx-")))
        server = stack.enter_context(Server(nginx, folder, os.sched_getaffinity(0)))
        for _ in range(arguments.turns):
            before = stolen()
            with Watch(server.status_port) as watch:
                found = observe(server.url, arguments.rate, 'hold="8s"')
            measured.append(milliseconds(found))
            print(line("nginx", found, f"{watch.requests:,}", stolen() - before), flush=True)
            before = stolen()
            found = observe(slow, arguments.rate, 'hold="12s", max_users=1000, graceful_stop="15s"')
            print(line("10 s", found, "-", stolen() - before), flush=True)
    overall, worst, response = (statistics.median(values) for values in zip(*measured, strict=True))
    print(
        f"\nnginx, medians: start lag p99 {overall:.2f} ms, in the worst second {worst:.2f} ms,"
        f" response p99 {response:.2f} ms"
    )


if __name__ == "__main__":
    main()
