"""Answers whose head has come before are known without a parser: what they lead to must be the same."""

from __future__ import annotations

import json
import math
import socket
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.engine.failures import ConnectionFailure, StatusError
from pytest_metersphere.engine.http.plan import plan_of
from pytest_metersphere.engine.http.reader import Reader
from pytest_metersphere.engine.http.response import Response
from tests.engine.browsers import Browser
from tests.engine.server import SocketServer, answering, read_head

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SIX = (b"a1", b"a2", b"a3", b"a4", b"a5", b"a6")


def _in_turn(*lines: Callable[[socket.socket], None]) -> Callable[[socket.socket], None]:
    """Return what serves the first connection with the first line, and so on."""
    left = iter(lines)

    def serve(connection: socket.socket) -> None:
        next(left)(connection)

    return serve


def test_each_answer_has_its_own_body(browser: Browser) -> None:
    """Six answers with one head are six answers, counted to the byte, on one connection."""
    with SocketServer(answering(*(HEAD + body for body in SIX))) as server:
        replies = [browser.get(f"{server.url}/") for _ in SIX]

        assert [reply.content for reply in replies] == list(SIX)
        assert {reply.headers["content-length"] for reply in replies} == {"2"}
        assert server.connections == 1
    assert (browser.sample.requests, browser.counted.exchanges) == (6, 6)
    assert browser.sample.bytes_received == 6 * len(HEAD + b"a1")


def test_a_familiar_head_in_pieces(browser: Browser) -> None:
    """An answer with a known head that comes in pieces is read as any other."""

    def serve(connection: socket.socket) -> None:
        for number, body in enumerate(SIX):
            read_head(connection)
            whole = HEAD + body
            cut = 0 if number < 3 else number * 7
            connection.sendall(whole[:cut])
            connection.sendall(whole[cut:])
        connection.recv(1)

    with SocketServer(serve) as server:
        assert [browser.get(f"{server.url}/").content for _ in SIX] == list(SIX)
        assert server.connections == 1


def test_another_head_of_the_same_length(browser: Browser) -> None:
    """A head that differs in a byte is taken for what it says."""
    fourth = HEAD.replace(b"200 OK", b"503 NO") + b"no"
    answers = [HEAD + body for body in SIX[:3]] + [fourth, HEAD + SIX[4]]
    with SocketServer(answering(*answers)) as server:
        for body in SIX[:3]:
            assert browser.get(f"{server.url}/").content == body
        with pytest.raises(StatusError, match="503"):
            browser.get(f"{server.url}/")
        assert browser.get(f"{server.url}/").content == SIX[4]


def test_more_than_the_familiar_answer(browser: Browser) -> None:
    """Bytes behind a known answer make the connection unusable, as behind any other."""
    answers = [HEAD + body for body in SIX[:3]] + [HEAD + b"a4HTTP/1.1 200 OK\r\n"]
    with SocketServer(_in_turn(answering(*answers), answering(HEAD + b"b1"))) as server:
        for body in SIX[:4]:
            assert browser.get(f"{server.url}/").content == body
        assert browser.get(f"{server.url}/").content == b"b1"
        assert server.connections == 2


def test_less_than_the_familiar_answer(browser: Browser) -> None:
    """A known head whose body ends too early is a failure."""

    def serve(connection: socket.socket) -> None:
        for body in SIX[:3]:
            read_head(connection)
            connection.sendall(HEAD + body)
        read_head(connection)
        connection.sendall(HEAD + b"a")

    with SocketServer(serve) as server:
        for body in SIX[:3]:
            assert browser.get(f"{server.url}/").content == body
        with pytest.raises(ConnectionFailure):
            browser.get(f"{server.url}/")


def test_an_end_instead_of_a_familiar_answer(browser: Browser) -> None:
    """A kept connection that ends in place of the answer is replaced, and the request counts once."""

    def serve(connection: socket.socket) -> None:
        for body in SIX[:3]:
            read_head(connection)
            connection.sendall(HEAD + body)
        read_head(connection)

    with SocketServer(_in_turn(serve, answering(HEAD + SIX[3]))) as server:
        assert [browser.get(f"{server.url}/").content for _ in range(4)] == list(SIX[:4])
    assert (browser.sample.requests, browser.counted.exchanges) == (4, 4)
    assert (browser.counted.repeated_exchanges, browser.counted.unanswered_exchanges) == (1, 0)


def test_chunked_answers_are_never_familiar(browser: Browser) -> None:
    """Where the head does not say the length, each answer is read."""
    bodies = [b"1\r\na\r\n0\r\n\r\n", b"1\r\nb\r\n0\r\n\r\n", b"1\r\nc\r\n0\r\n\r\n", b"0\r\n\r\n2\r\nxx"]
    with SocketServer(answering(*(CHUNKED + body for body in bodies))) as server:
        assert [browser.get(f"{server.url}/").content for _ in range(4)] == [b"a", b"b", b"c", b""]


@given(st.binary(max_size=40))
def test_what_is_familiar_frames_the_same(body: bytes) -> None:
    """An answer made of a familiar head and as many bytes is what the parser would have read, too."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    reader = Reader()
    reader.feed(head + bytes(len(body)))
    familiar = reader.familiar()

    assert familiar is not None
    assert (familiar.prefix, familiar.size, familiar.status) == (head, len(head + body), 200)
    reader.begin()
    reader.feed(head + body)
    assert reader.body == (head + body)[len(familiar.prefix) :]


def _json(content: bytes) -> Any:
    target = plan_of("GET", "http://127.0.0.1/").target
    return Response(200, b"HTTP/1.1 200 OK", content, target, 0.0, (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)).json()


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(_VALUES, st.sampled_from(["utf-8", "utf-16", "utf-32"]), st.booleans())
def test_json_is_that_of_the_standard_library(value: Any, encoding: str, ascii_only: bool) -> None:  # noqa: FBT001
    """`reply.json()` gives what `json.loads` gives, in each encoding that it takes."""
    content = json.dumps(value, ensure_ascii=ascii_only).encode(encoding, "surrogatepass")
    assert _json(content) == json.loads(content)


def test_json_that_is_none() -> None:
    """What is no JSON is a ValueError that says where; NaN is taken as the standard library takes it."""
    assert math.isnan(_json(b"NaN"))
    with pytest.raises(json.JSONDecodeError, match="line 1 column 1"):
        _json(b"<html>")
