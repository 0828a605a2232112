"""One run of one scenario, from the start of its slices to the judged result."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

import msgspec

from pytest_metersphere.dist import run as run_module
from pytest_metersphere.dist.collect import Collector, SliceData
from pytest_metersphere.dist.feed import Arrival, Feed, SpoolFeed
from pytest_metersphere.dist.plan import Plan, PlanRow, timetable
from pytest_metersphere.dist.run import Run, Slice
from pytest_metersphere.dist.wire import WorkerLoss
from pytest_metersphere.errors import NodeError, PreflightError
from pytest_metersphere.options import OnNodeLoss
from pytest_metersphere.reports import compose
from pytest_metersphere.reports.document import (
    ErrorInfo,
    Ledger,
    NodeResult,
    PlanEntry,
    ScenarioResult,
    Validity,
)
from pytest_metersphere.scenario.model import Scenario
from pytest_metersphere.terminal import Progress
from pytest_metersphere.thresholds.grammar import parse
from pytest_metersphere.thresholds.judge import Judgement, decide
from pytest_metersphere.units import format_duration

DRAIN = 5.0
"""Seconds that the last frames may take once a slice should be over."""
STUCK = 8.0
"""Seconds that a slice takes to give up users which neither end nor can be interrupted."""
_POLL = 0.25
_GRACE_WHEN_INVALID = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class Planned:
    """A scenario with the session's options applied, and who gets its users.

    Attributes:
        nodes: names, in the order of the pool.
        capacities: what they had free.
    """

    scenario: Scenario
    nodes: list[str]
    capacities: list[int]
    plan: Plan

    def rows(self) -> list[PlanRow]:
        """Return the shares over time."""
        return timetable(self.plan, self.scenario.profile)

    def shares(self) -> list[int]:
        """Return the users of each node at the peak."""
        return self.plan.shares(self.scenario.profile.peak)


class Execution:
    """One run."""

    def __init__(
        self,
        run: Run,
        planned: Planned,
        watch: Callable[[Progress], None],
        on_node_loss: OnNodeLoss = "fail",
    ) -> None:
        """Prepare to run the slices of `run`.

        Args:
            run: the slices, not started yet.
            planned: what they are to do.
            watch: is told of every second that is settled.
            on_node_loss: whether the load of the others ends with a lost node or worker.
        """
        self._run = run
        self._planned = planned
        self._watch = watch
        self._goes_on = on_node_loss == "continue"
        self._slices = {item.id: item for item in run.slices}
        self._collector = self._new_collector()
        self._losses: dict[tuple[str, int], WorkerLoss] = {}
        self._silent: dict[str, str] = {}
        self._overdue: set[str] = set()
        self._not_started = ""
        self._aborted = ""
        self._stopping = False
        self._shown = 0
        self._started_at = now()
        self._go = 0.0

    def execute(self) -> None:
        """Start the slices, wait for all to be ready, let them go, and collect until the last has ended.

        What keeps them from starting is part of the result.

        Raises:
            KeyboardInterrupt: the user ended the run; the slices were stopped and drained.
        """
        with _sigterm_as_interrupt():
            try:
                self._start()
                self._begin()
            except (PreflightError, NodeError) as error:
                self._not_started = str(error)
                return
            feed = SpoolFeed({item.id: item.node.connect for item in self._run.slices})
            try:
                self._collect(feed)
            except KeyboardInterrupt:
                self._aborted = "interrupted by the user"
                self._run.stop(0.0)
                self._drain(feed)
                raise
            finally:
                feed.close()

    def _start(self) -> None:
        self._run.start()
        self._run.wait_until_ready()
        self._collector = self._new_collector()

    def _new_collector(self) -> Collector:
        run = self._run
        slices = {item.id: SliceData(item.node.name, item.incarnation) for item in run.slices}
        return Collector(run.id, run.key, slices, 1, run.interval)

    def _begin(self) -> None:
        self._started_at, self._go = now(), time.monotonic()
        self._run.go()

    def _collect(self, feed: Feed) -> None:
        profile = self._planned.scenario.profile
        latest = self._go + profile.duration + profile.graceful_stop + STUCK + DRAIN
        while waiting := self._waiting():
            for arrival in feed.receive(_POLL):
                self._take(arrival)
            self._report_progress()
            if self._to_be_stopped() and not self._stopping:
                self._stopping = True
                self._run.stop(_GRACE_WHEN_INVALID)
                latest = min(latest, time.monotonic() + _GRACE_WHEN_INVALID + STUCK + DRAIN)
            if time.monotonic() > latest:
                self._overdue.update(waiting)
                return

    def _to_be_stopped(self) -> bool:
        lost = (self._losses or self._silent) and not self._goes_on
        return bool(lost or self._aborted or self._spread_reasons() or self._collector.contradicted)

    def _drain(self, feed: Feed) -> None:
        """Take what the stopped slices still have to say."""
        latest = time.monotonic() + DRAIN
        while self._waiting() and time.monotonic() < latest:
            for arrival in feed.receive(_POLL):
                self._take(arrival)

    def _waiting(self) -> list[str]:
        slices = self._collector.slices
        return [key for key, data in slices.items() if data.manifest is None and key not in self._silent]

    def _take(self, arrival: Arrival) -> None:
        for signed in arrival.frames:
            self._collector.add(signed)
        for loss in arrival.losses:
            self._losses[arrival.slice, loss.worker] = loss
        if arrival.silence:
            self._silent[arrival.slice] = arrival.silence
            self._slices[arrival.slice].lost = True
        if arrival.manifest is not None:
            self._collector.end(arrival.manifest)
            self._aborted = self._aborted or arrival.manifest.aborted

    def _report_progress(self) -> None:
        interval = self._collector.interval
        settled = self._collector.settled() // interval * interval
        if settled <= self._shown:
            return
        self._shown = settled
        data = self._collector.scenarios[0]
        tally = data.series.at(settled - interval)
        times = compose.all_samples(tally).response if tally else None
        self._watch(
            Progress(
                scenario=self._planned.scenario.name,
                second=settled,
                duration=self._planned.scenario.profile.duration,
                users=tally.users if tally else 0,
                rps=round(tally.requests / interval) if tally else 0,
                p95=times.percentile(95) if times and times.count else None,
                requests=data.measured.requests,
                failures=data.measured.failures,
            )
        )

    def result(self) -> ScenarioResult:
        """Return the judged result of what was collected."""
        scenario, data = self._planned.scenario, self._collector.scenarios[0]
        duration = self._duration()
        invalid = self._invalid_reasons()
        judgement = self._judged(duration, invalid)
        response, service = compose.overall_times(data.measured)
        series = compose.overall_series(data.series)
        return ScenarioResult(
            nodeid=scenario.nodeid,
            name=scenario.name,
            file=scenario.path,
            line=scenario.line,
            run_id=self._run.id,
            started_at=self._started_at,
            verdict=judgement.verdict,
            findings=judgement.findings,
            profile=compose.profile_info(scenario),
            plan=self._plan_entries(),
            totals=compose.totals_info(
                data.measured, duration, max((point.users for point in series), default=0)
            ),
            response=response,
            service=service,
            labels=compose.label_infos(data.measured, duration, data.series),
            series=series,
            nodes=[self._node_result(item) for item in self._run.slices],
            ledger=self._ledger(),
            validity=Validity(valid=not invalid, reasons=invalid),
            thresholds=[compose.threshold_info(outcome) for outcome in judgement.outcomes],
            errors=self._errors(),
            go_spread_s=self._run.go_spread,
            iterations_excused=judgement.failed_iterations_excused,
            warnings=compose.label_warnings(data.measured),
        )

    def _judged(self, duration: float, invalid: list[str]) -> Judgement:
        thresholds = [parse(text) for text in self._planned.scenario.thresholds]
        measured = self._collector.scenarios[0].measured
        judgement = decide(
            thresholds,
            measured,
            duration,
            invalid=invalid,
            aborted=self._aborted,
            overflow=measured.overflow,
        )
        if not self._not_started:
            return judgement
        finding = f"the load did not start: {self._not_started.splitlines()[0]}"
        return msgspec.structs.replace(judgement, verdict="error", findings=[finding])

    def _errors(self) -> list[ErrorInfo]:
        data = self._collector.scenarios[0]
        errors = compose.error_infos(data.measured, data.warmup)
        if self._not_started:
            message = self._not_started.splitlines()[0]
            errors.append(
                ErrorInfo(label="", kind="start", message=message, count=1, exemplars=[self._not_started])
            )
        return errors

    def _duration(self) -> float:
        """Return the measured seconds: from the end of the warm-up to the end of the last user."""
        ends = [
            data.manifest.ended_at if data.manifest else data.complete + 1.0
            for data in self._collector.slices.values()
        ]
        return max(0.0, max(ends, default=0.0) - self._planned.scenario.profile.warmup)

    def _invalid_reasons(self) -> list[str]:
        reasons = self._spread_reasons()
        reasons += [self._loss_reason(key, loss) for (key, _), loss in self._losses.items()]
        reasons += [
            f"{why} (lost after second {self._last_second(key)})" for key, why in self._silent.items()
        ]
        reasons += [
            f"node {self._slices[key].node.name} did not end in time "
            f"(last heard of in second {self._last_second(key)})"
            for key in sorted(self._overdue)
        ]
        reasons += self._collector.conflict_reasons()
        reasons += self._collector.lost_reasons()
        for item in self._run.slices:
            manifest = self._collector.slices[item.id].manifest
            if manifest is not None and manifest.stopped and not (self._stopping or self._aborted):
                reasons.append(
                    f"node {item.node.name} ended its load by itself: {manifest.reason or 'no reason given'}"
                )
        return reasons

    def _spread_reasons(self) -> list[str]:
        spread, limit = self._run.go_spread, run_module.GO_SPREAD_LIMIT
        if spread <= limit:
            return []
        found, allowed = format_duration(spread), format_duration(limit)
        return [f"the nodes began {found} apart, at most {allowed} is allowed: their seconds do not match"]

    def _last_second(self, key: str) -> int:
        return self._collector.slices[key].complete

    def _loss_reason(self, key: str, loss: WorkerLoss) -> str:
        node = self._slices[key].node.name
        when = f"in second {loss.second}" if loss.second >= 0 else "before the start"
        return f"node {node} lost worker {loss.worker} (process {loss.pid}) {when}: {loss.reason}"

    def _plan_entries(self) -> list[PlanEntry]:
        planned = self._planned
        rows = zip(planned.nodes, planned.capacities, planned.shares(), strict=True)
        return [PlanEntry(node=node, capacity=capacity, users=users) for node, capacity, users in rows]

    def _node_result(self, item: Slice) -> NodeResult:
        data = self._collector.slices[item.id]
        return NodeResult(
            name=item.node.name,
            users=data.users,
            requests=data.requests,
            failures=data.failures,
            cpu=data.cpu / data.cpu_seconds if data.cpu_seconds else None,
            loop_lag_p99=data.lag if data.cpu_seconds else None,
            status=self._status(item, data),
        )

    def _status(self, item: Slice, data: SliceData) -> str:
        if item.id in self._silent or item.id in self._overdue:
            return "lost"
        if any(key == item.id for key, _ in self._losses):
            return "lost a worker"
        if data.manifest is None:
            return "not started" if self._not_started else "not heard to the end"
        return "stopped" if data.manifest.stopped else "ended"

    def _ledger(self) -> Ledger:
        slices = self._collector.slices.values()
        data = self._collector.scenarios[0]
        counted, warmup = data.measured.exchanges, data.warmup.exchanges
        interrupted = data.measured.interrupted + data.warmup.interrupted
        return Ledger(
            sent=sum(one.sent for one in slices),
            received=sum(one.received for one in slices),
            duplicates=self._collector.duplicates,
            lost=sum(one.lost for one in slices),
            repaired=0,
            rejected=self._collector.rejected,
            exchanges=counted + warmup + interrupted,
            counted=counted,
            warmup=warmup,
            interrupted=interrupted,
        )


def now() -> str:
    """Return the wall clock as ISO 8601 in UTC, to the millisecond."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@contextlib.contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Let SIGTERM end a running load as Ctrl-C does, instead of killing pytest without a report."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt("SIGTERM")

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
