"""The local pool: node-controllers on loopback that live and die with this process."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import IO

import msgspec

from pytest_metersphere.dist.node.config import DEFAULT_USERS_PER_CORE, available_cores
from pytest_metersphere.dist.pool import NodeSpec
from pytest_metersphere.errors import NodeError
from pytest_metersphere.settings import JMETER_HOME_VARIABLE, TOKEN_VARIABLE

START_LIMIT = 15.0
STOP_LIMIT = 5.0


class Announcement(msgspec.Struct):
    """The line that a node-controller prints once it serves."""

    port: int
    name: str


class LocalNode:
    """One node-controller as a child process; the same program as on a remote machine."""

    def __init__(self, spec: NodeSpec, workers: int, token: str) -> None:
        """Start it; `workers` is the number of worker processes that its slices may have."""
        self.spec = spec
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        command = [
            sys.executable,
            "-P",
            "-m",
            "pytest_metersphere",
            "node",
            "--host",
            spec.host,
            "--port",
            "0",
        ]
        command += [
            "--name",
            spec.name,
            "--workers",
            str(workers),
            "--announce",
            "json",
            "--until-stdin-closes",
        ]
        if spec.capacity is not None:
            command += ["--capacity", str(spec.capacity)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=_environment(token),
            start_new_session=True,
        )

    def port(self, deadline: float) -> int:
        """Wait for it to serve and return its port.

        Raises:
            NodeError: it ended, or does not serve by `deadline` (a monotonic clock reading).
        """
        line = _read_line(self._process.stdout, deadline)
        try:
            return msgspec.json.decode(line, type=Announcement).port
        except msgspec.DecodeError:
            raise NodeError(
                self.spec.name, f"the local node-controller did not start: {self._last_words()}"
            ) from None

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        code = self._process.poll()
        return (
            lines[-1]
            if lines
            else f"no answer within {START_LIMIT:g} s"
            if code is None
            else f"exit code {code}"
        )

    def ask_to_end(self) -> None:
        """Tell it to end: its standard input closes."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def close(self, deadline: float) -> None:
        """Wait for its end; kill it at `deadline` (a monotonic clock reading)."""
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()


class LocalPool:
    """The node-controllers that a session has started.

    Attributes:
        token: the token that they ask for, made for this session.
    """

    def __init__(self, specs: Sequence[NodeSpec]) -> None:
        """Start one node-controller for each spec, all at once; they share this machine's cores."""
        self.token = secrets.token_urlsafe(24)
        self._nodes = [
            LocalNode(spec, workers_of(index, len(specs)), self.token) for index, spec in enumerate(specs)
        ]

    def ports(self) -> list[int]:
        """Wait until all serve and return their ports, in order (NodeError names one that does not)."""
        deadline = time.monotonic() + START_LIMIT
        return [node.port(deadline) for node in self._nodes]

    def close(self) -> None:
        """End them all, by force when they do not go by themselves."""
        for node in self._nodes:
            node.ask_to_end()
        deadline = time.monotonic() + STOP_LIMIT
        for node in self._nodes:
            node.close(deadline)
        self._nodes.clear()


def _environment(token: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTEST_") or name == JMETER_HOME_VARIABLE
    }
    return kept | {TOKEN_VARIABLE: token}


def _read_line(stream: IO[bytes] | None, deadline: float) -> bytes:
    """Return what came up to a line break, the end of the stream, or the deadline."""
    line = b""
    while stream is not None and not line.endswith(b"\n"):
        ready, _, _ = select.select([stream], [], [], max(0.0, deadline - time.monotonic()))
        chunk = os.read(stream.fileno(), 4096) if ready else b""
        if not chunk:
            break
        line += chunk
    return line


def default_capacity(index: int, nodes: int) -> int:
    """Return the users that a local node without a declared capacity carries, among so many nodes."""
    return DEFAULT_USERS_PER_CORE * workers_of(index, nodes)


def workers_of(index: int, nodes: int) -> int:
    """Return the worker processes of a local node: the nodes share the cores, each has at least one."""
    cores = available_cores()
    return max(1, cores // nodes + (index < cores % nodes))
