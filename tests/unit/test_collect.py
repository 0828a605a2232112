"""The collector and its ledger: whatever the order, whatever comes twice, whatever never comes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.dist.collect import WATERMARK, Collector, SliceData
from pytest_metersphere.dist.signing import sign
from pytest_metersphere.dist.wire import Manifest, Totals
from pytest_metersphere.metrics.frame import (
    LAST_SECOND,
    VERSION,
    Frame,
    LabelTally,
    Phase,
    Tally,
    WorkerHealth,
)

RUN = "run-1"
KEY = b"k" * 32
SCENARIOS = 2


def tally(requests: int = 1, *, users: int = 1, failures: int = 0) -> Tally:
    """Return what users did: as many iterations and exchanges as requests, and one interrupted."""
    label = LabelTally("request", requests, failures)
    return Tally(
        users=users,
        iterations=requests,
        failed_iterations=failures,
        exchanges=requests,
        interrupted=1,
        labels={"GET /": label},
    )


def frame(
    sequence: int, second: int = 0, *, of: str = "a", phase: Phase = "measured", **changed: Any
) -> Frame:
    """Return a frame of a slice, one request for each scenario unless said otherwise."""
    standard: dict[str, Any] = {
        "version": VERSION,
        "run": RUN,
        "slice": of,
        "incarnation": 7,
        "sequence": sequence,
        "second": second,
        "phase": phase,
        "complete": True,
        "tallies": [tally(), tally()],
    }
    return Frame(**standard | changed)


def plain(one: Frame) -> bytes:
    """Return a frame without its signature."""
    return msgspec.msgpack.encode(one)


def packed(one: Frame) -> bytes:
    """Return a frame as it comes over the wire."""
    return sign(KEY, plain(one))


def collector(*slices: str) -> Collector:
    """Return a collector that expects these slices, by default only `a`."""
    expected = {name: SliceData(f"node-{name}", 7) for name in slices or ("a",)}
    return Collector(RUN, KEY, expected, SCENARIOS)


def manifest(of: str, last: int, totals: Totals | None = None, *, incarnation: int = 7) -> Manifest:
    """Return how a slice ended."""
    return Manifest(
        slice=of, incarnation=incarnation, last_sequence=last, ended_at=3.0, totals=totals or Totals()
    )


def ledger(of: Collector) -> tuple[int, int, int, int]:
    """Return sent, received, lost and duplicates."""
    slices = of.slices.values()
    sent, received, lost = (
        sum(getattr(data, name) for data in slices) for name in ("sent", "received", "lost")
    )
    return sent, received, lost, of.duplicates


DELIVERIES = st.integers(0, 12).flatmap(
    lambda sent: st.tuples(
        st.just(sent),
        st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, max(1, sent))), max_size=40 if sent else 0),
        st.lists(st.sampled_from("ab"), unique=True),
    )
)


@given(DELIVERIES)
def test_any_order_any_repetition_any_gap(delivery: tuple[int, list[tuple[str, int]], list[str]]) -> None:
    """Sent, received, duplicates and lost are right, and the totals are those of the distinct frames."""
    sent, arrivals, ended = delivery
    found = collector("a", "b")
    for of, sequence in arrivals:
        phase: Phase = "warmup" if sequence <= 3 else "measured"
        tallies = [tally(sequence, failures=1), tally(2 * sequence)]
        found.add(packed(frame(sequence, sequence - 1, of=of, phase=phase, tallies=tallies)))
    for of in ended:
        found.end(manifest(of, sent))

    distinct = set(arrivals)
    last = {of: max((number for name, number in distinct if name == of), default=0) for of in "ab"}
    expected_sent = sum(sent if of in ended else last[of] for of in "ab")
    assert ledger(found) == (
        expected_sent,
        len(distinct),
        expected_sent - len(distinct),
        len(arrivals) - len(distinct),
    )
    assert found.rejected == 0
    for index, scenario in enumerate(found.scenarios):
        per_frame = {key: key[1] * (index + 1) for key in distinct}
        warm = sum(count for (_, number), count in per_frame.items() if number <= 3)
        assert scenario.warmup.requests == warm
        assert scenario.measured.requests == sum(per_frame.values()) - warm
        assert sum(slot.requests for _, slot in scenario.series.slots()) == sum(per_frame.values())
    for of, data in found.slices.items():
        numbers = [number for name, number in distinct if name == of]
        assert data.totals == Totals(
            iterations=3 * sum(numbers),
            failed_iterations=len(numbers),
            requests=3 * sum(numbers),
            failures=len(numbers),
            exchanges=3 * sum(numbers),
            interrupted=2 * len(numbers),
        )
        measured = sum(number for number in numbers if number > 3)
        assert [data.share(place).requests for place in (0, 1)] == [measured, 2 * measured]
        gap = next(number for number in range(1, 99) if number not in numbers)
        assert data.follows == gap - 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": VERSION + 1},
        {"version": 0},
        {"run": "run-2"},
        {"of": "c"},
        {"incarnation": 6},
        {"tallies": []},
        {"tallies": [tally()]},
        {"tallies": [tally()] * 3},
        {"sequence": 0},
        {"sequence": -1},
        {"second": -1},
        {"second": LAST_SECOND + 1},
        {"second": 1 << 62},
        {"phase": "cooldown"},
        {"complete": "yes"},
        {"tallies": [tally(), 5]},
    ],
    ids=str,
)
def test_what_is_no_frame_of_this_run_is_rejected(wrong: dict[str, Any]) -> None:
    """One thing wrong and the frame is counted as rejected, and nothing of it is merged."""
    found = collector()

    found.add(packed(frame(**{"sequence": 1} | wrong)))

    assert (found.rejected, found.duplicates) == (1, 0)
    assert ledger(found) == (0, 0, 0, 0)
    assert found.scenarios[0].measured == Tally()
    assert found.scenarios[0].series.seconds == 0


def hostile_histogram() -> bytes:
    """Return a frame whose histogram has a bucket that would need gigabytes to be understood."""
    bad = tally()
    bad.labels["GET /"].response.counts = {1 << 60: 1}
    return plain(frame(1, tallies=[bad, tally()]))


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\xc1",
        b"GET / HTTP/1.1\r\n\r\n",
        plain(frame(1))[:-1],
        plain(frame(1)) + b"\x00",
        plain(frame(1)).replace(b"run-1", b"run\xff\xfe"),
        b"\x91" * 200_000,
        bytes([0x9B]) + plain(frame(1))[1:] + b"\x91" * 200_000 + b"\xc0",
        msgspec.msgpack.encode({"version": 1}),
        hostile_histogram(),
    ],
    ids=["empty", "reserved", "http", "cut", "longer", "utf-8", "deep", "deep at its end", "map", "bucket"],
)
def test_garbage_is_counted_and_dropped(garbage: bytes) -> None:
    """No bytes whatever stop the collection, signed or not."""
    found = collector()
    found.add(garbage)
    found.add(sign(KEY, garbage))
    found.add(packed(frame(1)))

    assert (found.rejected, *ledger(found)) == (2, 1, 1, 0, 0)


@given(st.binary(max_size=60), st.integers(0, 200), st.integers(0, 255))
def test_no_mutation_of_a_frame_stops_the_collection(tail: bytes, place: int, value: int) -> None:
    """A frame with a byte changed, or other bytes behind it, is merged or rejected, never raised."""
    found = collector()
    changed = bytearray(plain(frame(1)))
    changed[place % len(changed)] = value

    for data in (bytes(changed), bytes(changed) + tail, tail):
        found.add(sign(KEY, data))

    assert found.rejected + found.duplicates + ledger(found)[1] == 3


def test_a_manifest_of_another_incarnation_or_slice_says_nothing() -> None:
    """Only the slice's own manifest ends it."""
    found = collector()
    found.end(manifest("a", 9, incarnation=6))
    found.end(manifest("b", 9))

    assert found.slices["a"].manifest is None
    assert ledger(found) == (0, 0, 0, 0)


def test_missing_frames_are_named_with_their_node() -> None:
    """The sentence counts what is missing of what was sent; a whole slice has none."""
    found = collector("a", "b")
    for sequence in (1, 4):
        found.add(packed(frame(sequence)))
    found.add(packed(frame(1, of="b")))
    found.end(manifest("a", 5))
    found.end(manifest("b", 1, found.slices["b"].totals))

    assert found.lost_reasons() == ["node node-a: 3 of 5 frames are missing"]


def test_frames_that_do_not_add_up_are_reported() -> None:
    """When nothing is missing and the node still counted something else, both counts are told."""
    found = collector()
    found.add(packed(frame(1)))
    found.end(manifest("a", 1, Totals(iterations=2, requests=3, exchanges=2, interrupted=2)))

    (reason,) = found.lost_reasons()

    assert reason.startswith("node node-a: its frames add up to ")
    assert "requests=2" in reason
    assert "requests=3" in reason


def test_a_slice_without_a_manifest_is_judged_by_what_came() -> None:
    """Gaps below the highest sequence are lost; what came after it nobody knows."""
    found = collector()
    found.add(packed(frame(3)))

    assert ledger(found) == (3, 1, 2, 0)
    assert found.lost_reasons() == ["node node-a: 2 of 3 frames are missing"]


def test_a_second_is_settled_when_all_that_run_have_reported_it() -> None:
    """The slowest slice decides, until it has ended."""
    found = collector("a", "b")
    assert found.settled() == 0
    found.add(packed(frame(1, 0)))
    assert found.settled() == 0
    found.add(packed(frame(2, 1)))
    found.add(packed(frame(1, 0, of="b")))
    assert found.settled() == 1
    found.end(manifest("b", 1))
    assert found.settled() == 2
    found.end(manifest("a", 2))
    assert found.settled() == 2


def test_a_silent_slice_holds_back_only_for_a_while() -> None:
    """WATERMARK seconds behind the furthest slice, a second is taken as settled."""
    found = collector("a", "b")
    for second in range(6):
        found.add(packed(frame(second + 1, second)))

    assert found.settled() == 6 - WATERMARK


def test_an_incomplete_frame_settles_nothing() -> None:
    """Only a frame that completes its second counts, and late finds do not turn the clock back."""
    found = collector()
    found.add(packed(frame(1, 4, complete=False)))
    assert found.settled() == 0
    found.add(packed(frame(2, 4)))
    found.add(packed(frame(3, 1)))
    assert found.settled() == 5


def test_settled_seconds_still_take_what_comes_late() -> None:
    """A frame for a second that was settled and packed is merged as any other."""
    found = collector("a", "b")
    for second in range(8):
        found.add(packed(frame(second + 1, second)))
    found.settled()

    found.add(packed(frame(1, 0, of="b", tallies=[tally(5), tally(0)])))

    first = found.scenarios[0].series.at(0)
    assert first is not None
    assert (first.requests, first.users) == (6, 2)


def test_the_health_of_workers_is_summed_up() -> None:
    """CPU seconds add up over workers and seconds, the worst lag stays, users are the most at once."""
    found = collector()
    found.add(packed(frame(1, 0, health=[WorkerHealth(0, 0.5, 0.01), WorkerHealth(1, 0.25, 0.2)])))
    found.add(
        packed(frame(2, 1, health=[WorkerHealth(0, 1.0, 0.02)], tallies=[tally(users=4), tally(users=5)]))
    )

    data = found.slices["a"]

    assert (data.health.cpu, data.cpu_seconds, data.health.lag) == (1.75, 2, 0.2)
    assert [data.share(place).users for place in (0, 1)] == [4, 5]
