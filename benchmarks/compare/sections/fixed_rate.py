"""What a load generator adds to response times: a fixed rate, held against the clock of the server."""

from __future__ import annotations

from pathlib import Path

from benchmarks.compare import clock_server
from benchmarks.compare.clock import Clock, Truth
from benchmarks.compare.process import RunFailed, Running
from benchmarks.compare.results import Accuracy, Latency
from benchmarks.compare.rivals.base import Load, Rival
from benchmarks.compare.sections.base import Cores, scratch

RATE, USERS, SECONDS = 2000, 100, 5
_START_AND_END = 60.0


class FixedRateTask:
    """One load generator at the fixed rate."""

    def __init__(
        self, rival: Rival, version: str, model: str, clock: Clock, cores: Cores, repetitions: int
    ) -> None:
        """Prepare an empty row; `model` says how it keeps the rate."""
        self.name = f"{rival.name}, {RATE} requests/s"
        self.repetitions = repetitions
        self.accuracy = Accuracy(rival.name, version, model)
        self._rival, self._clock, self._cores = rival, clock, cores

    def measure(self) -> str:
        """Run once."""
        try:
            found = self._run()
        except RunFailed as failure:
            self.accuracy.troubles.append(str(failure))
            raise
        self.accuracy.runs.append(found)
        return (
            f"p50 {found.reported_p50 * 1e3:.1f} of {found.truth_p50 * 1e3:.1f} ms, "
            f"p99 {found.reported_p99 * 1e3:.1f} of {found.truth_p99 * 1e3:.1f} ms"
        )

    def _run(self) -> Latency:
        load = Load(
            url=self._clock.url,
            users=USERS,
            seconds=SECONDS + self._rival.settles,
            rate=RATE,
            answers_in=clock_server.MEAN,
        )
        network = self._clock.network({self._cores.load})
        self._clock.truth()
        with scratch() as name:
            folder = Path(name)
            with Running(self._rival.command(load, folder), folder, {self._cores.load}) as running:
                running.wait(load.seconds + _START_AND_END)
                report = running.report(self._rival)
        truth = self._clock.truth()
        if truth is None or report.p50 is None or report.p99 is None:
            raise RunFailed("there are no response times to compare")
        return latency(truth, network, report.p50, report.p99, report.note)


def latency(truth: Truth, network: float, p50: float, p99: float, note: str) -> Latency:
    """Return one comparison; what the network adds belongs to the truth."""
    return Latency(
        rate=truth.rate,
        truth_p50=truth.p50 + network,
        truth_p99=truth.p99 + network,
        reported_p50=p50,
        reported_p99=p99,
        note=note,
    )
