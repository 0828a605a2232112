"""The rows of a stock JMeter, counted into the seconds in which their samples ended, however late."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.dist.metersphere.counting import MAX_LEAD, MAX_WAITING, RowCounting
from pytest_metersphere.dist.metersphere.rows import Pair, rows_by_report
from pytest_metersphere.dist.node.seconds import Span
from pytest_metersphere.engine.jmeter.results import Summary
from pytest_metersphere.metrics.frame import MAX_LABELS, OTHER, Tally

GATE = "ms-load gate 0123"
FAR = 1000.0


def row(at: int, label: str = "GET /cart", **changes: Any) -> dict[str, object]:
    """Return a sample that began so many milliseconds after the load."""
    second, millisecond = divmod(at + 36_000_000, 1000)
    hour, minute, second = second // 3600, second // 60 % 60, second % 60
    known: dict[str, Any] = {
        "SampleLabel": label,
        "ThreadName": "Buyers 1-1",
        "URL": "http://127.0.0.1/cart",
        "DataType": "text",
        "ContentType": "text/plain",
        "ResponseCode": "200",
        "ResponseTime": 10,
        "ConnectTime": 0,
        "Bytes": 100,
        "SentBytes": 50,
        "AllThreads": 3,
        "Success": True,
        "FailureMessage": "",
        "SampleStartTime": f"2026-11-26T{hour:02d}:{minute:02d}:{second:02d}.{millisecond:03d}+0800",
    }
    return known | changes


def pairs(*rows: dict[str, object]) -> list[Pair]:
    """Return rows as they come from the topic."""
    found, garbage = rows_by_report([json.dumps(one).encode() for one in rows])
    assert not garbage
    return found.get("", [])


def gate() -> dict[str, object]:
    """Return the row of the gate, which ends as the load begins."""
    return row(-500, GATE, ResponseTime=500, ThreadName=f"{GATE} 1-1", AllThreads=1)


def counting(*transactions: str, warmup: float = 0.0) -> RowCounting:
    """Return one whose load has begun."""
    made = RowCounting(GATE, "n1", warmup, [GATE, "before"], transactions)
    made.add(pairs(gate()), 0.0)
    return made


def by_second(spans: list[Span]) -> dict[int, int]:
    """Return the samples of each second."""
    found: dict[int, int] = {}
    for span in spans:
        found[span.second] = found.get(span.second, 0) + span.tallies[0].requests
    return found


def merged(spans: list[Span]) -> Tally:
    """Return everything added up."""
    tally = Tally()
    for span in spans:
        tally.merge(span.tallies[0])
    return tally


def test_a_sample_belongs_to_the_second_in_which_it_ended() -> None:
    """And every second up to the one asked for is handed out once, complete."""
    made = counting()
    made.add(pairs(row(0), row(989), row(990), row(2500)), FAR)
    spans = made.take(4)

    assert by_second(spans) == {0: 2, 1: 1, 2: 1, 3: 0}
    assert all(span.complete for span in spans)
    assert made.take(4) == []
    assert made.begun is not None


def test_rows_that_come_fifteen_seconds_late() -> None:
    """They are put into the second where they belong, in a span of their own that is not complete."""
    made = counting()
    made.add(pairs(row(100), row(1100)), 2.0)
    first = made.take(17)
    made.add(pairs(row(200, ResponseTime=20), row(1300), row(1400)), 17.5)
    late = made.take(17)

    assert by_second(first) == {0: 1, 1: 1} | dict.fromkeys(range(2, 17), 0)
    assert by_second(late) == {0: 1, 1: 2}
    assert not any(span.complete for span in late)
    whole = merged(first + late).labels["GET /cart"]
    assert (whole.requests, whole.response.count, whole.response.max) == (5, 5, 0.02)
    assert made.totals.requests == 5
    assert made.seen == Summary(6, 0)


@given(st.lists(st.tuples(st.integers(0, 20_000), st.booleans()), max_size=60), st.randoms())
def test_lateness_changes_nothing_in_the_end(samples: list[tuple[int, bool]], chance: random.Random) -> None:
    """Whatever the order and the moments of handing out, all samples are there, each in its second."""
    expected: dict[int, int] = {}
    for at, _ in samples:
        expected[(at + 10) // 1000] = expected.get((at + 10) // 1000, 0) + 1
    made = counting(warmup=5.0)
    waiting = [row(at, Success=ok) for at, ok in samples]
    chance.shuffle(waiting)
    spans: list[Span] = []
    while waiting:
        some = chance.randrange(1, 10)
        made.add(pairs(*waiting[:some]), FAR)
        waiting = waiting[some:]
        spans += made.take(chance.randrange(0, 25))
    spans += made.rest()

    assert {second: count for second, count in by_second(spans).items() if count} == expected
    assert merged(spans).failures == sum(not ok for _, ok in samples)
    assert sum(error.count for error in merged(spans).errors) == sum(not ok for _, ok in samples)
    warm = sum(span.tallies[0].requests for span in spans if span.phase == "warmup")
    assert warm == sum(at < 5000 for at, _ in samples)


def test_percentiles_of_all_rows() -> None:
    """They are within 1 % of the exact ones, over more rows than a window of 20,000 would hold."""
    chance = random.Random(7)
    times = [round(chance.lognormvariate(3.5, 1.2)) for _ in range(50_000)]
    made = counting()
    for begin in range(0, len(times), 1000):
        rows = (row(number, ResponseTime=times[number]) for number in range(begin, begin + 1000))
        made.add(pairs(*rows), FAR)
    found = merged(made.rest()).labels["GET /cart"].response

    exact = sorted(times)
    for percent in (50, 90, 95, 99, 99.9):
        wanted = exact[math.ceil(percent / 100 * len(times)) - 1] / 1000
        assert found.percentile(percent) == pytest.approx(wanted, rel=0.01)
    assert (found.count, found.max) == (50_000, exact[-1] / 1000)
    assert found.mean == pytest.approx(sum(times) / len(times) / 1000)


def test_users() -> None:
    """Users of a second are the threads that its rows tell of, as many as before without rows, told once."""
    made = counting()
    made.add(pairs(row(0, AllThreads=2), row(100, AllThreads=4), row(200, AllThreads=3)), FAR)
    made.add(pairs(row(3000, AllThreads=5), row(3100, ThreadName="before 1-1", AllThreads=9)), FAR)
    spans = made.take(5)
    made.add(pairs(row(3200, AllThreads=7), row(3300, AllThreads=6)), FAR)
    late = made.take(5)

    assert [span.tallies[0].users for span in spans] == [4, 4, 4, 5, 5]
    assert [(span.second, span.tallies[0].users) for span in late] == [(3, 2)]


def test_users_of_a_group_with_a_helper_s_name_in_its_own() -> None:
    """Only threads of the set-up group itself are no users."""
    made = counting()
    made.add(pairs(row(0, ThreadName="before noon 1-1", AllThreads=4)), FAR)
    made.add(pairs(row(0, ThreadName="before 2-11", AllThreads=9)), FAR)

    assert made.take(1)[0].tallies[0].users == 4


def test_transactions() -> None:
    """A row with a Transaction Controller's name and without URL and type is none of the samples."""
    made = counting("buy", "step ${number}")
    bare = {"URL": None, "DataType": "", "ContentType": ""}
    plain = {key: value for key, value in row(0, "buy", **bare).items() if value is not None}
    steps = {key: value for key, value in row(0, "step 7", **bare).items() if value is not None}
    jdbc = {key: value for key, value in row(0, "select", **bare).items() if value is not None}
    made.add(pairs(plain, plain, steps, jdbc, row(0, "buy")), FAR)
    labels = merged(made.rest()).labels

    kinds = {name: (label.kind, label.requests) for name, label in labels.items()}
    assert kinds == {
        "buy": ("transaction", 2),
        "step 7": ("transaction", 1),
        "select": ("request", 1),
        "buy (request)": ("request", 1),
    }
    assert labels["buy"].service.count == 0
    assert made.seen.samples == 3


def test_service_times() -> None:
    """The time to connect is part of the response time and none of the service time."""
    made = counting()
    made.add(pairs(row(0, ResponseTime=30, ConnectTime=20), row(0, ResponseTime=5)), FAR)
    label = merged(made.rest()).labels["GET /cart"]

    assert (label.response.max, label.service.max, label.service.count) == (0.03, 0.01, 2)
    assert (label.bytes_received, label.bytes_sent) == (200, 100)


def test_before_the_gate() -> None:
    """Rows are kept until it is known when the load began, and counted then; what is too much is rejected."""
    made = RowCounting(GATE, "n1", 0.0, [GATE], [])
    early = pairs(row(100))
    made.add(early * (MAX_WAITING + 3), FAR)
    assert made.take(1) == [] or by_second(made.take(1)) == {}
    made.add(pairs(gate(), row(200)), FAR)

    assert made.rejected == 3
    assert made.seen.samples == MAX_WAITING + 2


def test_set_up_counts_in_the_first_second() -> None:
    """What ended before go, in a set-up thread group, belongs to second 0."""
    made = counting()
    made.add(pairs(row(-5000, "prepare", ThreadName="before 1-1"), row(100)), FAR)

    assert by_second(made.rest()) == {0: 2}


def test_the_last_sample_ends_with_its_second() -> None:
    """It is handed out, in the second that its end begins."""
    made = counting()
    made.add(pairs(row(2990)), FAR)

    assert by_second(made.rest()) == {0: 0, 1: 0, 2: 0, 3: 1}
    assert made.totals.requests == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"SampleStartTime": "2100-01-01T00:00:00.000+0800"},
        {"SampleStartTime": "0"},
        {"SampleStartTime": ""},
    ],
)
def test_rows_that_cannot_be(changes: dict[str, Any]) -> None:
    """They are rejected, and counted nowhere else."""
    made = counting()
    made.add(pairs(row(0, **changes), row(0)), 1.0)

    assert made.rejected == 1
    assert made.seen.samples == 2
    assert merged(made.rest()).requests == 1


def test_rows_of_the_future() -> None:
    """A row may be a little ahead, as clocks and buffers are, and not for long."""
    made = counting()
    made.add(pairs(row(MAX_LEAD * 1000 - 20), row(MAX_LEAD * 1000 + 1)), 0.0)

    assert (made.seen.samples, made.rejected) == (2, 1)


def test_the_word_that_there_are_no_more() -> None:
    """It is no sample, and nothing is wrong with it."""
    made = counting()
    made.add(pairs({"Completed": True}), 1.0)

    assert made.completed
    assert (made.rejected, made.seen.samples) == (0, 1)


def test_failures() -> None:
    """They are grouped as those on other nodes, with what failed assertions said, and a few told in full."""
    made = counting()
    refused = "Non HTTP response code: org.apache.http.conn.HttpHostConnectException"
    failing: dict[str, Any] = {
        "Success": False,
        "ResponseCode": refused,
        "ResponseMessage": "Non HTTP response message: refused 17",
    }
    said: dict[str, Any] = {"Success": False, "FailureMessage": "null\nexpected 'paid'\n"}
    made.add(pairs(*[row(0, **failing)] * 8, row(0, **said)), FAR)
    errors = merged(made.rest()).errors

    assert [(error.kind, error.message, error.count) for error in errors] == [
        ("refused", "HttpHostConnectException: refused {}", 8),
        ("assert", "expected 'paid'", 1),
    ]
    assert len(errors[0].exemplars) == 5
    assert errors[1].exemplars == ["node n1, thread Buyers 1-1\n200\nexpected 'paid'"]


def test_labels_are_bounded() -> None:
    """Above the limit they go together under one name, and that is told."""
    made = counting()
    made.add(pairs(*(row(0, f"{'label' * 40} {number}") for number in range(5))), FAR)
    made.add(pairs(*(row(0, f"label {number}") for number in range(MAX_LABELS + 6))), FAR)
    tally = merged(made.rest())

    assert tally.overflow
    assert len(tally.labels) == MAX_LABELS + 1
    assert tally.labels[OTHER].requests == 7
    assert tally.labels["label" * 40].requests == 5
    assert made.seen.samples == MAX_LABELS + 12
