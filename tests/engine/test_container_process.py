"""The first process of a container, outside of one: what it says, and when it ends."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import pytest_metersphere
from pytest_metersphere.engine.container import (
    MAX_PACKET,
    MODULE,
    Facts,
    FromContainer,
    Gone,
    Signal,
    Spawn,
    Started,
)

COMMAND = (sys.executable, "-P", "-m", MODULE)
PATIENCE = 15.0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="containers are Linux")


class Keeper:
    """The process, and the supervisor's end of its socket."""

    def __init__(self, folder: Path) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(str(folder / "control"))
            listener.listen(1)
            listener.settimeout(PATIENCE)
            self.process = subprocess.Popen([*COMMAND, "--control", str(folder / "control")])
            self.sock, _ = listener.accept()
        self.sock.settimeout(PATIENCE)
        self._decoder = msgspec.msgpack.Decoder(FromContainer)

    def spawn(self, worker: int) -> tuple[int, socket.socket]:
        """Have a worker started; return its process id and the supervisor's end of its channel."""
        ours, its = socket.socketpair()
        with its, Path(os.devnull).open("wb") as output:
            packet = msgspec.msgpack.encode(Spawn(worker))
            socket.send_fds(self.sock, [packet], [its.fileno(), output.fileno()])
            started = self.hear()
        assert isinstance(started, Started)
        assert started.worker == worker
        return started.pid, ours

    def hear(self) -> FromContainer:
        """Return the next message."""
        message: FromContainer = self._decoder.decode(self.sock.recv(MAX_PACKET))
        return message

    def close(self) -> None:
        """Hang up, and leave nothing."""
        self.sock.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE)
        self.process.kill()
        self.process.wait()


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    """Return one that has called."""
    with contextlib.closing(Keeper(tmp_path)) as own:
        yield own


def test_a_worker_that_is_killed_is_told(keeper: Keeper) -> None:
    """By the signal that the supervisor asked for, and not for want of memory."""
    _, channel = keeper.spawn(3)
    with channel:
        keeper.sock.send(msgspec.msgpack.encode(Signal(3, signal.SIGKILL)))

        assert keeper.hear() == Gone(3, -signal.SIGKILL)


def test_a_worker_follows_its_channel(keeper: Keeper) -> None:
    """Each worker has one of its own; the others live on."""
    _, first = keeper.spawn(0)
    pid, second = keeper.spawn(1)
    with second:
        first.close()
        gone = keeper.hear()

        assert isinstance(gone, Gone)
        assert gone.worker == 0
        os.kill(pid, 0)


def test_it_ends_with_its_supervisor(keeper: Keeper) -> None:
    """Whichever way the supervisor goes, its end of the socket closes."""
    keeper.sock.close()

    assert keeper.process.wait(PATIENCE) == 0


def test_it_tells_what_is_installed() -> None:
    """As JSON, with names as they are compared."""
    text = subprocess.run([*COMMAND, "--facts"], capture_output=True, check=True).stdout
    facts = msgspec.json.decode(text, type=Facts)

    assert (facts.version, facts.python) == (pytest_metersphere.__version__, platform.python_version())
    assert facts.packages["kafka-python"]
    assert facts.packages["pytest-metersphere"] == pytest_metersphere.__version__
