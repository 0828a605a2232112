"""Runs a load generator, and finds what its tree of processes cost in CPU time and memory."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import Self

from benchmarks.compare import account
from benchmarks.compare.rivals.base import Command, Report, Rival

_ACCOUNT = Path(account.__file__)
_LAST_WORDS = 600


class RunFailed(Exception):
    """A load generator came to no result; the text is what it said last."""


@dataclasses.dataclass(frozen=True)
class Usage:
    """What a command did.

    Attributes:
        begin, end: of the command itself, on the monotonic clock.
        cpu: CPU seconds, user and system, of it and everything that it started.
        code: its exit code.
    """

    begin: float
    end: float
    cpu: float
    code: int


class Running:
    """A command that runs on some cores; at the end of the block nothing of it is left."""

    def __init__(self, command: Command, folder: Path, cores: Collection[int]) -> None:
        """Start it in its folder."""
        self._command = command
        self._report = folder / "account.json"
        self._output = folder / "output.txt"
        self._errors = folder / "errors.txt"
        temporary = folder / "tmp"
        temporary.mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        argv = [sys.executable, "-I", "-S", str(_ACCOUNT), str(self._report)]
        argv += [",".join(str(core) for core in sorted(cores)), *command.argv]
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                argv,
                cwd=folder,
                env=kept | {"TMPDIR": str(temporary)} | dict(command.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_exc: object) -> None:
        """Kill what is left of it."""
        self.stop()

    def stop(self) -> None:
        """End it and everything that it started."""
        while self._process.poll() is None:
            self._process.terminate()
            # what was just being started is caught by the next try
            try:
                self._process.wait(1.0)
            except subprocess.TimeoutExpired:
                continue

    @property
    def alive(self) -> bool:
        """Return whether any of it still runs."""
        return self._process.poll() is None

    def memory(self) -> int:
        """Return the bytes that its processes hold; pages that several share count once."""
        return sum(_proportional(pid) for pid in account.descendants(self._process.pid))

    def wait(self, patience: float) -> Usage:
        """Return what it cost, when all of it has ended.

        Raises:
            RunFailed: it has not ended in `patience` seconds.
        """
        deadline = time.monotonic() + patience
        while self.alive:
            if time.monotonic() > deadline:
                self.stop()
                raise RunFailed(f"not done after {patience:.0f} s: {self._said()}")
            time.sleep(0.01)
        try:
            return Usage(**json.loads(self._report.read_text()))
        except (OSError, ValueError) as missing:
            raise RunFailed(self._said()) from missing

    def report(self, rival: Rival) -> Report:
        """Return what it says of its run.

        Raises:
            RunFailed: there is nothing that can be read.
        """
        try:
            text = (self._command.answer or self._output).read_text(errors="replace")
            return rival.parse(text)
        except (OSError, ValueError, KeyError, TypeError) as trouble:
            raise RunFailed(f"{trouble!r}: {self._said()}") from trouble

    def _said(self) -> str:
        said = "".join(path.read_text(errors="replace") for path in (self._output, self._errors))
        return " ".join(said.split())[-_LAST_WORDS:]


def _proportional(pid: int) -> int:
    """Return a process's proportional set size; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
