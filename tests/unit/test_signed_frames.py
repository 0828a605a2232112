"""Signed frames at the collector: what it merges, what it rejects, and what it says about the difference."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.dist.collect import LAST_SECOND, Collector, SliceData
from pytest_metersphere.dist.signing import MAX_SIGNED, new_key, sign
from pytest_metersphere.dist.wire import Manifest, Totals
from pytest_metersphere.metrics.frame import VERSION, Frame, Tally, WorkerHealth

KEY = bytes(32)


def frame(sequence: int, second: int | None = None, **changes: Any) -> Frame:
    """Return a frame of slice s1 with one iteration and three exchanges."""
    plain = Frame(
        version=VERSION,
        run="r1",
        slice="s1",
        incarnation=7,
        sequence=sequence,
        second=sequence - 1 if second is None else second,
        phase="measured",
        complete=True,
        tallies=[Tally(users=2, iterations=1, exchanges=3)],
    )
    return msgspec.structs.replace(plain, **changes)


def signed(content: Frame, key: bytes = KEY) -> bytes:
    """Return the frame as a slice sends it."""
    return sign(key, msgspec.msgpack.encode(content))


def ended(last: int, **totals: int) -> Manifest:
    """Return how slice s1 ended."""
    return Manifest(
        slice="s1", incarnation=7, last_sequence=last, ended_at=float(last), totals=Totals(**totals)
    )


@pytest.fixture
def collector() -> Collector:
    """Return a collector of run r1 with slice s1 on node n1."""
    return Collector("r1", KEY, {"s1": SliceData("n1", 7)}, 1)


def ledger(collector: Collector) -> tuple[int, int, int, int, int]:
    """Return sent, received, duplicates, lost, rejected."""
    data = collector.slices["s1"]
    return data.sent, data.received, collector.duplicates, data.lost, collector.rejected


@given(st.lists(st.integers(1, 9), max_size=30), st.randoms(use_true_random=False))
def test_any_order_and_any_number_of_times_is_the_same(again: list[int], dice: random.Random) -> None:
    """Each frame counts once: totals and ledger do not depend on how they came."""
    collector = Collector("r1", KEY, {"s1": SliceData("n1", 7)}, 1)
    sequences = [*range(1, 10), *again]
    dice.shuffle(sequences)
    for sequence in sequences:
        collector.add(signed(frame(sequence)))
    collector.end(ended(9, iterations=9, exchanges=27))

    assert ledger(collector) == (9, 9, len(again), 0, 0)
    assert collector.scenarios[0].measured.exchanges == 27
    assert collector.lost_reasons() == collector.conflict_reasons() == []
    assert not collector.contradicted


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x01" + bytes(16) + b"\x91" * 500_000,
        msgspec.msgpack.encode(frame(2)),
        signed(frame(2), new_key()),
        signed(frame(2, run="r2")),
        signed(frame(2, slice="s9")),
        signed(frame(2, incarnation=6)),
        signed(frame(2, version=99)),
        signed(frame(2, tallies=[])),
        signed(frame(0)),
        signed(frame(2, second=-1)),
        signed(frame(2, second=LAST_SECOND + 1)),
        sign(KEY, b"\xc1"),
        sign(KEY, b"\x91" * 200_000),
        sign(KEY, b"\x92\x01\xa1\xff"),
        sign(KEY, bytes(MAX_SIGNED)),
    ],
    ids=[
        "nothing",
        "another protocol",
        "deep garbage",
        "unsigned",
        "key of another run",
        "another run",
        "unknown slice",
        "earlier incarnation",
        "another version",
        "another number of scenarios",
        "sequence 0",
        "second before go",
        "second beyond sense",
        "no MessagePack",
        "deep MessagePack",
        "text that is no UTF-8",
        "oversized",
    ],
)
def test_what_is_no_frame_of_this_run_is_rejected_and_changes_nothing(
    collector: Collector, message: bytes
) -> None:
    """Garbage and strangers' frames are counted; sums, gaps and reasons stay as they are."""
    collector.add(signed(frame(1)))
    collector.add(message)
    collector.end(ended(1, iterations=1, exchanges=3))

    assert ledger(collector) == (1, 1, 0, 0, 1)
    assert collector.lost_reasons() == collector.conflict_reasons() == []


def test_a_frame_with_other_content_is_rejected_and_told(collector: Collector) -> None:
    """The first content counts, and the reason names node and sequence."""
    collector.add(signed(frame(1)))
    collector.add(signed(frame(1, complete=False)))
    collector.end(ended(1, iterations=1, exchanges=3))

    assert ledger(collector) == (1, 1, 0, 0, 1)
    assert collector.contradicted
    assert collector.conflict_reasons() == ["node n1: frame 1 came with several contents"]
    assert collector.lost_reasons() == []


def test_many_conflicts_are_told_in_one_line(collector: Collector) -> None:
    """Only the first few sequences are listed."""
    for sequence in range(1, 9):
        collector.add(signed(frame(sequence)))
        collector.add(signed(frame(sequence, complete=False)))

    assert collector.conflict_reasons() == [
        "node n1: frame 1, 2, 3, 4, 5 and 3 more came with several contents"
    ]


def test_missing_frames_are_told(collector: Collector) -> None:
    """The manifest says how many there were."""
    for sequence in (1, 3):
        collector.add(signed(frame(sequence)))
    collector.end(ended(4))

    assert ledger(collector) == (4, 2, 0, 2, 0)
    assert collector.slices["s1"].follows == 1
    assert collector.lost_reasons() == ["node n1: 2 of 4 frames are missing"]


def test_frames_that_do_not_add_up_are_told(collector: Collector) -> None:
    """Frames without a gap that hold less than the slice counted are no proof of anything."""
    collector.add(signed(frame(1)))
    collector.end(ended(1, iterations=2, exchanges=3))

    (reason,) = collector.lost_reasons()
    assert reason.startswith("node n1: its frames add up to Totals(iterations=1, ")


def test_the_manifest_of_another_incarnation_is_not_this_slices(collector: Collector) -> None:
    """A slice of the same id that ran earlier does not end this one."""
    collector.end(msgspec.structs.replace(ended(1), incarnation=6))
    collector.end(msgspec.structs.replace(ended(1), slice="s9"))

    assert collector.slices["s1"].manifest is None


def in_fives() -> Collector:
    """Return a collector of frames that sum up five seconds."""
    return Collector("r1", KEY, {"s1": SliceData("n1", 7), "s2": SliceData("n2", 7)}, 1, 5)


def test_frames_of_five_seconds_fill_slots_of_five_seconds() -> None:
    """A chart's slots have the width of the frames, and users of all slices add up in them."""
    collector = in_fives()
    for number in range(3):
        for name in ("s1", "s2"):
            tally = Tally(users=10, iterations=5 + number)
            collector.add(signed(frame(number + 1, number * 5, seconds=5, slice=name, tallies=[tally])))
    series = collector.scenarios[0].series

    assert series.width == 5
    slots = [(begin, slot.users, slot.iterations) for begin, slot in series.slots()]
    assert slots == [(0, 20, 10), (5, 20, 12), (10, 20, 14)]
    assert collector.settled() == 15


def test_a_late_find_within_five_seconds_is_in_their_slot() -> None:
    """It adds its counts, and no users that were there already."""
    collector = in_fives()
    collector.add(signed(frame(1, 0, seconds=5)))
    collector.add(signed(frame(2, 3, complete=False, tallies=[Tally(users=1, iterations=4)])))

    ((begin, slot),) = collector.scenarios[0].series.slots()
    assert (begin, slot.users, slot.iterations) == (0, 2, 5)


@pytest.mark.parametrize("seconds", [0, -1, 6, 1 << 40])
def test_a_frame_of_more_seconds_than_agreed_is_rejected(seconds: int) -> None:
    """The width of a frame is the run's, at most."""
    collector = in_fives()
    collector.add(signed(frame(1, seconds=seconds)))

    assert collector.rejected == 1


def test_cpu_is_the_mean_over_all_seconds() -> None:
    """A short last frame weighs as much as its seconds."""
    collector = in_fives()
    collector.add(
        signed(frame(1, 0, seconds=5, health=[WorkerHealth(0, 1.0, 0.1), WorkerHealth(1, 0.5, 0.2)]))
    )
    collector.add(signed(frame(2, 5, seconds=1, health=[WorkerHealth(0, 0.3, 0.3)])))
    data = collector.slices["s1"]

    assert data.health.cpu / data.cpu_seconds == pytest.approx((5 * 1.5 + 0.3) / 6)
    assert data.health.lag == 0.3
