"""A shop in a process of its own, three node-controllers, and whole sessions on them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from pytest_metersphere.reports.document import Document, ScenarioResult
from tests.plugin.remote import TOKEN, remote_node

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 150.0
HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
CAPACITIES = (400, 400, 200)


class Shopping:
    """pytest on the examples, with reports and what the shop has counted in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.reports = folder / "reports"
        self._stats = folder / "stats.json"
        self._output = folder / "output"

    def begin(self, *options: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a session on some of the examples."""
        command = [sys.executable, "-m", "pytest", "-p", "no:asyncio", "-p", "no:cacheprovider", *options]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "CI"))}
        kept |= {"SHOP_STATS_FILE": str(self._stats), "PYTEST_MS_TOKEN": TOKEN} | dict(env or {})
        with self._output.open("wb") as output:
            return subprocess.Popen(
                [*command, f"--ms-report-dir={self.reports}"],
                cwd=ROOT,
                env=kept,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def run(self, *options: str, env: Mapping[str, str] | None = None) -> int:
        """Run a session to its end and return its exit code."""
        return self.begin(*options, env=env).wait(LIMIT)

    @property
    def output(self) -> str:
        """Return what it has printed so far."""
        return self._output.read_text(errors="replace")

    @property
    def served(self) -> int:
        """Return how many requests the shop has counted."""
        return int(json.loads(self._stats.read_text())["requests"])

    @property
    def document(self) -> Document:
        """Return results.json."""
        return msgspec.json.decode((self.reports / "results.json").read_bytes(), type=Document)

    @property
    def result(self) -> ScenarioResult:
        """Return the only scenario of results.json."""
        (result,) = self.document.scenarios
        return result


@pytest.fixture
def shopping(tmp_path: Path) -> Shopping:
    """Return the examples, not yet run."""
    return Shopping(tmp_path / "shopping")


@pytest.fixture(scope="module")
def three_nodes() -> Iterator[str]:
    """Run a node-controller on each of three addresses and return the pool of 400, 400 and 200 users."""
    with ExitStack() as stack:
        addresses = [
            stack.enter_context(remote_node(f"--capacity={capacity}", host=host))
            for host, capacity in zip(HOSTS, CAPACITIES, strict=True)
        ]
        yield ",".join(addresses)
