"""Whether the load generator distorts what it reports: its limits, and the judgement by them.

What a worker is late by, its samples are too long by. So the run is invalid when a worker's event loop, or
the start of its iterations, was late by more than LAG_LIMIT (99th percentile of a second) for RUNNING
seconds one after another, or when it had no descriptor or no port left. A single bad second, which a busy
machine has now and then, is none. What may distort but need not is a warning: a core in full use, and
lateness of more than LAG_SHARE of the reported p95.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from typing import Literal

from pytest_metersphere.metrics.frame import WorkerHealth
from pytest_metersphere.metrics.histogram import Histogram
from pytest_metersphere.units import format_duration

LAG_LIMIT = 0.05
"""Seconds that the 99th percentile of lateness may reach."""
RUNNING = 3
"""Seconds one after another for which a limit must be exceeded."""
CPU_LIMIT = 0.9
"""Cores of one worker from which on there is a warning: its event loop has one."""
LAG_SHARE = 0.1
"""Part of the reported p95 above which lateness gets a warning."""
LAG_FLOOR = 0.01
"""Lateness in seconds below which there is none: so much the timers and the machine alone may make."""

_FEWER = "give the nodes fewer users or a lower rate, or the pool more nodes"


class Held:
    """What a value reached in RUNNING seconds one after another."""

    def __init__(self) -> None:
        """Start without seconds."""
        self._last: deque[float] = deque(maxlen=RUNNING)

    def note(self, value: float) -> float:
        """Take the value of the next second; return the least of the last ones, 0 until there are enough."""
        self._last.append(value)
        return min(self._last) if len(self._last) == RUNNING else 0.0

    def interrupt(self) -> float:
        """Begin anew, as a second came that does not count; return 0."""
        self._last.clear()
        return 0.0


Strain = Literal["loop", "start", "CPU", "descriptors", "ports"]
_LATE: dict[Strain, str] = {"loop": "its event loop ran late", "start": "iterations began late"}


@dataclasses.dataclass(slots=True)
class _Excess:
    """What went too far: from when to when, and how far at most, or how often."""

    first: int
    last: int
    most: float

    def add(self, other: _Excess) -> None:
        self.first, self.last = min(self.first, other.first), max(self.last, other.last)
        self.most = max(self.most, other.most)

    @property
    def when(self) -> str:
        return (
            f"in second {self.first}"
            if self.first == self.last
            else f"in seconds {self.first} to {self.last}"
        )


@dataclasses.dataclass(slots=True)
class NodeHealth:
    """How the workers of a node fared in a run; its size does not depend on how long that took.

    Attributes:
        lag: worst second's 99th percentile of event-loop lateness, seconds.
        start_lag: worst second's 99th percentile of late starts, seconds.
        starts: how late all of them were.
        descriptors: most open file descriptors of a worker, 0 when not known.
        descriptor_limit: how many it might have, 0 when not known.
        cpu: CPU seconds of all workers.
        reported: a worker has reported at all; a JMeter in a container of somebody else does not.
    """

    lag: float = 0.0
    start_lag: float = 0.0
    starts: Histogram = dataclasses.field(default_factory=Histogram)
    descriptors: int = 0
    descriptor_limit: int = 0
    cpu: float = 0.0
    reported: bool = False
    _limits: dict[tuple[Strain, int], _Excess] = dataclasses.field(default_factory=dict)
    _doubts: dict[tuple[Strain, int], _Excess] = dataclasses.field(default_factory=dict)

    def add(self, health: WorkerHealth, second: int, seconds: int = 1) -> None:
        """Take what a worker reports of `seconds` seconds, the first of which is `second`."""
        self.reported = True
        self.cpu += health.cpu * seconds
        self.lag = max(self.lag, health.lag_p99)
        self.start_lag = max(self.start_lag, health.start_lag_p99)
        self.starts.merge(health.starts)
        if health.descriptors > self.descriptors:
            self.descriptors, self.descriptor_limit = health.descriptors, health.descriptor_limit
        worker, last = health.worker, second + seconds - 1
        held = max(0, second - RUNNING + 1)
        lags: tuple[tuple[Strain, float], ...] = (("loop", health.lag_held), ("start", health.start_lag_held))
        for strain, lag in lags:
            if lag >= LAG_FLOOR:
                where = self._limits if lag > LAG_LIMIT else self._doubts
                _note(where, (strain, worker), _Excess(held, last, lag))
        if health.cpu_held >= CPU_LIMIT:
            _note(self._doubts, ("CPU", worker), _Excess(held, last, health.cpu_held))
        counts: tuple[tuple[Strain, int], ...] = (
            ("descriptors", health.no_descriptor),
            ("ports", health.no_port),
        )
        for strain, count in counts:
            if count:
                known = self._limits.get((strain, worker))
                before = known.most if known else 0
                _note(self._limits, (strain, worker), _Excess(second, last, before + count))

    def reasons(self, node: str) -> list[str]:
        """Return why the numbers of a node of this name cannot be believed, one sentence each.

        Starts are late where the loop is, so of a worker only the latter is told.
        """
        return [
            f"node {node}, worker {worker}: {self._reason(strain, found)}"
            for (strain, worker), found in sorted(self._limits.items())
            if strain != "start" or ("loop", worker) not in self._limits
        ]

    def _reason(self, strain: Strain, found: _Excess) -> str:
        if strain in _LATE:
            return (
                f"{_LATE[strain]}, by {format_duration(found.most)} for {RUNNING} seconds running "
                f"{found.when} (p99 of each; at most {format_duration(LAG_LIMIT)} is allowed), so the "
                f"generator was overloaded; {_FEWER}"
            )
        if strain == "descriptors":
            limit = f" of {self.descriptor_limit:,}" if self.descriptor_limit else ""
            return (
                f"no file descriptor{limit} was left, {found.most:.0f} times {found.when}; raise the limit "
                f"there (ulimit -n), or {_FEWER}"
            )
        return (
            f"no local port was left for a connection, {found.most:.0f} times {found.when}; keep connections "
            f"open, widen net.ipv4.ip_local_port_range there, or {_FEWER}"
        )

    def warnings(self, node: str, p95: float | None) -> list[str]:
        """Return what may have distorted the numbers of a node, one sentence each.

        `p95` is the reported response time in seconds, None without one. Of a worker's loop and starts only
        what was later is told, and nothing of one that was too late.
        """
        told = [
            f"node {node}, worker {worker} used {found.most:.2f} cores for {RUNNING} seconds running "
            f"{found.when}: its event loop has one and may be at its end; {_FEWER}"
            for (strain, worker), found in sorted(self._doubts.items())
            if strain == "CPU"
        ]
        for worker, (strain, found) in sorted(self._latest().items()):
            if p95 and found.most > LAG_SHARE * p95:
                told.append(
                    f"node {node}, worker {worker}: {_LATE[strain]}, by {format_duration(found.most)} for "
                    f"{RUNNING} seconds running {found.when} (p99 of each), more than a tenth of the "
                    f"reported p95, {format_duration(p95)}: times may be too long by so much"
                )
        return told

    def _latest(self) -> dict[int, tuple[Strain, _Excess]]:
        """Return what was latest of each worker that was late, but not too late."""
        latest: dict[int, tuple[Strain, _Excess]] = {}
        for (strain, worker), found in self._doubts.items():
            if strain not in _LATE or any((late, worker) in self._limits for late in _LATE):
                continue
            known = latest.get(worker)
            if known is None or found.most > known[1].most:
                latest[worker] = (strain, found)
        return latest


def _note(where: dict[tuple[Strain, int], _Excess], key: tuple[Strain, int], found: _Excess) -> None:
    known = where.setdefault(key, found)
    if known is not found:
        known.add(found)
