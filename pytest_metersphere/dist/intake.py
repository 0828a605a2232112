"""Everything that comes from the slices of a run: frames, ends, losses, silence, and what is missing."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from pytest_metersphere.dist.collect import Collector, SliceData
from pytest_metersphere.dist.feed import Arrival, Feed, JoinedFeed, SpoolFeed, StateFeed
from pytest_metersphere.dist.neighbours import Neighbours
from pytest_metersphere.dist.nodes import AnyNode
from pytest_metersphere.dist.repair import Gap, Repairs
from pytest_metersphere.dist.run import Run, Slice
from pytest_metersphere.dist.wire import WorkerLoss

DRAIN = 5.0
"""Seconds that the last frames may take once a slice is over, before they are fetched from its spool."""
LATE = 3.0
"""Seconds beyond those of a frame that nothing may come from a running slice before its spool is asked."""
_POLL = 0.25


class Intake:
    """What is known of a run's slices, and the feed by which it comes.

    Attributes:
        collector: what the frames add up to.
        losses: workers that were lost, by slice and worker.
        silent: why a node counts as lost, by slice.
        aborted: reason when a scenario called pytest.exit.
    """

    def __init__(self, run: Run) -> None:
        """Know the slices; nothing comes before the feed is opened."""
        self.losses: dict[tuple[str, int], WorkerLoss] = {}
        self.silent: dict[str, str] = {}
        self.aborted = ""
        self._run = run
        self._slices = {item.id: item for item in run.slices}
        self._feed: Feed | None = None
        self._repairs = Repairs()
        self._repaired_at = -math.inf
        self._progress: dict[str, tuple[int, float]] = {}
        self._offsets: dict[int, int] = {}
        self._strangers = 0
        slices = {item.id: SliceData(item.node.name, item.incarnation) for item in run.slices}
        self.collector = Collector(run.id, run.key, slices, run.scenarios, run.interval)

    def prepare(self) -> None:
        """Note where the frames of the run will begin; to be called before go.

        Raises:
            BrokerError: Kafka cannot be reached.
        """
        if self._run.kafka is not None:
            from pytest_metersphere.dist.kafka.delivery import end_offsets

            self._offsets = end_offsets(self._run.kafka)

    def open(self, nodes: Sequence[AnyNode]) -> None:
        """Begin to listen; `nodes` may hold slices of other runs whose frames come over the same topic."""
        slices = self._run.slices
        connects = {item.id: item.node.connect for item in slices if not item.node.pulled}
        pulled = {item.id: item.node.connect for item in slices if item.node.pulled}
        self._progress = {key: (0, time.monotonic()) for key in self._slices}
        if self._run.kafka is None:
            self._feed = SpoolFeed(connects | pulled)
            return
        from pytest_metersphere.dist.kafka.delivery import KafkaFeed

        frames = KafkaFeed(self._run.kafka, self._offsets, Neighbours(self._slices, nodes))
        self._feed = JoinedFeed(frames, StateFeed(connects), SpoolFeed(pulled))

    def close(self) -> None:
        """Stop listening."""
        if self._feed is not None:
            self._feed.close()

    def receive(self, timeout: float = _POLL) -> None:
        """Wait up to `timeout` seconds for something to come, and take all that is there."""
        if self._feed is None:
            return
        for arrival in self._feed.receive(timeout):
            self._take(arrival)
        if self._run.kafka is not None:
            self._note_progress()
            self._repairs.begin(self._late())
            self._take_repaired()

    def loss_reasons(self) -> dict[tuple[str, int], str]:
        """Return a sentence for each lost worker, by slice and worker, and lost node, by slice and -1."""
        workers = {
            (key, worker): _loss_reason(self._slices[key].node.name, loss)
            for (key, worker), loss in self.losses.items()
        }
        nodes = {
            (key, -1): f"{why} (lost after second {self.collector.slices[key].complete})"
            for key, why in self.silent.items()
        }
        return workers | nodes

    @property
    def detour(self) -> bool:
        """Return whether frames have lately come from spools because they did not come over Kafka."""
        return time.monotonic() - self._repaired_at < 2 * (LATE + self._run.interval)

    def waiting(self) -> list[str]:
        """Return the slices that have neither ended nor are given up."""
        slices = self.collector.slices
        return [key for key, data in slices.items() if data.manifest is None and key not in self.silent]

    def drain(self, seconds: float = DRAIN) -> None:
        """Take what is still under way, at most so many seconds, then fetch from the spools what is not."""
        latest = time.monotonic() + seconds
        while (self.waiting() or self._incomplete()) and time.monotonic() < latest:
            self.receive()
        self._repairs.finish([self._gap(item) for item in self._incomplete()])
        self._take_repaired()
        self._note_strangers()

    def _take(self, arrival: Arrival) -> None:
        for signed in arrival.frames:
            self.collector.add(signed)
        for loss in arrival.losses:
            self.losses[arrival.slice, loss.worker] = loss
        if arrival.silence:
            self.silent[arrival.slice] = arrival.silence
            self._slices[arrival.slice].lost = True
        if arrival.manifest is not None:
            self.collector.end(arrival.manifest)
            self.aborted = self.aborted or arrival.manifest.aborted

    def _note_strangers(self) -> None:
        """Count, beside strange frames, what else strangers said on Kafka."""
        known, self._strangers = self._strangers, self._run.rejected()
        self.collector.rejected += self._strangers - known

    def _incomplete(self) -> list[Slice]:
        """Return the slices that have ended, and of whose frames some may still come.

        Spools give up their last frames before they tell the end.
        """
        if self._run.kafka is None:
            return []
        slices = self.collector.slices.items()
        gaps = [self._slices[key] for key, data in slices if data.manifest is not None and data.lost]
        return [item for item in gaps if not item.node.pulled]

    def _note_progress(self) -> None:
        """Note which slices have delivered something since the last time."""
        now = time.monotonic()
        for key, data in self.collector.slices.items():
            received, _ = self._progress[key]
            if data.received > received:
                self._progress[key] = (data.received, now)

    def _late(self) -> list[Gap]:
        """Return the slices that still run, and of which nothing has come for long."""
        if self._repairs.busy:
            return []
        now = time.monotonic()
        before = now - LATE - self._run.interval
        late = [
            key
            for key in self.waiting()
            if self._progress[key][1] < before and not self._slices[key].node.pulled
        ]
        for key in late:
            # asked again after as long
            self._progress[key] = (self._progress[key][0], now)
        return [self._gap(self._slices[key]) for key in late]

    def _gap(self, item: Slice) -> Gap:
        return item, self.collector.slices[item.id].follows

    def _take_repaired(self) -> None:
        before = self.collector.repaired
        for signed in self._repairs.take():
            self.collector.repair(signed)
        if self.collector.repaired > before:
            self._repaired_at = time.monotonic()


def _loss_reason(node: str, loss: WorkerLoss) -> str:
    when = f"in second {loss.second}" if loss.second >= 0 else "before the start"
    return f"node {node} lost worker {loss.worker} (process {loss.pid}) {when}: {loss.reason}"
