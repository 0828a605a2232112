"""What a second of load comes to: tallies, and the frame that carries them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from pytest_metersphere.metrics.histogram import Histogram

Kind = Literal["request", "sample", "transaction"]
Phase = Literal["warmup", "measured"]

VERSION = 2
MAX_LABELS = 500
MAX_ERROR_GROUPS = 100
MAX_EXEMPLARS = 5
MAX_EXEMPLAR_SIZE = 4096
LAST_SECOND = 1 << 27
"""The last second that a frame may tell of, four years after go; checked where one is decoded."""
OTHER = "(other)"
"""The label, or the error message, that stands for all those above the limit."""


class Phases(msgspec.Struct, array_like=True):
    """What the response times of requests are made of, summed up in whole microseconds.

    Attributes:
        dns: looking names up.
        connect: connecting.
        tls: TLS handshakes.
        send: sending the requests.
        wait: from then to the first byte of the answers.
        receive: from then to their last byte.
    """

    dns: int = 0
    connect: int = 0
    tls: int = 0
    send: int = 0
    wait: int = 0
    receive: int = 0

    def merge(self, other: Phases) -> None:
        """Add the sums of other requests."""
        self.dns += other.dns
        self.connect += other.connect
        self.tls += other.tls
        self.send += other.send
        self.wait += other.wait
        self.receive += other.receive


class LabelTally(msgspec.Struct, array_like=True):
    """The samples of one label.

    Attributes:
        kind: request (vu.http), sample (vu.sample) or transaction (vu.transaction).
        requests: number of samples, failed ones included.
        failures: number of failed samples.
        bytes_sent: HTTP bytes sent, heads included.
        bytes_received: HTTP bytes received, heads included.
        response: response times (from the call to the last byte, connecting included).
        service: service times (from the first byte sent to the last byte received); a sample that
            never sent a byte has none.
        phases: what the response times of requests are made of; all 0 for samples and transactions.
    """

    kind: Kind
    requests: int = 0
    failures: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    response: Histogram = msgspec.field(default_factory=Histogram)
    service: Histogram = msgspec.field(default_factory=Histogram)
    phases: Phases = msgspec.field(default_factory=Phases)

    def merge(self, other: LabelTally) -> None:
        """Add the samples of another tally."""
        self.requests += other.requests
        self.failures += other.failures
        self.bytes_sent += other.bytes_sent
        self.bytes_received += other.bytes_received
        self.response.merge(other.response)
        self.service.merge(other.service)
        self.phases.merge(other.phases)


class ErrorTally(msgspec.Struct, array_like=True):
    """Failures with the same label, kind and message.

    Attributes:
        label: label of the failed sample, empty for a failed iteration.
        kind: status, refused, reset, timeout, dns, tls, protocol, assert, exception, failed, skipped.
        message: its text with numbers, UUIDs and hashes as `{}`.
        count: how many.
        exemplars: at most five of them in full, each sent once and at most 4 KiB long.
    """

    label: str
    kind: str
    message: str
    count: int = 0
    exemplars: list[str] = []


class Tally(msgspec.Struct, array_like=True):
    """Everything that one scenario did in one span of time on one or many machines.

    Attributes:
        users: the most virtual users alive at once.
        iterations: iterations that ended, failed and skipped ones included, interrupted ones not.
        failed_iterations: iterations that failed.
        failed_by_sample: those of them that ended by a failed sample.
        skipped_iterations: iterations that ended by pytest.skip.
        dropped_iterations: scheduled starts for which no user was free.
        exchanges: HTTP exchanges of the samples counted here; each redirect is one.
        interrupted: HTTP exchanges begun and not finished when their user was stopped.
        labels: the samples by label.
        errors: the failures by label, kind and message.
        overflow: there were more than MAX_LABELS labels, and samples stand under OTHER for it.
        scheduled_iterations: iterations that were due; of the open model only, as the next.
        started_iterations: those of them that began; each other one was dropped.
        unanswered_exchanges: those of the exchanges that ended before any byte of an answer.
        repeated_exchanges: requests sent once more because their kept connection turned out to be closed;
            both times are one exchange.
    """

    users: int = 0
    iterations: int = 0
    failed_iterations: int = 0
    failed_by_sample: int = 0
    skipped_iterations: int = 0
    dropped_iterations: int = 0
    exchanges: int = 0
    interrupted: int = 0
    labels: dict[str, LabelTally] = {}
    errors: list[ErrorTally] = []
    overflow: bool = False
    scheduled_iterations: int = 0
    started_iterations: int = 0
    unanswered_exchanges: int = 0
    repeated_exchanges: int = 0

    def merge_parallel(self, other: Tally) -> None:
        """Add what other users did in the same span: users add up."""
        users = self.users + other.users
        self.merge(other)
        self.users = users

    def merge(self, other: Tally) -> None:
        """Add what the same users did in another span: of the users the larger number stays."""
        self.users = max(self.users, other.users)
        self.iterations += other.iterations
        self.failed_iterations += other.failed_iterations
        self.failed_by_sample += other.failed_by_sample
        self.skipped_iterations += other.skipped_iterations
        self.dropped_iterations += other.dropped_iterations
        self.exchanges += other.exchanges
        self.interrupted += other.interrupted
        self.overflow = self.overflow or other.overflow
        self.scheduled_iterations += other.scheduled_iterations
        self.started_iterations += other.started_iterations
        self.unanswered_exchanges += other.unanswered_exchanges
        self.repeated_exchanges += other.repeated_exchanges
        for label, tally in other.labels.items():
            self.label(label, tally.kind).merge(tally)
        for error in other.errors:
            self.error(error.label, error.kind, error.message, error.count, error.exemplars)

    def label(self, name: str, kind: Kind) -> LabelTally:
        """Return the tally of a label, made when new; above MAX_LABELS that of OTHER.

        A name given to transactions and to samples has two tallies, the later one with its kind in the
        name: only one of them counts among the requests.
        """
        tally = self.labels.get(name)
        while tally is not None and (tally.kind == "transaction") != (kind == "transaction"):
            name = f"{name} ({kind})"
            tally = self.labels.get(name)
        if tally is None:
            if len(self.labels) >= MAX_LABELS and name not in (OTHER, f"{OTHER} ({kind})"):
                self.overflow = True
                return self.label(OTHER, kind)
            tally = self.labels[name] = LabelTally(kind)
        return tally

    def error(
        self, label: str, kind: str, message: str, count: int = 1, exemplars: list[str] | None = None
    ) -> ErrorTally:
        """Count failures of one group; above MAX_ERROR_GROUPS they go into the group OTHER."""
        group = next(
            (e for e in self.errors if e.message == message and e.label == label and e.kind == kind), None
        )
        if group is None:
            if len(self.errors) >= MAX_ERROR_GROUPS and message != OTHER:
                return self.error("", kind, OTHER, count)
            group = ErrorTally(label, kind, message)
            self.errors.append(group)
        group.count += count
        for exemplar in exemplars or []:
            if len(group.exemplars) < MAX_EXEMPLARS:
                group.exemplars.append(exemplar[:MAX_EXEMPLAR_SIZE])
        return group

    @property
    def requests(self) -> int:
        """Return the number of requests and samples; transactions are not among them."""
        return sum(t.requests for t in self.labels.values() if t.kind != "transaction")

    @property
    def failures(self) -> int:
        """Return the number of failed requests and samples."""
        return sum(t.failures for t in self.labels.values() if t.kind != "transaction")


class WorkerHealth(msgspec.Struct, array_like=True):
    """How a worker process fared in one second.

    What is held is the least of this second and the two before, so what all three exceeded; 0 unless all
    of them belong to the measured phase and had users. Of several seconds it is the largest, as is all but
    the CPU time and what is counted.

    Attributes:
        worker: its number in the slice.
        cpu: CPU time used, in cores (0 to 1 for one busy thread); the mean over several seconds.
        lag_p99: 99th percentile of the event loop's lateness, seconds; the worst of several seconds.
        start_lag_p99: 99th percentile of how late iterations began that had their time: arrivals of the
            open model, and those after a pause; seconds.
        cpu_held: the CPU time that three seconds running reached.
        lag_held: the loop's lag that three seconds running reached.
        start_lag_held: the start lag that three seconds running reached.
        descriptors: open file descriptors, 0 when they cannot be counted cheaply.
        descriptor_limit: how many there may be, 0 when nobody says.
        no_descriptor: failures for want of a descriptor (EMFILE, ENFILE).
        no_port: connections that failed for want of a local port (EADDRNOTAVAIL).
        starts: how late the iterations began of which `start_lag_p99` tells.
    """

    worker: int
    cpu: float
    lag_p99: float
    start_lag_p99: float = 0.0
    cpu_held: float = 0.0
    lag_held: float = 0.0
    start_lag_held: float = 0.0
    descriptors: int = 0
    descriptor_limit: int = 0
    no_descriptor: int = 0
    no_port: int = 0
    starts: Histogram = msgspec.field(default_factory=Histogram)


_ADDED = ("no_descriptor", "no_port")
_NUMBERS = tuple(name for name in WorkerHealth.__struct_fields__ if name != "starts")


def merged_health(seconds: Sequence[WorkerHealth]) -> WorkerHealth:
    """Return how a worker fared in several seconds, one at least."""
    first, *others = seconds
    merged = msgspec.structs.replace(first, starts=first.starts.copy())
    for other in others:
        merged.starts.merge(other.starts)
        for name in _NUMBERS:
            mine, further = getattr(merged, name), getattr(other, name)
            setattr(merged, name, mine + further if name in _ADDED else max(mine, further))
    merged.cpu = sum(second.cpu for second in seconds) / len(seconds)
    return merged


class Frame(msgspec.Struct, array_like=True):
    """One second of one slice, or a few of them in large pools, aggregated (MessagePack array on the wire).

    Attributes:
        version: version of this message.
        run: id of the run.
        slice: id of the slice.
        incarnation: tells a slice from an earlier one with the same id.
        sequence: 1, 2, 3 … within the incarnation, without gaps.
        second: whole seconds from go on that slice, by the samples' end; the first that it sums up.
        phase: warm-up or measured, by the samples' start.
        complete: this slice reports nothing more for seconds up to the last of these, late finds
            excepted.
        tallies: one for each scenario of the run, in the order of the start request.
        health: one for each worker that reported; empty in further frames of a second.
        seconds: how many seconds it sums up, `second` and those behind it.
    """

    version: int
    run: str
    slice: str
    incarnation: int
    sequence: int
    second: Annotated[int, msgspec.Meta(ge=0, le=LAST_SECOND)]
    phase: Phase
    complete: bool
    tallies: list[Tally]
    health: list[WorkerHealth] = []
    seconds: int = 1

    @property
    def last_second(self) -> int:
        """Return the last of the seconds that it sums up."""
        return self.second + self.seconds - 1
