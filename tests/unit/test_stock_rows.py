"""Rows and log lines of stock JMeter containers: read, whatever else is on their topics."""

from __future__ import annotations

import datetime
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.dist.metersphere.logs import LAST_LINES, MAX_RECORD, JMeterLog, read_lines
from pytest_metersphere.dist.metersphere.rows import MAX_ROW, Clock, Details, details_of, rows_by_report
from pytest_metersphere.engine.jmeter.results import Summary

REPORT = "ms-0123"
ROW = {
    "test.reportId": REPORT,
    "SampleLabel": "GET /cart",
    "ThreadName": "Buyers 1-1",
    "ResponseTime": 12,
    "SampleStartTime": "2026-11-26T20:15:00.123+0800",
    "Success": True,
}
ENDED = "INFO o.a.j.e.StandardJMeterEngine: Notifying test listeners of end of test"
TOTAL = "INFO o.a.j.r.Summariser: ms-summary =    120 in 00:00:05 = 24.0/s Avg: 1 Err:     3 (2.50%)"


def written(**changes: object) -> bytes:
    """Return a row with other values."""
    return json.dumps(ROW | changes).encode()


def log_of(*texts: str, resource: str = "s-0") -> JMeterLog:
    """Return what lines with these texts come to."""
    log = JMeterLog()
    for text in texts:
        for line in read_lines(f"{REPORT} {resource} 0 {text}\n".encode()):
            log.add(line)
    return log


def test_rows_are_told_apart_by_their_report() -> None:
    """A numeric report id, which the listener writes as a number, is another one's."""
    values = [written(), written(**{"test.reportId": 17}), written(), written(**{"test.reportId": "other"})]
    found, garbage = rows_by_report(values)

    assert {report: len(rows) for report, rows in found.items()} == {REPORT: 2, 17: 1, "other": 1}
    assert garbage == 0
    ((row, value), _) = found[REPORT]
    assert (row.label, row.elapsed, row.ok, row.connect) == ("GET /cart", 12, True, 0)
    assert details_of(value).thread == "Buyers 1-1"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"null",
        b"[]",
        b'{"SampleLabel": 1}',
        b'{"ResponseTime": 1e99}',
        b'{"ResponseTime": -1}',
        b'{"ConnectTime": -1}',
        b'{"Bytes": 99999999999999}',
        b'{"ResponseTime": 123456789012345678901234567890}',
        b"\xff\xfe",
        b'{"a":' * 100_000,
        written(SampleLabel="x" * MAX_ROW),
        written()[:-1],
    ],
    ids=lambda value: repr(value[:20]),
)
def test_what_is_no_row(value: bytes) -> None:
    """It is counted, and does not keep those behind it from being read."""
    found, garbage = rows_by_report([value, written()])

    assert garbage == 1
    assert len(found[REPORT]) == 1


@given(st.binary(max_size=200))
def test_any_bytes_are_either(value: bytes) -> None:
    """Nothing that comes from a topic ends in an exception."""
    found, garbage = rows_by_report([value])

    assert sum(map(len, found.values())) + garbage == 1
    assert isinstance(details_of(value), Details)
    assert isinstance(log_of(value.decode("latin-1")), JMeterLog)
    list(read_lines(value))


@given(st.integers(0, 29_000_000_000_000), st.integers(-14 * 60, 14 * 60))
def test_times_of_any_zone(milliseconds: int, offset: int) -> None:
    """A local time with its offset is read to the millisecond."""
    seconds, rest = divmod(milliseconds, 1000)
    zone = datetime.timezone(datetime.timedelta(minutes=offset))
    local = datetime.datetime.fromtimestamp(seconds, zone)
    text = f"{local:%Y-%m-%dT%H:%M:%S}.{rest:03d}{local:%z}"
    clock = Clock()

    assert clock.read(text) == clock.read(text) == milliseconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "2026-11-26T20:15:00+0800",
        "2026-13-26T20:15:00.123+0800",
        "2026-11-26T20:15:00.1+08",
        "x" * 28,
    ],
)
def test_what_is_no_time(text: str) -> None:
    """It is told apart from a time."""
    with pytest.raises(ValueError, match=r"is no second|literal|month"):
        Clock().read(text)


def test_assertions_that_hold_say_nothing() -> None:
    """Of the text for all assertions only what those say that failed is left."""
    assert Details(failure="null\nexpected 7\nnull\n").said == "expected 7"


def test_a_log_that_ends() -> None:
    """JMeter's sentence is the end of its test; the container's end is somebody else's word."""
    assert log_of("2026-11-26 10:00:00,123 INFO started").spoke
    assert log_of(TOTAL.removeprefix("INFO ")).spoke
    assert not log_of("2026-11-26 10:00:00,123 ERROR o.a.j.JMeter: INFO is not wanted", "INFORMED").spoke
    assert not log_of("INFO started").ended
    assert log_of(ENDED).ended
    assert log_of(ENDED[:-10]).ended
    removed = log_of("Remove container completed", resource="none")
    assert (removed.removed, removed.ended, removed.spoke) == (True, False, False)


def test_the_summary() -> None:
    """The last total counts, in whatever order lines come; one that is cut, and partial ones, do not."""
    assert log_of("no summary").summary is None
    assert log_of(TOTAL).summary == Summary(120, 3)
    earlier = TOTAL.replace("   120 in", "    60 in").replace("  3 (", "  1 (")
    assert log_of(TOTAL, earlier, TOTAL).summary == Summary(120, 3)
    assert log_of(earlier, TOTAL[: TOTAL.index("(")]).summary == Summary(60, 1)
    assert log_of(TOTAL.replace("= ", "+ ", 1)).summary is None


def test_what_a_log_tells_of_failures() -> None:
    """The first known sentence is kept with its meaning, from whomever it comes."""
    said = "There is insufficient memory for the Java Runtime Environment to continue."
    assert log_of("INFO fine").trouble == ""
    assert log_of(said, resource="none").trouble == f"Java had not enough memory: {said}"
    assert log_of("x Problem loading XML from:'a'", said).trouble.startswith(
        "JMeter could not load the test plan: "
    )


def test_a_summary_of_another_name() -> None:
    """It says that JMeter does not know the properties that were sent, and is compared with nothing."""
    log = log_of(TOTAL.replace("ms-summary", "summary"))

    assert log.renamed
    assert log.summary is None
    assert not log_of(TOTAL, "my summary + 3 in").renamed


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("Caused by: java.lang.IllegalArgumentException: File users.csv must exist", "JMeter misses a file"),
        (
            "Error in NonGUIDriver java.lang.IllegalArgumentException: Problem loading XML from:'/a.jmx'",
            "JMeter could not load the test plan",
        ),
        ("Unable to get local host IP address.", "JMeter does not find the address of its own host"),
        (
            "There is insufficient memory for the Java Runtime Environment to continue.",
            "Java had not enough memory",
        ),
        ("ERROR java.lang.OutOfMemoryError: Java heap space", "Java's heap was too small"),
        ("INFO Stopping all threads now from element ms-load gate was not opened", "JMeter did not take go"),
    ],
)
def test_what_a_load_does_not_survive(said: str, meaning: str) -> None:
    """After these sentences no load can be believed, also when another failure was told of before."""
    missing = "WARN java.lang.ClassNotFoundException: a.b.Plugin"
    log = log_of(missing, said)

    assert log_of(missing).broken == ""
    assert log.trouble == f"JMeter misses a plugin: {missing}"
    assert log.broken == f"{meaning}: {said}"
    assert log.stopped == ""


@pytest.mark.parametrize(
    "words",
    [
        "Stop Test detected by thread: Buyers 1-1",
        "Stop Test Now detected by thread: Buyers 1-1",
        "Shutdown Test detected by thread: Buyers 1-1",
        "Stopping all threads from element enough",
        "Stopping all threads now from element enough",
    ],
)
def test_a_plan_that_ends_itself(words: str) -> None:
    """JMeter's words for it are kept, the first of them; a thread that ends is none."""
    log = log_of("INFO o.a.j.t.JMeterThread: Stop Thread detected by thread: a 1-1", f"INFO x: {words}")

    assert log.stopped == words
    assert log_of(f"x {words}", "x Stop Test detected by thread: other 1-1").stopped == words


def test_lines_without_a_head() -> None:
    """They belong to the line before; what comes first, is too long, or has no number is nobody's."""
    record = (
        f"stray\n{REPORT} s-0 0 first\n\tat java.lang.Thread\n\n{REPORT} s-0 zero second\nother s-1 1 third\n"
    )
    found = [(line.report, line.text) for line in read_lines(record.encode())]

    assert found == [
        (REPORT, "first"),
        (REPORT, "\tat java.lang.Thread"),
        (REPORT, f"{REPORT} s-0 zero second"),
        ("other", "third"),
    ]
    assert list(read_lines(b"x" * (MAX_RECORD + 1))) == []


def test_a_log_is_bounded() -> None:
    """Only the last lines are kept, and of each only so much."""
    log = log_of(*(f"line {number} {'x' * 5000}" for number in range(LAST_LINES + 50)))

    assert log.last_lines.startswith("line 50 ")
    assert len(log.last_lines) < LAST_LINES * 2100
