"""wrk: the bound that C sets, without a scenario, a report or a rate."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.compare import parts
from benchmarks.compare.rivals.base import Command, Load, Report

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class Wrk:
    """One thread, as it has one core."""

    name = "wrk"
    settles = 0

    def __init__(self) -> None:
        self._program = ""

    def install(self, cache: Path) -> str:
        self._program = parts.debian("wrk", "wrk")
        return parts.version(self._program, "--version")

    def refusal(self, load: Load) -> str:
        return "it can neither keep a rate nor think" if load.rate or load.think else ""

    def command(self, load: Load, folder: Path) -> Command:
        size = ("-t1", f"-c{load.users}", f"-d{load.seconds}s")
        return Command(argv=(self._program, *size, "--timeout", "30s", "--latency", load.url))

    def parse(self, text: str) -> Report:
        found = re.search(r"(\d+) requests in ", text)
        if found is None:
            raise ValueError("wrk printed no number of requests")
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
        errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
        return Report(
            requests=int(found[1]),
            failures=(int(bad[1]) if bad else 0)
            + sum(int(one) for one in (errors.groups() if errors else ())),
            p50=_time(text, 50),
            p99=_time(text, 99),
        )


def _time(text: str, share: int) -> float | None:
    found = re.search(rf"^\s+{share}%\s+([\d.]+)([a-z]+)", text, re.MULTILINE)
    return float(found[1]) * _UNITS[found[2]] if found else None
