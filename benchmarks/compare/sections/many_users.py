"""Many users that think, on all cores of the machine, the server's among them."""

from __future__ import annotations

import time

from benchmarks.compare import server
from benchmarks.compare.process import RunFailed, Running
from benchmarks.compare.results import ManyUsers
from benchmarks.compare.rivals.base import Load, Rival
from benchmarks.compare.sections.base import Cores, inside, scratch

USERS, THINK, RAMP, HOLD = 20_000, 10.0, 15, 15
_START_AND_END = 120.0
_LOOK_EVERY = 1.0


class ManyUsersTask:
    """This engine with 20,000 users; nginx gets two workers, each with all the descriptors it may have."""

    repetitions = 1

    def __init__(self, rival: Rival, nginx: str, cores: Cores) -> None:
        """Prepare it; nothing runs yet."""
        self.name = f"{USERS} users that think {THINK:.0f} s"
        self.found: ManyUsers | None = None
        self.trouble = ""
        self._rival, self._nginx, self._cores = rival, nginx, cores

    def measure(self) -> str:
        """Run once."""
        try:
            self.found = self._run()
        except RunFailed as failure:
            self.trouble = str(failure)
            raise
        return f"{self.found.memory / 2**20:.0f} MiB, {self.found.verdict}"

    def _run(self) -> ManyUsers:
        cores = self._cores.all
        with scratch() as name, server.Server(self._nginx, inside(name, "nginx"), cores, workers=2) as target:
            folder = inside(name, "load")
            load = Load(url=target.url, users=USERS, seconds=HOLD, think=THINK, ramp=RAMP)
            with (
                server.Watch(target.status_port) as watch,
                Running(self._rival.command(load, folder), folder, cores) as running,
            ):
                deadline = time.monotonic() + RAMP + HOLD + _START_AND_END
                memory = _most_memory(running, deadline)
                usage = running.wait(deadline - time.monotonic())
                report = running.report(self._rival)
                watch.stop()
        return ManyUsers(
            users=USERS,
            think=THINK,
            memory=memory,
            requests=watch.requests,
            reported=report.requests,
            connections=watch.connections,
            cpu=usage.cpu / (usage.end - usage.begin),
            p50=report.p50,
            p99=report.p99,
            verdict=report.note or "passed",
        )


def _most_memory(running: Running, deadline: float) -> int:
    """Return the most that was seen of its memory; it has ended then, or the deadline has come."""
    most = 0
    while running.alive and time.monotonic() < deadline:
        most = max(most, running.memory())
        time.sleep(_LOOK_EVERY)
    return most
