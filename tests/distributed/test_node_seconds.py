"""The workers' reports become the seconds of a slice: in order, without gaps, nothing twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.dist.node.seconds import GRACE, Seconds, Span
from pytest_metersphere.engine.messages import Second
from pytest_metersphere.metrics.frame import Phase, Tally, WorkerHealth


def report(
    second: int,
    iterations: int = 1,
    *,
    phase: Phase = "measured",
    complete: bool = True,
    users: int = 0,
    lag: float | None = None,
) -> Second:
    """Return what a worker says about one second of one scenario."""
    health = None if lag is None else WorkerHealth(99, 0.5, lag)
    return Second(second, phase, complete, [Tally(users=users, iterations=iterations)], health)


def two_workers(warmup: float = 0.0) -> Seconds:
    """Return the seconds of a slice with workers 0 and 1."""
    return Seconds([0, 1], 1, warmup)


def brief(spans: list[Span]) -> list[tuple[int, str, int, bool]]:
    """Return second, phase, iterations and completeness of each span."""
    return [(span.second, span.phase, span.tallies[0].iterations, span.complete) for span in spans]


def test_a_second_waits_for_every_worker() -> None:
    """A second comes out once the last worker has completed it, merged."""
    seconds = two_workers()
    seconds.add(0, report(0, 2, users=3))
    assert seconds.due(1.0) == []

    seconds.add(1, report(0, 5, users=4))
    spans = seconds.due(1.1)

    assert brief(spans) == [(0, "measured", 7, True)]
    assert spans[0].tallies[0].users == 7


def test_reports_about_later_seconds_wait_for_the_earlier_ones() -> None:
    """A worker that is ahead does not change the order."""
    seconds = two_workers()
    for second in range(3):
        seconds.add(0, report(second))
    seconds.add(1, report(0))

    assert brief(seconds.due(1.0)) == [(0, "measured", 2, True)]


def test_a_complete_second_completes_the_earlier_ones() -> None:
    """Completeness is about all seconds up to the one named, also those without a report."""
    seconds = two_workers()
    seconds.add(0, report(2))
    seconds.add(1, report(2))

    assert brief(seconds.due(3.0)) == [
        (0, "measured", 0, True),
        (1, "measured", 0, True),
        (2, "measured", 2, True),
    ]


def test_warm_up_and_measured_parts_are_two_spans() -> None:
    """Only the last span of a second is complete, and the health is in the first."""
    seconds = two_workers()
    for worker in (0, 1):
        seconds.add(worker, report(0, 1, phase="warmup", complete=False, lag=0.1))
        seconds.add(worker, report(0, 10, phase="measured"))
    spans = seconds.due(1.0)

    assert brief(spans) == [(0, "warmup", 2, False), (0, "measured", 20, True)]
    assert [[health.worker for health in span.health] for span in spans] == [[0, 1], []]


def test_health_is_known_by_the_workers_number_in_the_slice() -> None:
    """What a worker believes its number to be does not matter."""
    seconds = two_workers()
    seconds.add(0, report(0))
    seconds.add(1, report(0, lag=0.25))

    assert seconds.due(1.0)[0].health == [WorkerHealth(1, 0.5, 0.25)]


def test_a_late_worker_is_waited_for_until_the_grace_is_over() -> None:
    """A second closes GRACE seconds after its end without those who are late."""
    seconds = two_workers()
    seconds.add(0, report(0, 2))

    assert seconds.closes_at == 1 + GRACE
    assert seconds.due(1 + GRACE - 0.01) == []
    assert brief(seconds.due(1 + GRACE)) == [(0, "measured", 2, True)]
    assert seconds.closes_at == 2 + GRACE


def test_a_late_find_goes_out_at_once_in_a_further_span() -> None:
    """What comes for a closed second keeps its second, completes nothing, and brings its health."""
    seconds = two_workers()
    seconds.add(0, report(0, 2))
    seconds.due(1 + GRACE)
    seconds.add(1, report(0, 5, lag=3.0))
    spans = seconds.due(1 + GRACE + 0.1)

    assert brief(spans) == [(0, "measured", 5, False)]
    assert [health.worker for health in spans[0].health] == [1]
    assert seconds.due(1 + GRACE + 0.2) == []


def test_a_second_in_which_nothing_is_reported_comes_out_empty() -> None:
    """Silent workers make empty seconds, in the phase of the profile."""
    seconds = two_workers(warmup=1.0)

    assert brief(seconds.due(2 + GRACE)) == [(0, "warmup", 0, True), (1, "measured", 0, True)]


def test_nobody_waits_for_a_worker_that_left() -> None:
    """A lost worker holds nothing up, and what it had reported counts."""
    seconds = two_workers()
    seconds.add(0, report(0, 2))
    seconds.add(1, report(0, 5, complete=False))
    seconds.leave(1)

    assert brief(seconds.due(1.0)) == [(0, "measured", 7, True)]


def test_the_end_brings_out_all_that_is_left() -> None:
    """Every second up to the end comes out, with what was reported and was not complete."""
    seconds = two_workers()
    seconds.add(0, report(0, 2))
    seconds.add(1, report(1, 5, complete=False))

    assert brief(seconds.rest(2)) == [
        (0, "measured", 2, True),
        (1, "measured", 5, True),
        (2, "measured", 0, True),
    ]


def test_the_end_brings_out_reports_beyond_the_last_second() -> None:
    """A report about a second after the end of the last user is not lost."""
    seconds = two_workers()
    seconds.add(0, report(3, 2, complete=False))

    assert brief(seconds.rest(0))[-1] == (3, "measured", 2, True)


@given(
    st.lists(
        st.tuples(
            st.integers(min_value=0, max_value=2),
            st.integers(min_value=0, max_value=8),
            st.sampled_from(["warmup", "measured"]),
            st.booleans(),
            st.floats(min_value=0, max_value=1.5),
        ),
        max_size=40,
    )
)
def test_whatever_the_order_everything_comes_out_once(
    reports: list[tuple[int, int, Phase, bool, float]],
) -> None:
    """Iterations and users add up, each second is completed once, and in order."""
    seconds = Seconds([0, 1, 2], 1, 0.0)
    spans: list[Span] = []
    elapsed = 0.0
    for worker, second, phase, complete, pause in reports:
        elapsed += pause
        seconds.add(worker, report(second, 1, phase=phase, complete=complete, users=2))
        spans += seconds.due(elapsed)
    spans += seconds.rest(9)

    assert sum(span.tallies[0].iterations for span in spans) == len(reports)
    assert sum(span.tallies[0].users for span in spans) == 2 * len(reports)
    completed = [span.second for span in spans if span.complete]
    assert completed == list(range(max(9, completed[-1]) + 1))


def in_fives() -> Seconds:
    """Return the seconds of a slice with workers 0 and 1 whose frames sum up five of them."""
    return Seconds([0, 1], 1, 0.0, 5)


def test_five_seconds_go_out_together() -> None:
    """Counts add up, of the users the most stay, CPU is the mean and lag the worst."""
    seconds = in_fives()
    for second in range(5):
        assert seconds.due(second + 0.9) == []
        seconds.add(0, report(second, 1, users=second, lag=0.1 * second))
        seconds.add(1, report(second, 10, users=2))
    (span,) = seconds.due(5.1)

    assert (span.second, span.seconds, span.complete) == (0, 5, True)
    assert (span.tallies[0].iterations, span.tallies[0].users) == (55, 6)
    assert [(health.worker, health.cpu, health.lag_p99) for health in span.health] == [(0, 0.5, 0.4)]


def test_five_seconds_wait_for_the_last_of_them() -> None:
    """Neither four complete seconds nor their grace bring anything out; the grace of the fifth does."""
    seconds = in_fives()
    for second in range(4):
        seconds.add(0, report(second, 2))
        seconds.add(1, report(second, 2))

    assert seconds.closes_at == 5 + GRACE
    assert seconds.due(5 + GRACE - 0.01) == []
    assert brief(seconds.due(5 + GRACE)) == [(0, "measured", 16, True)]
    assert seconds.closes_at == 10 + GRACE


def test_users_of_both_phases_are_not_counted_twice() -> None:
    """Where the warm-up ends within a span, the same users are in it once."""
    seconds = Seconds([0], 1, 3.0, 5)
    for second in range(5):
        phase: Phase = "warmup" if second < 3 else "measured"
        seconds.add(0, report(second, 1, phase=phase, users=7))
    spans = seconds.due(5.0)

    assert brief(spans) == [(0, "warmup", 3, False), (0, "measured", 2, True)]
    assert [span.tallies[0].users for span in spans] == [7, 0]


def test_the_end_cuts_the_last_five_seconds_short() -> None:
    """The last span says how many seconds it really sums up."""
    seconds = in_fives()
    for second in range(7):
        seconds.add(0, report(second))
        seconds.add(1, report(second))
    seconds.leave(0)
    seconds.leave(1)
    spans = seconds.due(8.0) + seconds.rest(6)

    assert [(span.second, span.seconds, span.tallies[0].iterations) for span in spans] == [
        (0, 5, 10),
        (5, 2, 4),
    ]


def test_a_late_find_stays_in_its_own_second() -> None:
    """What comes for one of five closed seconds is a span of that second."""
    seconds = in_fives()
    seconds.due(5 + GRACE)
    seconds.add(1, report(3, 4))

    (span,) = seconds.due(5 + GRACE + 0.1)
    assert (span.second, span.seconds, span.complete, span.tallies[0].iterations) == (3, 1, False, 4)


@given(
    st.integers(1, 7),
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 23), st.floats(min_value=0, max_value=4)), max_size=40
    ),
)
def test_however_many_go_together_everything_comes_out_once(
    interval: int, reports: list[tuple[int, int, float]]
) -> None:
    """Iterations add up, and complete spans cover every second exactly once, in order."""
    seconds = Seconds([0, 1, 2], 1, 5.5, interval)
    spans: list[Span] = []
    elapsed = 0.0
    for worker, second, pause in reports:
        elapsed += pause
        seconds.add(worker, report(second))
        spans += seconds.due(elapsed)
    spans += seconds.rest(24)

    assert sum(span.tallies[0].iterations for span in spans) == len(reports)
    complete = [second for s in spans if s.complete for second in range(s.second, s.second + s.seconds)]
    assert complete[:25] == list(range(25))
    assert complete == list(range(len(complete)))


def test_five_seconds_tell_the_worst_of_a_workers_health() -> None:
    """What three seconds running had in common is not lost in them."""
    seconds = Seconds([0], 1, 0.0, 5)
    for second in range(5):
        health = WorkerHealth(99, 0.2 * second, 0.1, lag_held=0.07 if second == 3 else 0.01, no_port=1)
        seconds.add(0, Second(second, "measured", complete=True, tallies=[Tally()], health=health))

    (health,) = seconds.due(5.0)[0].health

    assert (health.worker, health.lag_held, health.no_port) == (0, 0.07, 5)
    assert abs(health.cpu - 0.4) < 1e-9
