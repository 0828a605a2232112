"""JMeter's results: rows of CSV as they come, and what they count as."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
import time
from collections.abc import Iterator, Sequence

import msgspec

from pytest_metersphere.engine.failures import generalised
from pytest_metersphere.engine.recorder import Recorder
from pytest_metersphere.errors import WireError

MAX_ROW = 1 << 20
"""The longest row, bytes."""
_IN_TRANSACTION = "Number of samples in transaction : "
_EXCEPTION = re.compile(r"Non HTTP response code: (?:[\w$]+\.)*([\w$]+)")
_SAVED = "jmeter.save.saveservice."
_COLUMNS = {
    "time": "time",
    "label": "label",
    "code": "response_code",
    "message": "response_message",
    "thread": "thread_name",
    "ok": "successful",
    "failure": "assertion_results_failure_message",
    "received": "bytes",
    "sent": "sent_bytes",
    "threads": "thread_counts",
    "samples": "sample_count",
    "connect": "connect_time",
}
_OTHERS = (
    *(
        "data_type",
        "subresults",
        "assertions",
        "latency",
        "encoding",
        "hostname",
        "idle_time",
    ),
    *("url", "filename", "responseHeaders", "requestHeaders", "response_data", "response_data.on_error"),
    *("samplerData", "print_field_names"),
)
_ONLY = 0
_NO_MESSAGE = "Non HTTP response message: "
_THROWN = {
    "ConnectTimeout": "timeout",
    "SocketTimeout": "timeout",
    "Connect": "refused",
    "UnknownHost": "dns",
    "SSL": "tls",
    "NoHttpResponse": "reset",
    "SocketException": "reset",
}

PROPERTIES = {
    f"{_SAVED}output_format": "csv",
    f"{_SAVED}default_delimiter": ",",
    f"{_SAVED}timestamp_format": "ms",
    f"{_SAVED}autoflush": "true",
    f"{_SAVED}assertion_results": "none",
    "sampleresult.timestamp.start": "true",
    "sampleresult.useNanoTime": "true",
    "sample_variables": "",
    **{f"{_SAVED}{name}": "true" for name in _COLUMNS.values()},
    **{f"{_SAVED}{name}": "false" for name in _OTHERS},
}
"""JMeter properties that fix the columns of its rows."""


class Row(msgspec.Struct, frozen=True):
    """One result; times in milliseconds, `start` since the epoch, as JMeter's clock has it.

    Attributes:
        samples: how many samples JMeter's summary counts it as, which a sampler may say.
        failures: how many of these failed.
    """

    start: int
    elapsed: int
    label: str
    code: str
    message: str
    thread: str
    ok: bool
    failure: str
    received: int
    sent: int
    group_threads: int
    all_threads: int
    connect: int
    samples: int = 1
    failures: int = 0

    @property
    def is_transaction(self) -> bool:
        """Return whether it is a Transaction Controller's, and no sample."""
        return self.message.startswith(_IN_TRANSACTION)


class Rows:
    """Cuts what comes in pieces of any size into rows."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Row]:
        """Yield the rows that are whole by now.

        Raises:
            WireError: something is no row of JMeter's.
        """
        whole, self._rest = _cut(self._rest + data)
        if len(self._rest) > MAX_ROW:
            raise WireError(f"JMeter writes a row of more than {MAX_ROW} bytes")
        if whole:
            yield from _parsed(whole)

    @property
    def rest(self) -> int:
        """Return the bytes of a row that is not whole."""
        return len(self._rest)


def _cut(data: bytes) -> tuple[bytes, bytes]:
    """Return what ends with a whole row, and the rest; a line break between quotes ends none."""
    end = data.rfind(b"\n") + 1
    quotes = data.count(b'"', 0, end)
    while quotes % 2:
        past, end = end, data.rfind(b"\n", 0, end - 1) + 1
        quotes -= data.count(b'"', end, past)
    return data[:end], data[end:]


def _parsed(data: bytes) -> Iterator[Row]:
    csv.field_size_limit(MAX_ROW)
    try:
        # not splitlines, which also cuts at characters that mean nothing to CSV
        for cells in csv.reader(io.StringIO(data.decode("utf-8", "replace"), newline="")):
            if cells:
                yield _row(cells)
    except csv.Error as error:
        raise WireError(f"JMeter's results are no CSV: {error}") from None


def _row(cells: Sequence[str]) -> Row:
    try:
        start, elapsed, label, code, message, thread, ok, failure, *numbers = cells
        received, sent, group_threads, all_threads, samples, failures, connect = map(int, numbers)
        times = int(start), max(0, int(elapsed))
    except ValueError:
        raise WireError(
            f"JMeter wrote what is no row of {len(Row.__struct_fields__)} columns: {cells!r:.200}"
        ) from None
    return Row(
        *times,
        label,
        code,
        message,
        thread,
        ok == "true",
        failure,
        max(0, received),
        max(0, sent),
        group_threads,
        all_threads,
        max(0, connect),
        samples,
        failures,
    )


@dataclasses.dataclass(slots=True)
class Summary:
    """What JMeter's own summary says, or what was counted from the rows to compare with it."""

    samples: int = 0
    failures: int = 0


def threads_of(groups: Sequence[str]) -> re.Pattern[str]:
    """Return what the names of the threads of some thread groups are: `<group> <its number>-<theirs>`."""
    names = "|".join(map(re.escape, groups))
    return re.compile(rf"(?:{names}) \d+-\d+", re.DOTALL)


class Counting:
    """Counts rows as what they are: samples, transactions, failures, and how many threads there were.

    Attributes:
        seen: all samples so far, interrupted ones included.
        last_end: when the last of them ended, on the monotonic clock; 0 without any.
        cut_off: JMeter was told to interrupt its samples, so that failures from then on are no answers.
    """

    def __init__(self, recorder: Recorder, node: str, helpers: Sequence[str]) -> None:
        """Count into a recorder, of which this is the only scenario.

        Args:
            recorder: whose clock is the monotonic one.
            node: the node's name, for exemplars.
            helpers: names of thread groups whose threads are no users.
        """
        self.seen = Summary()
        self.cut_off = False
        self._recorder = recorder
        self._node = node
        self._is_helper = threads_of(helpers).fullmatch
        self._users = 0
        self.last_end = 0.0
        # JMeter's clock is the wall's: what lies between the two is taken once
        self._behind = time.time() - time.monotonic()

    def add(self, row: Row) -> None:
        """Count one row."""
        start = row.start / 1000 - self._behind
        end = start + row.elapsed / 1000
        self.last_end = max(self.last_end, end)
        self._note_users(row)
        if not row.is_transaction:
            self.seen.samples += row.samples
            self.seen.failures += row.failures
            if self.cut_off and not row.ok:
                self._recorder.interrupted(_ONLY, start, end, 1)
                return
        self._recorder.sample(
            _ONLY,
            row.label,
            "transaction" if row.is_transaction else "request",
            start,
            end,
            failed=not row.ok,
            service=None if row.is_transaction else max(0, row.elapsed - row.connect) / 1000,
            exchanges=0 if row.is_transaction else 1,
            sent=row.sent,
            received=row.received,
        )
        if not row.ok and not row.is_transaction:
            kind, message = failure_of(row)
            self._recorder.error(_ONLY, start, end, row.label, kind, message, lambda: self._in_full(row))

    def end(self) -> None:
        """Note that no thread is left."""
        self._have_users(0)

    def _note_users(self, row: Row) -> None:
        if self._is_helper(row.thread) is None:
            self._have_users(row.all_threads)

    def _have_users(self, count: int) -> None:
        for _ in range(self._users, count):
            self._recorder.user_came(_ONLY)
        for _ in range(count, self._users):
            self._recorder.user_left(_ONLY)
        self._users = max(0, count)

    def _in_full(self, row: Row) -> str:
        said = f"{row.code} {row.message}".strip()
        failure = f"\n{row.failure}" if row.failure else ""
        return f"node {self._node}, thread {row.thread}\n{said}{failure}"


def failure_of(row: Row) -> tuple[str, str]:
    """Return the kind of a failed row and the message under which it is counted."""
    thrown = _EXCEPTION.match(row.code)
    if thrown:
        name = thrown[1]
        kind = next((kind for word, kind in _THROWN.items() if word in name), "exception")
        return kind, generalised(f"{name}: {row.message.removeprefix(_NO_MESSAGE)}")
    if row.failure and not _is_error_status(row.code):
        return "assert", generalised(row.failure)
    return "status", f"{row.code} {generalised(row.message)}".strip() or "failed"


def _is_error_status(code: str) -> bool:
    return len(code) == 3 and code.isascii() and code.isdigit() and code >= "400"
