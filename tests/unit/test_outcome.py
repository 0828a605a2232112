"""What of a run's own figures makes it invalid."""

from __future__ import annotations

from pytest_metersphere.outcome import start_reasons
from pytest_metersphere.reports.document import Ledger


def ledger(*, scheduled: int, started: int, dropped: int) -> Ledger:
    """Return a ledger with these starts and nothing else."""
    frames = dict.fromkeys(("sent", "received", "duplicates", "lost", "repaired", "rejected"), 0)
    exchanges = dict.fromkeys(("exchanges", "counted", "warmup", "interrupted"), 0)
    return Ledger(**frames, **exchanges, scheduled=scheduled, started=started, dropped=dropped)


def test_starts_that_add_up_to_the_curve_are_no_reason() -> None:
    """Of a load that was ended before its time nobody knows how many there should be."""
    assert start_reasons(ledger(scheduled=800, started=790, dropped=10), 800) == []
    assert start_reasons(ledger(scheduled=100, started=90, dropped=10), None) == []


def test_a_start_that_is_neither_begun_nor_dropped_is_a_reason() -> None:
    """Nothing may get lost, whoever ended the load."""
    lost = ledger(scheduled=800, started=789, dropped=10)

    for expected in (800, None):
        assert start_reasons(lost, expected) == [
            "the starts do not add up: 800 iterations scheduled ≠ 789 started + 10 dropped"
        ]


def test_fewer_arrivals_than_the_curve_is_good_for_are_a_reason() -> None:
    """The nodes compute their shares by themselves, and the controller counts them."""
    assert start_reasons(ledger(scheduled=799, started=799, dropped=0), 800) == [
        "the nodes scheduled 799 of 800 iterations"
    ]
