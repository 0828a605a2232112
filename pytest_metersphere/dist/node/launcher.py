"""Where the workers of a slice run: what a launcher does, and the plain one, processes of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from pytest_metersphere.dist.node.packages import check_jmeter, check_packages, check_python
from pytest_metersphere.dist.wire import Check, CheckRequest, StartRequest
from pytest_metersphere.settings import JMETER_HOME_VARIABLE

HANG_UP = 2.0
"""Seconds within which a worker's process follows its closed socket, and the other way round."""

_PRIVATE = "PYTEST_"


class Child(Protocol):
    """A worker's process.

    Attributes:
        pid: its process id, where it runs.
        patience: seconds within which its end is known once its socket is closed.
    """

    pid: int
    patience: float

    async def wait(self) -> str:
        """Wait for its end and return how it ended, `exit code 1` or `killed by SIGKILL`."""

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its whole process group; one that is gone does not hear it."""


class Sandbox(Protocol):
    """Where the workers of one slice run."""

    def path(self, folder: Path) -> str:
        """Return where a worker finds a folder of the slice's tree."""

    async def open(self) -> None:
        """Prepare it; the tree is unpacked (OSError when that cannot be done)."""

    async def start(self, number: int, folder: Path, channel: socket.socket, output: int) -> Child:
        """Start a worker.

        Args:
            number: its number in the slice.
            folder: the folder to start it in.
            channel: its end of the socket pair, which stays the caller's.
            output: file descriptor that takes what it prints.

        Raises:
            OSError: it cannot be started.
        """

    def kill(self) -> None:
        """End everything in it by force, whether or not it listens."""

    async def close(self) -> None:
        """Let nothing of it be left; may be called again, and before it was opened."""


class Launcher(Protocol):
    """How a node-controller starts workers.

    Attributes:
        name: what `--launcher` calls it.
        image: image of the containers; empty without.
        patience: seconds that the end of a node may take.
    """

    name: str
    image: str
    patience: float

    def sandbox(self, request: StartRequest, folder: Path, note: Callable[[str], None]) -> Sandbox:
        """Return where a slice is to run, not yet opened; `note` takes lines for the slice's log."""

    async def open(self) -> None:
        """Remove what an earlier controller has left."""

    async def trouble(self) -> str:
        """Return why no slice can be started now and what to do, empty when one can."""

    async def check(self, request: CheckRequest) -> list[Check]:
        """Return whether slices can be started, on the Python, packages and JMeter that are asked for."""


class ProcessLauncher:
    """Workers are processes of this machine."""

    name = "process"
    image = ""
    patience = 2.0

    def __init__(self, command: Sequence[str]) -> None:
        """Start workers by a command; `--fd N` is appended."""
        self._sandbox = _Processes(command)

    def sandbox(self, _request: StartRequest, _folder: Path, _note: Callable[[str], None]) -> Sandbox:
        """Return the machine itself."""
        return self._sandbox

    async def open(self) -> None:
        """Do nothing: workers end with their controller."""

    async def trouble(self) -> str:
        """Return nothing: processes can be started."""
        return ""

    async def check(self, request: CheckRequest) -> list[Check]:
        """Return whether this Python, its packages and this machine's JMeter are those asked for."""
        findings = [check_python(request.python)] if request.python else []
        if request.packages:
            # a thousand packages are a thousand small files: other requests do not wait for them
            findings.append(await asyncio.to_thread(check_packages, request.packages))
        if request.jmeter:
            findings.append(await asyncio.to_thread(check_jmeter))
        return findings


class _Processes:
    """The machine itself, as a sandbox of all slices."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command

    def path(self, folder: Path) -> str:
        return str(folder)

    async def open(self) -> None:
        pass

    async def start(self, _number: int, folder: Path, channel: socket.socket, output: int) -> Child:
        return _Process(
            await asyncio.create_subprocess_exec(
                *self._command,
                "--fd",
                str(channel.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder,
                env=worker_environment(),
                pass_fds=(channel.fileno(),),
                start_new_session=True,
            )
        )

    def kill(self) -> None:
        pass

    async def close(self) -> None:
        pass


class _Process:
    """A worker's process on this machine; its id is that of its process group too."""

    patience = HANG_UP

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.pid = process.pid
        self._process = process

    async def wait(self) -> str:
        return ending(await self._process.wait())

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def worker_environment() -> dict[str, str]:
    """Return this process's environment without what is ours or pytest's, the token above all."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_PRIVATE) or name == JMETER_HOME_VARIABLE
    }
    return kept | {"PYTHONUNBUFFERED": "1"}


def ending(code: int) -> str:
    """Return how a process ended, by its exit code or the negative number of a signal."""
    return f"exit code {code}" if code >= 0 else f"killed by {_signal_name(-code)}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
