"""JMeter's rows: cut, read and counted."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.engine.jmeter.results import Counting, Row, Rows, failure_of
from pytest_metersphere.engine.recorder import Recorder
from pytest_metersphere.errors import WireError
from pytest_metersphere.metrics.frame import Tally

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
NUMBERS = st.integers(0, 10_000)
ROWS = st.lists(
    st.builds(
        Row,
        NUMBERS,
        NUMBERS,
        WORDS,
        WORDS,
        WORDS,
        WORDS,
        st.booleans(),
        WORDS,
        NUMBERS,
        NUMBERS,
        NUMBERS,
        NUMBERS,
        NUMBERS,
        NUMBERS,
        NUMBERS,
    ),
    max_size=6,
)


def row(**changes: object) -> Row:
    """Return a sample that went well, as far as nothing else is said."""
    known: dict[str, object] = {
        "start": int(time.time() * 1000), "elapsed": 20, "label": "GET /cart", "code": "200", "message": "OK",
        "thread": "Buyers 1-1", "ok": True, "failure": "", "received": 100, "sent": 50, "group_threads": 3,
        "all_threads": 3, "connect": 5, "samples": 1,
    }  # fmt: skip
    known["failures"] = int(not changes.get("ok", True))
    return Row(*(known | changes).values())  # type: ignore[arg-type]


def written(rows: list[Row]) -> bytes:
    """Return rows as JMeter writes them."""
    *names, connect, samples, failures = Row.__struct_fields__
    cells = ([getattr(each, name) for name in (*names, samples, failures, connect)] for each in rows)
    return "".join(",".join(map(cell, row)) + "\n" for row in cells).encode()


def cell(value: object) -> str:
    """Return a cell: quoted where there is a comma, a quote or a line break of any kind."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    special = any(character in text for character in ',"\r\n')
    return '"{}"'.format(text.replace('"', '""')) if special else text


@given(rows=ROWS, cuts=st.lists(st.integers(0, 400), max_size=5))
def test_rows_in_pieces(rows: list[Row], cuts: list[int]) -> None:
    """Rows are found again however their bytes are cut, with commas, quotes and line breaks in them."""
    data = written(rows)
    reader = Rows()
    found: list[Row] = []
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for begin, end in itertools.pairwise(edges):
        found += reader.feed(data[begin:end])

    assert found == rows
    assert reader.rest == 0


def test_cut_row() -> None:
    """What is left of a row that is not whole is known."""
    reader = Rows()

    assert list(reader.feed(written([row()])[:-5])) == []
    assert reader.rest > 0


@pytest.mark.parametrize(
    "data",
    [b"1,2,3\n", b"x,1,a,b,c,d,true,,1,1,1,1,1,0,1\n", b'"' + b"x" * (2 << 20)],
    ids=["short", "no number", "long"],
)
def test_garbage(data: bytes) -> None:
    """What is no row of JMeter's is refused."""
    with pytest.raises(WireError):
        list(Rows().feed(data))


def counted(*rows: Row, cut_off: bool = False) -> tuple[Counting, Tally]:
    """Return what rows come to."""
    recorder = Recorder([0.0])
    recorder.begin(time.monotonic() - 5)
    counting = Counting(recorder, "n1", ["prepare"])
    counting.cut_off = cut_off
    for each in rows:
        counting.add(each)
    tally = Tally()
    for cut in recorder.cut(20):
        tally.merge(cut.tallies[0])
    return counting, tally


def test_kinds() -> None:
    """Transactions are no samples: they are not counted among them, nor compared with JMeter's summary."""
    inside = "Number of samples in transaction : 1, number of failing samples : 1"
    counting, tally = counted(row(), row(ok=False, code="500"), row(label="buy", message=inside, ok=False))

    assert (counting.seen.samples, counting.seen.failures) == (2, 1)
    assert (tally.requests, tally.failures, tally.exchanges) == (2, 1, 2)
    assert {label: entry.kind for label, entry in tally.labels.items()} == {
        "GET /cart": "request",
        "buy": "transaction",
    }
    assert [error.count for error in tally.errors] == [1]


def test_samples_of_many() -> None:
    """A row that JMeter's summary counts as several samples is compared as such, and is one request."""
    counting, tally = counted(row(samples=10), row(ok=False, samples=5, failures=2))

    assert (counting.seen.samples, counting.seen.failures) == (15, 2)
    assert (tally.requests, tally.failures) == (2, 1)


def test_users() -> None:
    """Users are the threads that JMeter has, those of set-up groups left out by their whole names."""
    assert counted(row(all_threads=4), row(all_threads=9, thread="prepare 1-7"))[1].users == 4
    assert counted(row(all_threads=4), row(all_threads=9, thread="prepare users 1-7"))[1].users == 9


def test_cut_off() -> None:
    """Samples that were cut off are interrupted, not failed; what came to its end still counts."""
    _, tally = counted(row(), row(ok=False), cut_off=True)

    assert (tally.requests, tally.failures, tally.interrupted) == (1, 0, 1)


def test_times() -> None:
    """Response time is JMeter's elapsed time, service time that without connecting."""
    entry = counted(row(elapsed=200, connect=150))[1].labels["GET /cart"]

    assert entry.response.max == pytest.approx(0.2, rel=0.01)
    assert entry.service.max == pytest.approx(0.05, rel=0.01)


NO_ANSWER = "Non HTTP response code: "


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"code": "503", "message": "Busy 17"}, ("status", "503 Busy {}")),
        ({"code": "200", "failure": "Test failed: 12 is not 13"}, ("assert", "Test failed: {} is not {}")),
        ({"code": "500", "failure": "no"}, ("status", "500 OK")),
        ({"code": f"{NO_ANSWER}java.net.SocketTimeoutException"}, ("timeout", "SocketTimeoutException: OK")),
        ({"code": f"{NO_ANSWER}org.apache.ConnectException"}, ("refused", "ConnectException: OK")),
        ({"code": f"{NO_ANSWER}java.net.UnknownHostException"}, ("dns", "UnknownHostException: OK")),
        ({"code": f"{NO_ANSWER}javax.net.ssl.SSLHandshakeException"}, ("tls", "SSLHandshakeException: OK")),
        ({"code": "", "message": ""}, ("status", "failed")),
    ],
)  # fmt: skip
def test_failures(changes: dict[str, object], wanted: tuple[str, str]) -> None:
    """Failures have a kind, and a message without what differs from one to the next."""
    assert failure_of(row(ok=False, **changes)) == wanted
