"""aiohttp in a bare loop: what the best known client for asyncio costs by itself."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.compare import parts
from benchmarks.compare.rivals.base import Command, Load, Report
from benchmarks.compare.rivals.locust import PACKAGES


class AiohttpBare:
    """One session for all users, on uvloop."""

    name = "aiohttp, bare loop"
    settles = 0

    def __init__(self) -> None:
        self._python = Path()

    def install(self, cache: Path) -> str:
        self._python = parts.python_environment(cache, PACKAGES)
        return PACKAGES[1].partition("==")[2]

    def refusal(self, load: Load) -> str:
        return ""

    def command(self, load: Load, folder: Path) -> Command:
        program = Path(__file__).with_name("aiohttp_loop.py")
        arguments = (load.url, load.users, load.seconds, load.rate, load.think)
        return Command(argv=(str(self._python), str(program), *map(str, arguments)))

    def parse(self, text: str) -> Report:
        return Report(**json.loads(text))
