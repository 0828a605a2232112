"""The first process of a slice's container: `python -P -m pytest_metersphere.engine.container`.

It starts the workers, whose channels and output it is handed by the supervisor outside, says how each
of them ended, and reaps what they leave behind. When the supervisor is gone it ends, and as it is
process 1 of the container everything in there ends with it.

Both talk over a socket that keeps messages apart (SOCK_SEQPACKET); each message is a MessagePack map
with a `type` field. With Spawn come two file descriptors: the worker's end of its socket pair (see
engine.messages), and what takes its output.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import os
import platform
import re
import selectors
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

import msgspec

import pytest_metersphere
from pytest_metersphere.engine.jmeter.home import NoJMeter, working_home
from pytest_metersphere.engine.memory import oom_kills

MAX_PACKET = 64 << 10
MODULE = "pytest_metersphere.engine.container"

_WORKER = (sys.executable, "-P", "-m", "pytest_metersphere.engine.worker")
_FIRST_TO_GO = "500"
"""Added to a worker's oom_score: when memory is out, the kernel takes a worker before process 1."""


class Spawn(msgspec.Struct, tag="spawn"):
    """Start a worker; two file descriptors come along."""

    worker: int


class Signal(msgspec.Struct, tag="signal"):
    """Send a signal to a worker's process group."""

    worker: int
    number: int


class Started(msgspec.Struct, tag="started"):
    """A worker was started; `pid` is its process id in the container."""

    worker: int
    pid: int


class NotStarted(msgspec.Struct, tag="not started"):
    """A worker could not be started."""

    worker: int
    reason: str


class Gone(msgspec.Struct, tag="gone"):
    """A worker ended.

    Attributes:
        code: its exit code, or the negative number of the signal that killed it.
        out_of_memory: the kernel killed a process of the container for want of memory since the last one.
    """

    worker: int
    code: int
    out_of_memory: bool = False


class Facts(msgspec.Struct):
    """What an image holds; `--facts` prints it as JSON.

    Attributes:
        version: version of pytest-metersphere.
        python: version of Python, `3.11.2`.
        packages: versions of all distributions by their names, in lower case with dashes.
        jmeter: version of JMeter, empty when its jars do not tell.
        no_jmeter: why no test plan can run in it, `there is no Java: …`; empty when one can.
    """

    version: str
    python: str
    packages: dict[str, str]
    jmeter: str = ""
    no_jmeter: str = ""


ToContainer = Spawn | Signal
FromContainer = Started | NotStarted | Gone


def main() -> None:
    """Keep the workers of one slice until the supervisor hangs up; or print what the image holds."""
    parser = argparse.ArgumentParser(prog=MODULE)
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--control", metavar="SOCKET", help="where the supervisor listens")
    wanted.add_argument("--facts", action="store_true", help="print what is installed here, as JSON")
    parsed = parser.parse_args()
    if parsed.facts:
        sys.stdout.write(msgspec.json.encode(facts()).decode() + "\n")
        return
    control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control.connect(parsed.control)
    Keeper(control).run()


def facts() -> Facts:
    """Return what is installed here."""
    packages = {
        canonical_name(each.metadata["Name"]): each.version for each in importlib.metadata.distributions()
    }
    known = Facts(pytest_metersphere.__version__, platform.python_version(), packages)
    try:
        known.jmeter = working_home().version
    except NoJMeter as error:
        known.no_jmeter = error.lack
    return known


def canonical_name(name: str) -> str:
    """Return a distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


class Keeper:
    """Starts, signals and reaps workers as it is told over the control socket."""

    def __init__(self, control: socket.socket) -> None:
        """Take over the children of this process."""
        self._control = control
        self._decoder = msgspec.msgpack.Decoder(ToContainer)
        self._workers: dict[int, int] = {}
        self._groups: dict[int, int] = {}
        self._oom_kills = oom_kills()
        self._waking, waked = socket.socketpair()
        self._waking.setblocking(False)
        waked.setblocking(False)
        self._waked = waked
        signal.set_wakeup_fd(waked.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _do_nothing)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _end)

    def run(self) -> None:
        """Serve until the supervisor hangs up."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(self._waking, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._waking:
                        self._reap()
                    elif not self._obey():
                        return

    def _obey(self) -> bool:
        try:
            data, files, _, _ = socket.recv_fds(self._control, MAX_PACKET, 2)
        except ConnectionError:
            return False
        if not data:
            return False
        match self._decoder.decode(data):
            case Spawn(worker):
                self._spawn(worker, files)
            case Signal(worker, number):
                with contextlib.suppress(ProcessLookupError, KeyError):
                    os.killpg(self._groups[worker], number)
        return True

    def _spawn(self, worker: int, files: list[int]) -> None:
        channel, output = files
        os.set_inheritable(output, False)
        os.set_inheritable(channel, True)
        try:
            pid = os.posix_spawn(
                sys.executable,
                [*_WORKER, "--fd", str(channel)],
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, output, 1),
                    (os.POSIX_SPAWN_DUP2, output, 2),
                ],
                setsid=True,
            )
        except OSError as error:
            self._say(NotStarted(worker, str(error)))
            return
        finally:
            for each in files:
                os.close(each)
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/oom_score_adj").write_text(_FIRST_TO_GO)
        self._workers[pid] = worker
        self._groups[worker] = pid
        self._say(Started(worker, pid))

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._waking.recv(4096)
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                worker = self._workers.pop(pid, None)
                if worker is not None:
                    self._say(Gone(worker, os.waitstatus_to_exitcode(status), self._memory_was_out()))

    def _memory_was_out(self) -> bool:
        before, self._oom_kills = self._oom_kills, oom_kills()
        return self._oom_kills > before

    def _say(self, message: FromContainer) -> None:
        with contextlib.suppress(OSError):
            self._control.send(msgspec.msgpack.encode(message))


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """Let the signal wake the selector."""


def _end(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main()
