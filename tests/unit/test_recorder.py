"""What a worker counts: in which second, in which phase, within which bounds, and without losing anything."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.engine.recorder import Cut, Recorder
from pytest_metersphere.metrics.frame import (
    MAX_ERROR_GROUPS,
    MAX_EXEMPLAR_SIZE,
    MAX_EXEMPLARS,
    MAX_LABELS,
    OTHER,
    Kind,
    Tally,
)

GO = 1000.0
LABELS: list[tuple[str, Kind]] = [("GET /", "request"), ("db", "sample"), ("checkout", "transaction")]


def recorder(*warmups: float) -> Recorder:
    """Return a recorder whose second 0 begins at the clock reading GO."""
    made = Recorder(warmups or (0.0,))
    made.begin(GO)
    return made


def sample(
    to: Recorder, start: float, end: float, *, part: int = 0, label: str = "GET /", kind: Kind = "request"
) -> None:
    """Record a sample that worked; times are seconds from go."""
    to.sample(part, label, kind, GO + start, GO + end, failed=False, service=None)


def fail(
    to: Recorder, message: str = "m", *, label: str = "", detail: Callable[[], str] = lambda: "d"
) -> None:
    """Record a failure in second 0."""
    to.error(0, GO, GO + 0.5, label, "exception", message, detail)


def seen(cuts: list[Cut]) -> list[tuple[int, str, int]]:
    """Return second, phase and samples of each cut."""
    return [(cut.second, cut.phase, sum(tally.requests for tally in cut.tallies)) for cut in cuts]


def total(cuts: list[Cut], part: int = 0) -> Tally:
    """Return everything that the cuts hold for a scenario."""
    merged = Tally()
    for cut in cuts:
        merged.merge(cut.tallies[part])
    return merged


def test_a_sample_belongs_to_the_second_in_which_it_ends() -> None:
    """Begun in second 0 and ended in second 2, it counts in second 2, with its whole time."""
    rec = recorder()
    sample(rec, 0.5, 2.25)
    sample(rec, 2.0, 2.999)

    cuts = rec.cut(4)

    assert seen(cuts) == [(2, "measured", 2), (3, "measured", 0)]
    assert total(cuts).labels["GET /"].response.max == 1.75


def test_a_sample_belongs_to_the_phase_in_which_it_begins() -> None:
    """What begins within the warm-up is warm-up, whenever it ends; what begins at its end is measured."""
    rec = recorder(2.0)
    sample(rec, 1.9, 2.5)
    sample(rec, 2.0, 2.6)
    sample(rec, 0.0, 0.1)

    assert seen(rec.cut(3)) == [(0, "warmup", 1), (2, "warmup", 1), (2, "measured", 1)]


def test_without_a_warm_up_nothing_belongs_to_it() -> None:
    """Not even what begins a little before second 0, as by a clock of somebody else's."""
    rec = recorder(0.0)
    sample(rec, -0.001, 0.1)
    sample(rec, 0.0, 0.1)

    assert seen(rec.cut(1)) == [(0, "measured", 2)]


def test_each_scenario_has_a_warm_up_of_its_own() -> None:
    """The same moment is warm-up for one scenario and measured for another."""
    rec = recorder(1.0, 0.0)
    sample(rec, 0.1, 0.2, part=0)
    sample(rec, 0.1, 0.2, part=1)

    warmup, measured = rec.cut(1)

    assert (warmup.phase, measured.phase) == ("warmup", "measured")
    assert [tally.requests for tally in warmup.tallies] == [1, 0]
    assert [tally.requests for tally in measured.tallies] == [0, 1]


def test_a_cut_takes_the_past_and_leaves_the_rest() -> None:
    """Seconds come out in order, once; later ones wait for a later cut."""
    rec = recorder()
    for second in (3, 1, 0):
        sample(rec, second + 0.1, second + 0.2)

    assert seen(rec.cut(2)) == [(0, "measured", 1), (1, "measured", 1)]
    assert seen(rec.cut(4)) == [(3, "measured", 1)]
    assert seen(rec.cut(5)) == [(4, "measured", 0)]


def test_a_late_sample_comes_with_the_next_cut() -> None:
    """What ends in a second that was taken out already is not lost."""
    rec = recorder()
    rec.cut(2)
    sample(rec, 0.5, 0.9)

    assert seen(rec.cut(3)) == [(0, "measured", 1), (2, "measured", 0)]


def test_the_last_second_is_there_even_without_events() -> None:
    """A cut always ends with the second before its bound, in the phase that it lies in."""
    rec = recorder(1.5)

    assert [seen(rec.cut(before)) for before in (1, 2, 3)] == [
        [(0, "warmup", 0)],
        [(1, "warmup", 0)],
        [(2, "measured", 0)],
    ]


def test_users_are_the_most_alive_in_a_second() -> None:
    """One who came and left counts; the next second begins with those who stayed."""
    rec = recorder(0.0, 0.0)
    for _ in range(3):
        rec.user_came(0)
    rec.user_left(0)
    rec.user_came(1)
    first = rec.cut(1)
    rec.user_left(0)
    rec.user_left(1)
    second = rec.cut(2)
    third = rec.cut(3)

    users = [[tally.users for tally in cut.tallies] for cut in (*first, *second, *third)]
    assert users == [[3, 1], [2, 1], [1, 0]]


def test_an_iteration_is_counted_with_how_it_ended() -> None:
    """Failed, failed by a sample, skipped: each has its own count, and all are iterations."""
    rec = recorder()
    for failed, by_sample, skipped in [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 0, 1)]:
        rec.iteration(0, GO, GO + 0.1, failed=bool(failed), by_sample=bool(by_sample), skipped=bool(skipped))

    tally = total(rec.cut(1))

    assert (tally.iterations, tally.failed_iterations, tally.failed_by_sample, tally.skipped_iterations) == (
        4,
        2,
        1,
        1,
    )


def test_a_sample_is_counted_with_all_its_figures() -> None:
    """Bytes, exchanges, failure and both times arrive at the label."""
    rec = recorder()
    rec.sample(
        0, "a", "request", GO, GO + 0.5, failed=True, service=0.25, exchanges=2, sent=100, received=2000
    )
    rec.sample(0, "a", "request", GO, GO + 0.1, failed=False, service=None)
    rec.interrupted(0, GO, GO + 0.7, 3)

    tally = total(rec.cut(1))
    label = tally.labels["a"]

    assert (tally.requests, tally.failures, tally.exchanges, tally.interrupted) == (2, 1, 2, 3)
    assert (label.bytes_sent, label.bytes_received) == (100, 2000)
    assert (label.response.count, label.service.count) == (2, 1)
    assert (label.response.max, label.service.max) == (0.5, 0.25)


def test_a_transaction_and_a_sample_of_one_name_stay_apart() -> None:
    """Whichever comes first, only the sample is among the requests."""
    for kinds in (("transaction", "request"), ("request", "transaction")):
        rec = recorder()
        for kind in (*kinds, *kinds):
            sample(rec, 0, 0.1, label="checkout", kind=kind)

        tally = total(rec.cut(1))

        assert tally.requests == 2
        assert {name: entry.kind for name, entry in tally.labels.items()} == {
            "checkout": kinds[0],
            f"checkout ({kinds[1]})": kinds[1],
        }


def test_labels_are_bounded_in_number_and_length() -> None:
    """Above 500 names all others count as one, over all seconds; names are cut at 200 characters."""
    rec = recorder()
    for number in range(MAX_LABELS + 50):
        sample(rec, 0, 0.5, label=f"label {number} {'x' * 500}")
    sample(rec, 0, 0.5, label=f"label 0 {'x' * 500}")
    sample(rec, 0, 0.5, label="one more", kind="transaction")
    sample(rec, 0, 0.5, label=OTHER)

    tally = total(rec.cut(1))

    assert len(tally.labels) == MAX_LABELS + 2
    assert max(map(len, tally.labels)) == 200
    assert tally.labels[OTHER].requests == 51
    assert tally.labels[f"{OTHER} (transaction)"].requests == 1
    assert tally.requests == MAX_LABELS + 52
    sample(rec, 1, 1.5, label="a second later")
    assert list(total(rec.cut(2)).labels) == [OTHER]


def test_text_that_cannot_be_sent_is_spelled_out() -> None:
    """Half surrogate pairs in labels, messages and exemplars become escapes, each label one label."""
    rec = recorder()
    for _ in range(2):
        sample(rec, 0, 0.5, label="file \udcff")
        fail(rec, "no \udcff", label="file \udcff", detail=lambda: "in full \udcff")

    tally = total(rec.cut(1))

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(tally), type=Tally) == tally
    assert {name: label.requests for name, label in tally.labels.items()} == {"file \\udcff": 2}
    (error,) = tally.errors
    assert (error.label, error.message, error.count) == ("file \\udcff", "no \\udcff", 2)
    assert error.exemplars == ["in full \\udcff"] * 2


def test_failures_carry_the_name_that_their_sample_has() -> None:
    """The label of a failure is cut and bounded as the label of the sample is."""
    rec = recorder()
    fail(rec, label="x" * 500)
    for number in range(MAX_LABELS):
        sample(rec, 0, 0.5, label=f"label {number}")
    fail(rec, label="too late")

    labels = [error.label for error in total(rec.cut(1)).errors]

    assert labels == ["x" * 200, OTHER]


def test_exemplars_are_few_and_sent_once() -> None:
    """The first five of a group are asked for, over all seconds; later failures are only counted."""
    rec = recorder()
    asked: list[int] = []

    def detail() -> str:
        asked.append(1)
        return "e" * 5000

    cuts: list[Cut] = []
    for second in range(4):
        for _ in range(3):
            rec.error(0, GO + second, GO + second + 0.5, "a", "status", "503", detail)
        cuts += rec.cut(second + 1)

    counts = [cut.tallies[0].errors[0].count for cut in cuts]
    exemplars = [len(cut.tallies[0].errors[0].exemplars) for cut in cuts]
    assert counts == [3, 3, 3, 3]
    assert exemplars == [3, 2, 0, 0]
    assert len(asked) == MAX_EXEMPLARS
    assert {len(text) for cut in cuts for text in cut.tallies[0].errors[0].exemplars} == {MAX_EXEMPLAR_SIZE}


def test_error_groups_are_bounded() -> None:
    """Above 100 groups failures go to one more, without an exemplar, and none is lost."""
    rec = recorder()
    for number in range(MAX_ERROR_GROUPS + 20):
        fail(rec, f"message {number} {'x' * 1000}")

    tally = total(rec.cut(1))

    assert len(tally.errors) == MAX_ERROR_GROUPS + 1
    assert sum(error.count for error in tally.errors) == MAX_ERROR_GROUPS + 20
    assert (tally.errors[-1].message, tally.errors[-1].count) == (OTHER, 20)
    assert tally.errors[-1].exemplars == []
    assert max(len(error.message) for error in tally.errors) == 300


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that a user did; times in seconds from go."""

    part: int
    label: int
    start: float
    took: float
    failed: bool
    cut_before: int


EVENTS = st.lists(
    st.builds(
        Event,
        st.integers(0, 1),
        st.integers(0, 2),
        st.floats(0, 6),
        st.floats(0, 3),
        st.booleans(),
        st.integers(0, 7),
    ),
    max_size=40,
)


@given(EVENTS)
def test_nothing_is_lost_and_nothing_counted_twice(events: list[Event]) -> None:
    """However the recording is cut, all cuts together hold exactly what was recorded, in order."""
    rec = recorder(2.0, 0.0)
    cuts: list[Cut] = []
    for event in events:
        name, kind = LABELS[event.label]
        start, end = GO + event.start, GO + event.start + event.took
        rec.sample(event.part, name, kind, start, end, failed=event.failed, service=None, exchanges=1, sent=3)
        rec.iteration(event.part, start, end, failed=event.failed, by_sample=False, skipped=False)
        rec.interrupted(event.part, start, end, 2)
        if event.failed:
            rec.error(event.part, start, end, name, "exception", "m", lambda: "d")
        if event.cut_before:
            taken = rec.cut(event.cut_before)
            assert [(cut.second, cut.phase == "measured") for cut in taken] == sorted(
                {(cut.second, cut.phase == "measured") for cut in taken}
            )
            assert all(cut.second < event.cut_before for cut in taken)
            cuts += taken
    cuts += rec.cut(100)

    for part in (0, 1):
        mine = [event for event in events if event.part == part]
        tally = total(cuts, part)
        assert tally.iterations == tally.exchanges == len(mine)
        assert tally.interrupted == 2 * len(mine)
        assert tally.failed_iterations == sum(event.failed for event in mine)
        assert sum(error.count for error in tally.errors) == tally.failed_iterations
        for number, (name, _) in enumerate(LABELS):
            expected = [event for event in mine if event.label == number]
            entry = tally.labels.get(name)
            assert (entry.requests if entry else 0) == len(expected)
            assert (entry.response.count if entry else 0) == len(expected)
            assert (entry.bytes_sent if entry else 0) == 3 * len(expected)
    warm = [cut for cut in cuts if cut.phase == "warmup"]
    assert sum(cut.tallies[0].iterations for cut in warm) == sum(
        event.part == 0 and GO + event.start - GO < 2.0 for event in events
    )
    assert sum(cut.tallies[1].iterations for cut in warm) == 0
