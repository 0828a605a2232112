"""The course of a scenario by second: late and packed seconds, and the slots of charts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.metrics.frame import ErrorTally, LabelTally, Tally
from pytest_metersphere.metrics.series import MAX_SLOTS, Series

SAMPLE = "GET /"


def tally(users: int = 1, requests: int = 1, seconds: float = 0.1) -> Tally:
    """Return what some users did in a second."""
    label = LabelTally("request", requests)
    for _ in range(requests):
        label.response.record(seconds)
        label.service.record(seconds)
    return Tally(users=users, labels={SAMPLE: label}, errors=[ErrorTally(SAMPLE, "status", "503", 1)])


def series(*seconds: int) -> Series:
    """Return the series of these seconds, each with one request of one user."""
    made = Series()
    for second in seconds:
        made.add(second, tally())
    return made


def test_without_seconds_there_is_nothing() -> None:
    """An empty series has no seconds and no slots."""
    empty = Series()

    assert (empty.seconds, empty.width, list(empty.slots()), empty.at(0)) == (0, 1, [], None)


def test_what_several_workers_did_in_a_second_adds_up() -> None:
    """Users and requests of one second are summed; what was given stays as it was."""
    both = Series()
    first, second = tally(users=3, requests=2), tally(users=4, requests=5)
    both.add(1, first)
    both.add(1, second)

    found = both.at(1)

    assert found is not None
    assert (found.users, found.requests) == (7, 7)
    assert (first.users, first.requests, second.users, second.requests) == (3, 2, 4, 5)


def test_a_scenario_that_ended_has_no_seconds_behind_its_end() -> None:
    """Open and packed ones are forgotten; those before stay."""
    ended = series(0, 1, 2, 3)
    ended.close(3)
    ended.end(2)

    assert ended.seconds == 2
    assert [(begin, slot.requests) for begin, slot in ended.slots()] == [(0, 1), (1, 1)]


def test_seconds_keep_what_charts_need() -> None:
    """Failures' texts and service times are dropped, and nothing else, whether a second is packed or not."""
    packed = series(0, 1, 2)
    packed.close(2)

    for kept in (packed.at(1), packed.at(2)):
        assert kept is not None
        assert (kept.users, kept.requests, kept.errors) == (1, 1, [])
        assert kept.labels[SAMPLE].response.count == 1
        assert kept.labels[SAMPLE].service.count == 0
    assert packed.seconds == 3


def test_a_late_frame_reopens_its_second() -> None:
    """What comes for a closed second is added to it, and closing again keeps both."""
    late = series(0, 1)
    late.close(2)
    late.add(0, tally(users=2, requests=3))
    late.close(2)

    found = late.at(0)

    assert found is not None
    assert (found.users, found.requests) == (3, 4)
    assert late.seconds == 2


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 9), st.integers(0, 3)), max_size=30))
def test_closing_changes_no_sum(steps: list[tuple[int, int, int]]) -> None:
    """However additions and closings alternate, every second holds what was added to it."""
    closing, plain = Series(), Series()
    for second, close, requests in steps:
        for each in (closing, plain):
            each.add(second, tally(requests=requests))
        closing.close(close)

    def sums(of: Series) -> list[tuple[int, int] | None]:
        return [
            None if (found := of.at(second)) is None else (found.users, found.requests) for second in range(9)
        ]

    assert sums(closing) == sums(plain)
    assert closing.seconds == plain.seconds
    assert sum(slot.requests for _, slot in closing.slots()) == sum(requests for _, _, requests in steps)


def test_slots_are_seconds_while_they_are_few() -> None:
    """Up to 600 seconds each has a slot; a second without a report has an empty one."""
    gap = series(0, 2)

    assert [(begin, slot.requests, slot.users) for begin, slot in gap.slots()] == [
        (0, 1, 1),
        (1, 0, 0),
        (2, 1, 1),
    ]
    assert (series(599).width, series(600).width) == (1, 2)


def test_wide_slots_sum_requests_and_keep_the_most_users() -> None:
    """Of the seconds of a slot requests add up, while users are the largest number at once."""
    long = Series()
    for second in range(1201):
        long.add(second, tally(users=second % 5))

    slots = list(long.slots())

    assert long.width == 5
    assert [begin for begin, _ in slots] == list(range(0, 1201, 5))
    assert {(slot.users, slot.requests) for _, slot in slots[:-1]} == {(4, 5)}
    assert (slots[-1][1].users, slots[-1][1].requests) == (0, 1)


@given(st.integers(1, 36_000_000))
def test_there_are_never_too_many_slots(seconds: int) -> None:
    """The width grows with the length of the run, up to an hour."""
    width = series(seconds - 1).width

    assert width == 3600 or -(-seconds // width) <= MAX_SLOTS
    assert width == 1 or seconds > MAX_SLOTS
