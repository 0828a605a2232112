"""Values are taken out of record batches as kafka-python writes them, and nothing out of what is none."""

from __future__ import annotations

import struct
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.dist.kafka.batches import BatchError, plain_values

with warnings.catch_warnings():
    # what Python deprecates of it
    warnings.simplefilter("ignore")
    from kafka.record import MemoryRecords, MemoryRecordsBuilder

Record = tuple[int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]
BLOBS = st.none() | st.binary(max_size=300)
HEADERS = st.lists(st.tuples(st.text(max_size=5), BLOBS), max_size=2)
RECORDS = st.lists(st.tuples(st.integers(0, 1 << 40), BLOBS, BLOBS, HEADERS), min_size=1, max_size=12)


def batch(records: list[Record], offset: int = 0, packing: int = 0) -> bytes:
    """Return a record batch that begins at an offset."""
    builder = MemoryRecordsBuilder(magic=2, compression_type=packing, batch_size=1 << 20, offset=0)
    for moment, key, value, headers in records:
        assert builder.append(timestamp=moment, key=key, value=value, headers=headers) is not None
    builder.close()
    data = bytes(builder.buffer())
    # the broker is who sets the offset; it is not part of the checksum
    return struct.pack(">q", offset) + data[8:]


def plain(*values: bytes, offset: int = 0, packing: int = 0) -> bytes:
    """Return a batch of records with these values."""
    return batch([(1_795_694_400_000, b"12345678", value, []) for value in values], offset, packing)


@given(st.lists(RECORDS, min_size=1, max_size=3), st.integers(0, 40))
def test_all_values(batches: list[list[Record]], first: int) -> None:
    """From an offset on, whatever keys, headers and times there are, as kafka-python reads them itself."""
    data, offset = b"", 0
    for records in batches:
        data += batch(records, offset)
        offset += len(records)
    expected = [
        record.value or b"" for one in MemoryRecords(data) for record in one if record.offset >= first
    ]
    found = plain_values(data, first)

    assert found is not None
    assert found.values == expected
    assert found.following == max(first, offset)


def test_a_batch_that_is_not_whole() -> None:
    """Brokers cut what they send where it is enough: the rest is for the next time."""
    whole, more = plain(b"one", b"two", offset=7), plain(b"three", offset=9)
    for size in (0, 1, 60, 61, len(more) - 1):
        assert plain_values(whole + more[:size], 7) == ([b"one", b"two"], 9)
    assert plain_values(b"", 7) == ([], 7)


def test_large_values() -> None:
    """Lengths may take several bytes."""
    values = [bytes([number]) * size for number, size in enumerate((63, 64, 8191, 8192, 70_000))]

    assert plain_values(plain(*values), 0) == (values, 5)


def test_what_is_not_plain() -> None:
    """Compressed batches, control batches and old formats are left to the client."""
    data = plain(b"one")
    control = data[:21] + struct.pack(">h", 0x20) + data[23:]
    old = data[:16] + b"\1" + data[17:]

    assert plain_values(plain(b"one" * 99, packing=1), 0) is None
    assert plain_values(control, 0) is None
    assert plain_values(old, 0) is None
    assert plain_values(data + old, 0) is None


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(lambda data: data[:57] + struct.pack(">i", 1 << 30) + data[61:], id="too many records"),
        pytest.param(lambda data: data[:61] + b"\xff" * 4 + data[65:], id="a record that is too long"),
        pytest.param(lambda data: data[:61] + b"\x01" + data[62:], id="a record of negative length"),
        pytest.param(lambda data: data[:65] + b"\x7e" + data[66:], id="a key that is too long"),
    ],
)
def test_what_cannot_be(broken: object) -> None:
    """Lengths and counts that do not fit together are an error, and no endless reading."""
    assert callable(broken)
    with pytest.raises(BatchError, match="the batch at offset 0 ends in the middle of a record"):
        plain_values(broken(plain(b"one", b"two")), 0)


@given(st.binary(max_size=200), st.integers(0, 5))
def test_any_bytes(data: bytes, first: int) -> None:
    """Whatever comes, it is values, nothing, or an error of this kind."""
    head = plain(b"x" * 50)
    for made in (data, head[:61] + data, head[:12] + head[12:61] + data + head[61:]):
        try:
            plain_values(made, first)
        except BatchError:
            continue
