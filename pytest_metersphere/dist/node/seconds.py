"""What the workers of a slice report, merged second by second.

Each worker reports a second when it is over, in one message for each phase, and says with
`complete` that nothing more comes for it. A second of the slice closes when every worker that still
runs has completed it, or GRACE seconds after its end without the late ones. What comes for a closed
second is a late find: it goes out at once, in a further frame of that second.

Everything in the frames of one second adds up, users included: a worker reports its users of a
second once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from pytest_metersphere.engine.messages import Second
from pytest_metersphere.metrics.frame import Phase, Tally, WorkerHealth

GRACE = 2.0
"""Seconds after a second's end for which it waits for late workers."""

_PHASES: tuple[Phase, ...] = ("warmup", "measured")


@dataclass(frozen=True, slots=True)
class Span:
    """One phase of one second of a slice, merged over its workers.

    The health of all workers that reported the second is in the first span of it; that of a late
    one comes with its late find.
    """

    second: int
    phase: Phase
    complete: bool
    tallies: list[Tally]
    health: list[WorkerHealth]


@dataclass(slots=True)
class _Reports:
    """What came for one second: merged tallies by phase, health by worker."""

    tallies: dict[Phase, list[Tally]] = field(default_factory=dict)
    health: dict[int, WorkerHealth] = field(default_factory=dict)

    def add(self, worker: int, second: Second) -> None:
        known = self.tallies.setdefault(second.phase, [])
        if not known:
            known.extend(second.tallies)
        else:
            for tally, more in zip(known, second.tallies, strict=True):
                tally.merge_parallel(more)
        if second.health is not None:
            self.health[worker] = WorkerHealth(worker, second.health.cpu, second.health.lag_p99)


class Seconds:
    """Collects the workers' reports and hands out the seconds of the slice, in order."""

    def __init__(self, workers: Iterable[int], parts: int, warmup: float) -> None:
        """Expect these workers, with one tally for each of `parts` scenarios.

        `warmup` decides the phase of seconds for which nobody reports anything.
        """
        self._complete = dict.fromkeys(workers, -1)
        self._parts = parts
        self._warmup = warmup
        self._next = 0
        self._pending: dict[int, _Reports] = {}
        self._late: dict[int, _Reports] = {}

    def add(self, worker: int, second: Second) -> None:
        """Take one report and keep its tallies; the worker must be one of those that still run."""
        place = self._pending if second.second >= self._next else self._late
        place.setdefault(second.second, _Reports()).add(worker, second)
        if second.complete:
            self._complete[worker] = max(self._complete[worker], second.second)

    def leave(self, worker: int) -> None:
        """Wait no longer for a worker: it has sent everything, or is lost."""
        self._complete.pop(worker, None)

    @property
    def closes_at(self) -> float:
        """Return the seconds from go at which the next second closes, whoever is late."""
        return self._next + 1 + GRACE if self._complete else math.inf

    def due(self, elapsed: float) -> list[Span]:
        """Return what can go out `elapsed` seconds from go: late finds, then closed seconds."""
        spans = [span for second in sorted(self._late) for span in self._take(second, self._late)]
        return spans + self._through(self._closed(elapsed))

    def rest(self, last: int) -> list[Span]:
        """Return everything that is left, and every second up to `last`: the slice has ended."""
        self._complete.clear()
        return self.due(0.0) + self._through(last)

    def _closed(self, elapsed: float) -> int:
        """Return the last second that is closed."""
        if not self._complete:
            return max(self._pending, default=-1)
        return max(min(self._complete.values()), math.floor(elapsed - 1 - GRACE))

    def _through(self, last: int) -> list[Span]:
        spans: list[Span] = []
        while self._next <= last:
            spans += self._take(self._next, self._pending)
            self._next += 1
        return spans

    def _take(self, second: int, place: dict[int, _Reports]) -> list[Span]:
        """Take one second out of a place and return its phases; only one that closes is complete."""
        reports = place.pop(second, None) or _Reports()
        if not reports.tallies:
            reports.tallies[self._phase_of(second)] = [Tally() for _ in range(self._parts)]
        phases = [phase for phase in _PHASES if phase in reports.tallies]
        health = [reports.health[worker] for worker in sorted(reports.health)]
        return [
            Span(
                second,
                phase,
                place is self._pending and phase == phases[-1],
                reports.tallies[phase],
                health if phase == phases[0] else [],
            )
            for phase in phases
        ]

    def _phase_of(self, second: int) -> Phase:
        return "warmup" if second + 1 <= self._warmup else "measured"
