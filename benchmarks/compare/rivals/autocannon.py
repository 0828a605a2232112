"""autocannon: the fast end of what Node can do, without scenarios."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.compare import parts
from benchmarks.compare.rivals.base import Command, Load, Report

VERSION = "9.0.0"


class Autocannon:
    """One thread, as it has one core."""

    name = "autocannon"
    settles = 0

    def __init__(self) -> None:
        self._program = ("", "")

    def install(self, cache: Path) -> str:
        self._program = parts.npm_program(cache, "autocannon", VERSION, "autocannon.js")
        return VERSION

    def refusal(self, load: Load) -> str:
        return "it has no users that think" if load.think else ""

    def command(self, load: Load, folder: Path) -> Command:
        size = ["-c", str(load.users), "-d", str(load.seconds), "--json", "--no-progress"]
        if load.rate:
            # its own correction for answers that came late would be no measurement
            size += ["--overallRate", str(load.rate), "--ignoreCoordinatedOmission"]
        return Command(argv=(*self._program, *size, load.url))

    def parse(self, text: str) -> Report:
        found = json.loads(text)
        return Report(
            requests=found["requests"]["total"],
            failures=found["non2xx"] + found["errors"],
            p50=found["latency"]["p50"] / 1e3,
            p99=found["latency"]["p99"] / 1e3,
        )
