"""The values in record batches, taken out of Kafka's own bytes without an object for each record.

Of rows with less than a kilobyte, nine a batch, kafka-python's own unpacking costs three times what is done
with them afterwards. The layout is that of message format 2 (https://kafka.apache.org/documentation/#messageformat).
"""

from __future__ import annotations

import struct
from typing import NamedTuple

_HEADER = struct.Struct(">qiibIhiqqqhii")
_BEFORE_LENGTH = 12
_FORMAT = 2
_NOT_PLAIN = 0x07 | 0x20
"""Attributes of what is compressed, or a control batch."""


class Values(NamedTuple):
    """What some batches hold.

    Attributes:
        values: of the records in order, empty ones for none.
        following: offset of the record behind the last of them.
    """

    values: list[bytes]
    following: int


class BatchError(Exception):
    """Bytes that are no record batches."""


def plain_values(data: bytes, first: int) -> Values | None:
    """Return the values of the records from an offset on, as far as batches are whole.

    None when a batch is compressed, a control batch, or of an older format: these are left to the client.

    Raises:
        BatchError: lengths and counts do not fit together.
    """
    values: list[bytes] = []
    at, following = 0, first
    while len(data) - at >= _HEADER.size:
        base, length, _, version, _, attributes, last, *_, count = _HEADER.unpack_from(data, at)
        end = at + _BEFORE_LENGTH + length
        if end > len(data):
            break
        if version != _FORMAT or attributes & _NOT_PLAIN:
            return None
        try:
            # of the first batch some may have come before
            _take(data, at + _HEADER.size, end, count, first - base, values)
        except IndexError:
            raise BatchError(f"the batch at offset {base} ends in the middle of a record") from None
        at, following = end, max(following, base + last + 1)
    return Values(values, following)


def _take(data: bytes, at: int, end: int, count: int, skipped: int, values: list[bytes]) -> None:
    """Add the values of a batch's records, but of those with an offset below `skipped` in it.

    Numbers are ZigZag varints. Runs once a row, so they are read in place.
    """
    append = values.append
    for _ in range(count):
        size = shift = 0
        while (byte := data[at]) & 0x80:
            size |= (byte & 0x7F) << shift
            shift += 7
            at += 1
        at += 1
        stop = at + ((size | byte << shift) >> 1)
        if stop > end or stop < at:
            raise IndexError
        # attributes, and the time that nobody asks for
        at += 1
        while data[at] & 0x80:
            at += 1
        at += 1
        offset = shift = 0
        while (byte := data[at]) & 0x80:
            offset |= (byte & 0x7F) << shift
            shift += 7
            at += 1
        at += 1
        offset = (offset | byte << shift) >> 1
        size = shift = 0
        while (byte := data[at]) & 0x80:
            size |= (byte & 0x7F) << shift
            shift += 7
            at += 1
        size |= byte << shift
        at += 1 if size & 1 else 1 + (size >> 1)
        size = shift = 0
        while (byte := data[at]) & 0x80:
            size |= (byte & 0x7F) << shift
            shift += 7
            at += 1
        size |= byte << shift
        at += 1
        past = at if size & 1 else at + (size >> 1)
        if past > stop:
            raise IndexError
        if offset >= skipped:
            append(data[at:past])
        at = stop
