"""Counts the rows of one JMeter into seconds, and hands these out as frames are made of.

A sample belongs to the second in which it ended. Rows come in bursts, up to 15 s late: what comes for a
second that was handed out already goes out by itself. Everything handed out for one second adds up, users
included, so that of users only what is more than before is told.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence

from pytest_metersphere.dist.metersphere.rows import Clock, Details, Pair, Row, details_of
from pytest_metersphere.dist.node.seconds import Span
from pytest_metersphere.dist.wire import Totals
from pytest_metersphere.engine.jmeter import results
from pytest_metersphere.engine.jmeter.results import Summary, failure_of, threads_of
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
from pytest_metersphere.metrics.histogram import Histogram, bucket_of

MAX_LEAD = 60
"""Seconds that a row may be ahead of the time since go; one from later is garbage."""
MAX_WAITING = 50_000
"""Rows that are kept until it is known when the load began."""

_MAX_LABEL = 200
_MAX_KNOWN = 10_000
_EVER = 1 << 62
_VARIABLE = re.compile(r"\$\{.*?\}")
_PHASES: tuple[Phase, ...] = ("warmup", "measured")


class RowCounting:
    """What the rows of one JMeter come to. Not safe to be used by several threads at once.

    Attributes:
        seen: all samples so far, the gate's among them, to be compared with JMeter's own summary.
        totals: what was counted, over all that is handed out.
        rejected: rows that cannot be of this load.
        begun: when the load began by the node's clock, milliseconds since the epoch; None before the
            gate's row has come.
        completed: JMeter's listener said that it has no more.
    """

    def __init__(
        self, gate_label: str, node: str, warmup: float, helpers: Sequence[str], transactions: Sequence[str]
    ) -> None:
        """Count nothing yet.

        Args:
            gate_label: label of the sample whose end is the beginning of the load.
            node: the node's name, for exemplars.
            warmup: seconds.
            helpers: names of thread groups whose threads are no users.
            transactions: names of Transaction Controllers, `${…}` for what is not known of them.
        """
        self.seen = Summary()
        self.totals = Totals()
        self.rejected = 0
        self.begun: int | None = None
        self.completed = False
        self._gate = gate_label
        # without a warm-up nothing belongs to it, also what was before go
        self._warmup = round(warmup * 1000) if warmup else -_EVER
        self._transactions = _Transactions(transactions)
        self._clock = Clock()
        self._waiting: list[Pair] = []
        self._last_end = 0
        self._next = 0
        self._entries: dict[tuple[int, Phase, Kind, str], _Entry] = {}
        self._labels: set[str] = set()
        self._errors = _Errors(node)
        self._users = _Users(helpers)

    def add(self, rows: Iterable[Pair], elapsed: float) -> None:
        """Count rows that have come by `elapsed` seconds after go."""
        latest = round((elapsed + MAX_LEAD) * 1000)
        if self.begun is None:
            rows = self._since_begun(rows)
        if self.begun is not None:
            self._count(rows, self.begun, latest)

    def take(self, before: int) -> list[Span]:
        """Return the late finds, then every second up to `before` (exclusive) that was not handed out yet."""
        found = list(self._late_finds())
        while self._next < before:
            second = self._next
            self._next += 1
            found += self._spans(second, self._users.tell(second), complete=True)
        return found

    def rest(self) -> list[Span]:
        """Return all that is left, with the second of the last sample's end, should that be its beginning."""
        past = max((second + 1 for second, *_ in self._entries), default=0)
        return self.take(max(self._next, past, -(-self._last_end // 1000)))

    @property
    def last_end(self) -> float:
        """Return when the last sample ended, seconds from the beginning."""
        return self._last_end / 1000

    def _since_begun(self, rows: Iterable[Pair]) -> Iterable[Pair]:
        """Keep rows until the gate's is among them; return all then. Rows have no order."""
        for pair in rows:
            if len(self._waiting) < MAX_WAITING or pair[0].label == self._gate or self.begun is not None:
                self._waiting.append(pair)
            else:
                self.rejected += 1
            if pair[0].label == self._gate and self.begun is None:
                with contextlib.suppress(ValueError):
                    self.begun = self._clock.read(pair[0].start) + max(0, pair[0].elapsed)
        if self.begun is None:
            return ()
        waiting, self._waiting = self._waiting, []
        return waiting

    def _count(  # noqa: C901 - its loop runs once a sample, where calls cost time
        self, rows: Iterable[Pair], begun: int, latest: int
    ) -> None:
        # what is the same for all of them is looked up once
        read, warmup, gate = self._clock.read, self._warmup, self._gate
        entries, users, suspects = self._entries, self._users.seen, self._transactions.known
        last_end, samples = self._last_end, 0
        for pair in rows:
            row = pair[0]
            took, label = row.elapsed, row.label
            try:
                start = read(row.start) - begun
            except ValueError:
                self._without_time(pair[1])
                continue
            end = start + took
            if took < 0 or end > latest:
                self.rejected += 1
                continue
            if label == gate:
                samples += 1
                self.seen.failures += not row.ok
                continue
            second = end // 1000 if end > 0 else 0
            phase: Phase = "measured" if start >= warmup else "warmup"
            kind: Kind = "request"
            if suspects.get(label, True) and self._transactions.is_one(label, pair[1]):
                kind = "transaction"
            else:
                samples += 1
            entry = entries.get((second, phase, kind, label))
            if entry is None:
                entry = self._entry(second, phase, kind, label)
            entry.requests += 1
            entry.received += row.received
            entry.sent += row.sent
            if row.connect:
                entry.connected(took, row.connect)
            else:
                counts = entry.both
                counts[took] = counts.get(took, 0) + 1
            if end > last_end:
                last_end = end
            if row.threads > users.get(second, -1):
                self._users.note(second, row.threads, pair[1])
            if not row.ok:
                self._fail(entry, second, phase, kind, pair)
        self._last_end = last_end
        self.seen.samples += samples

    def _fail(self, entry: _Entry, second: int, phase: Phase, kind: Kind, pair: Pair) -> None:
        entry.failures += 1
        if kind == "request":
            self.seen.failures += 1
            self._errors.add(*pair, second, phase)

    def _without_time(self, value: bytes) -> None:
        completed = details_of(value).completed
        self.completed = self.completed or completed
        self.rejected += not completed

    def _entry(self, second: int, phase: Phase, kind: Kind, label: str) -> _Entry:
        known = _sound(label[:_MAX_LABEL])
        if known not in self._labels:
            if len(self._labels) < MAX_LABELS:
                self._labels.add(known)
            else:
                known = OTHER
        key = (second, phase, kind, known)
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry()
        return entry

    def _late_finds(self) -> Iterator[Span]:
        late = {second for second, *_ in self._entries if second < self._next}
        for second in sorted(late):
            yield from self._spans(second, self._users.tell_more(second), complete=False)

    def _spans(self, second: int, users: int, *, complete: bool) -> list[Span]:
        """Return the phases of a second, in order; only the last of them may be complete."""
        found: dict[Phase, Tally] = {}
        for phase in _PHASES:
            keys = [key for key in self._entries if key[0] == second and key[1] == phase]
            if keys:
                found[phase] = self._tally(keys)
                self._errors.settle(second, phase, found[phase])
        if not found:
            found["measured" if second * 1000 >= self._warmup else "warmup"] = Tally()
        first = next(iter(found.values()))
        first.users = users
        last = list(found)[-1]
        return [
            Span(second, phase, complete and phase == last, [tally], []) for phase, tally in found.items()
        ]

    def _tally(self, keys: Sequence[tuple[int, Phase, Kind, str]]) -> Tally:
        tally = Tally()
        for key in keys:
            entry, kind, label = self._entries.pop(key), key[2], key[3]
            entry.settle(tally.label(label, kind), serves=kind == "request")
            tally.overflow = tally.overflow or label == OTHER
            if kind == "request":
                tally.exchanges += entry.requests
                self.totals.requests += entry.requests
                self.totals.failures += entry.failures
                self.totals.exchanges += entry.requests
        return tally


class _Entry:
    """The samples of one label in one second and phase; times in milliseconds.

    Attributes:
        both: counts of times that are response and service time in one.
        apart: counts of response times with the time to connect in them.
    """

    __slots__ = ("apart", "both", "failures", "received", "requests", "sent")

    def __init__(self) -> None:
        self.requests = self.failures = self.sent = self.received = 0
        self.both: dict[int, int] = {}
        self.apart: dict[tuple[int, int], int] = {}

    def connected(self, took: int, connect: int) -> None:
        pair = (took, connect)
        self.apart[pair] = self.apart.get(pair, 0) + 1

    def settle(self, tally: LabelTally, *, serves: bool) -> None:
        """Add everything to a tally; what serves nothing has no service time."""
        tally.requests += self.requests
        tally.failures += self.failures
        tally.bytes_sent += self.sent
        tally.bytes_received += self.received
        response, service = dict(self.both), dict(self.both)
        for (took, connect), count in self.apart.items():
            response[took] = response.get(took, 0) + count
            served = max(0, took - connect)
            service[served] = service.get(served, 0) + count
        tally.response.merge(_histogram(response))
        if serves:
            tally.service.merge(_histogram(service))


def _histogram(counts: dict[int, int]) -> Histogram:
    """Return a histogram of counts by milliseconds."""
    buckets: dict[int, int] = {}
    for milliseconds, count in counts.items():
        bucket = bucket_of(milliseconds * 1000)
        buckets[bucket] = buckets.get(bucket, 0) + count
    total = sum(milliseconds * count for milliseconds, count in counts.items())
    least, most = min(counts, default=0), max(counts, default=0)
    return Histogram(buckets, sum(counts.values()), total * 1000, least * 1000, most * 1000)


class _Transactions:
    """Knows rows of Transaction Controllers, by their names and by what they lack.

    Attributes:
        known: whether rows of a label may be theirs, for labels that came before.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.known = {name: True for name in names if not _VARIABLE.search(name)}
        patterns = (_VARIABLE.split(name) for name in names if _VARIABLE.search(name))
        self._patterns = [re.compile(".*".join(map(re.escape, pieces)), re.DOTALL) for pieces in patterns]

    def is_one(self, label: str, value: bytes) -> bool:
        """Return whether a row is one: of such a name, and with neither URL nor type."""
        known = self.known.get(label)
        if known is None:
            known = any(pattern.fullmatch(label) for pattern in self._patterns)
            if len(self.known) < _MAX_KNOWN:
                self.known[label] = known
        details = details_of(value) if known else None
        return details is not None and not (details.url or details.data_type or details.content_type)


class _Users:
    """How many threads there were in each second, as the rows say; without rows as many as before."""

    def __init__(self, helpers: Sequence[str]) -> None:
        self._is_helper = threads_of(helpers).fullmatch
        self.seen: dict[int, int] = {}
        self._told: dict[int, int] = {}
        self._last = 0

    def note(self, second: int, threads: int, value: bytes) -> None:
        """Note that there were more than is known, unless a thread that is no user says so."""
        if self._is_helper(details_of(value).thread) is None:
            self.seen[second] = threads

    def tell(self, second: int) -> int:
        """Return the users of the next second."""
        self._last = self._told[second] = self.seen.get(second, self._last)
        return self._last

    def tell_more(self, second: int) -> int:
        """Return how many more there were in a second than was told."""
        told = self._told.get(second, 0)
        more = max(0, self.seen.get(second, 0) - told)
        self._told[second] = told + more
        return more


class _Errors:
    """The failures by second and phase."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._tallies: dict[tuple[int, Phase], Tally] = {}
        self._exemplars: dict[tuple[str, str, str], int] = {}
        self._groups: dict[tuple[str, str, str], tuple[str, str]] = {}

    def add(self, row: Row, value: bytes, second: int, phase: Phase) -> None:
        details = details_of(value)
        kind, message = self._group(row, details)
        label = _sound(row.label[:_MAX_LABEL])
        key = (label, kind, message)
        sent = self._exemplars.get(key, 0)
        wanted = sent < MAX_EXEMPLARS and (sent or len(self._exemplars) < MAX_ERROR_GROUPS)
        if wanted:
            self._exemplars[key] = sent + 1
        tally = self._tallies.setdefault((second, phase), Tally())
        tally.error(*key, exemplars=[_in_full(details, self._node)] if wanted else None)

    def settle(self, second: int, phase: Phase, tally: Tally) -> None:
        found = self._tallies.pop((second, phase), None)
        if found is not None:
            tally.errors = found.errors

    def _group(self, row: Row, details: Details) -> tuple[str, str]:
        key = (details.code, details.message, details.failure)
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= MAX_ERROR_GROUPS:
                self._groups.clear()
            kind, message = failure_of(_as_result(row, details))
            group = self._groups[key] = (kind, _sound(message))
        return group


def _as_result(row: Row, details: Details) -> results.Row:
    said = (details.code, details.message, details.thread, row.ok, details.said)
    return results.Row(0, row.elapsed, row.label, *said, 0, 0, 0, 0, 0)


def _in_full(details: Details, node: str) -> str:
    said = f"{details.code} {details.message}".strip()
    failure = f"\n{details.said}" if details.said else ""
    return _sound(f"node {node}, thread {details.thread}\n{said}{failure}")


def _sound(text: str) -> str:
    """Return a text that can be sent: what is no valid Unicode is spelled out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
