"""What the workers of a slice report, merged second by second.

Each worker reports a second when it is over, in one message for each phase, and says with
`complete` that nothing more comes for it. A second of the slice closes when every worker that still
runs has completed it, or GRACE seconds after its end without the late ones. What comes for a closed
second is a late find: it goes out at once, in a further frame of that second.

Everything in the frames of one second adds up, users included: a worker reports its users of a
second once.

In a large pool a frame sums up several seconds, which then close together; of the users in them the
largest number stays. A late find stays in its own second.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from pytest_metersphere.engine.messages import Second
from pytest_metersphere.metrics.frame import Phase, Tally, WorkerHealth, merged_health

GRACE = 2.0
"""Seconds after a second's end for which it waits for late workers."""

_PHASES: tuple[Phase, ...] = ("warmup", "measured")


@dataclass(frozen=True, slots=True)
class Span:
    """One phase of a second of a slice, or of a few seconds, merged over its workers.

    The health of all workers that reported is in the first span of a second; that of a late one
    comes with its late find.

    Attributes:
        second: the first second.
        seconds: how many there are.
    """

    second: int
    phase: Phase
    complete: bool
    tallies: list[Tally]
    health: list[WorkerHealth]
    seconds: int = 1


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
            self.health[worker] = msgspec.structs.replace(second.health, worker=worker)


class Seconds:
    """Collects the workers' reports and hands out the seconds of the slice, in order."""

    def __init__(self, workers: Iterable[int], parts: int, warmup: float, interval: int = 1) -> None:
        """Expect these workers, with one tally for each of `parts` scenarios.

        `warmup` decides the phase of seconds for which nobody reports anything; `interval` is the
        number of seconds that go out together.
        """
        self._complete = dict.fromkeys(workers, -1)
        self._parts = parts
        self._warmup = warmup
        self._interval = interval
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
        return self._next + self._interval + GRACE if self._complete else math.inf

    def due(self, elapsed: float) -> list[Span]:
        """Return what can go out `elapsed` seconds from go: late finds, then closed seconds."""
        return self._late_finds() + self._through(self._closed(elapsed))

    def rest(self, last: int) -> list[Span]:
        """Return everything that is left, and every second up to `last`: the slice has ended."""
        self._complete.clear()
        return self._late_finds() + self._through(max(last, self._last_reported))

    @property
    def _last_reported(self) -> int:
        return max(self._pending, default=-1)

    def _closed(self, elapsed: float) -> int:
        """Return the last second that is closed."""
        if not self._complete:
            return self._last_reported if self._interval == 1 else -1
        return max(min(self._complete.values()), math.floor(elapsed - 1 - GRACE))

    def _late_finds(self) -> list[Span]:
        seconds = sorted(self._late)
        return [span for second in seconds for span in self._spans(second, [self._late.pop(second)])]

    def _through(self, last: int) -> list[Span]:
        """Take out the seconds up to `last`; of those that go out together only all, or the very last."""
        spans: list[Span] = []
        while self._next <= last:
            past = self._next + self._interval
            if past > last + 1 and self._complete:
                break
            past = min(past, last + 1)
            reports = [self._pending.pop(second, _Reports()) for second in range(self._next, past)]
            spans += self._spans(self._next, reports, complete=True)
            self._next = past
        return spans

    def _spans(self, first: int, reports: Sequence[_Reports], *, complete: bool = False) -> list[Span]:
        """Return the phases of some seconds, in order; only the last of them may be complete."""
        tallies = _merged(reports) or {self._phase_of(first): [Tally() for _ in range(self._parts)]}
        phases = [phase for phase in _PHASES if phase in tallies]
        return [
            Span(
                first,
                phase,
                complete and phase == phases[-1],
                tallies[phase],
                _health(reports) if phase == phases[0] else [],
                len(reports),
            )
            for phase in phases
        ]

    def _phase_of(self, second: int) -> Phase:
        return "warmup" if second + 1 <= self._warmup else "measured"


def _merged(reports: Sequence[_Reports]) -> Mapping[Phase, list[Tally]]:
    """Return the tallies of successive seconds by phase."""
    if len(reports) == 1:
        return reports[0].tallies
    merged: dict[Phase, list[Tally]] = {}
    for each in reports:
        for phase, tallies in each.tallies.items():
            known = merged.setdefault(phase, tallies)
            for tally, more in zip(known, tallies, strict=True):
                if tally is not more:
                    tally.merge(more)
    _move_users(merged)
    return merged


def _move_users(tallies: Mapping[Phase, list[Tally]]) -> None:
    """Leave users only where most were alive: both phases may have had the same ones, one after the other."""
    for of_all_phases in zip(*tallies.values(), strict=True):
        most = max(of_all_phases, key=lambda tally: tally.users)
        for tally in of_all_phases:
            if tally is not most:
                tally.users = 0


def _health(reports: Sequence[_Reports]) -> list[WorkerHealth]:
    """Return how each worker fared in some seconds."""
    by_worker: dict[int, list[WorkerHealth]] = {}
    for each in reports:
        for worker, health in each.health.items():
            by_worker.setdefault(worker, []).append(health)
    return [merged_health(found) for _, found in sorted(by_worker.items())]
