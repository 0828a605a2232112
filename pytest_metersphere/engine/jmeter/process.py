"""One JMeter as a child process: its results by a FIFO, its words by a pipe, and how it is ended."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import re
import selectors
import shlex
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pytest_metersphere.engine.jmeter.gate import Gate
from pytest_metersphere.engine.jmeter.home import Home
from pytest_metersphere.engine.jmeter.properties import properties_text
from pytest_metersphere.engine.jmeter.results import PROPERTIES, Row, Rows, Summary
from pytest_metersphere.engine.jmeter.words import self_stop
from pytest_metersphere.engine.memory import oom_kills
from pytest_metersphere.errors import MeterSphereError

POLL = 0.05
"""Seconds between two looks at what JMeter has written."""
HEAP = "1g"
"""Java's heap unless the node's JVM_ARGS say otherwise."""

_PIPE_SIZE = 1 << 20
_CHUNK = 1 << 20
_LAST_LINES = 30
_MAX_LINE = 10_000
_FIRST_PORT, _LAST_PORT = 20_000, 60_000
_PORTS = 200
_WAITING = re.compile(r"Waiting for possible .* message on port (\d+)")
_DIED = re.compile(r"Uncaught Exception .*")
_FAILED = re.compile(r" ERROR \S*JMeterThread: Test failed!")
_SUMMARY = re.compile(r"ms-summary =\s*(\d+) in .*?Err:\s*(\d+)")
_DYING_WITH_PARENT = """\
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Asks Linux to kill what is started when its parent dies, which JMeter itself would not notice."""


class JMeterError(MeterSphereError):
    """JMeter failed; one line, with the last lines of its log in `detail`."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


@dataclasses.dataclass(frozen=True, slots=True)
class Task:
    """What a JMeter is to run.

    Attributes:
        plan: the test plan; its folder is where JMeter works.
        scratch: an empty folder for the FIFO, the log and the settings.
        properties: JMeter properties beside those that we need.
        gated: the plan waits at a `gate` before its test begins.
    """

    plan: Path
    scratch: Path
    properties: Mapping[str, str]
    gated: bool = False


class JMeter:
    """A JMeter that was started and waits before its first thread until `begin` opens its results (or gate).

    That it waits there is POSIX: to open a FIFO for writing blocks until someone reads.

    Attributes:
        summary: what it said of itself so far, None before it said anything.
    """

    def __init__(self, home: Home, task: Task, say: Callable[[str], None]) -> None:
        """Start it; `say` takes each line that it prints.

        Raises:
            JMeterError: it cannot be started.
        """
        self.summary: Summary | None = None
        self._say = say
        self._log = task.scratch / "jmeter.log"
        self._fifo = task.scratch / "results"
        self._port = 0
        self._reading: int | None = None
        self._rows = Rows()
        self._printed = b""
        self._words: deque[str] = deque(maxlen=_LAST_LINES)
        self._died = ""
        self._oom_kills = oom_kills()
        os.mkfifo(self._fifo, 0o600)
        self._gate = Gate(task.plan.parent) if task.gated else None
        try:
            self._process = subprocess.Popen(
                _command(home, task, self._log, self._fifo),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=task.plan.parent,
            )
        except OSError as error:
            raise JMeterError(f"JMeter cannot be started: {error}") from None
        assert self._process.stdout is not None
        self._output = self._process.stdout.fileno()
        os.set_blocking(self._output, False)

    def wait_until_ready(self, wanted: Callable[[], bool]) -> bool:
        """Wait until it has read its plan and its threads could begin; False when no longer wanted.

        Raises:
            JMeterError: it ended instead.
        """
        while wanted():
            self._listen()
            if self._gate.is_reached() if self._gate else self._port:
                return True
            if self._process.poll() is not None:
                raise self.failure("JMeter did not start")
            self._wait()
        return False

    def begin(self) -> None:
        """Let its threads begin."""
        self._reading = os.open(self._fifo, os.O_RDONLY | os.O_NONBLOCK)
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(OSError):
                fcntl.fcntl(self._reading, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        if self._gate is not None:
            self._gate.open()

    def read(self) -> Iterator[Row]:
        """Yield the rows that are there now; hears what it prints, too.

        Raises:
            WireError: it wrote what is no row.
        """
        self._listen()
        assert self._reading is not None, "begin() comes first"
        while True:
            try:
                data = os.read(self._reading, _CHUNK)
            except BlockingIOError:
                return
            if not data:
                return
            yield from self._rows.feed(data)

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Return whether the process is there."""
        return self._process.poll() is None

    def wait(self) -> None:
        """Wait for more, for a moment."""
        self._wait()

    def _wait(self) -> None:
        with selectors.DefaultSelector() as selector:
            # what was closed would be readable for ever
            if self.running:
                selector.register(self._output, selectors.EVENT_READ)
            selector.select(POLL)

    def tell(self, word: str) -> None:
        """Send a command, Shutdown or StopTestNow, to the port on which it listens."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(word.encode(), ("127.0.0.1", self._port))

    def stopped_itself(self) -> str:
        """Return JMeter's words when the plan itself ended the test, else nothing."""
        return next((words for line in self._log_lines() if (words := self_stop(line))), "")

    def check_end(self, counted: Summary, *, cut_off: bool = False) -> None:
        """See that it came to a sound end.

        Args:
            counted: what its results came to.
            cut_off: it was told to interrupt its samples, so that threads may have failed by that.

        Raises:
            JMeterError: it was killed or failed, or a thread of it, its last row is cut, or its own summary
                differs from what was counted.
        """
        self._listen()
        code = self._process.wait()
        if code:
            raise self.failure("JMeter ended before its time")
        if died := self._died or ("" if cut_off else self._failed()):
            raise self.failure(f"a thread of JMeter's died: {died}")
        if self._rows.rest:
            raise self.failure(f"JMeter's last result is not whole ({self._rows.rest} bytes)")
        own = self.summary or Summary()
        if own != counted:
            raise self.failure(
                f"JMeter's own summary says {own.samples} samples, {own.failures} of them failed; its "
                f"results were {counted.samples} and {counted.failures}"
            )

    def _failed(self) -> str:
        """Return what the log says of a thread that failed, with the line behind that; else nothing."""
        lines = self._log_lines()
        for line in lines:
            if found := _FAILED.search(line):
                return f"{found[0]} {next(lines, '').strip()}".strip()
        return ""

    def _log_lines(self) -> Iterator[str]:
        with contextlib.suppress(OSError), self._log.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                yield line[:_MAX_LINE]

    def failure(self, what: str) -> JMeterError:
        """Return an error with how the process stands and the last that it said."""
        code = self._process.poll()
        self._listen()
        words = "\n".join(self._words)
        log = _tail(self._log)
        last = next((line for line in reversed(log.splitlines()) if " ERROR " in line), "")
        said = f"; its log says: {last}" if last else ""
        ending = _ending(code)
        if code == -signal.SIGKILL and oom_kills() > self._oom_kills:
            ending = "killed by the kernel for want of memory: use fewer users on this node, or allow it more"
        return JMeterError(f"{what} ({ending}){said}", "\n".join(filter(None, (words, log))))

    def close(self) -> None:
        """Kill it if it is still there, and let go of everything."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._listen()
        if self._process.stdout is not None:
            self._process.stdout.close()
        if self._reading is not None:
            os.close(self._reading)
            self._reading = None
        if self._gate is not None:
            self._gate.close()

    def _listen(self) -> None:
        if self._process.stdout is None or self._process.stdout.closed:
            return
        while True:
            try:
                data = os.read(self._output, _CHUNK)
            except BlockingIOError:
                return
            *lines, self._printed = (self._printed + data).split(b"\n")
            for line in lines:
                self._hear(line.decode("utf-8", "replace")[:_MAX_LINE])
            self._printed = self._printed[-_MAX_LINE:]
            if not data:
                return

    def _hear(self, line: str) -> None:
        self._words.append(line)
        self._say(line)
        if found := _WAITING.match(line):
            self._port = int(found[1])
        elif _DIED.match(line):
            self._died = self._died or line
        elif found := _SUMMARY.search(line):
            self.summary = Summary(int(found[1]), int(found[2]))


def _command(home: Home, task: Task, log: Path, fifo: Path) -> list[str]:
    settings = task.scratch / "scenario.properties"
    settings.write_text(properties_text(task.properties))
    port = _FIRST_PORT + int.from_bytes(os.urandom(4), "big") % (_LAST_PORT - _FIRST_PORT)
    properties = PROPERTIES | {
        "summariser.name": "ms-summary",
        "summariser.out": "true",
        "summariser.log": "false",
        "summariser.interval": "30",
        "summariser.ignore_transaction_controller_sample_result": "true",
        "jmeterengine.nongui.port": str(port),
        "jmeterengine.nongui.maxport": str(port + _PORTS),
        "jmeterengine.force.system.exit": "true",
        "language": "en",
    }
    command = []
    if sys.platform == "linux":
        command += [sys.executable, "-I", "-c", _DYING_WITH_PARENT, str(os.getpid())]
    command += [str(home.java), f"-Xmx{HEAP}", *_java_arguments()]
    command += ["-Djava.awt.headless=true", f"-Djava.util.prefs.userRoot={task.scratch}"]
    command += ["-jar", str(home.jar), "-n", "-t", str(task.plan), "-j", str(log), "-l", str(fifo)]
    command += ["-q", str(settings)]
    return command + [f"-J{name}={value}" for name, value in properties.items()]


def _java_arguments() -> list[str]:
    """Return what JVM_ARGS says, which JMeter's own start script reads, too."""
    text = os.environ.get("JVM_ARGS", "")
    try:
        return shlex.split(text)
    except ValueError as error:
        raise JMeterError(f"JVM_ARGS={text!r} cannot be understood: {error}") from None


def _ending(code: int | None) -> str:
    if code is None:
        return "it still runs"
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def _tail(log: Path) -> str:
    with contextlib.suppress(OSError), log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 8192))
        lines = file.read().decode("utf-8", "replace").splitlines()
        return "\n".join(lines[-_LAST_LINES:])
    return ""
