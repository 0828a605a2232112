"""What a slice's workers report, from their messages to the spool and on to Kafka, counted on the way."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Protocol

from pytest_metersphere.dist.node.frames import Press
from pytest_metersphere.dist.node.seconds import Seconds, Span
from pytest_metersphere.dist.node.spool import Spool
from pytest_metersphere.dist.signing import sign
from pytest_metersphere.dist.wire import StartRequest, Totals
from pytest_metersphere.engine.messages import Second
from pytest_metersphere.errors import WireError

MAX_LEAD = 5
"""Seconds that a report may be ahead of the time since go; one from later is garbage."""


class Sink(Protocol):
    """Takes frames to be sent on, beside the spool."""

    @property
    def trouble(self) -> str:
        """Return why they cannot be sent now, empty while all is well."""

    def put(self, slice_id: str, frame: bytes) -> None:
        """Take a frame; returns at once."""

    def close(self) -> None:
        """Give up what was not sent yet."""


class Harvest:
    """Merges reports into seconds, presses these into frames, signs, keeps and sends them.

    Attributes:
        spool: where the frames are.
        sink: by which they are sent on, too; None when they are only pulled.
        totals: what the workers reported, counted before anything is merged.
    """

    def __init__(self, request: StartRequest, workers: int, incarnation: int, path: Path, limit: int) -> None:
        """Make the spool, a file of at most `limit` bytes."""
        self._parts = len(request.parts)
        warmup = min(part.scenario.profile.warmup for part in request.parts)
        self._seconds = Seconds(range(workers), self._parts, warmup, request.interval)
        self._slice = request.slice
        self._key = request.key
        self._press = Press(request.run, request.slice, incarnation)
        self.spool = Spool(path, limit)
        self.sink: Sink | None = None
        self.totals = Totals()

    @property
    def last_sequence(self) -> int:
        """Return the sequence of the last frame, kept or dropped; 0 before the first."""
        return self._press.sequence

    def add(self, worker: int, second: Second, elapsed: float) -> None:
        """Take a report, `elapsed` seconds after go.

        Raises:
            WireError: it is about a second to come, or not about the scenarios of this run.
        """
        if not 0 <= second.second <= elapsed + MAX_LEAD:
            raise WireError(f"second {second.second} is reported {elapsed:.1f} s after go")
        if len(second.tallies) != self._parts:
            raise WireError(f"{len(second.tallies)} tallies are reported for {self._parts} scenarios")
        self._count(second)
        self._seconds.add(worker, second)

    def _count(self, second: Second) -> None:
        totals = self.totals
        for tally in second.tallies:
            totals.iterations += tally.iterations
            totals.failed_iterations += tally.failed_iterations
            totals.requests += tally.requests
            totals.failures += tally.failures
            totals.exchanges += tally.exchanges
            totals.interrupted += tally.interrupted
            totals.scheduled_iterations += tally.scheduled_iterations
            totals.started_iterations += tally.started_iterations
            totals.dropped_iterations += tally.dropped_iterations

    def leave(self, worker: int) -> None:
        """Wait no longer for a worker."""
        self._seconds.leave(worker)

    def gather(self, elapsed: float) -> bool:
        """Keep the frames of all that is over; return whether there were any."""
        return self._keep(self._seconds.due(elapsed))

    def finish(self, ended_at: float) -> None:
        """Keep all the rest: the slice has ended so many seconds after go."""
        self._keep(self._seconds.rest(math.ceil(ended_at) - 1))

    def _keep(self, spans: list[Span]) -> bool:
        for span in spans:
            for sequence, frame in self._press.pack(span):
                signed = sign(self._key, frame)
                self.spool.append(sequence, signed)
                if self.sink is not None:
                    self.sink.put(self._slice, signed)
        return bool(spans)
