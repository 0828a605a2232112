"""What came of a run: its data and its course, judged and put together for the reports."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import msgspec

from pytest_metersphere.dist import run as run_module
from pytest_metersphere.dist.collect import ScenarioData, SliceData
from pytest_metersphere.dist.intake import Intake
from pytest_metersphere.dist.run import Run, Slice
from pytest_metersphere.metrics.health import NodeHealth
from pytest_metersphere.planning import Planned
from pytest_metersphere.reports import compose
from pytest_metersphere.reports.document import (
    ErrorInfo,
    Ledger,
    NodeResult,
    PlanEntry,
    ScenarioResult,
    Validity,
)
from pytest_metersphere.reports.wording import plural, starts_add_up, starts_equation
from pytest_metersphere.thresholds.grammar import parse
from pytest_metersphere.thresholds.judge import Judgement, decide
from pytest_metersphere.units import format_duration

_MOST_TOLD = 20


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


def results_of(run: Run, planned: Sequence[Planned], intake: Intake, course: Course) -> list[ScenarioResult]:
    """Return the judged results of a run's scenarios, however far it came."""
    return [_Outcome(run, each, place, intake, course).result() for place, each in enumerate(planned)]


class _Outcome:
    """Puts the result of one scenario of a run together.

    What was lost makes all scenarios of the run invalid: the nodes' frames tell of all of them.
    """

    def __init__(self, run: Run, planned: Planned, place: int, intake: Intake, course: Course) -> None:
        self._run = run
        self._planned = planned
        self._place = place
        self._intake = intake
        self._collector = intake.collector
        self._data = intake.collector.scenarios[place]
        self._course = course
        self._names = {item.id: item.node.name for item in run.slices}

    def result(self) -> ScenarioResult:
        scenario, data = self._planned.scenario, self._data
        ended = self._ended()
        duration = max(0.0, ended - scenario.profile.warmup)
        if self._run.scenarios > 1:
            data.series.end(math.ceil(ended))
        invalid = self._invalid_reasons()
        judgement = self._judged(duration, invalid)
        response, service = compose.overall_times(data.measured)
        series = compose.overall_series(data.series)
        ledger = self._ledger()
        return ScenarioResult(
            nodeid=scenario.nodeid,
            name=scenario.name,
            file=scenario.path,
            line=scenario.line,
            run_id=self._run.id,
            group=scenario.group if self._run.scenarios > 1 else "",
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
            nodes=[self._node_result(item) for item in self._run.slices if item.parts[self._place].users],
            ledger=ledger,
            validity=Validity(valid=not invalid, reasons=invalid),
            thresholds=[compose.threshold_info(outcome) for outcome in judgement.outcomes],
            errors=self._errors(),
            go_spread_s=self._run.go_spread,
            iterations_excused=judgement.failed_iterations_excused,
            warnings=[
                *compose.label_warnings(data.measured),
                *compose.dropped_warnings(ledger, scenario.profile.peak),
                *self._health_told(lambda health, node: health.warnings(node, response.p95)),
                *self._kafka_warnings(),
                *filter(None, [self._planned.without_row()]),
            ],
        )

    def _judged(self, duration: float, invalid: list[str]) -> Judgement:
        thresholds = [parse(text) for text in self._planned.scenario.thresholds]
        measured = self._data.measured
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
        data = self._data
        errors = compose.error_infos(data.measured, data.warmup)
        if self._course.not_started:
            message = self._course.not_started.splitlines()[0]
            errors.append(
                ErrorInfo(
                    label="", kind="start", message=message, count=1, exemplars=[self._course.not_started]
                )
            )
        return errors

    def _ended(self) -> float:
        """Return the seconds from go to the end of the scenario's last user, as far as it is known."""
        ends = [self._ended_on(item) for item in self._run.slices if item.parts[self._place].users]
        return max(ends, default=0.0)

    def _ended_on(self, item: Slice) -> float:
        data = self._collector.slices[item.id]
        if data.manifest is None:
            profile = self._planned.scenario.profile
            return min(data.complete + 1.0, profile.duration + profile.graceful_stop)
        ends = data.manifest.ends
        return ends[self._place] if len(ends) > self._place else data.manifest.ended_at

    def _invalid_reasons(self) -> list[str]:
        reasons = self._spread_reasons()
        reasons += self._intake.loss_reasons().values()
        reasons += [
            f"node {self._names[key]} did not end in time (last heard of in second {self._last_second(key)})"
            for key in sorted(self._course.overdue)
        ]
        reasons += self._collector.conflict_reasons()
        reasons += self._collector.lost_reasons()
        reasons += self._doubts()
        arrivals = self._planned.scenario.profile.arrivals
        if arrivals is not None:
            reasons += start_reasons(self._ledger(), arrivals.count() if self._ended_by_itself else None)
        for item in self._run.slices:
            manifest = self._collector.slices[item.id].manifest
            if manifest is not None and manifest.stopped and not (self._course.stopped or self._aborted):
                reasons.append(
                    f"node {item.node.name} ended its load by itself: {manifest.reason or 'no reason given'}"
                )
        return reasons + self._health_told(lambda health, node: health.reasons(node))

    def _doubts(self) -> list[str]:
        """Return why the slices themselves do not believe their counts."""
        return [
            f"node {data.node}: {doubt}"
            for data in self._collector.slices.values()
            if data.manifest is not None
            for doubt in data.manifest.doubts
        ]

    @property
    def _ended_by_itself(self) -> bool:
        manifests = [data.manifest for data in self._collector.slices.values()]
        return all(found is not None and not found.stopped and not found.losses for found in manifests)

    def _health_told(self, ask: Callable[[NodeHealth, str], list[str]]) -> list[str]:
        """Return what the workers' health says, of a large pool the first of it."""
        slices = self._collector.slices
        told = [text for item in self._run.slices for text in ask(slices[item.id].health, item.node.name)]
        more = len(told) - _MOST_TOLD
        return told if more <= 0 else [*told[:_MOST_TOLD], f"and so of {plural(more, 'more worker')}"]

    def _spread_reasons(self) -> list[str]:
        spread, limit = self._run.go_spread, run_module.GO_SPREAD_LIMIT
        if spread <= limit:
            return []
        found, allowed = format_duration(spread), format_duration(limit)
        return [f"the nodes began {found} apart, at most {allowed} is allowed: their seconds do not match"]

    def _last_second(self, key: str) -> int:
        return self._collector.slices[key].complete

    def _plan_entries(self) -> list[PlanEntry]:
        planned = self._planned
        rows = zip(planned.nodes, planned.capacities, planned.shares(), strict=True)
        return [PlanEntry(node=node, capacity=capacity, users=users) for node, capacity, users in rows]

    def _node_result(self, item: Slice) -> NodeResult:
        data = self._collector.slices[item.id]
        health, known = data.health, bool(data.cpu_seconds) and data.health.reported
        # nobody sees how late JMeter's threads are
        late_known = known and self._planned.scenario.jmx is None
        share = data.share(self._place)
        return NodeResult(
            name=item.node.name,
            users=share.users,
            requests=share.requests,
            failures=share.failures,
            cpu=health.cpu / data.cpu_seconds if known else None,
            loop_lag_p99=health.lag if late_known else None,
            start_lag_p99=health.start_lag if late_known else None,
            start_lag_p99_overall=health.starts.percentile(99) if late_known else None,
            descriptors=health.descriptors or None,
            descriptor_limit=health.descriptor_limit or None,
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
        data = self._data
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
            scheduled=_all(data, "scheduled_iterations"),
            started=_all(data, "started_iterations"),
            dropped=_all(data, "dropped_iterations"),
            unanswered=_all(data, "unanswered_exchanges"),
            repeated=_all(data, "repeated_exchanges"),
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


def start_reasons(ledger: Ledger, expected: int | None) -> list[str]:
    """Return a sentence when the iterations of the open model do not add up.

    `expected` is how many the load curve is good for, None when the load was ended before its time.
    """
    if not starts_add_up(ledger):
        return [f"the starts do not add up: {starts_equation(ledger)}"]
    if expected is None or ledger.scheduled == expected:
        return []
    return [f"the nodes scheduled {ledger.scheduled:,} of {plural(expected, 'iteration')}"]


def _all(data: ScenarioData, name: str) -> int:
    """Return a count of both phases."""
    return int(getattr(data.warmup, name)) + int(getattr(data.measured, name))
