"""Receipts of a slice's frames: each is new once, whatever the order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.dist.receipts import Receipts

NOTES = st.lists(st.tuples(st.integers(1, 12), st.sampled_from([b"a" * 16, b"b" * 16])), max_size=40)


@given(NOTES)
def test_each_sequence_is_new_once_and_its_first_content_counts(notes: list[tuple[int, bytes]]) -> None:
    """A repeated frame is a duplicate with the same content and a conflict with another."""
    receipts = Receipts()
    first: dict[int, bytes] = {}
    for sequence, digest in notes:
        expected = "new" if sequence not in first else "duplicate"
        if first.setdefault(sequence, digest) != digest:
            expected = "conflict"
        assert receipts.note(sequence, digest) == expected

    assert receipts.received == len(first)
    assert receipts.highest == max(first, default=0)
    assert receipts.follows == next(n for n in range(14) if n + 1 not in first)
    assert receipts.conflicts == {n for n, digest in notes if first[n] != digest}


def test_a_sequence_far_ahead_costs_no_memory_for_those_before_it() -> None:
    """A number that a slice can hardly reach is noted like any other."""
    receipts = Receipts()

    assert receipts.note(1 << 60, bytes(16)) == "new"
    assert (receipts.highest, receipts.follows, receipts.received) == (1 << 60, 0, 1)
