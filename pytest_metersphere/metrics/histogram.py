"""A mergeable histogram of durations with HdrHistogram's layout and two significant digits.

Values are whole microseconds. Up to 255 each value has a bucket of its own; above, each power of
two is cut into 128 equal buckets, so a value is known to 1/128 (0.8 %). The layout is that of
HdrHistogram (Gil Tene, https://hdrhistogram.github.io/HdrHistogram/) with lowest discernible
value 1 and two significant digits, so the counts go into its V2 encoding as they are.
"""

from __future__ import annotations

import base64
import bisect
import math
import struct
import zlib
from collections.abc import Sequence
from typing import Annotated

import msgspec

_HALF = 128
_HALF_BITS = 7
_COOKIE = 0x1C849303 | 0x10
_COMPRESSED_COOKIE = 0x1C849304 | 0x10
_ROUNDING = 1 - 1e-15  # takes back what percent / 100 * count may be too large by
HIGHEST = (1 << 42) - 1
"""The largest value that keeps its place, in microseconds (51 days); larger ones count as this."""
Bucket = Annotated[int, msgspec.Meta(ge=0, le=(42 - 8 << _HALF_BITS) + 2 * _HALF - 1)]
"""A bucket's number, from 0 to that of HIGHEST; checked where a histogram is decoded."""
Count = Annotated[int, msgspec.Meta(ge=0)]


def bucket_of(value: int) -> int:
    """Return the bucket of a value (microseconds, 0 to HIGHEST)."""
    shift = value.bit_length() - 8
    return value if shift <= 0 else (shift << _HALF_BITS) + (value >> shift)


def microseconds(seconds: float) -> int:
    """Return a duration as it is counted: rounded, 0 to HIGHEST."""
    value = int(seconds * 1e6 + 0.5)
    if value < 0:
        return 0
    return value if value < HIGHEST else HIGHEST  # noqa: FURB136 - min is a call


def highest_in(bucket: int) -> int:
    """Return the largest value (microseconds) that falls into the bucket."""
    if bucket < 2 * _HALF:
        return bucket
    shift = (bucket >> _HALF_BITS) - 1
    return ((bucket - (shift << _HALF_BITS) + 1) << shift) - 1


class Histogram(msgspec.Struct, array_like=True):
    """Counts of durations by bucket, with the exact count, sum, minimum and maximum.

    Attributes:
        counts: number of values by bucket; buckets without values are absent.
        count: number of values.
        total: sum of the values, microseconds.
        lowest: smallest value, microseconds; 0 while empty.
        highest: largest value, microseconds.
    """

    counts: dict[Bucket, Count] = {}
    count: int = 0
    total: int = 0
    lowest: int = 0
    highest: int = 0

    def record(self, seconds: float) -> None:
        """Count one duration in seconds; negative ones count as 0."""
        value = int(seconds * 1e6 + 0.5)
        if value < 0:
            value = 0
        elif value > HIGHEST:
            value = HIGHEST
        shift = value.bit_length() - 8
        bucket = value if shift <= 0 else (shift << _HALF_BITS) + (value >> shift)
        counts = self.counts
        counts[bucket] = counts.get(bucket, 0) + 1
        if value > self.highest:
            self.highest = value
        if value < self.lowest or not self.count:
            self.lowest = value
        self.count += 1
        self.total += value

    @classmethod
    def of_sorted(cls, times: Sequence[float]) -> Histogram:
        """Return the counts of durations in seconds, ascending; takes less than `record` for each of many."""
        counts: dict[int, int] = {}
        place = 0
        while place < len(times):
            bucket = bucket_of(microseconds(times[place]))
            following = bisect.bisect_right(times, highest_in(bucket), place, key=microseconds)
            counts[bucket] = following - place
            place = following
        if not times:
            return cls()
        most = HIGHEST / 1e6
        first, last = bisect.bisect_left(times, 0.0), bisect.bisect_left(times, most)
        total = sum([int(seconds * 1e6 + 0.5) for seconds in times[first:last]])
        total += HIGHEST * (len(times) - last)
        return cls(counts, len(times), total, microseconds(times[0]), microseconds(times[-1]))

    def merge(self, other: Histogram) -> None:
        """Add the values of another histogram to this one."""
        if not other.count:
            return
        counts = self.counts
        for bucket, count in other.counts.items():
            counts[bucket] = counts.get(bucket, 0) + count
        if not self.count or other.lowest < self.lowest:
            self.lowest = other.lowest
        if other.highest > self.highest:
            self.highest = other.highest
        self.count += other.count
        self.total += other.total

    def copy(self) -> Histogram:
        """Return an independent histogram with the same values."""
        return Histogram(dict(self.counts), self.count, self.total, self.lowest, self.highest)

    @property
    def mean(self) -> float:
        """Return the exact mean in seconds, 0 while empty."""
        return self.total / self.count / 1e6 if self.count else 0.0

    @property
    def min(self) -> float:
        """Return the exact minimum in seconds, 0 while empty."""
        return self.lowest / 1e6

    @property
    def max(self) -> float:
        """Return the exact maximum in seconds, 0 while empty."""
        return self.highest / 1e6

    def percentile(self, percent: float) -> float:
        """Return the seconds that `percent` % of the values do not exceed (0 while empty).

        As HdrHistogram does: the highest value of the bucket in which the cumulative count reaches
        ceil(percent / 100 * count), here never above the exact maximum.
        """
        return self.percentiles([percent])[0]

    def percentiles(self, percents: list[float]) -> list[float]:
        """Return the seconds for several percentages (ascending) in one pass."""
        if not self.count:
            return [0.0] * len(percents)
        answers: list[float] = []
        wanted = iter([self._rank(percent) for percent in percents])
        rank = next(wanted, None)
        seen = 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            while rank is not None and seen >= rank:
                answers.append(min(max(highest_in(bucket), self.lowest), self.highest) / 1e6)
                rank = next(wanted, None)
            if rank is None:
                break
        return answers

    def _rank(self, percent: float) -> int:
        exact = percent / 100 * self.count
        return min(max(1, math.ceil(exact * _ROUNDING)), self.count)

    def to_base64(self) -> str:
        """Return HdrHistogram's V2 encoding (compressed, base64), values in microseconds."""
        payload = bytearray()
        following = 0
        for bucket in sorted(self.counts):
            if bucket > following:
                _append_zigzag(payload, following - bucket)
            _append_zigzag(payload, self.counts[bucket])
            following = bucket + 1
        head = struct.pack(">iiiiqqd", _COOKIE, len(payload), 0, 2, 1, HIGHEST, 1.0)
        body = zlib.compress(head + bytes(payload))
        return base64.b64encode(struct.pack(">ii", _COMPRESSED_COOKIE, len(body)) + body).decode()


def _append_zigzag(out: bytearray, number: int) -> None:
    """Append one number as ZigZag LEB128, HdrHistogram's flavour of at most nine bytes."""
    value = (number << 1) ^ (number >> 63)
    for _ in range(8):
        if value < 0x80:
            out.append(value)
            return
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value & 0xFF)
