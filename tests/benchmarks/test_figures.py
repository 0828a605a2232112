"""The arithmetic of the comparison."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.compare.figures import (
    Point,
    close_enough,
    counted_percentile,
    percentile,
    ratios,
    slope,
    spread,
)

_AMOUNTS = st.integers(min_value=1, max_value=10**7)
_COSTS = st.floats(min_value=1e-6, max_value=1e-2)


@given(
    each=_COSTS,
    start=st.floats(min_value=0.0, max_value=60.0),
    amount=_AMOUNTS,
    more=st.integers(1000, 10**6),
)
def test_the_slope_knows_nothing_of_the_start(each: float, start: float, amount: int, more: int) -> None:
    """What every run pays once, however much it is, is not in the cost of one more request."""
    short = Point(amount, start + each * amount)
    long = Point(amount + more, start + each * (amount + more))

    assert slope(short, long) == pytest.approx(each, rel=1e-3, abs=1e-9)


@pytest.mark.parametrize(
    ("short", "long"),
    [
        (Point(100, 1.0), Point(100, 2.0)),
        (Point(100, 1.0), Point(90, 2.0)),
        (Point(100, 1.0), Point(200, 1.0)),
        (Point(100, 1.0), Point(200, 0.9)),
    ],
    ids=["no more requests", "fewer", "no more CPU", "less"],
)
def test_there_is_no_slope_without_a_rise(short: Point, long: Point) -> None:
    """A pair of runs that shows no cost of a request gives no figure, and no negative one."""
    assert slope(short, long) is None


def test_a_spread_keeps_every_value_in_order() -> None:
    """Median and range stand beside the values as they were measured."""
    found = spread([3.0, 1.0, 2.0, 10.0])

    assert found is not None
    assert (found.median, found.lowest, found.highest) == (2.5, 1.0, 10.0)
    assert found.values == (3.0, 1.0, 2.0, 10.0)


def test_there_is_no_spread_of_nothing() -> None:
    """Without repetitions there is no median."""
    assert spread([]) is None


def test_ratios_are_within_repetitions() -> None:
    """A slow minute that meets both sides does not change their ratio; a missing half leaves the pair out."""
    found = ratios([100.0, 400.0, None, 90.0], [10.0, 40.0, 10.0, None])

    assert found is not None
    assert found.values == (10.0, 10.0)


def test_there_is_no_ratio_without_a_pair() -> None:
    """Two that were never measured in the same repetition are not compared."""
    assert ratios([None, 1.0], [1.0, None]) is None


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=300), st.sampled_from([0.5, 0.9, 0.99]))
def test_counted_values_have_the_percentiles_of_the_single_ones(values: list[int], share: float) -> None:
    """It makes no difference whether a load generator lists its times or counts them."""
    counts = [(float(value), values.count(value)) for value in set(values)]

    assert percentile(sorted(values), share) == counted_percentile(counts, share)


def test_the_percentile_is_a_value_that_was_seen() -> None:
    """It is by nearest rank: the smallest value that the share of all do not exceed."""
    values = [float(value) for value in range(1, 101)]

    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1.0)) == (50.0, 99.0, 100.0)
    assert percentile([], 0.5) is None
    assert counted_percentile([], 0.5) is None


@pytest.mark.parametrize(
    ("reported", "truth", "close"),
    [
        (0.0059, 0.005, True),
        (0.0061, 0.005, False),
        (0.104, 0.1, True),
        (0.106, 0.1, False),
        (0.094, 0.1, False),
    ],
)
def test_close_is_a_millisecond_or_a_twentieth(reported: float, truth: float, close: bool) -> None:  # noqa: FBT001
    """Short times may be off by 1 ms, long ones by 5 %, to either side."""
    assert close_enough(reported, truth) is close
