"""The document: the value that every report is rendered from, and the schema of results.json.

All times are seconds, all rates per second, all sizes bytes. A later version of the schema only
adds fields.
"""

from __future__ import annotations

from typing import Literal

import msgspec

SCHEMA = "pytest-metersphere/results/1"

Verdict = Literal["passed", "failed", "invalid", "aborted", "error"]
ThresholdState = Literal["passed", "failed", "error"]


class Tool(msgspec.Struct, kw_only=True):
    """Who wrote the document."""

    name: str
    version: str


class SessionInfo(msgspec.Struct, kw_only=True):
    """The pytest session.

    Attributes:
        started_at: ISO 8601, UTC.
        ended_at: ISO 8601, UTC.
        pool: the pool as the user named or wrote it.
        kafka: bootstrap servers, None when results were pulled from the nodes.
        git_sha: commit of the rootdir, None outside a repository.
    """

    started_at: str
    ended_at: str
    pool: str
    kafka: str | None
    git_sha: str | None
    python: str
    host: str


class StageInfo(msgspec.Struct, kw_only=True):
    """A piece of the load curve; duration_s None: until the iterations are done."""

    duration_s: float | None
    users: int


class RateStageInfo(msgspec.Struct, kw_only=True):
    """A piece of the arrival rate's curve; `rate` is that at its end, per second."""

    duration_s: float
    rate: float


class ArrivalsInfo(msgspec.Struct, kw_only=True):
    """When iterations were due in the open model.

    Attributes:
        rate: the largest, per second.
        process: even or poisson.
        scheduled: how many iterations the whole curve is good for.
    """

    rate: float
    process: Literal["even", "poisson"]
    scheduled: int
    stages: list[RateStageInfo]


class ProfileInfo(msgspec.Struct, kw_only=True):
    """What was asked for.

    Attributes:
        users: most users at once.
        iterations: at most so many for each user; `shared_iterations` for all of them together.
        pacing_s: seconds from one intended start of a user's iterations to the next.
        arrivals: None in the closed model.
    """

    users: int
    duration_s: float | None
    stages: list[StageInfo]
    warmup_s: float
    iterations: int | None
    think_s: tuple[float, float]
    graceful_stop_s: float
    shared_iterations: int | None = None
    pacing_s: float | None = None
    arrivals: ArrivalsInfo | None = None


class PlanEntry(msgspec.Struct, kw_only=True):
    """A node's share; capacity is what was free of it when the run was planned."""

    node: str
    capacity: int
    users: int


class TotalsInfo(msgspec.Struct, kw_only=True):
    """The scenario over all nodes and labels, warm-up and transactions left out.

    Attributes:
        users_max: most users alive at once.
        failed_by_sample: those of the failed iterations that ended by a failed sample.
        duration_s: measured seconds, from the end of the warm-up to the end of the last user.
    """

    users_max: int
    iterations: int
    failed_iterations: int
    failed_by_sample: int
    skipped_iterations: int
    iteration_error_rate: float
    requests: int
    failures: int
    error_rate: float
    duration_s: float
    rps: float
    bytes_sent: int
    bytes_received: int
    dropped_iterations: int


class TimesInfo(msgspec.Struct, kw_only=True):
    """A distribution of times in seconds; `histogram` is HdrHistogram V2, base64, microseconds.

    None stands where no value was recorded.
    """

    count: int
    min: float | None
    mean: float | None
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    p999: float | None
    max: float | None
    histogram: str


class SeriesPoint(msgspec.Struct, kw_only=True):
    """One slot of a chart, warm-up included.

    Attributes:
        t: begin of the slot, seconds from go; the slot ends where the next one begins.
        users: most users alive at once.
        p50, p95, p99: response times of the slot, None without samples.
    """

    t: float
    users: int
    requests: int
    failures: int
    p50: float | None
    p95: float | None
    p99: float | None


class PhasesInfo(msgspec.Struct, kw_only=True):
    """What a mean response time of `vu.http` is made of, seconds.

    Attributes:
        dns: looking the name up.
        connect: connecting; on a kept connection 0, as dns and tls are.
        tls: the TLS handshake.
        send: sending the request.
        wait: from then to the first byte of the answer.
        receive: from then to its last byte.
    """

    dns: float
    connect: float
    tls: float
    send: float
    wait: float
    receive: float


class LabelInfo(msgspec.Struct, kw_only=True):
    """The samples of one label; kind is request, sample or transaction.

    Attributes:
        phases: means over its requests, None for samples and transactions.
    """

    name: str
    kind: Literal["request", "sample", "transaction"]
    requests: int
    failures: int
    error_rate: float
    rps: float
    bytes_sent: int
    bytes_received: int
    response: TimesInfo
    service: TimesInfo
    series: list[SeriesPoint]
    phases: PhasesInfo | None = None


class NodeResult(msgspec.Struct, kw_only=True):
    """What one node did.

    Attributes:
        users: most users alive at once.
        cpu: mean CPU use of its workers, in cores.
        loop_lag_p99: the worst second's 99th percentile of event-loop lateness, seconds.
        start_lag_p99: the worst second's 99th percentile of how late iterations began that had their time.
        start_lag_p99_overall: the 99th percentile of that over the whole load, warm-up included. All three
            are None where JMeter runs the load.
        descriptors: most open file descriptors of one of its workers; `descriptor_limit` is its limit.
        status: ended, stopped, lost, or what befell it.
    """

    name: str
    users: int
    requests: int
    failures: int
    cpu: float | None
    loop_lag_p99: float | None
    status: str
    start_lag_p99: float | None = None
    start_lag_p99_overall: float | None = None
    descriptors: int | None = None
    descriptor_limit: int | None = None


class Ledger(msgspec.Struct, kw_only=True):
    """The proof that nothing was lost or counted twice.

    sent … rejected count frames; exchanges … interrupted count HTTP exchanges:
    exchanges = counted + warmup + interrupted is what the server under test must have seen, unless it gave
    no answer to some (unanswered), or may have seen some twice (repeated, counted once).
    The last three count iterations of the open model, warm-up included: scheduled = started + dropped.
    """

    sent: int
    received: int
    duplicates: int
    lost: int
    repaired: int
    rejected: int
    exchanges: int
    counted: int
    warmup: int
    interrupted: int
    scheduled: int = 0
    started: int = 0
    dropped: int = 0
    unanswered: int = 0
    repeated: int = 0


class Validity(msgspec.Struct, kw_only=True):
    """Whether the numbers can be believed, and why not."""

    valid: bool
    reasons: list[str]


class ThresholdInfo(msgspec.Struct, kw_only=True):
    """One judged threshold.

    Attributes:
        expr: the threshold as written.
        label: its label pattern, None when it is over all requests and samples.
        observed: what was found, in the metric's unit (seconds, fractions, counts); None without data.
        limit: what it was compared with, in the same unit.
        message: the finding in words, "p95 412 ms, limit < 300 ms".
    """

    expr: str
    label: str | None
    observed: float | None
    limit: float
    state: ThresholdState
    message: str


class ErrorInfo(msgspec.Struct, kw_only=True):
    """Failures with the same label, kind and message (numbers, UUIDs and hashes as `{}`)."""

    label: str
    kind: str
    message: str
    count: int
    exemplars: list[str]


class ScenarioResult(msgspec.Struct, kw_only=True):
    """One run of one scenario.

    Attributes:
        file, line: where the test stands, for annotations.
        findings: why the verdict is not `passed`, one sentence each; every report shows these words.
        series: all requests and samples over time.
        go_spread_s: spread of the nodes' acknowledgements of go.
        warnings: what else a reader of the numbers should know, one sentence each; the verdict does not
            follow from it.
        iterations_excused: a threshold said how many iterations may fail, so that the failed ones are
            no failure by themselves.
        group: the group with which it ran as one run, empty when it ran alone.
    """

    nodeid: str
    name: str
    file: str
    line: int
    run_id: str
    started_at: str
    verdict: Verdict
    findings: list[str]
    profile: ProfileInfo
    plan: list[PlanEntry]
    totals: TotalsInfo
    response: TimesInfo
    service: TimesInfo
    labels: list[LabelInfo]
    series: list[SeriesPoint]
    nodes: list[NodeResult]
    ledger: Ledger
    validity: Validity
    thresholds: list[ThresholdInfo]
    errors: list[ErrorInfo]
    go_spread_s: float | None = None
    iterations_excused: bool = False
    warnings: list[str] = []
    group: str = ""


class Document(msgspec.Struct, kw_only=True):
    """Everything that results.json holds."""

    schema: str
    tool: Tool
    session: SessionInfo
    scenarios: list[ScenarioResult]
