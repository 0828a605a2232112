"""What a request costs: two lengths of the same run against nginx, each user as fast as it goes."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

from benchmarks.compare import account, machine, server
from benchmarks.compare.process import RunFailed, Running
from benchmarks.compare.results import Cost, Measured, pair
from benchmarks.compare.rivals.base import Load, Rival
from benchmarks.compare.sections.base import Cores, scratch

SHORT, LONG = 1, 4
"""Seconds of the two runs."""

_START_AND_END = 60.0
"""Seconds that a load generator may take beside the load itself, on a busy machine."""


@dataclasses.dataclass(frozen=True)
class Course:
    """Where and with how many users; runs are `settles` seconds longer, until all of them are there."""

    name: str
    url: str
    users: int
    settles: int = 0


class CostTask:
    """One load generator on one course."""

    def __init__(
        self,
        rival: Rival,
        version: str,
        course: Course,
        target: server.Server,
        cores: Cores,
        repetitions: int,
    ) -> None:
        """Prepare an empty row."""
        self.name = f"{rival.name}, {course.name}"
        self.repetitions = repetitions
        self.cost = Cost(rival.name, version, course.name, course.users)
        self._rival, self._course, self._target, self._cores = rival, course, target, cores

    def measure(self) -> str:
        """Run both lengths."""
        try:
            short, long = (self._run(seconds) for seconds in (SHORT, LONG))
        except RunFailed as failure:
            self.cost.pairs.append(None)
            self.cost.troubles.append(str(failure))
            raise
        found = pair(short, long)
        self.cost.pairs.append(found)
        if found.cpu_per_request is None:
            return "the longer run did not cost more"
        return f"{found.cpu_per_request * 1e6:.1f} us a request, {long.rate:,.0f} requests/s"

    def _run(self, seconds: int) -> Measured:
        length = seconds + self._course.settles + self._rival.settles
        load = Load(url=self._course.url, users=self._course.users, seconds=length)
        with scratch() as folder, server.Watch(self._target.status_port) as watch:
            return _observed(self._rival, load, Path(folder), watch, self._target, self._cores.load)


def _observed(
    rival: Rival, load: Load, folder: Path, watch: server.Watch, target: server.Server, core: int
) -> Measured:
    command = rival.command(load, folder)
    standing, busy, served = _standing(), machine.busy_seconds(), target.cpu()
    with Running(command, folder, {core}) as running:
        deadline = time.monotonic() + load.seconds + _START_AND_END
        memory = _memory_at_half_time(running, watch, load.seconds)
        usage = running.wait(deadline - time.monotonic())
        report = running.report(rival)
    served = target.cpu() - served
    others = machine.busy_seconds() - busy - (_standing() - standing) - usage.cpu
    watch.stop()
    if not watch.requests:
        raise RunFailed("the server saw no request")
    under_load = max(watch.last - watch.first, 1e-3)
    return Measured(
        requests=watch.requests,
        reported=report.requests,
        failures=report.failures,
        connections=watch.connections,
        cpu=usage.cpu,
        seconds=usage.end - usage.begin,
        to_first=watch.first - usage.begin,
        after_last=max(usage.end - watch.last, 0.0),
        rate=watch.requests / under_load,
        server=served / under_load,
        others=max(others, 0.0) / (usage.end - usage.begin),
        memory=memory,
        note=report.note,
    )


def _memory_at_half_time(running: Running, watch: server.Watch, seconds: int) -> int:
    """Return what it holds when half of the load is over; 0 when it ended before."""
    while running.alive:
        if watch.first and time.monotonic() - watch.first > seconds / 2:
            return running.memory()
        time.sleep(0.05)
    return 0


def _standing() -> float:
    """Return the CPU seconds of this program and of the servers below it."""
    below = account.descendants(os.getpid())
    return machine.own_seconds() + sum(machine.seconds_of(pid) for pid in below)
