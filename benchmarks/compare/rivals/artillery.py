"""Artillery: users that repeat a request, or arrivals of one request each."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.compare import parts
from benchmarks.compare.rivals.base import Command, Load, Report

VERSION = "2.0.34"
_A_SECOND = 1000
"""Requests that stand for a second of load: it can repeat so many times, but not for so long."""


class Artillery:
    """One worker, one socket for each user."""

    name = "Artillery"
    settles = 0

    def __init__(self) -> None:
        self._program = ("", "")

    def install(self, cache: Path) -> str:
        self._program = parts.npm_program(cache, "artillery", VERSION, "bin/run")
        return VERSION

    def refusal(self, load: Load) -> str:
        return "its users cannot repeat for a given time" if load.think else ""

    def command(self, load: Load, folder: Path) -> Command:
        get: dict[str, object] = {"get": {"url": load.url}}
        phase: dict[str, object] = {"duration": load.seconds, "arrivalRate": load.rate}
        if not load.rate:
            phase = {"duration": 1, "arrivalCount": load.users}
            get = {"loop": [get], "count": max(_A_SECOND * load.seconds // load.users, 1)}
        config = {
            "target": load.url,
            "phases": [phase],
            "http": {"maxSockets": load.users if load.rate else 1, "timeout": 30},
            "tls": {"rejectUnauthorized": False},
        }
        # JSON is YAML
        (folder / "test.yml").write_text(json.dumps({"config": config, "scenarios": [{"flow": [get]}]}))
        return Command(
            argv=(*self._program, "run", "--quiet", "--output", "report.json", "test.yml"),
            environment={"ARTILLERY_DISABLE_TELEMETRY": "true", "HOME": str(folder)},
            answer=folder / "report.json",
        )

    def parse(self, text: str) -> Report:
        aggregate = json.loads(text)["aggregate"]
        counters, times = aggregate["counters"], aggregate["summaries"].get("http.response_time", {})
        requests = counters.get("http.requests", 0)
        answered = sum(
            count for name, count in counters.items() if name.startswith(("http.codes.2", "http.codes.3"))
        )
        return Report(
            requests=requests,
            failures=requests - answered,
            p50=times["p50"] / 1e3 if times else None,
            p99=times["p99"] / 1e3 if times else None,
        )
