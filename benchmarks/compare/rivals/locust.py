"""Locust: FastHttpUser, its faster client, and HttpUser, the one on requests."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.compare import parts
from benchmarks.compare.figures import counted_percentile
from benchmarks.compare.rivals.base import Command, Load, Report

PACKAGES = ("locust==2.47.0", "aiohttp==3.14.5", "uvloop==0.23.0")
"""Of the environment that Locust and the bare client on aiohttp share."""

_FILE = """\
from locust import {kind}, constant, constant_throughput, task


class User({kind}):
    host = "{url}"
    wait_time = {wait}

    @task
    def get(self):
        self.client.get("{url}")
"""


class Locust:
    """One process without a web page, the least that it can cost."""

    settles = 0

    def __init__(self, kind: str) -> None:
        """Take its class of users: FastHttpUser or HttpUser."""
        self.name = f"Locust {kind}"
        self._kind = kind
        self._python = Path()

    def install(self, cache: Path) -> str:
        self._python = parts.python_environment(cache, PACKAGES)
        return PACKAGES[0].partition("==")[2]

    def refusal(self, load: Load) -> str:
        return ""

    def command(self, load: Load, folder: Path) -> Command:
        wait = f"constant({load.think})"
        if load.rate:
            wait = f"constant_throughput({load.rate / load.users})"
        (folder / "locustfile.py").write_text(_FILE.format(kind=self._kind, url=load.url, wait=wait))
        users = ("--users", str(load.users), "--spawn-rate", str(load.users))
        quiet = ("--headless", "--only-summary", "--json", "--loglevel", "CRITICAL")
        end = ("--run-time", f"{load.seconds}s", "--stop-timeout", "5")
        return Command(
            argv=(str(self._python), "-m", "locust", "-f", "locustfile.py", *quiet, *users, *end),
            environment={"PYTHONWARNINGS": "ignore"},
        )

    def parse(self, text: str) -> Report:
        begin = text.find("[")
        if begin < 0:
            raise ValueError("Locust printed no statistics")
        (entry,) = json.loads(text[begin:])
        counts = [(float(time), count) for time, count in entry["response_times"].items()]
        p50, p99 = (counted_percentile(counts, share) for share in (0.5, 0.99))
        return Report(
            requests=entry["num_requests"],
            failures=entry["num_failures"],
            p50=None if p50 is None else p50 / 1e3,
            p99=None if p99 is None else p99 / 1e3,
        )
