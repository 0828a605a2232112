"""A worker that runs one JMeter: its slice of the plan, its seconds, its end."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pytest_metersphere.engine.jmeter.home import find_home
from pytest_metersphere.engine.jmeter.plan import Divided
from pytest_metersphere.engine.jmeter.process import JMeter, JMeterError, Task
from pytest_metersphere.engine.jmeter.results import Counting
from pytest_metersphere.engine.jmeter.source import divided_for, write_divided
from pytest_metersphere.engine.messages import Broken, Ended, FromWorker, Job, Ready, Second
from pytest_metersphere.engine.recorder import Recorder
from pytest_metersphere.errors import MeterSphereError
from pytest_metersphere.metrics.frame import WorkerHealth
from pytest_metersphere.units import format_duration

SETTLING = 0.25
"""Seconds after a second in which its last rows come."""
_AGAIN = 1.0
_EARLY, _EARLY_PART = 5.0, 0.1
_MOST_AHEAD = 3600.0
_STAT = Path("/proc")


class JMeterSession:
    """Runs one job whose scenario is a test plan.

    Attributes:
        finished: the load ran to its end and was reported.
    """

    def __init__(self, job: Job, send: Callable[[FromWorker], None]) -> None:
        """Prepare for a job; `send` takes messages for the supervisor."""
        self.finished = False
        self._job = job
        self._send = send
        self._told = threading.Event()
        self._go_at: float | None = None
        self._force_at = math.inf
        self._stopped = False

    def go(self, at: float) -> None:
        """Let the load begin; called from the listening thread."""
        self._go_at = at
        self._told.set()

    def stop(self, grace: float) -> None:
        """End the load, or do not begin it; called from the listening thread."""
        self._force_at = min(self._force_at, time.monotonic() + grace)
        self._stopped = True
        self._told.set()

    def run(self) -> None:
        """Run the job; whatever goes wrong is told to the supervisor."""
        try:
            self._run()
        except JMeterError as error:
            self._send(Broken(str(error), error.detail))
        except MeterSphereError as error:
            self._send(Broken(str(error)))

    def _run(self) -> None:
        if len(self._job.parts) != 1:
            raise JMeterError("a JMeter test plan runs by itself, not together with other scenarios")
        (part,) = self._job.parts
        jmx, share = part.scenario.jmx, part.share
        assert jmx is not None
        assert share is not None
        root = Path(self._job.root)
        divided = divided_for(part.scenario, share, root)
        # beside the tree, so that it goes with the slice, unless that is read-only, as in a container
        beside = root.parent if os.access(root.parent, os.W_OK) else None
        with tempfile.TemporaryDirectory(dir=beside, prefix="jmeter-") as folder:
            tree, scratch = Path(folder, "tree"), Path(folder, "scratch")
            scratch.mkdir()
            shutil.copytree(root, tree, copy_function=os.symlink)
            plan = write_divided(divided, tree / jmx.path)
            jmeter = JMeter(find_home(), Task(plan, scratch, jmx.properties, gated=divided.gated), _print)
            try:
                self._run_jmeter(jmeter, divided)
            finally:
                jmeter.close()

    def _run_jmeter(self, jmeter: JMeter, divided: Divided) -> None:
        if not jmeter.wait_until_ready(lambda: not self._stopped):
            return
        self._send(Ready())
        while not self._told.wait(1.0):
            if not jmeter.running:
                raise jmeter.failure("JMeter ended before go")
        if self._go_at is None:
            return
        time.sleep(max(0.0, self._go_at - time.monotonic()))
        _Load(self._job, jmeter, divided, self._send, self).run(self._go_at)
        self.finished = True

    @property
    def stopped(self) -> bool:
        """Return whether the load was told to end."""
        return self._stopped

    @property
    def force_at(self) -> float:
        """Return when its samples are to be interrupted, a monotonic clock reading."""
        return self._force_at


class _Load:
    """The load from go on."""

    def __init__(
        self,
        job: Job,
        jmeter: JMeter,
        divided: Divided,
        send: Callable[[FromWorker], None],
        session: JMeterSession,
    ) -> None:
        self._profile = job.parts[0].scenario.profile
        self._jmeter = jmeter
        self._send = send
        self._session = session
        self._worker = job.worker
        self._recorder = Recorder([self._profile.warmup])
        self._counting = Counting(self._recorder, job.node, divided.helpers)
        self._lasting = divided.lasting
        self._go = 0.0
        self._reported = 0
        self._told_at = {"Shutdown": -math.inf, "StopTestNow": -math.inf}
        self._cpu = _CpuClock(jmeter.pid)

    def run(self, go: float) -> None:
        self._go = go
        self._recorder.begin(go)
        self._jmeter.begin()
        while True:
            running = self._jmeter.running
            for row in self._jmeter.read():
                self._counting.add(row)
            if not running:
                break
            self._end_when_due()
            self._report(math.floor(time.monotonic() - go - SETTLING))
            self._jmeter.wait()
        self._see_off()

    def _see_off(self) -> None:
        ended = time.monotonic() - self._go
        last = self._counting.last_end - self._go
        if last > ended + _MOST_AHEAD:
            raise self._jmeter.failure(f"JMeter's last sample ends {format_duration(last - ended)} from now")
        self._counting.end()
        # a sample may end later than now, by a clock that was set meanwhile
        self._report(math.floor(max(ended, last)) + 1)
        self._jmeter.check_end(self._counting.seen, cut_off=self._counting.cut_off)
        if not self._counting.seen.samples and not self._session.stopped:
            raise self._jmeter.failure("JMeter ran to its end without a single sample")
        self._send(Ended(at=max(0.0, last), aborted="" if self._session.stopped else self._aborted(ended)))

    def _aborted(self, ended: float) -> str:
        """Return why JMeter ended before its time, empty when it did not."""
        stopped = self._jmeter.stopped_itself()
        if stopped:
            return f"the test plan ended itself: {stopped}"
        lasting = self._lasting
        if lasting is None or self._counting.cut_off:
            return ""
        if ended < lasting.end - lasting.pause - max(_EARLY, _EARLY_PART * lasting.end):
            return f"its threads ended after {format_duration(ended)} of {format_duration(lasting.end)}"
        return ""

    def _end_when_due(self) -> None:
        now = time.monotonic()
        overdue = self._go + self._profile.duration + self._profile.graceful_stop
        if now >= min(self._session.force_at, overdue):
            self._counting.cut_off = True
            self._tell("StopTestNow", now)
        elif self._session.stopped:
            self._tell("Shutdown", now)

    def _tell(self, word: str, now: float) -> None:
        # a datagram may be lost, and a second one does no harm
        if now >= self._told_at[word] + _AGAIN:
            self._told_at[word] = now
            self._jmeter.tell(word)

    def _report(self, before: int) -> None:
        """Send every second up to `before` (exclusive) that was not sent yet."""
        for second in range(self._reported, before):
            health: WorkerHealth | None = WorkerHealth(self._worker, self._cpu.used(), 0.0)
            cuts = self._recorder.cut(second + 1)
            for index, cut in enumerate(cuts):
                self._send(Second(cut.second, cut.phase, index == len(cuts) - 1, cut.tallies, health))
                health = None
            self._reported = second + 1


class _CpuClock:
    """The CPU time of JMeter and of this process, as far as the system tells."""

    def __init__(self, pid: int) -> None:
        self._stat = _STAT / str(pid) / "stat"
        self._last = self._read()

    def used(self) -> float:
        """Return the seconds used since the last call."""
        now = self._read()
        used, self._last = max(0.0, now - self._last), now
        return used

    def _read(self) -> float:
        own = time.process_time()
        try:
            fields = self._stat.read_text().rpartition(")")[2].split()
            return own + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, IndexError):
            return own


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a worker's output is its slice's log
