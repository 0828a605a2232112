"""Rows of JMETER_METRICS: one JSON object for each sample of a JMeter, as its Kafka listener writes them.

The topic is everybody's: rows of other tests are on it, and whatever else somebody sends there.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from typing import Annotated

import msgspec

MAX_ROW = 1 << 20
"""Bytes above which a row is not even looked at; those of failed samples have some thousands."""

_Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=1 << 32)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]
_KNOWN = 1024
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(Z|[+-]\d\d:?\d\d)", re.ASCII)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Row(msgspec.Struct, gc=False):
    """What is counted of every row; times in milliseconds.

    Attributes:
        report: whose it is; a number where the text looks like one.
        label: the sample's label.
        ok: neither the sample nor an assertion failed.
        elapsed: response time.
        connect: time to connect, a part of it.
        start: when it began, local time of the node with its offset; empty for what is no sample.
        received: bytes received.
        sent: bytes sent.
        threads: threads that ran in that JMeter then.
    """

    report: str | int = msgspec.field(name="test.reportId", default="")
    label: str = msgspec.field(name="SampleLabel", default="")
    ok: bool = msgspec.field(name="Success", default=False)
    elapsed: _Milliseconds = msgspec.field(name="ResponseTime", default=-1)
    connect: _Milliseconds = msgspec.field(name="ConnectTime", default=0)
    start: str = msgspec.field(name="SampleStartTime", default="")
    received: _Count = msgspec.field(name="Bytes", default=0)
    sent: _Count = msgspec.field(name="SentBytes", default=0)
    threads: _Count = msgspec.field(name="AllThreads", default=0)


class Details(msgspec.Struct, gc=False):
    """What is looked at in a few rows only, as each of these would cost a tenth of a microsecond in all.

    Attributes:
        thread: the thread's name, which begins with that of its group.
        code: response code.
        url: empty for what has none, as Transaction Controllers.
        data_type: empty for Transaction Controllers.
        content_type: the same.
        message: response message; of failed samples only.
        failure: what the assertions said, each ended by a line break; `null` for one that holds.
        completed: no sample, but the word of newer listeners that there are no more.
    """

    thread: str = msgspec.field(name="ThreadName", default="")
    code: str = msgspec.field(name="ResponseCode", default="")
    url: str = msgspec.field(name="URL", default="")
    data_type: str = msgspec.field(name="DataType", default="")
    content_type: str = msgspec.field(name="ContentType", default="")
    message: str = msgspec.field(name="ResponseMessage", default="")
    failure: str = msgspec.field(name="FailureMessage", default="")
    completed: bool = msgspec.field(name="Completed", default=False)

    @property
    def said(self) -> str:
        """Return what the assertions that do not hold said."""
        return "\n".join(line for line in self.failure.split("\n") if line not in ("", "null"))


Pair = tuple[Row, bytes]
"""A row as it was understood, and as it came."""
_NO_DETAILS = Details()
_row = msgspec.json.Decoder(Row).decode
_details = msgspec.json.Decoder(Details).decode


def rows_by_report(values: Iterable[bytes]) -> tuple[dict[str | int, list[Pair]], int]:
    """Return the rows by whose they are, and how many values are no rows."""
    found: dict[str | int, list[Pair]] = {}
    garbage = 0
    for value in values:
        try:
            if len(value) > MAX_ROW:
                garbage += 1
                continue
            row = _row(value)
        except _UNREADABLE:
            garbage += 1
            continue
        rows = found.get(row.report)
        if rows is None:
            rows = found[row.report] = []
        rows.append((row, value))
    return found, garbage


def details_of(value: bytes) -> Details:
    """Return the details of a row; what makes no sense counts as not there."""
    try:
        return _details(value)
    except _UNREADABLE:
        return _NO_DETAILS


class Clock:
    """Reads the times in rows; most of them are of the same second as the one before."""

    def __init__(self) -> None:
        """Know no second yet."""
        self._second = self._zone = ""
        self._base = 0
        self._known: dict[tuple[str, str], int] = {}

    def read(self, text: str) -> int:
        """Return a time such as `2026-11-23T20:15:00.123+0800` as milliseconds since the epoch.

        Raises:
            ValueError: it is none.
        """
        second, zone = text[:20], text[23:]
        if second != self._second or zone != self._zone:
            self._turn_to(second, zone)
        return self._base + int(text[20:23])

    def _turn_to(self, second: str, zone: str) -> None:
        base = self._known.get((second, zone))
        if base is None:
            found = _TIME.fullmatch(second + zone)
            if found is None:
                raise ValueError(f"{second!r} is no second")
            base = int(datetime.datetime.fromisoformat(found[1] + found[2]).timestamp()) * 1000
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[second, zone] = base
        self._second, self._zone, self._base = second, zone, base
