"""The records of CSV files, and which of them a node gets."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_metersphere.engine.jmeter.share import Share

_MARK = b"\xef\xbb\xbf"


def records(data: bytes, *, quoted: bool) -> list[bytes]:
    """Return the records of a CSV file as they stand, line breaks included; blank lines are none.

    Args:
        data: the file's content, in an encoding that keeps ASCII.
        quoted: whether a line break between double quotes belongs to its record.
    """
    return [record for record in _records(data, quoted=quoted) if record.strip(b"\r\n")]


def rows_of(data: bytes, share: Share, *, header: bool, quoted: bool) -> tuple[bytes, int]:
    """Return the part of a CSV file that a node gets, header included, and the number of its rows.

    The nodes' parts have all rows, each once and in order, in proportion to their users. A node without
    users has no rows.
    """
    found = records(data, quoted=quoted)
    head = found[:1] if header else []
    rows = found[len(head) :]
    own = rows[share.begin_of(len(rows)) : share.end_of(len(rows))]
    return b"".join(map(_ended, head + own)), len(own)


def _records(data: bytes, *, quoted: bool) -> Iterator[bytes]:
    waiting: list[bytes] = []
    quotes = 0
    for line in _lines(data):
        waiting.append(line)
        quotes += line.count(b'"')
        if not quoted or quotes % 2 == 0:
            yield b"".join(waiting)
            waiting, quotes = [], 0
    if waiting:
        yield b"".join(waiting)


def _lines(data: bytes) -> Iterator[bytes]:
    """Yield the lines, cut behind LF, or behind CR in a file that has no LF."""
    data = data.removeprefix(_MARK)
    end = b"\n" if b"\n" in data else b"\r"
    begin = 0
    while begin < len(data):
        found = data.find(end, begin)
        past = len(data) if found < 0 else found + 1
        yield data[begin:past]
        begin = past


def _ended(record: bytes) -> bytes:
    return record if record.endswith((b"\n", b"\r")) else record + b"\n"
