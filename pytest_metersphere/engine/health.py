"""How a worker fares, measured from within: lateness, CPU time, descriptors."""

from __future__ import annotations

import asyncio
import math
import os
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pytest_metersphere.metrics.frame import WorkerHealth
from pytest_metersphere.metrics.health import Held
from pytest_metersphere.metrics.histogram import Histogram

LAG_PERIOD = 0.01
"""Seconds between two moments at which the event loop should be free: a hundred of them a second."""
MOST_DESCRIPTORS = 1 << 20

_OPEN = Path("/proc/self/fd")


class Lateness:
    """Collects how late things came, from any thread.

    Attributes:
        note: counts one, in seconds; what came early was not late.
    """

    note: Callable[[float], None]

    def __init__(self) -> None:
        """Start without any."""
        self._times: list[float] = []
        self.note = self._times.append

    def take(self) -> list[float]:
        """Return those since the last call, in seconds, ascending."""
        times, self._times = self._times, []
        self.note = self._times.append
        return sorted(times)


class Pulse:
    """What is measured of a worker, second by second.

    Attributes:
        starts: how late iterations began that had their time.
    """

    def __init__(self, worker: int) -> None:
        """Begin to measure; `worker` is its number."""
        self.starts = Lateness()
        self._worker = worker
        self._loop = Lateness()
        self._cpu = time.process_time()
        self._held = (Held(), Held(), Held())

    async def watch(self) -> None:
        """Measure the event loop's lateness, for ever.

        Every LAG_PERIOD the loop should be there. When it was not, each moment that it missed counts, with
        the time from then on: so a hundredth of them is a hundredth of the time.
        """
        due = time.monotonic() + LAG_PERIOD
        while True:
            await asyncio.sleep(max(0.001, due - time.monotonic()))
            now = time.monotonic()
            while due <= now:
                self._loop.note(now - due)
                due += LAG_PERIOD

    def take(self, counting: Sequence[bool], exhausted: Mapping[str, int]) -> list[WorkerHealth]:
        """Return how it fared in the seconds since the last call, which are reported together.

        Of several, the loop was not free to report them one by one, so each was as bad.

        Args:
            counting: for each of them, one at least, whether it belongs to the measured phase and had users.
            exhausted: how many failures of each kind of exhaustion there were.
        """
        before, self._cpu = self._cpu, time.process_time()
        starts = self.starts.take()
        values = ((self._cpu - before) / len(counting), _p99(self._loop.take()), _p99(starts))
        found = [self._second(*values, counts=counts) for counts in counting]
        last = found[-1]
        last.descriptors, last.descriptor_limit = open_descriptors(), descriptor_limit()
        last.no_descriptor, last.no_port = exhausted["descriptors"], exhausted["ports"]
        last.starts = Histogram.of_sorted(starts)
        return found

    def _second(self, cpu: float, lag: float, start_lag: float, *, counts: bool) -> WorkerHealth:
        held = [
            each.note(value) if counts else each.interrupt()
            # when nothing began, what would have begun was as late as the loop
            for each, value in zip(self._held, (cpu, lag, start_lag or lag), strict=True)
        ]
        return WorkerHealth(
            self._worker, cpu, lag, start_lag, cpu_held=held[0], lag_held=held[1], start_lag_held=held[2]
        )


def _p99(times: Sequence[float]) -> float:
    return max(0.0, times[math.ceil(0.99 * len(times)) - 1]) if times else 0.0


def open_descriptors() -> int:
    """Return how many file descriptors this process has open.

    Linux says it since 6.2 (the size of /proc/self/fd). Elsewhere the number that the next one gets must do,
    which is right unless earlier ones were closed; to list them all would take long when there are many.
    """
    try:
        size = _OPEN.stat().st_size
    except OSError:
        size = 0
    if size:
        return size
    try:
        following = os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return descriptor_limit()
    os.close(following)
    return following


def descriptor_limit() -> int:
    """Return how many file descriptors this process may have open, 0 for any number."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 0 if soft == resource.RLIM_INFINITY else soft


def raise_descriptor_limit() -> None:
    """Let this process open as many files as the system's administrator allows it, up to MOST_DESCRIPTORS."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # macOS has a lower limit of its own
        return
