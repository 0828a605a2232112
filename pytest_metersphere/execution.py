"""One run, of one scenario or of a group, from the start of its slices to the judged results."""

from __future__ import annotations

import contextlib
import datetime
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from pytest_metersphere.dist import run as run_module
from pytest_metersphere.dist.intake import DRAIN, Intake
from pytest_metersphere.dist.nodes import AnyNode
from pytest_metersphere.dist.run import Run
from pytest_metersphere.errors import BrokerError, NodeError, PreflightError
from pytest_metersphere.metrics.frame import Tally
from pytest_metersphere.outcome import Course, results_of
from pytest_metersphere.planning import Planned
from pytest_metersphere.reports import compose
from pytest_metersphere.reports.document import ScenarioResult
from pytest_metersphere.settings import OnNodeLoss
from pytest_metersphere.terminal import Progress

STUCK = 8.0
"""Seconds that a slice takes to give up users which neither end nor can be interrupted."""
_GRACE_WHEN_INVALID = 1.0
_BY_THE_USER = "interrupted by the user"


class Execution:
    """One run."""

    def __init__(
        self,
        run: Run,
        planned: Sequence[Planned],
        watch: Callable[[Progress], None],
        nodes: Sequence[AnyNode],
        on_node_loss: OnNodeLoss = "fail",
    ) -> None:
        """Prepare to run the slices of `run`.

        Args:
            run: the slices, not started yet.
            planned: what they are to do, a scenario or several at the same time.
            watch: is told of every second that is settled.
            nodes: all nodes of the pool; they may hold slices of other runs.
            on_node_loss: whether the load of the others ends with a lost node or worker.
        """
        self._run = run
        self._planned = planned
        self._watch = watch
        self._nodes = nodes
        self._goes_on = on_node_loss == "continue"
        self._intake = Intake(run)
        self._course = Course(started_at=now())
        self._shown = 0
        self._told: set[tuple[str, int]] = set()
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
            except (PreflightError, NodeError, BrokerError) as error:
                self._course.not_started = str(error)
                return
            except KeyboardInterrupt:
                self._course.aborted = _BY_THE_USER
                raise
            try:
                self._intake.open(self._nodes)
                self._collect()
                self._intake.drain()
            except KeyboardInterrupt:
                self._course.aborted = _BY_THE_USER
                self._run.stop(0.0)
                self._intake.drain()
                raise
            finally:
                self._intake.close()

    def results(self) -> list[ScenarioResult]:
        """Return the judged result of each scenario, from what was collected."""
        return results_of(self._run, self._planned, self._intake, self._course)

    def _start(self) -> None:
        self._run.start()
        self._run.wait_until_ready()
        self._intake = Intake(self._run)
        self._intake.prepare()
        self._course.started_at, self._go = now(), time.monotonic()
        self._run.go()

    def _collect(self) -> None:
        profiles = [each.scenario.profile for each in self._planned]
        longest = max(profile.duration + profile.graceful_stop for profile in profiles)
        tail = max((item.node.tail for item in self._run.slices), default=0.0)
        latest = self._go + longest + STUCK + DRAIN + tail
        while waiting := self._intake.waiting():
            self._intake.receive()
            self._report_progress()
            if self._to_be_stopped() and not self._course.stopped:
                self._course.stopped = True
                self._run.stop(_GRACE_WHEN_INVALID)
                latest = min(latest, time.monotonic() + _GRACE_WHEN_INVALID + STUCK + DRAIN)
            if time.monotonic() > latest:
                self._course.overdue.update(waiting)
                return

    def _to_be_stopped(self) -> bool:
        intake = self._intake
        lost = (intake.losses or intake.silent) and not self._goes_on
        apart = self._run.go_spread > run_module.GO_SPREAD_LIMIT
        return bool(lost or intake.aborted or apart or intake.collector.contradicted)

    def _report_progress(self) -> None:
        interval = self._intake.collector.interval
        settled = self._intake.collector.settled() // interval * interval
        news = self._news()
        if settled <= self._shown and not news:
            return
        self._shown = settled
        scenarios = self._intake.collector.scenarios
        tally = Tally()
        for data in scenarios:
            tally.merge_parallel(data.series.at(settled - interval) or Tally())
        times = compose.all_samples(tally).response
        self._watch(
            Progress(
                scenario=self._name(),
                second=settled,
                duration=max(each.scenario.profile.duration for each in self._planned),
                users=tally.users,
                rps=round(tally.requests / interval),
                p95=times.percentile(95) if times.count else None,
                requests=sum(data.measured.requests for data in scenarios),
                failures=sum(data.measured.failures for data in scenarios),
                dropped=sum(data.measured.dropped_iterations for data in scenarios),
                note="Kafka is late, results come from the nodes" if self._intake.detour else "",
                news=news,
            )
        )

    def _news(self) -> str:
        """Return what was lost since the last time, and what that means for the others."""
        reasons = self._intake.loss_reasons()
        new = [text for key, text in reasons.items() if key not in self._told]
        self._told.update(reasons)
        if not new:
            return ""
        return "; ".join([*new, "the load goes on" if self._goes_on else "the load is stopped"])

    def _name(self) -> str:
        """Return what the live line calls the run; for a group, its numbers are sums."""
        first = self._planned[0].scenario
        if len(self._planned) == 1:
            return first.name
        return f"{first.group} ({len(self._planned)} scenarios)"


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
