"""The histogram against exact lists of values, and against the HdrHistogram package."""

from __future__ import annotations

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.metrics.histogram import HIGHEST, Histogram, bucket_of, highest_in

MICROS = st.one_of(st.integers(0, 300), st.integers(0, 10**7), st.integers(0, HIGHEST))
LISTS = st.lists(MICROS, min_size=1, max_size=60)
EDGES = [0, 1, 127, 128, 255, 256, 257, 258, 511, 512, 1023, 1024, 10**6, 10**9, HIGHEST - 1, HIGHEST]


def filled(values: list[int]) -> Histogram:
    """Return a histogram of these microseconds."""
    histogram = Histogram()
    for value in values:
        histogram.record(value / 1e6)
    return histogram


def reference(values: list[int]) -> HdrHistogram:
    """Return HdrHistogram's own histogram of these microseconds."""
    histogram = HdrHistogram(1, HIGHEST, 2)
    for value in values:
        histogram.record_value(value)
    return histogram


def counts_of(histogram: HdrHistogram) -> dict[int, int]:
    """Return the counts of HdrHistogram's buckets by the highest value in each."""
    return {
        histogram.get_highest_equivalent_value(step.value_iterated_to): step.count_at_value_iterated_to
        for step in histogram.get_recorded_iterator()
    }


@given(st.lists(st.one_of(st.floats(-1, 1), st.floats(0, 1e7)), max_size=300))
def test_sorted_times_are_counted_as_one_by_one(times: list[float]) -> None:
    """Early ones as 0, late ones as the largest; nothing differs."""
    one_by_one = Histogram()
    for seconds in times:
        one_by_one.record(seconds)

    assert Histogram.of_sorted(sorted(times)) == one_by_one


@given(LISTS)
def test_the_encoding_is_hdr_histograms_own(values: list[int]) -> None:
    """HdrHistogram reads the encoding back as the histogram that it would have made itself."""
    decoded = HdrHistogram.decode(filled(values).to_base64())
    own = reference(values)

    assert counts_of(decoded) == counts_of(own)
    assert decoded.get_total_count() == len(values)
    assert decoded.significant_figures == 2
    assert (decoded.lowest_trackable_value, decoded.highest_trackable_value) == (1, HIGHEST)


@pytest.mark.parametrize("value", EDGES)
def test_a_bucket_is_where_hdr_histogram_puts_the_value(value: int) -> None:
    """At the edges of the layout a lone value lands in the same bucket."""
    decoded = HdrHistogram.decode(filled([value]).to_base64())

    assert decoded.get_count_at_value(value) == 1
    assert highest_in(bucket_of(value)) == reference([]).get_highest_equivalent_value(value)


def test_an_empty_histogram_encodes_too() -> None:
    """No values make an encoding without counts."""
    assert HdrHistogram.decode(Histogram().to_base64()).get_total_count() == 0


def test_large_counts_and_long_gaps_encode() -> None:
    """Counts that need every length of the variable-length code arrive whole."""
    counts = {bucket_of(7**power): 1 << (3 * power) for power in range(14)}
    histogram = Histogram(counts, sum(counts.values()), 0, 1, 7**13)

    decoded = HdrHistogram.decode(histogram.to_base64())

    assert counts_of(decoded) == {highest_in(bucket): count for bucket, count in counts.items()}


@given(MICROS)
def test_a_bucket_holds_its_value_to_one_part_in_128(value: int) -> None:
    """The top of a value's bucket is in that bucket, not below the value and at most 1/128 above."""
    top = highest_in(bucket_of(value))

    assert value <= top <= value + value // 128
    assert bucket_of(top) == bucket_of(value)
    assert top == HIGHEST or bucket_of(top + 1) == bucket_of(value) + 1


@given(LISTS, st.sampled_from([0.0, 1.0, 50.0, 90.0, 95.0, 99.0, 99.9, 99.99, 100.0]))
def test_a_percentile_is_the_ranked_value_to_one_part_in_128(values: list[int], percent: float) -> None:
    """The answer is the top of the bucket of the value at rank ceil(percent / 100 * n), or the maximum."""
    rank = max(1, -(-round(percent * 100) * len(values) // 10_000))
    exact = sorted(values)[rank - 1]

    answer = filled(values).percentile(percent)

    assert answer == min(highest_in(bucket_of(exact)), max(values)) / 1e6


@pytest.mark.parametrize(
    ("percent", "count", "rank"),
    [
        (99.9, 1000, 999),
        (99.999, 99_999, 99_999),
        (99.99, 10**6, 999_900),
        (50.0, 3 * 10**9, 15 * 10**8),
        (100.0, 3 * 10**9, 3 * 10**9),
        (95.0, 20, 19),
        (0.0, 5, 1),
    ],
)
def test_ranks_are_exact(percent: float, count: int, rank: int) -> None:
    """Neither rounding in floats nor a tolerance against it moves a rank, at any count."""
    at_rank = Histogram({10: rank, 20: count - rank}, count, 0, 10, 20)
    below = Histogram({10: rank - 1, 20: count - rank + 1}, count, 0, 10, 20)

    assert at_rank.percentile(percent) == 10 / 1e6
    assert below.percentile(percent) == 20 / 1e6


@given(LISTS)
def test_several_percentiles_are_those_taken_one_by_one(values: list[int]) -> None:
    """One pass gives the same answers, equal percentages included."""
    percents = [0.0, 50.0, 50.0, 90.0, 99.9, 100.0]
    histogram = filled(values)

    assert histogram.percentiles(percents) == [histogram.percentile(percent) for percent in percents]


@given(LISTS)
def test_count_mean_minimum_and_maximum_are_exact(values: list[int]) -> None:
    """These four know nothing of buckets."""
    histogram = filled(values)

    assert histogram.count == len(values)
    assert histogram.mean == sum(values) / len(values) / 1e6
    assert (histogram.min, histogram.max) == (min(values) / 1e6, max(values) / 1e6)


@given(st.lists(MICROS, max_size=40), st.lists(MICROS, max_size=40))
def test_merging_is_recording_both(first: list[int], second: list[int]) -> None:
    """The merged histogram is the one of both lists, and the other one stays as it was."""
    merged, other = filled(first), filled(second)

    merged.merge(other)

    assert merged == filled(first + second)
    assert other == filled(second)


def test_a_copy_is_independent() -> None:
    """Recording into the copy leaves the original alone."""
    original = filled([5])

    copy = original.copy()
    copy.record(1.0)

    assert (original.count, copy.count) == (1, 2)
    assert original == filled([5])


def test_an_empty_histogram_answers_zero() -> None:
    """Without values every number is 0."""
    empty = Histogram()

    assert (empty.mean, empty.min, empty.max, empty.percentiles([50.0, 99.0])) == (0.0, 0.0, 0.0, [0.0, 0.0])


@pytest.mark.parametrize(
    ("seconds", "micros"),
    [(-1.0, 0), (0.4e-6, 0), (0.6e-6, 1), (1.0, 10**6), (1e9, HIGHEST), (1e300, HIGHEST)],
)
def test_durations_are_rounded_to_whole_microseconds_within_the_range(seconds: float, micros: int) -> None:
    """What lies outside counts as the nearest value inside."""
    histogram = Histogram()

    histogram.record(seconds)

    assert (histogram.lowest, histogram.highest) == (micros, micros)
    assert histogram.counts == {bucket_of(micros): 1}
