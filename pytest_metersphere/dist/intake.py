"""Everything that comes from the slices of a run: frames, ends, losses, silence, and what is missing."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pytest_metersphere.dist.collect import Collector, SliceData
from pytest_metersphere.dist.feed import Arrival, Feed, JoinedFeed, SpoolFeed, StateFeed
from pytest_metersphere.dist.neighbours import Neighbours
from pytest_metersphere.dist.nodes import Node, in_parallel
from pytest_metersphere.dist.run import Run, Slice
from pytest_metersphere.dist.wire import WorkerLoss
from pytest_metersphere.errors import NodeError

DRAIN = 5.0
"""Seconds that the last frames may take once a slice is over, before they are fetched from its spool."""
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
        self._offsets: dict[int, int] = {}
        slices = {item.id: SliceData(item.node.name, item.incarnation) for item in run.slices}
        self.collector = Collector(run.id, run.key, slices, 1, run.interval)

    def prepare(self) -> None:
        """Note where the frames of the run will begin; to be called before go.

        Raises:
            BrokerError: Kafka cannot be reached.
        """
        if self._run.kafka is not None:
            from pytest_metersphere.dist.kafka import end_offsets

            self._offsets = end_offsets(self._run.kafka)

    def open(self, nodes: Sequence[Node]) -> None:
        """Begin to listen; `nodes` may hold slices of other runs whose frames come over the same topic."""
        connects = {item.id: item.node.connect for item in self._run.slices}
        if self._run.kafka is None:
            self._feed = SpoolFeed(connects)
            return
        from pytest_metersphere.dist.kafka import KafkaFeed

        frames = KafkaFeed(self._run.kafka, self._offsets, Neighbours(self._slices, nodes))
        self._feed = JoinedFeed(frames, StateFeed(connects))

    def close(self) -> None:
        """Stop listening."""
        if self._feed is not None:
            self._feed.close()

    def receive(self, timeout: float = _POLL) -> None:
        """Wait up to `timeout` seconds for something to come, and take all that is there."""
        if self._feed is not None:
            for arrival in self._feed.receive(timeout):
                self._take(arrival)

    def waiting(self) -> list[str]:
        """Return the slices that have neither ended nor are given up."""
        slices = self.collector.slices
        return [key for key, data in slices.items() if data.manifest is None and key not in self.silent]

    def drain(self, seconds: float = DRAIN) -> None:
        """Take what is still under way, at most so many seconds, then fetch from the spools what is not."""
        latest = time.monotonic() + seconds
        while (self.waiting() or self._incomplete()) and time.monotonic() < latest:
            self.receive()
        for frames in in_parallel(self._missing, self._incomplete()):
            for signed in frames:
                self.collector.repair(signed)

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

    def _incomplete(self) -> list[Slice]:
        """Return the slices that have ended, and of whose frames some may still come.

        Spools give up their last frames before they tell the end.
        """
        if self._run.kafka is None:
            return []
        slices = self.collector.slices
        return [self._slices[key] for key, data in slices.items() if data.manifest is not None and data.lost]

    def _missing(self, item: Slice) -> list[bytes]:
        """Return the frames in the spool of a slice from the first that is missing on."""
        after, frames = self.collector.slices[item.id].follows, []
        try:
            with item.node.connect() as client:
                while True:
                    batch = client.frames(item.id, after=after, wait=0.0)
                    frames += batch.frames
                    if not batch.frames or batch.manifest is not None:
                        return frames
                    after = batch.last_sequence
        except NodeError:
            return frames
