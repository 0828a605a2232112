"""The controller's end of the control topic: commands to the slices of one run, and what they report.

kafka-python is imported with this module; who may not need Kafka imports it late.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from pytest_metersphere.dist.bundle import MAX_BUNDLE
from pytest_metersphere.dist.control import (
    CHUNK,
    Command,
    LeaseCommand,
    Order,
    ParcelChunk,
    ParcelHead,
    Report,
    StateReport,
    opened_command,
    opened_report,
    partition_of,
    sealed,
)
from pytest_metersphere.dist.kafka.client.consumer import Consumer
from pytest_metersphere.dist.kafka.delivery import KafkaSink
from pytest_metersphere.dist.wire import KafkaAccess, SliceInfo
from pytest_metersphere.errors import BrokerError, WireError
from pytest_metersphere.units import format_duration

PUBLISH_LIMIT = 60.0
"""Seconds for a parcel to be on Kafka."""
LEASE_EVERY = 1.5
"""Seconds between two messages that renew the leases of all slices of a run."""

_CONNECT = 10.0
_PAUSE = 1.0
_POLL = 0.25
_WAITING = 2 * MAX_BUNDLE
_KEPT = 8  # answers that came too late are not kept for ever
T = TypeVar("T")


@dataclasses.dataclass(slots=True)
class Line:
    """What is known of one slice.

    Attributes:
        info: how it stands, as it said last; None before it said anything.
        report: the last report.
        heard_at: when that came, on the monotonic clock; before any, when it was first waited for.
        answers: answers that nobody has taken yet, by the number of the command.
        looked_at: when its container was last looked for, on the same clock.
        gone_at: when it was found to be gone; None while it is there, and once it is heard again.
    """

    heard_at: float
    info: SliceInfo | None = None
    report: Report | None = None
    answers: dict[int, Report] = dataclasses.field(default_factory=dict)
    looked_at: float = 0.0
    gone_at: float | None = None


class Link:
    """Commands and reports of one run.

    Attributes:
        run: id of the run.
        partition: its partition of the control topic.
        offset: where its commands begin there.
        rejected: records with the run's id as their key that are no report of its slices.
        trouble: why nothing comes from Kafka now; empty while all is well.
    """

    def __init__(self, access: KafkaAccess, run: str, key: bytes) -> None:
        """Connect and note where the run's commands begin (BrokerError when that is not possible)."""
        self.run = run
        self.rejected = 0
        self.trouble = ""
        self._access = access
        self._key = key
        with contextlib.closing(self._consumer()) as consumer:
            ends = consumer.end_offsets()
        self.partition = partition_of(run, len(ends))
        self.offset = ends[self.partition]
        self._sink = KafkaSink(access, _WAITING, access.control_topic, self.partition)
        self._changed = threading.Condition()
        self._number = 0
        self._lines: dict[str, Line] = {}
        self._left = 0
        self._lease_at = 0.0
        self._closing = threading.Event()
        self._reader = threading.Thread(target=self._read, name=f"control-{run}", daemon=True)
        self._reader.start()

    def send(self, slice_id: str, content: bytes) -> None:
        """Send a parcel, to all slices when no id is given, and return when it is on Kafka.

        Raises:
            BrokerError: it is not there in time.
        """
        pieces = [content[at : at + CHUNK] for at in range(0, len(content), CHUNK)]
        digest = hashlib.sha256(content).digest()
        self.command(slice_id, ParcelHead(size=len(content), chunks=len(pieces), sha256=digest))
        for index, piece in enumerate(pieces):
            self.command(slice_id, ParcelChunk(index=index, content=piece))
        self.require_sent(PUBLISH_LIMIT)

    def require_sent(self, limit: float) -> None:
        """Wait until every command so far is on Kafka (BrokerError when it is not in time)."""
        if not self._sink.flush(limit) or self._sink.dropped:
            why = self._sink.trouble or "no reason is known"
            raise BrokerError(
                f"commands for stock nodes are not on Kafka within {format_duration(limit)}: {why}; see that"
                f" {self._access.control_topic} may be written"
            )

    def command(self, slice_id: str, order: Order) -> int:
        """Send a command, and return its number without waiting for anything."""
        with self._changed:
            self._number += 1
            message = Command(run=self.run, slice=slice_id, number=self._number, order=order)
            self._sink.put(self.run, sealed(self._key, message))
            return self._number

    def renew(self) -> None:
        """Renew the leases of all slices, unless that was done a moment ago."""
        with self._changed:
            now = time.monotonic()
            if now - self._lease_at < LEASE_EVERY:
                return
            self._lease_at = now
        self.command("", LeaseCommand())

    def join(self, slice_id: str) -> None:
        """Listen for a slice."""
        with self._changed:
            self._lines[slice_id] = Line(time.monotonic())

    def leave(self, slice_id: str) -> bool:
        """Listen no longer for a slice; return whether there is still another one."""
        with self._changed:
            line = self._lines.pop(slice_id, None)
            self._left += _rejected(line) if line is not None else 0
            return bool(self._lines)

    def line(self, slice_id: str) -> Line | None:
        """Return what is known of a slice, None when nobody listens for it."""
        with self._changed:
            return self._lines.get(slice_id)

    def wait_for(self, met: Callable[[], T], seconds: float) -> T:
        """Wait up to so many seconds for what is asked for to be true; return what it is then."""
        with self._changed:
            return self._changed.wait_for(met, max(0.0, seconds))

    def answer(self, slice_id: str, number: int, seconds: float) -> Report | None:
        """Return the answer of a slice to a command, None when none comes within so many seconds."""
        line = self.line(slice_id)
        if line is None:
            return None
        self.wait_for(lambda: number in line.answers, seconds)
        return line.answers.pop(number, None)

    def all_rejected(self) -> int:
        """Return how many records claimed to be of this run and are not, seen here and in its containers."""
        with self._changed:
            return self.rejected + self._left + sum(_rejected(line) for line in self._lines.values())

    def close(self, limit: float) -> None:
        """Give what is to be sent so many seconds, then end the threads and connections."""
        self._sink.flush(limit)
        self._closing.set()
        self._sink.close()
        self._reader.join(_CONNECT)

    def _consumer(self) -> Consumer:
        return Consumer(self._access, self._access.control_topic, _CONNECT, hasty=True)

    def _read(self) -> None:
        """Read reports until closed; after a failure again from the beginning: numbers tell what is known."""
        while not self._closing.is_set():
            try:
                with contextlib.closing(self._consumer()) as consumer:
                    consumer.start_at({self.partition: self.offset})
                    while not self._closing.is_set():
                        records = consumer.poll(_POLL)
                        self.trouble = consumer.trouble
                        for key, value in records:
                            if key == self.run.encode():
                                self._take(value)
            except BrokerError as error:
                self.trouble = str(error)
                self._closing.wait(_PAUSE)

    def _take(self, value: bytes) -> None:
        with self._changed:
            try:
                report = opened_report(self._key, value)
            except WireError:
                self.rejected += not _is_own(self._key, value)
                return
            line = self._lines.get(report.slice)
            if line is None or report.run != self.run:
                return
            if line.report is not None and report.number <= line.report.number:
                return
            _note(line, report)
            self._changed.notify_all()


def _note(line: Line, report: Report) -> None:
    line.report, line.heard_at, line.gone_at = report, time.monotonic(), None
    if isinstance(report.content, StateReport):
        line.info = report.content.info
    if report.answers:
        line.answers[report.answers] = report
        for number in list(line.answers)[:-_KEPT]:
            del line.answers[number]


def _rejected(line: Line) -> int:
    return line.report.rejected if line.report is not None else 0


def _is_own(key: bytes, value: bytes) -> bool:
    """Return whether a record is one of the controller's own commands, which come back to it."""
    try:
        opened_command(key, value)
    except WireError:
        return False
    return True
