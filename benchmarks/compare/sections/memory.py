"""What a user that waits takes of memory: a kept connection, one request sent, a long pause."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.compare import server
from benchmarks.compare.process import RunFailed, Running
from benchmarks.compare.results import Memory
from benchmarks.compare.rivals.base import Load, Rival
from benchmarks.compare.sections.base import Cores, scratch

USERS = (100, 1100)
_PAUSE = 300.0
_PATIENCE = 60.0
_SETTLED = 1.0


class IdleTask:
    """One load generator with few and with many users; what it is the bytes of one more user."""

    repetitions = 1

    def __init__(self, rival: Rival, target: server.Server, cores: Cores) -> None:
        """Prepare an empty row."""
        self.name = f"{rival.name}, idle users"
        self.memory = Memory(rival.name)
        self._rival, self._target, self._cores = rival, target, cores

    def measure(self) -> str:
        """Look at it with few and with many users."""
        try:
            for users in USERS:
                self.memory.idle[users] = self._held(users)
        except RunFailed as failure:
            self.memory.troubles.append(str(failure))
            raise
        return ", ".join(f"{held / 2**20:.0f} MiB with {users}" for users, held in self.memory.idle.items())

    def _held(self, users: int) -> int:
        load = Load(url=self._target.url, users=users, seconds=int(_PAUSE), think=_PAUSE)
        with scratch() as name, server.Watch(self._target.status_port) as watch:
            folder = Path(name)
            with Running(self._rival.command(load, folder), folder, {self._cores.load}) as running:
                deadline = time.monotonic() + _PATIENCE
                while watch.requests < users:
                    if not running.alive or time.monotonic() > deadline:
                        raise RunFailed(f"{watch.requests} of {users} users sent their request")
                    time.sleep(0.05)
                # until what the first request needed is done with
                time.sleep(_SETTLED)
                return running.memory()
