"""The judgement on the load generator: when its numbers cannot be believed, and what is only a warning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.metrics.frame import WorkerHealth, merged_health
from pytest_metersphere.metrics.health import CPU_LIMIT, LAG_FLOOR, LAG_LIMIT, RUNNING, Held, NodeHealth
from pytest_metersphere.metrics.histogram import Histogram

WORSE = LAG_LIMIT * 1.01


def seen(*reports: WorkerHealth, first: int = 2, seconds: int = 1) -> NodeHealth:
    """Return what successive reports of a node's workers come to, the first of them of second `first`."""
    node = NodeHealth()
    for second, report in enumerate(reports, start=first):
        node.add(report, second, seconds)
    return node


def test_a_value_is_held_when_three_seconds_running_reach_it() -> None:
    """It is the least of them; two are not enough, and one better second ends it."""
    held = Held()

    assert [held.note(value) for value in (5, 9, 7, 6, 1, 8, 8, 8)] == [0, 0, 5, 6, 1, 1, 1, 8]


def test_a_second_that_does_not_count_begins_anew() -> None:
    """What lies before it, the warm-up say, is not held on to."""
    held = Held()
    before = [held.note(5) for _ in range(3)]

    held.interrupt()

    assert before[-1] == 5
    assert [held.note(5) for _ in range(3)] == [0, 0, 5]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_what_is_held_is_what_every_one_of_the_last_seconds_reached(values: list[float]) -> None:
    """However they go up and down."""
    held = Held()

    for end, value in enumerate(values, start=1):
        expected = min(values[end - RUNNING : end]) if end >= RUNNING else 0.0
        assert held.note(value) == expected


def late(*, loop: float = 0.0, start: float = 0.0, worker: int = 0) -> WorkerHealth:
    """Return the report of a worker that was late for three seconds running."""
    return WorkerHealth(worker, 0.5, 0.0, lag_held=loop, start_lag_held=start)


@pytest.mark.parametrize(
    ("report", "words"),
    [(late(loop=0.08, worker=1), "event loop ran"), (late(start=0.08, worker=1), "iterations began")],
    ids=["loop", "start"],
)
def test_lateness_above_the_limit_is_a_reason(report: WorkerHealth, words: str) -> None:
    """It names node, worker, seconds, value, limit, and what to do."""
    node = seen(report, first=7)

    (reason,) = node.reasons("n1")

    assert reason.startswith("node n1, worker 1: ")
    for piece in (words, "80 ms", "3 seconds running", "in seconds 5 to 7", "at most 50 ms", "fewer users"):
        assert piece in reason
    assert node.warnings("n1", 0.1) == []


@pytest.mark.parametrize("report", [late(loop=LAG_LIMIT), late(start=LAG_LIMIT)], ids=["loop", "start"])
def test_lateness_at_the_limit_is_no_reason(report: WorkerHealth) -> None:
    """Only what is above it; it is a warning where the reported times are not ten times as long."""
    node = seen(report)

    assert node.reasons("n1") == []
    assert node.warnings("n1", LAG_LIMIT * 10) == []
    (warning,) = node.warnings("n1", LAG_LIMIT * 9)
    for piece in ("node n1, worker 0: ", "50 ms", "more than a tenth of the reported p95, 450 ms"):
        assert piece in warning


def test_late_starts_are_told_where_the_loop_does_not_explain_them() -> None:
    """One sentence for each worker is enough."""
    node = seen(late(loop=0.2, start=0.3), late(start=0.4, worker=1))

    first, second = node.reasons("n1")

    assert "worker 0: its event loop ran late, by 200 ms" in first
    assert "worker 1: iterations began late, by 400 ms" in second


def test_single_bad_seconds_are_neither() -> None:
    """The worst second is shown, but only what three running had in common is judged."""
    node = seen(WorkerHealth(0, 0.5, 9.0, 8.0), WorkerHealth(0, 0.5, 0.0, 0.0))

    assert (node.reasons("n1"), node.warnings("n1", 0.001)) == ([], [])
    assert (node.lag, node.start_lag) == (9.0, 8.0)


def test_lateness_below_the_floor_is_no_warning() -> None:
    """However short the reported times: timers and machine alone may make so much."""
    node = seen(WorkerHealth(0, 0.5, 0.0, lag_held=LAG_FLOOR * 0.99))

    assert node.warnings("n1", 0.001) == []


def test_without_a_reported_time_there_is_nothing_to_compare_with() -> None:
    """A run without samples has other troubles."""
    assert seen(WorkerHealth(0, 0.5, 0.0, lag_held=LAG_LIMIT)).warnings("n1", None) == []


def test_of_loop_and_starts_what_was_later_is_warned_of() -> None:
    """One sentence for each worker; none for one of which a reason is told."""
    node = seen(late(loop=0.02, start=0.03), late(loop=0.04, start=0.03, worker=1), late(loop=0.04, worker=2))
    node.add(late(start=WORSE, worker=2), 9)

    first, second = node.warnings("n1", 0.1)

    assert "worker 0: iterations began late, by 30 ms" in first
    assert "worker 1: its event loop ran late, by 40 ms" in second


def test_a_core_in_full_use_is_a_warning() -> None:
    """By itself it says nothing about the numbers."""
    node = seen(WorkerHealth(0, 1.0, 0.0, cpu_held=CPU_LIMIT), WorkerHealth(0, 1.0, 0.0, cpu_held=0.97))

    assert node.reasons("n1") == []
    (warning,) = node.warnings("n1", 0.1)
    assert warning.startswith("node n1, worker 0 used 0.97 cores for 3 seconds running in seconds 0 to 3")
    assert seen(WorkerHealth(0, 1.0, 0.0, cpu_held=CPU_LIMIT * 0.99)).warnings("n1", 0.1) == []


def test_exhaustion_is_a_reason() -> None:
    """Of descriptors with the limit and how to raise it, of ports with where to get more; times add up."""
    node = seen(
        WorkerHealth(0, 0.5, 0.0, descriptors=1024, descriptor_limit=1024, no_descriptor=3),
        WorkerHealth(0, 0.5, 0.0, no_descriptor=4),
        WorkerHealth(1, 0.5, 0.0, no_port=2),
    )

    descriptors, ports = node.reasons("n1")

    for piece in ("worker 0: no file descriptor of 1,024", "7 times in seconds 2 to 3", "ulimit -n"):
        assert piece in descriptors
    for piece in ("worker 1: no local port", "2 times in second 4", "ip_local_port_range"):
        assert piece in ports
    assert (node.descriptors, node.descriptor_limit) == (1024, 1024)


def test_each_worker_is_told_of() -> None:
    """Reports may come in any order, and a frame may sum up several seconds."""
    node = NodeHealth()
    for worker, second in ((1, 30), (0, 20), (1, 10)):
        node.add(WorkerHealth(worker, 0.5, 0.0, lag_held=WORSE), second, 5)

    first, second_reason = node.reasons("n1")

    assert "worker 0" in first
    assert "in seconds 18 to 24" in first
    assert "worker 1" in second_reason
    assert "in seconds 8 to 34" in second_reason
    assert node.cpu == 7.5


def test_a_reason_is_not_blurred_by_what_is_only_a_doubt() -> None:
    """Its seconds are those above the limit."""
    node = seen(
        *(WorkerHealth(0, 0.5, 0.0, lag_held=LAG_LIMIT) for _ in range(9)),
        WorkerHealth(0, 0.5, 0.0, lag_held=WORSE),
    )

    (reason,) = node.reasons("n1")

    assert "in seconds 9 to 11" in reason


def delays(*times: float) -> Histogram:
    """Return the histogram of late starts."""
    return Histogram.of_sorted(times)


def test_it_does_not_grow_with_the_length_of_a_run() -> None:
    """Of an hour above the limit it keeps the begin, the end and the worst."""
    node = seen(*(WorkerHealth(0, 1.0, 0.1, lag_held=0.1, cpu_held=1.0) for _ in range(3600)))

    assert len(node.reasons("n1")) == 1
    assert "in seconds 0 to 3601" in node.reasons("n1")[0]


def test_several_seconds_of_a_worker_are_one_report() -> None:
    """The CPU is the mean, counts add up, and of everything else the worst stays."""
    merged = merged_health(
        [
            first := WorkerHealth(
                3, 0.2, 0.1, 0.4, 0.2, 0.05, 0.01, 10, 99, no_descriptor=1, no_port=2, starts=delays(0.1, 0.2)
            ),
            WorkerHealth(
                3, 0.6, 0.3, 0.2, 0.1, 0.08, 0.02, 20, 99, no_descriptor=4, no_port=0, starts=delays(0.3)
            ),
        ]
    )

    assert merged == WorkerHealth(
        3, 0.4, 0.3, 0.4, 0.2, 0.08, 0.02, 20, 99, no_descriptor=5, no_port=2, starts=delays(0.1, 0.2, 0.3)
    )
    assert first.starts == delays(0.1, 0.2)


def test_late_starts_of_the_whole_load() -> None:
    """Those of all workers and seconds count together."""
    node = seen(WorkerHealth(0, 0.5, 0.0, 0.9, starts=delays(0.9)))
    for worker in range(2):
        for second in range(60):
            node.add(WorkerHealth(worker, 0.5, 0.0, 0.01, starts=delays(0.01)), second)

    assert node.start_lag == 0.9
    assert node.starts.count == 121
    assert node.starts.percentile(99) == pytest.approx(0.01, rel=0.01)
