"""The arithmetic of the comparison: slopes, medians, ratios, percentiles. Pure."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Sequence


@dataclasses.dataclass(frozen=True)
class Spread:
    """What repetitions of one measurement came to.

    Attributes:
        values: in the order in which they were measured.
    """

    values: tuple[float, ...]
    median: float
    lowest: float
    highest: float


def spread(values: Iterable[float]) -> Spread | None:
    """Return the median and the range of the values, None when there are none."""
    kept = tuple(values)
    if not kept:
        return None
    return Spread(kept, statistics.median(kept), min(kept), max(kept))


@dataclasses.dataclass(frozen=True)
class Point:
    """One run: how much was done (requests, users), and what it cost (CPU seconds, bytes)."""

    amount: float
    cost: float


def slope(short: Point, long: Point) -> float | None:
    """Return the cost of one more, with what every run pays at its beginning and end taken out.

    None when the longer run did not do more, or cost no more: no figure can be had from such a pair.
    """
    amount, cost = long.amount - short.amount, long.cost - short.cost
    return cost / amount if amount > 0 and cost > 0 else None


def ratios(
    rivals: Sequence[float | None],
    ours: Sequence[float | None],
) -> Spread | None:
    """Return how many times the rival's cost is ours, repetition by repetition.

    Pairs within one repetition were measured within the same minutes; where either is None there is none.
    """
    pairs = zip(rivals, ours, strict=False)
    return spread(theirs / mine for theirs, mine in pairs if theirs is not None and mine)


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """Return the value that `share` of the ordered values do not exceed (nearest rank)."""
    if not ordered:
        return None
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


def counted_percentile(counts: Sequence[tuple[float, int]], share: float) -> float | None:
    """Return the same for values that are given with their numbers, in any order."""
    total = sum(count for _, count in counts)
    rank, seen = max(math.ceil(share * total), 1), 0
    for value, count in sorted(counts):
        seen += count
        if seen >= rank:
            return value
    return None


def close_enough(reported: float, truth: float) -> bool:
    """Return whether a reported time is within 1 ms or 5 % of the truth (seconds)."""
    return abs(reported - truth) < max(0.001, 0.05 * truth)
