"""Tallies: the laws that merging keeps, and the bounds it keeps them within."""

from __future__ import annotations

import copy

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.metrics.frame import (
    MAX_ERROR_GROUPS,
    MAX_EXEMPLARS,
    MAX_LABELS,
    OTHER,
    ErrorTally,
    Kind,
    LabelTally,
    Phases,
    Tally,
)
from pytest_metersphere.metrics.histogram import Histogram

KINDS: dict[str, Kind] = {"GET /": "request", "db": "sample", "checkout": "transaction"}
COUNTS = st.integers(0, 1000)


def histogram_of(micros: list[int]) -> Histogram:
    """Return a histogram of these microseconds."""
    made = Histogram()
    for value in micros:
        made.record(value / 1e6)
    return made


HISTOGRAMS = st.lists(st.integers(0, 10**7), max_size=4).map(histogram_of)


def labels(kind: Kind) -> st.SearchStrategy[LabelTally]:
    """Return tallies of a kind."""
    phases = st.builds(Phases, *[COUNTS] * 6)
    return st.builds(
        LabelTally, st.just(kind), COUNTS, COUNTS, COUNTS, COUNTS, HISTOGRAMS, HISTOGRAMS, phases
    )


LABELS = st.fixed_dictionaries({}, optional={name: labels(kind) for name, kind in KINDS.items()})
ERRORS = st.lists(
    st.builds(
        ErrorTally,
        st.sampled_from(["", "GET /"]),
        st.sampled_from(["status", "assert"]),
        st.sampled_from(["503", "no"]),
        COUNTS,
    ),
    max_size=3,
    unique_by=lambda error: (error.label, error.kind, error.message),
)
TALLIES = st.builds(Tally, *[COUNTS] * 8, LABELS, ERRORS)


def merged(*tallies: Tally, parallel: bool = False) -> Tally:
    """Return a new tally with all of these, which stay as they are."""
    result = Tally()
    for tally in tallies:
        (result.merge_parallel if parallel else result.merge)(copy.deepcopy(tally))
    return result


def unordered(tally: Tally) -> object:
    """Return everything that a tally holds, without the order in which it came."""
    errors = sorted((e.label, e.kind, e.message, e.count) for e in tally.errors)
    figures = msgspec.structs.replace(tally, labels={}, errors=[])
    return figures, dict(sorted(tally.labels.items())), errors


@given(one=TALLIES, two=TALLIES, three=TALLIES, parallel=st.booleans())
def test_merging_is_associative(one: Tally, two: Tally, three: Tally, *, parallel: bool) -> None:
    """It does not matter which of three are merged first, so nodes may merge before the controller does."""
    left = merged(merged(one, two, parallel=parallel), three, parallel=parallel)
    right = merged(one, merged(two, three, parallel=parallel), parallel=parallel)

    assert left == right


@given(one=TALLIES, two=TALLIES, parallel=st.booleans())
def test_merging_is_commutative(one: Tally, two: Tally, *, parallel: bool) -> None:
    """Frames may come in any order."""
    assert unordered(merged(one, two, parallel=parallel)) == unordered(merged(two, one, parallel=parallel))


@given(TALLIES)
def test_an_empty_tally_changes_nothing(tally: Tally) -> None:
    """Merging nothing in, or into nothing, gives the tally itself."""
    assert merged(tally) == merged(Tally(), tally) == merged(tally, Tally()) == tally
    assert merged(tally, parallel=True) == tally


@given(TALLIES, TALLIES)
def test_requests_and_failures_add_up(one: Tally, two: Tally) -> None:
    """Sums of a merged tally are the sums of the parts; transactions are in neither."""
    both = merged(one, two)

    assert both.requests == one.requests + two.requests
    assert both.failures == one.failures + two.failures
    assert one.requests == sum(label.requests for name, label in one.labels.items() if name != "checkout")


@given(TALLIES, TALLIES)
def test_users_add_up_only_side_by_side(one: Tally, two: Tally) -> None:
    """In the same span other users add up; in another span they are the same users."""
    assert merged(one, two).users == max(one.users, two.users)
    assert merged(one, two, parallel=True).users == one.users + two.users
    assert msgspec.structs.replace(merged(one, two, parallel=True), users=0) == msgspec.structs.replace(
        merged(one, two), users=0
    )


@given(TALLIES, TALLIES)
def test_what_is_merged_in_stays_as_it_was(one: Tally, two: Tally) -> None:
    """The other tally shares nothing with the merged one."""
    before = copy.deepcopy(two)
    result = copy.deepcopy(one)
    result.merge(two)
    result.merge(two)

    assert two == before


@given(TALLIES)
def test_a_tally_crosses_the_wire_unchanged(tally: Tally) -> None:
    """MessagePack brings back what went in."""
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(tally), type=Tally) == tally


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["request", "sample", "transaction"])))
)
def test_transactions_never_mix_with_samples(uses: list[tuple[str, Kind]]) -> None:
    """When a name is used for both, on any node in any order, requests are still exactly the samples."""
    alone = []
    for name, kind in uses:
        tally = Tally()
        tally.label(name, kind).requests += 1
        alone.append(tally)

    assert merged(*alone).requests == sum(kind != "transaction" for _, kind in uses)
    assert merged(*reversed(alone)).requests == merged(*alone).requests
    assert sum(label.requests for label in merged(*alone).labels.values()) == len(uses)


def test_labels_above_the_limit_are_counted_together() -> None:
    """Two tallies of 400 labels each make 500 and one for the rest; no sample is lost."""
    halves = [Tally(), Tally()]
    for number in range(800):
        halves[number % 2].label(f"label {number}", "request").requests += 1

    both = merged(*halves)

    assert len(both.labels) == MAX_LABELS + 1
    assert both.requests == 800
    assert both.labels[OTHER].requests == 300


def test_error_groups_above_the_limit_are_counted_together() -> None:
    """Failures of too many groups go into one for each kind; no failure is lost."""
    tallies = [Tally() for _ in range(150)]
    for number, tally in enumerate(tallies):
        tally.error("", "status" if number % 2 else "assert", f"message {number}", 2, ["in full"])

    both = merged(*tallies)

    assert sum(error.count for error in both.errors) == 300
    rest = {(error.kind, error.count) for error in both.errors[MAX_ERROR_GROUPS:]}
    assert rest == {("status", 50), ("assert", 50)}
    assert {error.message for error in both.errors[MAX_ERROR_GROUPS:]} == {OTHER}


def test_exemplars_of_merged_groups_are_bounded() -> None:
    """The first five stay, of whichever tally they come."""
    one, two = Tally(), Tally()
    one.error("a", "status", "503", 3, ["1", "2", "3"])
    two.error("a", "status", "503", 4, ["4", "5", "6", "7"])

    (group,) = merged(one, two).errors

    assert (group.count, group.exemplars) == (7, ["1", "2", "3", "4", "5"])
    assert len(group.exemplars) == MAX_EXEMPLARS
