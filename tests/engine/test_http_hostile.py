"""vu.http against servers that break RFC 9112: a typed failure in time, never a wrong answer."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import socket
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.engine.failures import ConnectionFailure, RequestTimeout
from pytest_metersphere.engine.http.faults import Fault
from pytest_metersphere.engine.http.reader import MAX_FIELDS, MAX_HEAD, Reader
from tests.engine.browsers import Browser
from tests.engine.server import Answer, RawServer, SocketServer, answering, read_head, wait_until

HEAD = b"HTTP/1.1 200 OK\r\n"
OK = HEAD + b"Content-Length: 2\r\n\r\nhi"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

WHOLE = {
    "length": (OK, b"hi"),
    "chunked": (CHUNKED + b"5\r\nhello\r\n1;ext=1\r\n!\r\n0\r\nX-Trailer: t\r\n\r\n", b"hello!"),
    "interim": (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK, b"hi"),
    "no content": (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", b""),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b""),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b""),
    "long": (HEAD + b"Content-Length: 70000\r\n\r\n" + b"x" * 70000, b"x" * 70000),
    "many fields": (HEAD + b"X: y\r\n" * 490 + b"Content-Length: 2\r\n\r\nhi", b"hi"),
}


@pytest.mark.parametrize(("data", "body"), WHOLE.values(), ids=WHOLE)
def test_answers_of_all_kinds(browser: Browser, data: bytes, body: bytes) -> None:
    """What HTTP allows is understood, and the connection is kept."""
    with SocketServer(answering(data, data, data)) as server:
        replies = [browser.get(f"{server.url}/") for _ in range(3)]

        assert [reply.content for reply in replies] == [body] * 3
        assert server.connections == 1
    assert browser.sample.bytes_received == 3 * len(data)


@pytest.mark.parametrize("name", ["length", "chunked", "interim", "no content"])
def test_answer_that_comes_byte_by_byte(browser: Browser, name: str) -> None:
    """It makes no difference how an answer is cut into segments."""
    data, body = WHOLE[name]

    def serve(connection: socket.socket) -> None:
        for _ in range(2):
            read_head(connection)
            for place in range(len(data)):
                connection.sendall(data[place : place + 1])
        connection.recv(1)

    with SocketServer(serve) as server:
        assert [browser.get(f"{server.url}/").content for _ in range(2)] == [body, body]
        assert server.connections == 1


@given(st.sampled_from(sorted(WHOLE)), st.lists(st.integers(0, 400), max_size=8), st.booleans())
def test_any_cut_is_the_same_answer(name: str, cuts: list[int], head_only: bool) -> None:  # noqa: FBT001
    """Head, body and reusability do not depend on the pieces in which an answer comes."""
    data, body = WHOLE[name]
    if head_only:
        data = (
            data[: data.rindex(b"\r\n\r\n") + 4] if name == "interim" else data[: data.index(b"\r\n\r\n") + 4]
        )
        body = b""
    reader = Reader()
    for _ in range(2):
        reader.begin(head_only=head_only)
        edges = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
        for begin, end in itertools.pairwise(edges):
            assert not reader.complete
            reader.feed(data[begin:end])

        assert reader.complete
        assert reader.reusable
        assert (reader.body, reader.received) == (body, len(data))
        assert reader.head is not None
        assert reader.head.startswith(b"HTTP/1.1 2") or name == "not modified"


@given(st.binary(max_size=300), st.sampled_from([b"", HEAD, CHUNKED, OK]))
def test_arbitrary_bytes_never_crash(noise: bytes, before: bytes) -> None:
    """Whatever a server sends is an answer or a fault of kind protocol or reset."""
    reader = Reader()
    try:
        reader.feed(before + noise)
        if not reader.complete:
            reader.end_of_input()
    except Fault as fault:
        assert fault.kind in ("protocol", "reset")  # noqa: PT017 - a fault is not the only good end
    else:
        assert reader.complete


BROKEN = {
    "no length": HEAD + b"Content-Length: \r\n\r\n",
    "a word for a length": HEAD + b"Content-Length: two\r\n\r\nhi",
    "negative length": HEAD + b"Content-Length: -2\r\n\r\nhi",
    "signed length": HEAD + b"Content-Length: +2\r\n\r\nhi",
    "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",
    "list of lengths": HEAD + b"Content-Length: 2, 3\r\n\r\nhi!",
    "enormous length": HEAD + b"Content-Length: 99999999999999999999999999\r\n\r\nhi",
    "length and chunked": HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
    "bare LF at the end": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nhi",
    "bare CR": HEAD + b"X: a\rContent-Length: 9\r\nContent-Length: 2\r\n\r\nhi",
    "folded field": HEAD + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\nhi",
    "space in front of the colon": HEAD + b"Content-Length : 2\r\n\r\nhi",
    "NUL": HEAD + b"X: a\x00b\r\nContent-Length: 2\r\n\r\nhi",
    "HTTP/0.9": b"<html>hi</html>",
    "HTTP/2": b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "RTSP": b"RTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "HTTP/1.7": b"HTTP/1.7 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nhi",
    "status 0": b"HTTP/1.1 000 No\r\nContent-Length: 2\r\n\r\nhi",
    "status of letters": b"HTTP/1.1 abc OK\r\nContent-Length: 2\r\n\r\nhi",
    "a request": b"GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "other protocol": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nabc",
    "interim without end": b"HTTP/1.1 102 Processing\r\n\r\n" * 100 + OK,
    "interim status 0": b"HTTP/1.1 042 No\r\n\r\n" + OK,
    "negative chunk": CHUNKED + b"-2\r\nhi\r\n0\r\n\r\n",
    "enormous chunk": CHUNKED + b"ffffffffffffffffff\r\nhi\r\n0\r\n\r\n",
    "chunk without end": CHUNKED + b"2\r\nhi!!\r\n0\r\n\r\n",
    "chunk with bare LF": CHUNKED + b"2\nhi\n0\n\n",
    "unknown transfer coding": HEAD + b"Transfer-Encoding: gzip\r\n\r\nhi",
    "chunked not last": HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\nhi",
    "too many fields": HEAD + b"X: y\r\n" * (MAX_FIELDS + 1) + b"Content-Length: 2\r\n\r\nhi",
    "fields without end": HEAD + b"X: y\r\n" * MAX_HEAD,
    "one long field": HEAD + b"X: " + b"y" * 2 * MAX_HEAD,
    "bad gzip": HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi",
    "short gzip": HEAD
    + b"Content-Encoding: gzip\r\nContent-Length: 20\r\n\r\n"
    + gzip.compress(b"x" * 99)[:20],
    "bad deflate": HEAD + b"Content-Encoding: deflate\r\nContent-Length: 2\r\n\r\nhi",
    "bad br": HEAD + b"Content-Encoding: br\r\nContent-Length: 2\r\n\r\nhi",
    "bad zstd": HEAD + b"Content-Encoding: zstd\r\nContent-Length: 2\r\n\r\nhi",
    "many codings": HEAD + b"Content-Encoding: gzip, gzip, gzip, gzip\r\nContent-Length: 2\r\n\r\nhi",
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_what_is_no_answer(browser: Browser, data: bytes) -> None:
    """An answer that HTTP does not allow is a protocol failure, and its connection is not used again."""
    with RawServer([Answer(data), Answer(OK)]) as server:
        with pytest.raises(ConnectionFailure) as caught:
            browser.get(f"{server.url}/")

        assert caught.value.kind == "protocol"
        assert len(str(caught.value)) < 300
        assert "\n" not in str(caught.value)
        assert browser.get(f"{server.url}/").text == "hi"
        assert (len(server.requests), server.connections, browser.counted.exchanges) == (2, 2, 2)


JUNK = {
    "a word": OK + b"junk",
    "the beginning of an answer": OK + b"HTT",
    "another answer": OK + HEAD + b"Content-Length: 4\r\n\r\nevil",
    "behind chunks": CHUNKED + b"2\r\nhi\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nX: 0\r\n\r\n",
    "a body for 204": b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nhi",
    "behind close": HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\nhijunk",
}


@pytest.mark.parametrize("data", JUNK.values(), ids=JUNK)
def test_junk_behind_the_answer(browser: Browser, data: bytes) -> None:
    """What comes behind an answer is never taken for the next one: that goes over a new connection."""
    with SocketServer(answering(data)) as server:
        for _ in range(3):
            assert browser.get(f"{server.url}/").text in ("hi", "")
        assert server.connections == 3
    assert browser.sample.failures == 0


def test_body_for_head(browser: Browser) -> None:
    """A server that sends a body for HEAD does not spoil the next answer."""
    with SocketServer(answering(OK)) as server:
        assert browser.request("HEAD", f"{server.url}/").content == b""
        assert browser.get(f"{server.url}/").text == "hi"
        assert server.connections == 2


def test_head_keeps_its_connection(browser: Browser) -> None:
    """HEAD announces a body that does not come; the connection serves on, also without a length."""
    with SocketServer(answering(OK[:-2], HEAD + b"\r\n", CHUNKED, OK)) as server:
        for _ in range(3):
            assert browser.request("HEAD", f"{server.url}/").status_code == 200
        assert browser.get(f"{server.url}/").text == "hi"
        assert server.connections == 1


@pytest.mark.parametrize("data", [b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", b"x"])
def test_words_between_two_requests(browser: Browser, data: bytes) -> None:
    """What a server says on a connection that waits, such as 408, answers no request."""
    said = threading.Event()

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(OK)
        if server.connections == 1:
            connection.sendall(data)
            said.set()
        connection.recv(1)

    with SocketServer(serve) as server:
        browser.get(f"{server.url}/")
        assert said.wait(20)
        browser.settle()

        assert browser.get(f"{server.url}/").text == "hi"
        assert server.connections == 2


CONNECTIONS = {
    "close": (HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi", 3),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", 3),
    "HTTP/1.0 kept": (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", 1),
}


@pytest.mark.parametrize(("data", "connections"), CONNECTIONS.values(), ids=CONNECTIONS)
def test_how_long_connections_live(browser: Browser, data: bytes, connections: int) -> None:
    """A connection is kept when both sides want it, and not else."""
    with SocketServer(answering(data, data, data)) as server:
        for _ in range(3):
            assert browser.get(f"{server.url}/").text == "hi"
        assert server.connections == connections


@pytest.mark.parametrize("head", [HEAD, b"HTTP/1.0 200 OK\r\n", HEAD + b"Connection: close\r\n"])
def test_body_that_ends_with_the_connection(browser: Browser, head: bytes) -> None:
    """Without length and chunks the body lasts until the server closes."""
    with RawServer([Answer(head + b"\r\nall of it")]) as server:
        assert browser.get(f"{server.url}/").text == "all of it"
        assert browser.get(f"{server.url}/").text == "all of it"
        assert server.connections == 2


def _drip(connection: socket.socket) -> None:
    read_head(connection)
    connection.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.01)


def _drip_a_head(connection: socket.socket) -> None:
    read_head(connection)
    connection.sendall(HEAD + b"X: ")
    while True:
        connection.sendall(b"y")
        time.sleep(0.01)


@pytest.mark.parametrize("serve", [_drip, _drip_a_head])
def test_slow_drip(browser: Browser, serve: Any) -> None:
    """A server that never stops sending is out of time all the same."""
    with SocketServer(serve) as server:
        with pytest.raises(RequestTimeout, match=r"no complete answer within 0\.3 s"):
            browser.get(f"{server.url}/", timeout=0.3)
        with pytest.raises(RequestTimeout, match=r"no complete answer within 0\.3 s"):
            browser.get(f"{server.url}/", timeout={"total": 0.3, "read": 0.2})
    assert browser.counted.exchanges == 2


def test_silence_in_the_middle(browser: Browser) -> None:
    """`read` limits the time between two pieces, not that of the whole."""

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(HEAD + b"Content-Length: 9\r\n\r\nhi")
        connection.recv(1)

    with SocketServer(serve) as server, pytest.raises(RequestTimeout, match=r"nothing received for 0\.2 s"):
        browser.get(f"{server.url}/", timeout={"read": 0.2})

    assert browser.failure == ("GET /", "timeout", "read timeout")


def test_no_connection_in_time(browser: Browser) -> None:
    """`connect` limits the time for a connection; nothing was exchanged."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
        try:
            with pytest.raises(RequestTimeout, match=r"no connection within 0\.2 s"):
                browser.get(f"http://127.0.0.1:{port}/", timeout={"connect": 0.2})
        finally:
            for sock in waiting:
                sock.close()

    assert browser.failure == ("GET /", "timeout", "connect timeout")
    assert browser.counted.exchanges == 0


def test_a_connection_that_takes_its_time(browser: Browser) -> None:
    """One that the server has no room for at first is waited for; that is part of its response time."""

    def serve() -> None:
        for _ in waiting:
            listener.accept()[0].close()
        connection, _ = listener.accept()
        with connection:
            read_head(connection)
            connection.sendall(HEAD + b"Content-Length: 2\r\n\r\nok")

    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        place = listener.getsockname()
        waiting = [stack.enter_context(socket.create_connection(place))]
        later = threading.Timer(0.3, serve)
        later.start()
        stack.callback(later.join)
        answer = browser.get(f"http://127.0.0.1:{place[1]}/")

    assert answer.text == "ok"
    # the kernel asks again after a second
    assert answer.timings.connect > 0.5


def test_answer_before_the_body_was_sent(browser: Browser) -> None:
    """A server that refuses a large body at once is understood, and its connection is not used again."""

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        while connection.recv(1 << 20):
            pass

    def endless() -> Any:
        piece = b"x" * 10_000
        while server.connections < 2:
            time.sleep(0.0001)
            yield piece

    with SocketServer(serve) as server:
        reply = browser.request("POST", f"{server.url}/", data=endless(), expect=413)
        assert (reply.status_code, reply.text) == (413, "no")
        browser.request("POST", f"{server.url}/", expect=413)
        assert server.connections == 2


@pytest.mark.parametrize("what", ["url", "method", "name", "value", "cookie", "proxy", "auth"])
@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\x00"])
def test_nothing_is_smuggled_in(browser: Browser, what: str, end: str) -> None:
    """What would end its line is refused before anything is sent."""
    bad = f"a{end}X-Evil: b"
    options: dict[str, dict[str, Any]] = {
        "name": {"headers": {bad: "x"}},
        "value": {"headers": {"X": bad}},
        "cookie": {"headers": {"Cookie": bad}},
        "proxy": {"proxy": f"http://127.0.0.1/{bad}"},
        "auth": {"auth": bad},
    }
    with RawServer([Answer(OK)]) as server:
        url = f"{server.url}/{bad if what == 'url' else ''}"
        with pytest.raises((TypeError, ValueError)):
            browser.request(bad if what == "method" else "GET", url, **options.get(what, {}))

        assert (server.requests, browser.counted.requests) == ([], 0)


def test_connection_that_breaks_between_users(browser: Browser) -> None:
    """A reset while a connection waits costs no failure."""
    with RawServer([Answer(OK, "reset")]) as server:
        for number in range(1, 6):
            assert browser.get(f"{server.url}/").text == "hi"
            wait_until(lambda number=number: server.has_closed(number), "the reset")  # type: ignore[misc]
    assert browser.sample.failures == 0
    assert browser.counted.exchanges == len(server.requests) == 5
