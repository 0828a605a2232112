"""What the terminal shows: the live line, the plan, and what is said of a result."""

from __future__ import annotations

import dataclasses
import io
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_metersphere.reports.document import ErrorInfo
from pytest_metersphere.reports.figures import DASH
from pytest_metersphere.reports.files import ReportPaths
from pytest_metersphere.terminal import (
    PLAIN_EVERY,
    LiveLine,
    Progress,
    failure_text,
    news_line,
    path_lines,
    plan_lines,
    progress_line,
    result_lines,
    table_lines,
)
from tests.reports.documents import open_document, sample_scenario

MOMENT = Progress("test_cart", 12, 90.0, 40, 1234, 0.0482, 15000, 0)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def screen(written: str) -> str:
    """Return what a terminal line shows after carriage returns have overwritten it."""
    line: list[str] = []
    for piece in written.split("\r"):
        line[: len(piece)] = piece
    return "".join(line).rstrip()


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({}, "test_cart  12 s/1m30s  40 users  1,234/s  p95 48.2 ms  15,000 requests"),
        ({"duration": math.inf}, "test_cart  12 s  40 users  1,234/s  p95 48.2 ms  15,000 requests"),
        (
            {"failures": 150},
            "test_cart  12 s/1m30s  40 users  1,234/s  p95 48.2 ms  15,000 requests, 150 failed (1%)",
        ),
        (
            {"dropped": 1234},
            "test_cart  12 s/1m30s  40 users  1,234/s  p95 48.2 ms  15,000 requests, 1,234 dropped",
        ),
        (
            {"note": "Kafka is late"},
            "test_cart  12 s/1m30s  40 users  1,234/s  p95 48.2 ms  15,000 requests  (Kafka is late)",
        ),
        (
            {"second": 0, "users": 1, "rps": 0, "p95": None, "requests": 0},
            f"test_cart  0 s/1m30s  1 user  0/s  p95 {DASH}  0 requests",
        ),
    ],
)
def test_progress_is_one_line(changed: dict[str, Any], line: str) -> None:
    """Scenario, time, users, rate, p95, requests, and failures and dropped starts when there are any."""
    fields = {name: getattr(MOMENT, name) for name in Progress.__dataclass_fields__}

    assert progress_line(Progress(**fields | changed)) == line


def test_a_terminal_line_is_rewritten() -> None:
    """Each line overwrites the one before, a shorter one entirely, and no line ends are written."""
    stream = io.StringIO()
    live = LiveLine(stream, rewrite=True, width=80)

    shown = []
    for text in ("a long line of progress", "short", "longer again"):
        live.show(text)
        shown.append(screen(stream.getvalue()))

    assert shown == ["a long line of progress", "short", "longer again"]
    assert "\n" not in stream.getvalue()


def test_a_terminal_line_never_wraps() -> None:
    """It is cut one column before the terminal's width, or at twenty columns on a tiny terminal."""
    for width, kept in ((50, 49), (5, 20)):
        stream = io.StringIO()
        LiveLine(stream, rewrite=True, width=width).show("x" * 200)
        assert screen(stream.getvalue()) == "x" * kept


def test_clearing_leaves_an_empty_line() -> None:
    """After it the cursor is at the begin of an empty line; a second time changes nothing."""
    stream = io.StringIO()
    live = LiveLine(stream, rewrite=True, width=80)
    live.clear()
    assert stream.getvalue() == ""
    live.show("progress")
    live.clear()
    cleared = stream.getvalue()

    assert screen(cleared) == ""
    assert cleared.endswith("\r")
    live.clear()
    assert stream.getvalue() == cleared
    live.show("again")
    assert screen(stream.getvalue()) == "again"


def test_where_nothing_can_be_rewritten_a_line_comes_now_and_then() -> None:
    """The first at once, below what pytest has begun; then one in ten seconds, none of them cut."""
    stream, clock = io.StringIO(), Clock()
    live = LiveLine(stream, rewrite=False, width=20, clock=clock)

    for number in range(25):
        live.show(f"line {number} " + "x" * 50)
        clock.now += 1
    live.clear()

    first, *lines = stream.getvalue().splitlines()
    assert first == ""
    assert [line.split(" x")[0] for line in lines] == ["line 0", f"line {PLAIN_EVERY:.0f}", "line 20"]
    assert {len(line.split()[-1]) for line in lines} == {50}
    assert "\r" not in stream.getvalue()


@pytest.mark.parametrize("rewrite", [True, False])
@pytest.mark.parametrize("shown", [True, False])
def test_news_stay_on_lines_of_their_own(*, rewrite: bool, shown: bool) -> None:
    """They come at once, whole, and below what was shown or what pytest has begun."""
    stream = io.StringIO()
    live = LiveLine(stream, rewrite=rewrite, width=40, clock=Clock())
    news = news_line(dataclasses.replace(MOMENT, news="node a is gone\nfor good " + "x" * 50))
    if shown:
        live.show("progress")
    live.tell(news)
    live.tell("more")

    above = ["", "progress"] if shown else [""]
    lines = [screen(line) for line in stream.getvalue().split("\n")]
    assert lines[:-3] == ([] if shown and rewrite else above)
    assert lines[-3:] == [f"test_cart  12 s  node a is gone for good {'x' * 50}", "more", ""]


def test_the_plan_is_a_table() -> None:
    """A column for each node, a row for capacities and for each moment, all aligned to the right."""
    rows = [(0.0, 1, (1, 0)), (30.0, 5000, (4000, 1000)), (math.inf, 0, (0, 0))]

    lines = list(plan_lines("test_cart", ["a", "node-with-a-name"], [4000, 1000], rows))

    assert lines == [
        "test_cart",
        "  time     users     a  node-with-a-name",
        "        capacity  4000              1000",
        "   0 s         1     1                 0",
        "  30 s      5000  4000              1000",
        "   end         0     0                 0",
    ]


def test_arrivals_have_a_table_of_their_own() -> None:
    """How many iterations a second start on each node, below who gets how many users."""
    rates = [(0.0, 0.0, (0.0, 0.0)), (30.0, 50.0, (37.5, 12.5))]

    lines = list(plan_lines("test_cart", ["a", "b"], [30, 10], [(0.0, 40, (30, 10))], rates))

    assert lines[-3:] == [
        "  time  rate       a       b",
        "   0 s   0/s     0/s     0/s",
        "  30 s  50/s  37.5/s  12.5/s",
    ]


def test_what_became_of_scheduled_iterations_is_told() -> None:
    """Below the times, and below the ledger; the closed model has no word of it."""
    (result,) = open_document().scenarios
    equation = "1,000 iterations scheduled = 960 started + 40 dropped"

    assert f"  {equation}" in list(result_lines(result))
    assert f"starts: {equation}" in list(table_lines(result))
    assert not any("scheduled" in line for line in table_lines(sample_scenario()))


def test_a_result_begins_with_its_verdict() -> None:
    """Verdict, test, totals and times, then what speaks for it."""
    head, times, *rest = result_lines(sample_scenario("passed"))

    assert head.startswith(
        "PASSED  tests/shop/test_shop.py::TestShop::test_cart: users 1,000, requests 500, "
    )
    assert "error rate 0%" in head
    assert times.startswith("  response p50 84.8 ms, p95 ")
    assert rest == [
        "  threshold kept: p95 < 300ms: p95 212 ms, within limit < 300 ms",
        "  threshold kept: error_rate < 1%: error_rate 0%, within limit < 1%",
    ]


def test_findings_come_before_kept_thresholds() -> None:
    """What broke the verdict is told first; a broken threshold is told once, as a finding."""
    scenario = sample_scenario("failed")

    rest = list(result_lines(scenario))[2:]

    assert rest[: len(scenario.findings)] == [f"  {finding}" for finding in scenario.findings]
    assert rest[len(scenario.findings) :] == [
        "  threshold kept: GET /cart: rps > 5/s: GET /cart: rps 10/s, within limit > 5/s"
    ]


def test_a_run_without_samples_has_dashes() -> None:
    """Times that were not measured are not zero."""
    times = list(result_lines(sample_scenario("error", labels=())))[1]

    assert times == f"  response p50 {DASH}, p95 {DASH}, p99 {DASH}, max {DASH}"


def test_the_tables_show_labels_nodes_ledger_and_errors() -> None:
    """Every label and node has a line, the ledger its equation, and failures an example."""
    scenario = sample_scenario("failed")

    lines = list(table_lines(scenario))

    assert [line[:40].rstrip() for line in lines[:4]] == ["label", *(label.name for label in scenario.labels)]
    assert [line.split(":")[0] for line in lines[4:7]] == ["node local-1", "node local-2", "node local-3"]
    assert "1 failed" not in lines[4]
    assert lines[7].startswith("ledger: sent 90, received 90, duplicates 0, lost 0, repaired 1, rejected 0; ")
    assert "exchanges = 500 counted + 83 warm-up + 4 interrupted" in lines[7]
    assert "error [GET /cart] status: 503 Service Unavailable (7 times)" in lines
    assert "    GET http://127.0.0.1:8000/cart answered 503" in lines
    assert "error assert: assert {} == {} (2 times)" in lines


def test_long_names_and_many_errors_are_cut() -> None:
    """A label keeps forty columns, an example twenty lines, and ten groups of errors are shown."""
    scenario = sample_scenario("failed", labels=("GET /" + "x" * 100,))
    scenario.errors = [
        ErrorInfo(label="", kind="assert", message=f"m{number}", count=1, exemplars=["line\n" * 50])
        for number in range(15)
    ]

    lines = list(table_lines(scenario))

    assert lines[1].startswith("GET /" + "x" * 34 + "… ")
    errors = [line for line in lines if line.startswith("error ")]
    assert errors[0] == "error assert: m0 (1 time)"
    assert len(errors) == 10
    assert lines.count("    line") == 10 * 19
    assert lines.count("    …") == 10


def test_text_from_elsewhere_cannot_drive_the_terminal() -> None:
    """Escape sequences and line ends in labels, messages and examples are spelled out or made spaces."""
    evil = "a\x1b[2J\nb"
    scenario = msgspec.structs.replace(
        sample_scenario("failed", labels=(evil,)),
        findings=[evil],
        errors=[ErrorInfo(label=evil, kind="status", message=evil, count=1, exemplars=[evil])],
    )

    lines = [*table_lines(scenario), *result_lines(scenario)]

    assert not any("\x1b" in line or "\n" in line for line in lines)
    assert lines[1].startswith("a\\x1b[2J b ")
    assert "error [a\\x1b[2J b] status: a\\x1b[2J b (1 time)" in lines
    assert "    a\\x1b[2J" in lines


def test_the_failure_is_what_was_found() -> None:
    """One finding a line, the first being the one that pytest's summary shows; never empty."""
    failed = sample_scenario("failed")
    assert failure_text(failed).splitlines() == failed.findings

    bare = msgspec.structs.replace(sample_scenario("invalid"), findings=[])
    assert failure_text(bare) == "The run was invalid: the numbers cannot be believed"


def test_the_paths_of_all_four_reports_are_shown() -> None:
    """Each stands on a line of its own."""
    paths = ReportPaths(
        Path("r/report.html"), Path("r/junit.xml"), Path("r/results.json"), Path("r/summary.md")
    )

    assert list(path_lines(paths)) == [
        "  r/report.html",
        "  r/junit.xml",
        "  r/results.json",
        "  r/summary.md",
    ]
