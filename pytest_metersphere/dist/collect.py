"""Merges the frames of all slices of a run and keeps the ledger: what was sent, received, lost."""

from __future__ import annotations

import dataclasses
from typing import Literal

import msgspec

from pytest_metersphere.dist.receipts import Receipt, Receipts
from pytest_metersphere.dist.signing import SignatureError, verified
from pytest_metersphere.dist.wire import Manifest, Totals
from pytest_metersphere.metrics.frame import VERSION, Frame, Tally
from pytest_metersphere.metrics.health import NodeHealth
from pytest_metersphere.metrics.series import Series

LAST_SECOND = 10_000_000
"""Seconds from go above which a frame is nonsense (115 days); a chart must stay a chart."""
WATERMARK = 3
"""Seconds that a silent slice may hold back the merged picture of a running load."""


_LISTED = 5
_UNREADABLE = (SignatureError, msgspec.MsgspecError, ValueError, RecursionError)


@dataclasses.dataclass(slots=True)
class ScenarioData:
    """Everything that is known of one scenario of the run.

    Attributes:
        series: both phases, by second.
        measured: the measured phase over all nodes.
        warmup: the warm-up over all nodes.
    """

    series: Series
    measured: Tally = dataclasses.field(default_factory=Tally)
    warmup: Tally = dataclasses.field(default_factory=Tally)


@dataclasses.dataclass(slots=True)
class ShareData:
    """What is known of a scenario's share of one slice.

    Attributes:
        users: most users alive at once.
        requests: those of the measured phase.
        failures: failed ones among them.
    """

    users: int = 0
    requests: int = 0
    failures: int = 0


@dataclasses.dataclass(slots=True)
class SliceData:
    """What is known of one slice.

    Attributes:
        totals: what its frames add up to, all phases.
        shares: what is known of each scenario's share, by its place in the run.
        health: how its workers fared.
        cpu_seconds: number of seconds reported by any worker.
        complete: last second that it has reported completely, -1 before any.
        manifest: how it ended, once known.
        receipts: which frames have come.
    """

    node: str
    incarnation: int
    totals: Totals = dataclasses.field(default_factory=Totals)
    shares: dict[int, ShareData] = dataclasses.field(default_factory=dict)
    health: NodeHealth = dataclasses.field(default_factory=NodeHealth)
    cpu_seconds: int = 0
    complete: int = -1
    manifest: Manifest | None = None
    receipts: Receipts = dataclasses.field(default_factory=Receipts)

    def share(self, place: int) -> ShareData:
        """Return what is known of the share of one scenario."""
        return self.shares.setdefault(place, ShareData())

    @property
    def sent(self) -> int:
        """Return the number of frames the slice sent; without a manifest the highest sequence seen."""
        return max(self.receipts.highest, self.manifest.last_sequence if self.manifest else 0)

    @property
    def received(self) -> int:
        """Return the number of different frames that came."""
        return self.receipts.received

    @property
    def lost(self) -> int:
        """Return the number of frames that were sent and never came."""
        return self.sent - self.received

    @property
    def follows(self) -> int:
        """Return the sequence up to which every frame has come."""
        return self.receipts.follows


class Collector:
    """Takes signed frames from any feed, in any order and any number of times.

    Attributes:
        slices: what is known of each slice, by its id.
        scenarios: what is known of each scenario, in the order of the run.
        duplicates: frames that came more than once.
        repaired: frames that were late or did not come, and were fetched from a spool.
        rejected: messages that are no frame of this run, and frames that contradict an earlier one.
        interval: seconds that a frame sums up.
    """

    def __init__(
        self, run: str, key: bytes, slices: dict[str, SliceData], scenarios: int, interval: int = 1
    ) -> None:
        """Expect the frames of these slices, signed with the run's key."""
        self.slices = slices
        self.interval = interval
        self.scenarios = [ScenarioData(Series(interval)) for _ in range(scenarios)]
        self.duplicates = 0
        self.repaired = 0
        self.rejected = 0
        self._run = run
        self._key = key
        self._fetched: set[tuple[str, int]] = set()
        self._closed = 0
        self._decoder = msgspec.msgpack.Decoder(Frame)

    def add(self, signed: bytes) -> None:
        """Merge one frame; what is no frame of this run is counted as rejected."""
        receipt, place = self._take(signed)
        if receipt == "duplicate":
            # a frame that was fetched because it was late, and comes after all, came once
            if place in self._fetched:
                self._fetched.remove(place)
            else:
                self.duplicates += 1

    def repair(self, signed: bytes) -> None:
        """Merge a frame fetched from a spool because it is late or missing; a known one changes nothing."""
        receipt, place = self._take(signed)
        if receipt == "new":
            self.repaired += 1
            self._fetched.add(place)

    def _take(self, signed: bytes) -> tuple[Receipt | Literal["stranger"], tuple[str, int]]:
        """Return what a frame is, merged when it is new, and its slice and sequence."""
        try:
            digest, packed = verified(self._key, signed)
            frame = self._decoder.decode(packed)
        except _UNREADABLE:
            self.rejected += 1
            return "stranger", ("", 0)
        place = (frame.slice, frame.sequence)
        data = self.slices.get(frame.slice)
        if data is None or not self._belongs(frame, data):
            self.rejected += 1
            return "stranger", place
        receipt = data.receipts.note(frame.sequence, digest)
        if receipt == "new":
            self._merge(frame, data)
        elif receipt == "conflict":
            self.rejected += 1
        return receipt, place

    def _belongs(self, frame: Frame, data: SliceData) -> bool:
        return (
            frame.version == VERSION
            and frame.run == self._run
            and frame.incarnation == data.incarnation
            and len(frame.tallies) == len(self.scenarios)
            and frame.sequence >= 1
            and 0 <= frame.second <= LAST_SECOND
            and 1 <= frame.seconds <= self.interval
        )

    def _merge(self, frame: Frame, data: SliceData) -> None:
        for scenario, tally in zip(self.scenarios, frame.tallies, strict=True):
            (scenario.measured if frame.phase == "measured" else scenario.warmup).merge(tally)
            scenario.series.add(frame.second, tally)
        _account(data, frame)
        for health in frame.health:
            data.health.add(health, frame.second, frame.seconds)
        if frame.complete:
            data.complete = max(data.complete, frame.last_second)
            data.cpu_seconds = data.complete + 1

    def end(self, manifest: Manifest) -> None:
        """Note how a slice ended."""
        data = self.slices.get(manifest.slice)
        if data is not None and data.incarnation == manifest.incarnation:
            data.manifest = manifest

    def settled(self) -> int:
        """Return the number of seconds, from 0, of which nothing more is expected, and pack them.

        That is what all slices that still run have reported, or all but the last WATERMARK seconds
        of what any slice has reported.
        """
        complete = [data.complete for data in self.slices.values() if data.manifest is None]
        furthest = max((data.complete for data in self.slices.values()), default=-1)
        settled = max(min(complete, default=furthest), furthest - WATERMARK) + 1
        if settled > self._closed:
            self._closed = settled
            for scenario in self.scenarios:
                scenario.series.close(settled - 1)
        return settled

    @property
    def contradicted(self) -> bool:
        """Return whether a sequence came with several contents: somebody holds the run's key who must not."""
        return any(data.receipts.conflicts for data in self.slices.values())

    def conflict_reasons(self) -> list[str]:
        """Return a sentence for every slice that sent one sequence with several contents."""
        return [
            f"node {data.node}: frame {_some(data.receipts.conflicts)} came with several contents"
            for data in self.slices.values()
            if data.receipts.conflicts
        ]

    def lost_reasons(self) -> list[str]:
        """Return a sentence for every slice whose frames do not add up to what it says it did."""
        reasons = []
        for data in self.slices.values():
            if data.lost:
                reasons.append(f"node {data.node}: {data.lost} of {data.sent} frames are missing")
            elif data.manifest is not None and data.manifest.totals != data.totals:
                reasons.append(
                    f"node {data.node}: its frames add up to {data.totals}, "
                    f"but it counted {data.manifest.totals}"
                )
        return reasons


def _account(data: SliceData, frame: Frame) -> None:
    totals = data.totals
    for place, tally in enumerate(frame.tallies):
        requests, failures = tally.requests, tally.failures
        totals.iterations += tally.iterations
        totals.failed_iterations += tally.failed_iterations
        totals.requests += requests
        totals.failures += failures
        totals.exchanges += tally.exchanges
        totals.interrupted += tally.interrupted
        totals.scheduled_iterations += tally.scheduled_iterations
        totals.started_iterations += tally.started_iterations
        totals.dropped_iterations += tally.dropped_iterations
        share = data.share(place)
        share.users = max(share.users, tally.users)
        if frame.phase == "measured":
            share.requests += requests
            share.failures += failures


def _some(numbers: set[int]) -> str:
    listed = ", ".join(map(str, sorted(numbers)[:_LISTED]))
    return listed if len(numbers) <= _LISTED else f"{listed} and {len(numbers) - _LISTED} more"
