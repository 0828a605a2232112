"""A slice whose load is a JMeter in a stock container: what is known of it here, and its frames."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import secrets
import threading
import time
from collections import deque
from collections.abc import Iterator

from pytest_metersphere.dist.metersphere.counting import RowCounting
from pytest_metersphere.dist.metersphere.elements import OPEN
from pytest_metersphere.dist.metersphere.hub import JMeterHub
from pytest_metersphere.dist.metersphere.logs import JMeterLog, Line
from pytest_metersphere.dist.metersphere.package import Package
from pytest_metersphere.dist.metersphere.rows import Pair
from pytest_metersphere.dist.node.frames import Press
from pytest_metersphere.dist.node.seconds import Span
from pytest_metersphere.dist.signing import sign
from pytest_metersphere.dist.wire import FrameBatch, Manifest
from pytest_metersphere.engine.jmeter.results import Summary

SETTLING = 1.5
"""Seconds after a second in which most of its rows come; the others go out by themselves."""
CUT_EVERY = 0.5
"""Seconds between two times at which frames are made: when rows are late, each has some of many seconds."""
INCARNATION = 1
"""There is never a second container of a slice."""
_BATCH = 4 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """What a slice is known by.

    Attributes:
        run: id of the run.
        slice: id of the slice.
        node: the node's name.
        index: its number among the slices of the run.
        container: name of the container.
        report_id: is in every row and log line of this JMeter, and of no other.
        gate_label: label of the gate's row.
    """

    run: str
    slice: str
    node: str
    index: int
    container: str
    report_id: str
    gate_label: str


def new_identity(slice_id: str, node: str, container: str) -> Identity:
    """Return what a slice is known by; report id and label are random, and no numbers."""
    run, _, index = slice_id.rpartition("-")
    random = secrets.token_hex(12)
    return Identity(run, slice_id, node, int(index), container, f"ms-{random}", f"ms-load gate {random[:8]}")


class JMeterSlice:
    """What came from one JMeter so far. Safe to be used by several threads.

    Attributes:
        identity: what it is known by.
        changed: is notified of whatever happens.
        heard_at: when a row or a line of it came last, on the monotonic clock.
        went_at: when go was told to it, on the monotonic clock; None before.
    """

    def __init__(self, identity: Identity, hub: JMeterHub, key: bytes, warmup: float) -> None:
        """Prepare; nothing is started.

        Args:
            identity: what it is known by.
            hub: by which it is reached.
            key: the run's, for its frames.
            warmup: seconds.
        """
        self.identity = identity
        self.changed = threading.Condition()
        self.heard_at = time.monotonic()
        self.went_at: float | None = None
        self._hub = hub
        self._key = key
        self._warmup = warmup
        self._package: Package | None = None
        self._counting = self._new_counting(None)
        self._log = JMeterLog()
        self._press = Press(identity.run, identity.slice, INCARNATION)
        self._frames: deque[tuple[int, bytes]] = deque()
        self._cut_at = 0.0
        self._downloads = 0
        self._asked_ready = False
        self._at_gate = 0
        self._gate = asyncio.Event()

    def _new_counting(self, package: Package | None) -> RowCounting:
        helpers, transactions = (package.helpers, package.transactions) if package else ((), ())
        gate_label, node = self.identity.gate_label, self.identity.node
        return RowCounting(gate_label, node, self._warmup, helpers, transactions)

    def offer(self, package: Package) -> None:
        """Have something to be downloaded."""
        with self.changed:
            self._package = package
            self._counting = self._new_counting(package)

    # what the server asks

    @property
    def report_id(self) -> str:
        """Return the report id that it sends."""
        return self.identity.report_id

    @property
    def index(self) -> int:
        """Return the resource index that it sends."""
        return self.identity.index

    def package(self) -> bytes | None:
        """Return what it downloads; nothing any more once it is ready."""
        with self.changed:
            if self._package is None:
                return None
            self._downloads += 1
            self.changed.notify_all()
            return self._package.content

    def missing(self) -> int:
        """Note that it is ready, and return how many others of its run are not yet."""
        with self.changed:
            self._asked_ready = True
            # up to 50 MiB, and nobody may have it any more
            self._package = None
            self.changed.notify_all()
        return self._hub.missing(self.identity.run)

    async def pass_gate(self) -> bytes:
        """Return what the gate is answered, at go."""
        self._note_gate(1)
        try:
            await self._gate.wait()
        except asyncio.CancelledError:
            self._note_gate(-1)
            raise
        return OPEN.encode()

    def _note_gate(self, more: int) -> None:
        with self.changed:
            self._at_gate += more
            self.changed.notify_all()

    def passed(self) -> None:
        """Note that the gate's answer is on its way."""
        with self.changed:
            if self.went_at is None:
                # it had nothing to say before
                self.went_at = self.heard_at = time.monotonic()
            self.changed.notify_all()

    # what the topics bring

    @property
    def run(self) -> str:
        """Return the id of its run."""
        return self.identity.run

    @property
    def is_missing(self) -> bool:
        """Return whether it has not yet said that it is ready."""
        return not self._asked_ready

    @property
    def rejected(self) -> int:
        """Return how many of its rows could not be."""
        return self._counting.rejected

    def take_rows(self, rows: list[Pair]) -> None:
        """Take rows of its report id."""
        with self.changed:
            # nobody is woken for these: there may be a hundred times a second
            self.heard_at = time.monotonic()
            self._counting.add(rows, self.elapsed)

    def take_line(self, line: Line) -> None:
        """Take a line of the log with its report id."""
        with self.changed:
            self.heard_at = time.monotonic()
            self._log.add(line)
            self.changed.notify_all()

    # what the controller wants to know

    @property
    def elapsed(self) -> float:
        """Return the seconds since go, 0 before it."""
        return 0.0 if self.went_at is None else time.monotonic() - self.went_at

    @property
    def downloaded(self) -> bool:
        """Return whether it has downloaded its package."""
        return self._downloads > 0

    @property
    def is_at_gate(self) -> bool:
        """Return whether JMeter waits for go."""
        return self._at_gate > 0 and self.went_at is None

    @property
    def spoke(self) -> bool:
        """Return whether lines of JMeter's log come, those of level INFO among them."""
        return self._log.spoke

    @property
    def counted(self) -> Summary:
        """Return the samples that came as rows, the gate's among them."""
        return self._counting.seen

    @property
    def summary(self) -> Summary | None:
        """Return what JMeter's own summary said last, None before it said anything."""
        return self._log.summary

    @property
    def summary_lack(self) -> tuple[str, str]:
        """Return what became of JMeter's own summary, which has not come, and what to do."""
        topic = self._hub.terms.log_topic
        if self._log.renamed:
            return f"came over {topic} as `summary =` and not as `ms-summary =`", (
                "the image does not apply the JMeter properties that it downloads (ms.properties), so"
                " `properties=` of a mark has no effect there either; use an image that does"
            )
        return f"did not come over {topic}", "the image must send JMeter's log there (INFO and above)"

    @property
    def begun(self) -> int | None:
        """Return when the load began, by the node's clock, milliseconds since the epoch; None if unknown."""
        return self._counting.begun

    @property
    def says_ended(self) -> bool:
        """Return whether anybody has said that it is at its end: rows may still come."""
        return self._log.ended or self._log.removed or self._counting.completed

    @property
    def ended_soundly(self) -> bool:
        """Return whether JMeter itself said that its test has ended, or says nothing at all."""
        return self._log.ended or self._counting.completed or not self._log.spoke

    @property
    def trouble(self) -> str:
        """Return what the log tells of a failure, empty without one."""
        return self._log.trouble

    @property
    def last_lines(self) -> str:
        """Return the last lines of its log."""
        with self.changed:
            return self._log.last_lines

    def open_gate(self, limit: float) -> bool:
        """Let JMeter go on, and return whether that was told to it within so many seconds."""
        self._hub.callbacks.call(self._gate.set)
        with self.changed:
            return self.changed.wait_for(lambda: self.went_at is not None, limit)

    def doubts(self) -> Iterator[str]:
        """Yield why what was counted cannot be believed, once it is over."""
        said, seen = self._log.summary, self._counting.seen
        if self._log.broken:
            yield self._log.broken
        if self._hub.trouble:
            yield f"what it sent last may not have been read, as Kafka is in trouble: {self._hub.trouble}"
        if said is None:
            what, advice = self.summary_lack
            yield (
                f"JMeter's own summary {what}, so its {seen.samples} rows cannot be compared with it:"
                f" {advice}"
            )
        elif said != seen:
            yield (
                f"JMeter's own summary says {said.samples} samples, {said.failures} of them failed; its rows "
                f"on {self._hub.terms.metrics_topic} were {seen.samples} and {seen.failures}"
            )
        if not self._counting.totals.requests:
            yield "JMeter ran to its end without a single sample"

    def cut(self) -> None:
        """Make frames of the seconds that are over, and of late rows, unless that was done a moment ago."""
        with self.changed:
            now = time.monotonic()
            if now - self._cut_at < CUT_EVERY:
                return
            self._cut_at = now
            before = math.floor(self.elapsed - SETTLING)
            if self.says_ended:
                # rows may still come, but no more load
                before = min(before, math.ceil(self._counting.last_end))
            self._keep(self._counting.take(before))

    def finish(self, *, stopped: bool) -> Manifest:
        """Make frames of all that is left, and return how it ended."""
        with self.changed:
            self._keep(self._counting.rest())
            itself = "" if stopped else self._log.stopped
            return Manifest(
                slice=self.identity.slice,
                incarnation=INCARNATION,
                last_sequence=self._press.sequence,
                ended_at=self._counting.last_end,
                ends=[self._counting.last_end],
                stopped=stopped,
                aborted=f"the test plan ended itself: {itself}" if itself else "",
                reason="it was told to stop" if stopped else "",
                doubts=[] if stopped else list(self.doubts()),
                totals=self._counting.totals,
            )

    def _keep(self, spans: list[Span]) -> None:
        for span in spans:
            for sequence, frame in self._press.pack(span):
                self._frames.append((sequence, sign(self._key, frame)))

    def frames(self, after: int, manifest: Manifest | None) -> FrameBatch:
        """Return the frames behind a sequence, and how it ended with the last of them."""
        with self.changed:
            while self._frames and self._frames[0][0] <= after:
                self._frames.popleft()
            batch: list[bytes] = []
            last, size = after, 0
            for sequence, frame in self._frames:
                if batch and size + len(frame) > _BATCH:
                    break
                batch.append(frame)
                last, size = sequence, size + len(frame)
            rest = last < self._press.sequence
            return FrameBatch(
                frames=batch,
                last_sequence=last,
                state="running" if manifest is None else "ended",
                manifest=None if rest else manifest,
            )
