"""A pytest session under load in a process of its own, and everything that it has started."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MARK = "MS_TEST_MARK"
PATIENCE = 30.0
SCENARIO = """
import os, pathlib, pytest

@pytest.mark.load_scenario(users=8, hold="60s", think="0.05s")
async def test_long(vu):
    with vu.sample("step"):
        await vu.sleep(0.01)
    pathlib.Path(os.environ["MS_TEST_BEAT"]).touch()
"""


def wait_until(met: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Wait until something is so; an AssertionError says what did not come."""
    deadline = time.monotonic() + patience
    while not met():
        assert time.monotonic() < deadline, f"not within {patience:g} s: {what}"
        time.sleep(0.05)


class LoadedSession:
    """`pytest --ms-pool=…` on a scenario of a minute; all processes that it starts bear its mark."""

    def __init__(self, folder: Path, *options: str, scenario: str = SCENARIO) -> None:
        """Start it in `folder`."""
        self.folder = folder
        self._mark = secrets.token_hex(8)
        self._beat = folder / "beat"
        self._output = folder / "output"
        (folder / "test_long.py").write_text(scenario)
        (folder / "pytest.ini").write_text("[pytest]\n")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:asyncio", *options],
                cwd=folder,
                env=kept | {MARK: self._mark, "MS_TEST_BEAT": str(self._beat)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for_load(self) -> None:
        """Wait until virtual users are at work on all nodes and a frame of them was seen."""
        wait_until(lambda: self.beats or self.process.poll() is not None, "the first iteration")
        wait_until(
            lambda: "requests" in self.output or self.process.poll() is not None, "the first progress line"
        )
        assert self.process.poll() is None, self.output

    @property
    def beats(self) -> bool:
        """Return whether its scenario was at work."""
        return self._beat.exists()

    @property
    def output(self) -> str:
        """Return what it has printed so far."""
        return self._output.read_text(errors="replace")

    def pids(self, program: str) -> list[int]:
        """Return the processes of this session whose command line holds `program`."""
        return [pid for pid, command in _processes(f"{MARK}={self._mark}") if program in command]

    @property
    def nodes(self) -> list[int]:
        """Return its node-controllers that are alive."""
        return self.pids("pytest_metersphere node")

    @property
    def workers(self) -> list[int]:
        """Return its workers that are alive."""
        return self.pids("engine.worker")

    def wait(self) -> int:
        """Wait for the end of pytest and return its exit code."""
        return self.process.wait(PATIENCE)

    def wait_until_nothing_is_left(self, patience: float) -> None:
        """Wait until no node-controller, worker or child of them is alive."""
        wait_until(lambda: not self.pids(""), f"the end of {self.pids('')}", patience)

    @property
    def result(self) -> dict[str, Any]:
        """Return the only scenario of results.json."""
        scenarios = json.loads((self.folder / "ms-report" / "results.json").read_text())["scenarios"]
        assert len(scenarios) == 1
        found: dict[str, Any] = scenarios[0]
        return found

    def end(self) -> None:
        """Kill whatever is left."""
        for pid in self.pids(""):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait(PATIENCE)


def _processes(mark: str) -> list[tuple[int, str]]:
    """Return the living processes (id, command line) that have `NAME=value` in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if mark.encode() in environment.split(b"\0") and command:
                found.append((int(entry.name), command))
    return found
