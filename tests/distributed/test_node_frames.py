"""Spans become numbered frames that stay below the limit."""

from __future__ import annotations

import msgspec
import pytest

from pytest_metersphere.dist.node.frames import MAX_FRAME, Press
from pytest_metersphere.dist.node.seconds import Span
from pytest_metersphere.metrics.frame import Frame, Tally, WorkerHealth

HEALTH = [WorkerHealth(0, 0.5, 0.001)]


def span_of(*tallies: Tally, complete: bool = True) -> Span:
    """Return a span of second 7."""
    return Span(7, "measured", complete, list(tallies), HEALTH)


def decoded(packed: list[tuple[int, bytes]]) -> list[Frame]:
    """Return the frames, after checking that they carry the sequences they are kept under."""
    frames = [msgspec.msgpack.decode(frame, type=Frame) for _, frame in packed]
    assert [frame.sequence for frame in frames] == [sequence for sequence, _ in packed]
    return frames


def busy(labels: int, values: int) -> Tally:
    """Return a tally with many labels of widely spread response times."""
    tally = Tally(users=3, iterations=11)
    for number in range(labels):
        label = tally.label(f"GET /page/{number}", "request")
        label.requests = values
        for value in range(values):
            label.response.record(0.0001 * 1.05**value)
    return tally


@pytest.fixture
def press() -> Press:
    """Return a press for the slice r1-0 of run r1."""
    return Press("r1", "r1-0", 42)


def test_a_small_span_is_one_frame(press: Press) -> None:
    """The frame says whose it is and carries the span as it is."""
    (frame,) = decoded(press.pack(span_of(Tally(users=3, iterations=11))))

    assert (frame.run, frame.slice, frame.incarnation, frame.sequence) == ("r1", "r1-0", 42, 1)
    assert (frame.second, frame.phase, frame.complete) == (7, "measured", True)
    assert frame.tallies == [Tally(users=3, iterations=11)]
    assert frame.health == HEALTH


def test_sequences_go_on_without_gaps(press: Press) -> None:
    """Every frame has the next number, split or not."""
    sequences = [
        frame.sequence
        for span in (span_of(Tally()), span_of(busy(480, 200)), span_of(Tally()))
        for frame in decoded(press.pack(span))
    ]

    assert len(sequences) > 3
    assert sequences == list(range(1, len(sequences) + 1))
    assert press.sequence == len(sequences)


def test_a_large_span_is_split_by_labels(press: Press) -> None:
    """No piece exceeds the limit, and merged they are the whole."""
    whole = busy(480, 200)
    packed = press.pack(span_of(whole))
    merged = Tally()
    for frame in decoded(packed):
        merged.merge_parallel(frame.tallies[0])

    assert len(packed) > 1
    assert max(len(frame) for _, frame in packed) <= MAX_FRAME
    assert merged == whole


def test_only_the_last_piece_is_complete_and_only_the_first_has_the_health(press: Press) -> None:
    """A second is not complete before its last piece."""
    frames = decoded(press.pack(span_of(busy(480, 200))))

    assert len(frames) > 1
    assert [frame.complete for frame in frames] == [False] * (len(frames) - 1) + [True]
    assert [frame.health for frame in frames] == [HEALTH] + [[]] * (len(frames) - 1)


def test_a_span_that_is_not_complete_has_no_complete_piece(press: Press) -> None:
    """A late find stays one, however large."""
    frames = decoded(press.pack(span_of(busy(480, 200), complete=False)))

    assert [frame.complete for frame in frames] == [False, False]


def test_errors_are_split_too(press: Press) -> None:
    """A second full of exemplars is cut between error groups."""
    tally = Tally()
    for number in range(100):
        tally.error("GET /", "status", f"group {number}", 5, ["x" * 4000] * 5)
    packed = press.pack(span_of(tally))
    merged = Tally()
    for frame in decoded(packed):
        merged.merge_parallel(frame.tallies[0])

    assert max(len(frame) for _, frame in packed) <= MAX_FRAME
    assert merged == tally


def test_scenarios_keep_their_places(press: Press) -> None:
    """Each piece has a tally for each scenario of the run, in the same order."""
    whole = [busy(240, 200), Tally(iterations=5), busy(240, 200)]
    merged = [Tally(), Tally(), Tally()]
    frames = decoded(press.pack(span_of(*whole)))
    for frame in frames:
        for tally, piece in zip(merged, frame.tallies, strict=True):
            tally.merge_parallel(piece)

    assert len(frames) > 1
    assert merged == whole


def test_what_cannot_be_split_is_not_refused() -> None:
    """A single label above the limit goes out alone."""
    press = Press("r1", "r1-0", 42, limit=2000)
    frames = decoded(press.pack(span_of(busy(3, 500))))

    assert [list(frame.tallies[0].labels) for frame in frames] == [
        ["GET /page/0"],
        ["GET /page/1"],
        ["GET /page/2"],
    ]
