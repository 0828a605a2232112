"""What the users of a worker do, counted by second and phase."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import msgspec

from pytest_metersphere.engine.failures import EXHAUSTION
from pytest_metersphere.metrics.frame import (
    MAX_ERROR_GROUPS,
    MAX_EXEMPLARS,
    MAX_LABELS,
    OTHER,
    Kind,
    Phase,
    Tally,
)

_MAX_LABEL = 200
_MAX_MESSAGE = 300


class Cut(msgspec.Struct):
    """All that was counted for one second in one phase; one tally for each scenario."""

    second: int
    phase: Phase
    tallies: list[Tally]


class Recorder:
    """Counts samples, iterations and failures of all users of a worker.

    Times are readings of one monotonic clock in seconds. A sample belongs to the second in which it
    ended and to the phase in which it began.
    """

    def __init__(self, warmups: Sequence[float]) -> None:
        """Start empty; `warmups` holds each scenario's warm-up in seconds from go."""
        self._warmups = list(warmups)
        self._go = 0.0
        self._cuts: dict[tuple[int, Phase], list[Tally]] = {}
        self._alive = [0] * len(self._warmups)
        self._peaks = [0] * len(self._warmups)
        self._labels: list[set[str]] = [set() for _ in self._warmups]
        self._exemplars: dict[tuple[int, str, str, str], int] = {}
        self._exhausted = dict.fromkeys(EXHAUSTION, 0)
        self._lock = threading.Lock()

    def begin(self, go: float) -> None:
        """Set the clock reading that is second 0."""
        self._go = go

    def user_came(self, part: int) -> None:
        """Count a virtual user in."""
        with self._lock:
            self._alive[part] += 1
            self._peaks[part] = max(self._peaks[part], self._alive[part])

    def user_left(self, part: int) -> None:
        """Count a virtual user out."""
        with self._lock:
            self._alive[part] -= 1

    def sample(
        self,
        part: int,
        label: str,
        kind: Kind,
        start: float,
        end: float,
        *,
        failed: bool,
        service: float | None,
        exchanges: int = 0,
        sent: int = 0,
        received: int = 0,
    ) -> None:
        """Count one timed operation; `service` is its service time in seconds, None without one."""
        with self._lock:
            tally = self._tally(part, start, end)
            known = self._known(part, label)
            tally.overflow = tally.overflow or known != label[:_MAX_LABEL]
            entry = tally.label(known, kind)
            entry.requests += 1
            entry.failures += failed
            entry.bytes_sent += sent
            entry.bytes_received += received
            entry.response.record(end - start)
            if service is not None:
                entry.service.record(service)
            tally.exchanges += exchanges

    def iteration(
        self, part: int, start: float, end: float, *, failed: bool, by_sample: bool, skipped: bool
    ) -> None:
        """Count one iteration that ended by itself."""
        with self._lock:
            tally = self._tally(part, start, end)
            tally.iterations += 1
            tally.failed_iterations += failed
            tally.failed_by_sample += by_sample
            tally.skipped_iterations += skipped

    def scheduled(self, part: int, due: float, *, dropped: bool) -> None:
        """Count an iteration that was due at a clock reading, dropped when no user was free for it."""
        with self._lock:
            tally = self._tally(part, due, time.monotonic())
            tally.scheduled_iterations += 1
            tally.dropped_iterations += dropped

    def begun(self, part: int, due: float, now: float) -> None:
        """Count a scheduled iteration that began now, and its user in; it was due at `due`."""
        with self._lock:
            self._tally(part, due, now).started_iterations += 1
            self._alive[part] += 1
            self._peaks[part] = max(self._peaks[part], self._alive[part])

    def dropped(self, part: int, due: float) -> None:
        """Count a scheduled iteration that its user did not begin, because it had to go."""
        with self._lock:
            self._tally(part, due, time.monotonic()).dropped_iterations += 1

    def interrupted(self, part: int, start: float, end: float, exchanges: int) -> None:
        """Count HTTP exchanges whose user had to go before they were finished."""
        with self._lock:
            self._tally(part, start, end).interrupted += exchanges

    def error(
        self,
        part: int,
        start: float,
        end: float,
        label: str,
        kind: str,
        message: str,
        detail: Callable[[], str],
    ) -> None:
        """Count one failure; `detail` is asked for its full text while its group wants exemplars."""
        with self._lock:
            label = self._known(part, label) if label else label
            message = _sound(message[:_MAX_MESSAGE])
            key = (part, label, kind, message)
            sent = self._exemplars.get(key, 0)
            wanted = sent < MAX_EXEMPLARS and (sent or len(self._exemplars) < MAX_ERROR_GROUPS)
            if wanted:
                self._exemplars[key] = sent + 1
            exemplars = [_sound(detail())] if wanted else None
            self._tally(part, start, end).error(label, kind, message, exemplars=exemplars)
            if kind in self._exhausted:
                self._exhausted[kind] += 1

    def exhausted(self) -> dict[str, int]:
        """Return how many failures for want of descriptors and of ports there were since the last call."""
        with self._lock:
            found, self._exhausted = self._exhausted, dict.fromkeys(EXHAUSTION, 0)
            return found

    def cut(self, before: int) -> list[Cut]:
        """Take out everything up to the second `before` (exclusive), in order.

        The last complete second is there even when nothing happened in it.
        """
        with self._lock:
            self._note_users(before - 1)
            keys = sorted(
                (key for key in self._cuts if key[0] < before), key=lambda key: (key[0], key[1] == "measured")
            )
            return [Cut(second, phase, self._cuts.pop((second, phase))) for second, phase in keys]

    def _note_users(self, second: int) -> None:
        for part, peak in enumerate(self._peaks):
            phase: Phase = "warmup" if second < self._warmups[part] else "measured"
            tallies = self._at(second, phase)
            tallies[part].users = max(tallies[part].users, peak)
            self._peaks[part] = self._alive[part]

    def _tally(self, part: int, start: float, end: float) -> Tally:
        phase: Phase = "warmup" if start - self._go < self._warmups[part] else "measured"
        return self._at(max(0, int(end - self._go)), phase)[part]

    def _at(self, second: int, phase: Phase) -> list[Tally]:
        key = (second, phase)
        tallies = self._cuts.get(key)
        if tallies is None:
            tallies = self._cuts[key] = [Tally() for _ in self._warmups]
        return tallies

    def _known(self, part: int, label: str) -> str:
        known = self._labels[part]
        label = label[:_MAX_LABEL]
        if label in known:
            return label
        label = _sound(label)
        if label in known:
            return label
        if len(known) >= MAX_LABELS:
            return OTHER
        known.add(label)
        return label


def _sound(text: str) -> str:
    """Return a text that can be sent: what is no valid Unicode, as in some names of files, is spelled out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
