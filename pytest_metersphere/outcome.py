"""What came of a run: its data and its course, judged and put together for the reports."""

from __future__ import annotations

import dataclasses

import msgspec

from pytest_metersphere.dist import run as run_module
from pytest_metersphere.dist.collect import SliceData
from pytest_metersphere.dist.intake import Intake
from pytest_metersphere.dist.plan import Plan, PlanRow, timetable
from pytest_metersphere.dist.run import Run, Slice
from pytest_metersphere.dist.wire import WorkerLoss
from pytest_metersphere.reports import compose
from pytest_metersphere.reports.document import (
    ErrorInfo,
    Ledger,
    NodeResult,
    PlanEntry,
    ScenarioResult,
    Validity,
)
from pytest_metersphere.reports.wording import plural
from pytest_metersphere.scenario.model import Scenario
from pytest_metersphere.thresholds.grammar import parse
from pytest_metersphere.thresholds.judge import Judgement, decide
from pytest_metersphere.units import format_duration


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


@dataclasses.dataclass(slots=True)
class Course:
    """What the controller did and saw beside the data.

    Attributes:
        started_at: wall clock at go, ISO 8601.
        not_started: why the load did not start, empty when it did.
        aborted: why it was broken off from here, empty when it was not.
        stopped: the slices were told to end before their time.
        overdue: ids of slices that did not end in time.
    """

    started_at: str
    not_started: str = ""
    aborted: str = ""
    stopped: bool = False
    overdue: set[str] = dataclasses.field(default_factory=set)


def result_of(run: Run, planned: Planned, intake: Intake, course: Course) -> ScenarioResult:
    """Return the judged result of a run, however far it came."""
    return _Outcome(run, planned, intake, course).result()


class _Outcome:
    """Puts the result of one run together."""

    def __init__(self, run: Run, planned: Planned, intake: Intake, course: Course) -> None:
        self._run = run
        self._planned = planned
        self._intake = intake
        self._collector = intake.collector
        self._course = course
        self._names = {item.id: item.node.name for item in run.slices}

    def result(self) -> ScenarioResult:
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
            started_at=self._course.started_at,
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
            warnings=[*compose.label_warnings(data.measured), *self._kafka_warnings()],
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
            samples_fail=self._planned.scenario.jmx is not None,
        )
        if not self._course.not_started:
            return judgement
        finding = f"the load did not start: {self._course.not_started.splitlines()[0]}"
        return msgspec.structs.replace(judgement, verdict="error", findings=[finding])

    def _errors(self) -> list[ErrorInfo]:
        data = self._collector.scenarios[0]
        errors = compose.error_infos(data.measured, data.warmup)
        if self._course.not_started:
            message = self._course.not_started.splitlines()[0]
            errors.append(
                ErrorInfo(
                    label="", kind="start", message=message, count=1, exemplars=[self._course.not_started]
                )
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
        reasons += [self._loss_reason(key, loss) for (key, _), loss in self._intake.losses.items()]
        reasons += [
            f"{why} (lost after second {self._last_second(key)})" for key, why in self._intake.silent.items()
        ]
        reasons += [
            f"node {self._names[key]} did not end in time (last heard of in second {self._last_second(key)})"
            for key in sorted(self._course.overdue)
        ]
        reasons += self._collector.conflict_reasons()
        reasons += self._collector.lost_reasons()
        for item in self._run.slices:
            manifest = self._collector.slices[item.id].manifest
            if manifest is not None and manifest.stopped and not (self._course.stopped or self._aborted):
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
        node = self._names[key]
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
        if item.id in self._intake.silent or item.id in self._course.overdue:
            return "lost"
        if any(key == item.id for key, _ in self._intake.losses):
            return "lost a worker"
        if data.manifest is None:
            return "not started" if self._course.not_started else "not heard to the end"
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
            repaired=self._collector.repaired,
            rejected=self._collector.rejected,
            exchanges=counted + warmup + interrupted,
            counted=counted,
            warmup=warmup,
            interrupted=interrupted,
        )

    @property
    def _aborted(self) -> str:
        return self._course.aborted or self._intake.aborted

    def _kafka_warnings(self) -> list[str]:
        """Return what there is to know of frames that did not come over Kafka by themselves."""
        repaired = self._collector.repaired
        if not repaired:
            return []
        troubles = [
            f"; node {data.node} last said: {data.manifest.kafka}"
            for data in self._collector.slices.values()
            if data.manifest is not None and data.manifest.kafka
        ]
        frames = plural(repaired, "frame")
        return [
            f"{frames} did not come over Kafka in time and were fetched from the nodes{''.join(troubles[:1])}"
        ]
