"""What the users of a worker do, counted by second and phase."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from pytest_metersphere.engine.failures import EXHAUSTION
from pytest_metersphere.metrics.frame import (
    MAX_ERROR_GROUPS,
    MAX_EXEMPLARS,
    MAX_LABELS,
    OTHER,
    Kind,
    LabelTally,
    Phase,
    Tally,
)
from pytest_metersphere.metrics.histogram import HIGHEST, Histogram, bucket_of, microseconds

_MAX_LABEL = 200
_MAX_MESSAGE = 300
_HAIR = 1e-6


class Cut(msgspec.Struct):
    """All that was counted for one second in one phase; one tally for each scenario."""

    second: int
    phase: Phase
    tallies: list[Tally]


class _Entry:
    """The samples of one label in one second, as they come in.

    What runs once a sample touches nothing but these slots; `settle` makes a LabelTally of them.

    Attributes:
        both: counts by bucket of times that are response and service time in one, as on a kept connection.
        response: those of the other response times.
        service: those of the other service times.
    """

    __slots__ = (
        "_tally",
        "both",
        "both_highest",
        "both_lowest",
        "both_total",
        "connect",
        "dns",
        "failures",
        "receive",
        "received",
        "response",
        "response_highest",
        "response_lowest",
        "response_total",
        "send",
        "sent",
        "service",
        "service_highest",
        "service_lowest",
        "service_total",
        "tls",
        "wait",
    )

    def __init__(self, tally: LabelTally) -> None:
        self._tally = tally
        self.failures = self.sent = self.received = 0
        self.both: dict[int, int] = {}
        self.response: dict[int, int] = {}
        self.service: dict[int, int] = {}
        self.both_total = self.both_highest = 0
        self.response_total = self.response_highest = 0
        self.service_total = self.service_highest = 0
        self.both_lowest = self.response_lowest = self.service_lowest = HIGHEST
        self.dns = self.connect = self.tls = self.send = self.wait = self.receive = 0.0

    def count(self, elapsed: float) -> None:
        """Count a time, in seconds, that is response and service time in one."""
        value = microseconds(elapsed)
        bucket = bucket_of(value)
        self.both[bucket] = self.both.get(bucket, 0) + 1
        self.both_total += value
        if value > self.both_highest:  # noqa: PLR1730 - max is a call
            self.both_highest = value
        if value < self.both_lowest:  # noqa: PLR1730
            self.both_lowest = value

    def add(self, elapsed: float, service: float | None) -> None:
        """Count a response time and another service time, if there is one, in seconds."""
        value = microseconds(elapsed)
        bucket = bucket_of(value)
        self.response[bucket] = self.response.get(bucket, 0) + 1
        self.response_total += value
        if value > self.response_highest:  # noqa: PLR1730
            self.response_highest = value
        if value < self.response_lowest:  # noqa: PLR1730
            self.response_lowest = value
        if service is None:
            return
        value = microseconds(service)
        bucket = bucket_of(value)
        self.service[bucket] = self.service.get(bucket, 0) + 1
        self.service_total += value
        if value > self.service_highest:  # noqa: PLR1730
            self.service_highest = value
        if value < self.service_lowest:  # noqa: PLR1730
            self.service_lowest = value

    def settle(self) -> None:
        """Add everything to the tally."""
        tally, phases = self._tally, self._tally.phases
        tally.requests += sum(self.both.values()) + sum(self.response.values())
        tally.failures += self.failures
        tally.bytes_sent += self.sent
        tally.bytes_received += self.received
        both = _histogram(self.both, self.both_total, self.both_lowest, self.both_highest)
        for histogram in (tally.response, tally.service):
            histogram.merge(both)
        tally.response.merge(
            _histogram(self.response, self.response_total, self.response_lowest, self.response_highest)
        )
        tally.service.merge(
            _histogram(self.service, self.service_total, self.service_lowest, self.service_highest)
        )
        phases.dns += round(self.dns * 1e6)
        phases.connect += round(self.connect * 1e6)
        phases.tls += round(self.tls * 1e6)
        phases.send += round(self.send * 1e6)
        phases.wait += round(self.wait * 1e6)
        phases.receive += round(self.receive * 1e6)


def _histogram(counts: dict[int, int], total: int, lowest: int, highest: int) -> Histogram:
    return Histogram(counts, sum(counts.values()), total, lowest, highest)


class _Span:
    """One second of one scenario in one phase.

    Attributes:
        tally: what was counted, the labels excepted, and what stands here.
        exchanges, iterations: those that were counted here.
        begin, end: clock readings between which a sample of it ends (the second exclusive).
        earliest, latest: clock readings between which a sample of it begins (the second exclusive).
        entries: its requests and samples by label; transactions by label and kind.
    """

    __slots__ = ("begin", "earliest", "end", "entries", "exchanges", "iterations", "latest", "tally")

    def __init__(self, begin: float, end: float, earliest: float, latest: float) -> None:
        self.tally = Tally()
        self.begin = begin
        self.end = end
        self.earliest = earliest
        self.latest = latest
        self.exchanges = self.iterations = 0
        self.entries: dict[str | tuple[str, str], _Entry] = {}

    def settled(self) -> Tally:
        """Return the tally with its labels; nothing more is counted here."""
        self.end = -math.inf
        self.tally.exchanges += self.exchanges
        self.tally.iterations += self.iterations
        for entry in self.entries.values():
            entry.settle()
        return self.tally


_NEVER = _Span(math.inf, -math.inf, 0.0, 0.0)


class Recorder:
    """Counts samples, iterations and failures of all users of a worker.

    Times are readings of one monotonic clock in seconds. A sample belongs to the second in which it
    ended and to the phase in which it began.
    """

    def __init__(self, warmups: Sequence[float], *, threads: bool = True) -> None:
        """Start empty.

        Args:
            warmups: each scenario's warm-up in seconds from go.
            threads: users have threads of their own. Without them all users live in the thread that makes
                the recorder, and what comes from another one is put aside until the next cut.
        """
        # without a warm-up nothing belongs to it, whenever it began
        self._warmups = [warmup or -math.inf for warmup in warmups]
        self._go = 0.0
        self._cuts: dict[tuple[int, Phase], list[_Span]] = {}
        self._spans = [_NEVER for _ in self._warmups]
        self._alive = [0] * len(self._warmups)
        self._peaks = [0] * len(self._warmups)
        self._labels: list[set[str]] = [set() for _ in self._warmups]
        self._exemplars: dict[tuple[int, str, str, str], int] = {}
        self._exhausted = dict.fromkeys(EXHAUSTION, 0)
        self._lock: contextlib.AbstractContextManager[object] = (
            threading.RLock() if threads else contextlib.nullcontext()
        )
        self._threads = threads
        self._home = threading.get_ident()
        self._aside: deque[Callable[[], None]] = deque()

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
        if not self._threads and threading.get_ident() != self._home:
            self._aside.append(
                lambda: self.sample(
                    part, label, kind, start, end, failed=failed, service=service, exchanges=exchanges
                )
            )
            return
        with self._lock:
            self.request(part, label, start, end, failed, service, exchanges, sent, received, None, kind)

    def request(  # noqa: PLR0917 - called once a request, where calls and keywords cost time
        self,
        part: int,
        label: str,
        start: float,
        end: float,
        failed: bool,  # noqa: FBT001 - see above
        service: float | None,
        exchanges: int,
        sent: int,
        received: int,
        phases: tuple[float, float, float, float, float, float] | None,
        kind: Kind = "request",
    ) -> None:
        """Count one request; `phases` are its seconds of dns, connect, tls, send, wait and receive.

        With threads it must be called through `locked`.
        """
        span = self._spans[part]
        if not (span.begin <= end < span.end and span.earliest <= start < span.latest):
            span = self._move(part, start, end)
        span.exchanges += exchanges
        entry = span.entries.get(label if kind != "transaction" else (label, kind))
        if entry is None:
            entry = self._entry(span, part, label, kind)
        if failed:
            entry.failures += 1
        entry.sent += sent
        entry.received += received
        elapsed = end - start
        if service == elapsed:
            entry.count(elapsed)
        else:
            entry.add(elapsed, service)
        if phases is not None:
            dns, connect, tls, send, wait, receive = phases
            if connect:
                entry.dns += dns
                entry.connect += connect
                entry.tls += tls
            entry.send += send
            entry.wait += wait
            entry.receive += receive

    def answered(
        self,
        part: int,
        label: str,
        start: float,
        end: float,
        sent: int,
        received: int,
        phases: tuple[float, float, float, float, float, float],
    ) -> None:
        """Count one request that was answered on a connection that was kept: `request` in short.

        Its service time is its response time, and it took no time to connect. With threads it must be called
        through `locked`.
        """
        span = self._spans[part]
        if not (span.begin <= end < span.end and span.earliest <= start < span.latest):
            span = self._move(part, start, end)
        span.exchanges += 1
        entry = span.entries.get(label)
        if entry is None:
            entry = self._entry(span, part, label, "request")
        entry.sent += sent
        entry.received += received
        _, _, _, send, wait, receive = phases
        entry.send += send
        entry.wait += wait
        entry.receive += receive
        # _Entry.count without calls
        value = int((end - start) * 1e6 + 0.5)
        if value < 0 or value > HIGHEST:
            value = 0 if value < 0 else HIGHEST
        shift = value.bit_length() - 8
        bucket = value if shift <= 0 else (shift << 7) + (value >> shift)
        try:
            entry.both[bucket] += 1
        except KeyError:
            entry.both[bucket] = 1
        entry.both_total += value
        if value > entry.both_highest:  # noqa: PLR1730 - max is a call
            entry.both_highest = value
        if value < entry.both_lowest:  # noqa: PLR1730
            entry.both_lowest = value

    def _entry(self, span: _Span, part: int, label: str, kind: Kind) -> _Entry:
        known = self._known(part, label)
        span.tally.overflow = span.tally.overflow or known != label[:_MAX_LABEL]
        entry = span.entries[label if kind != "transaction" else (label, kind)] = _Entry(
            span.tally.label(known, kind)
        )
        return entry

    def locked(self, count: Callable[..., None]) -> Callable[..., None]:
        """Return `request`, `answered` or `iterated` as they are to be called, also by users with threads."""
        if not self._threads:
            return count

        def guarded(*values: Any) -> None:
            with self._lock:
                count(*values)

        return guarded

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

    def iterated(self, part: int, start: float, end: float) -> None:
        """Count one iteration that worked.

        With threads it must be called through `locked`.
        """
        span = self._spans[part]
        if not (span.begin <= end < span.end and span.earliest <= start < span.latest):
            span = self._move(part, start, end)
        span.iterations += 1

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
            self._alive[part] = alive = self._alive[part] + 1
            if alive > self._peaks[part]:  # noqa: PLR1730
                self._peaks[part] = alive

    def dropped(self, part: int, due: float) -> None:
        """Count a scheduled iteration that its user did not begin, because it had to go."""
        with self._lock:
            self._tally(part, due, time.monotonic()).dropped_iterations += 1

    def interrupted(self, part: int, start: float, end: float, exchanges: int) -> None:
        """Count HTTP exchanges whose user had to go before they were finished."""
        with self._lock:
            self._tally(part, start, end).interrupted += exchanges

    def doubtful(self, part: int, start: float, end: float, *, unanswered: int, repeated: int) -> None:
        """Count exchanges that the server may not have seen, and requests that it may have seen twice."""
        with self._lock:
            tally = self._tally(part, start, end)
            tally.unanswered_exchanges += unanswered
            tally.repeated_exchanges += repeated

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
        if not self._threads and threading.get_ident() != self._home:
            self._aside.append(lambda: self.error(part, start, end, label, kind, message, detail))
            return
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
            while self._aside:
                self._aside.popleft()()
            self._note_users(before - 1)
            keys = sorted(
                (key for key in self._cuts if key[0] < before), key=lambda key: (key[0], key[1] == "measured")
            )
            return [
                Cut(second, phase, [span.settled() for span in self._cuts.pop((second, phase))])
                for second, phase in keys
            ]

    def _note_users(self, second: int) -> None:
        for part, peak in enumerate(self._peaks):
            phase: Phase = "warmup" if second < self._warmups[part] else "measured"
            tally = self._at(second, phase)[part].tally
            tally.users = max(tally.users, peak)
            self._peaks[part] = self._alive[part]

    def _tally(self, part: int, start: float, end: float) -> Tally:
        span = self._spans[part]
        if not (span.begin <= end < span.end and span.earliest <= start < span.latest):
            span = self._move(part, start, end)
        return span.tally

    def _move(self, part: int, start: float, end: float) -> _Span:
        """Return where a sample is counted; the next one is expected there, too."""
        phase: Phase = "warmup" if start - self._go < self._warmups[part] else "measured"
        span = self._spans[part] = self._at(max(0, int(end - self._go)), phase)[part]
        return span

    def _at(self, second: int, phase: Phase) -> list[_Span]:
        key = (second, phase)
        spans = self._cuts.get(key)
        if spans is None:
            spans = self._cuts[key] = [self._span(second, phase, warmup) for warmup in self._warmups]
        return spans

    def _span(self, second: int, phase: Phase, warmup: float) -> _Span:
        # kept a hair short, because what lies at a border is rounded in different ways
        begin, measured = self._go + second, self._go + warmup
        earliest, latest = (
            (-math.inf, measured - _HAIR) if phase == "warmup" else (measured + _HAIR, math.inf)
        )
        return _Span(begin + _HAIR, begin + 1 - _HAIR, earliest, latest)

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
