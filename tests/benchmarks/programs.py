"""Load generators that are none, for tests of what runs them."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.compare.rivals.base import Command, Load, MissingPart, Report

BURN = """
import os, sys, time
def burn(seconds):
    while time.process_time() < seconds:
        pass
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid()
        burn(0.2)
        os._exit(0)
    os._exit(0)
burn(0.1)
print("done")
"""
"""Ends before its grandchild, which has a session of its own; together they use 0.3 s of CPU."""


def python(code: str) -> Command:
    """Return a command that runs a piece of Python."""
    return Command(argv=(sys.executable, "-c", code))


class Fake:
    """A load generator that prints a number."""

    settles = 0

    def __init__(self, name: str, *, there: bool = True) -> None:
        self.name = name
        self._there = there

    def install(self, cache: Path) -> str:
        if not self._there:
            raise MissingPart("nobody has it")
        return "1.0"

    def refusal(self, load: Load) -> str:
        return ""

    def command(self, load: Load, folder: Path) -> Command:
        return python("print(3)")

    def parse(self, text: str) -> Report:
        return Report(requests=int(text))
