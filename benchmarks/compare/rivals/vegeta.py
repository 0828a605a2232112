"""vegeta: a pipe of attack and report, as its manual has it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from benchmarks.compare import parts
from benchmarks.compare.rivals.base import Command, Load, Report

VERSION = "12.13.0"


class Vegeta:
    """Its rate is its own; without one, `-max-workers` stands for the users."""

    name = "vegeta"
    settles = 0

    def __init__(self) -> None:
        self._program = Path()

    def install(self, cache: Path) -> str:
        self._program = parts.go_program(cache, "vegeta", f"github.com/tsenart/vegeta/v12@v{VERSION}")
        return VERSION

    def refusal(self, load: Load) -> str:
        return "it has no users that think" if load.think else ""

    def command(self, load: Load, folder: Path) -> Command:
        (folder / "targets").write_text(f"GET {load.url}\n")
        options = f"-targets=targets -duration={load.seconds}s -rate={load.rate} -workers={load.users}"
        options += f" -connections={load.users} -insecure"
        if not load.rate:
            options += f" -max-workers={load.users}"
        program = shlex.quote(str(self._program))
        # a shell for the pipe between two of its commands
        return Command(argv=("sh", "-c", f"{program} attack {options} | {program} report -type=json"))

    def parse(self, text: str) -> Report:
        found = json.loads(text)
        requests, times = found["requests"], found["latencies"]
        answered = sum(count for status, count in found["status_codes"].items() if "200" <= status < "400")
        return Report(
            requests=requests,
            failures=requests - answered,
            p50=times["50th"] / 1e9,
            p99=times["99th"] / 1e9,
        )
